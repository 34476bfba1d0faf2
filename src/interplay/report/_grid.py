"""A grid of layers by parts shaded by importance, and what lies within a layer and across layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from interplay._interactions import Interactions
from interplay._layout import GridLayout
from interplay._spectrum import Features, Spectrum
from interplay.report._shading import background

if TYPE_CHECKING:
    from rich.text import Text


@dataclass(frozen=True)
class EnergyShares:
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
        if len(features) > 1 and _in_one_row(features, layout):
            within += value * value
        elif len(features) > 1:
            across += value * value
    return EnergyShares(1 - (within + across) / total, within / total, across / total)


def pairs_by_row(found: Interactions, layout: GridLayout) -> tuple[Interactions, Interactions]:
    """The pairs of ``found`` inside one row of the grid, and those of two rows."""
    pairs = found.of_order(2)
    inside = {features: value for features, value in pairs.items() if _in_one_row(features, layout)}
    outside = {features: value for features, value in pairs.items() if features not in inside}
    return pairs.only(inside), pairs.only(outside)


def shaded_grid(layout: GridLayout, values: npt.NDArray[np.float64], *, width: int, colour: bool) -> Text:
    """The grid, each cell its value (n,) in per cent of the strongest, on green or red where there is colour.

    Columns that do not fit ``width`` characters go into further blocks below.
    """
    from rich.text import Text

    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    at = {cell: round(100 * float(value) / scale) for cell, value in zip(layout.cells, values, strict=True)}
    margin = max(len(name) for name in layout.rows) + 1
    cell_width = max(5, 1 + max(len(name) for name in layout.columns))
    per_block = max(1, (width - margin) // cell_width)
    shown = Text()
    for start in range(0, len(layout.columns), per_block):
        columns = range(start, min(start + per_block, len(layout.columns)))
        shown.append("\n" * (start > 0) + " " * margin)
        shown.append("".join(layout.columns[column].rjust(cell_width) for column in columns), "dim")
        for row, name in enumerate(layout.rows):
            shown.append("\n" + name.ljust(margin), "dim")
            for column in columns:
                share = at.get((row, column))
                if share is None:
                    shown.append(" " * cell_width)
                    continue
                words = f"{share:+d}" if share else "·"
                shown.append(words.rjust(cell_width), background(share / 100) if colour else "")
    return shown


def _in_one_row(features: Features, layout: GridLayout) -> bool:
    return len({layout.cells[feature][0] for feature in features}) == 1
