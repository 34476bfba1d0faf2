"""Where a spectrum's energy lies on a grid of components: alone, within a row, across rows."""

from __future__ import annotations

from dataclasses import dataclass

from interplay._display import Displayed
from interplay._game.layout import GridLayout
from interplay._spectrum.characters import Features
from interplay._spectrum.spectrum import Spectrum


@dataclass(frozen=True)
class EnergyShares(Displayed):
    """Shares of a spectrum's energy (its variance, by Parseval): they sum to 1.

    ``single`` is that of features alone, ``within`` that of sets inside one row of the grid, ``across`` that of
    sets that span several.
    """

    single: float
    within: float
    across: float


def energy_shares(spectrum: Spectrum, layout: GridLayout) -> EnergyShares | None:
    """How the energy of ``spectrum`` divides over the rows of ``layout``; None where it has none."""
    total = spectrum.variance
    if total <= 0:
        return None
    within = across = 0.0
    for features, value in spectrum.coefficients.items():
        if len(features) > 1 and in_one_row(features, layout):
            within += value * value
        elif len(features) > 1:
            across += value * value
    return EnergyShares(1 - (within + across) / total, within / total, across / total)


def in_one_row(features: Features, layout: GridLayout) -> bool:
    """Whether a set lies inside one row of the grid."""
    return len({layout.cells[feature][0] for feature in features}) == 1
