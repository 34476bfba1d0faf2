"""Any estimator, on masks drawn for one index and tied to what was measured at both ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from interplay._errors import InputError
from interplay._game.masks import Masks, Values
from interplay._spectrum.spectrum import Spectrum
from interplay.estimators._base import Estimator, Recovery
from interplay.estimators._index_design import index_design

ASKED = ("sv", "sii", "k-sii", "stii", "fsii")
"""The indices that weigh all sizes of masks alike, and that masks can be drawn for."""


@dataclass(frozen=True)
class ForIndex(Estimator):
    """An ``inner`` estimator on the masks of `index_design`, its spectrum exact where all and nothing is kept.

    Indices that add up sum to f(all) - f(none), so a spectrum that meets both values makes them sum to the measured
    difference. What the fit leaves of it is spread evenly over the single features.

    Parameters
    ----------
    inner
        What fits the masks.
    """

    name: ClassVar[str] = "index"
    inner: Estimator

    def __post_init__(self) -> None:
        if not self.inner.any_masks:
            raise InputError(
                f"{self.inner.name} needs ablations of its own, so none can be drawn for an index: leave index out or "
                "choose method='auto'."
            )
        object.__setattr__(self, "name", self.inner.name)

    def design(self, n: int, budget: int, seed: int) -> Masks:
        """The masks of `index_design`: both ends, then pairs of complements of all sizes."""
        return index_design(n, budget, seed)

    def fewest(self, n: int) -> int:
        """As the inner estimator says."""
        return self.inner.fewest(n)

    def fit(self, masks: Masks, values: Values, *, order: int, seed: int) -> Recovery:
        """The inner fit, tied to both ends."""
        return self.fit_outputs(masks, values[:, None], order=order, seed=seed)[0]

    def fit_outputs(self, masks: Masks, values: Values, *, order: int, seed: int) -> list[Recovery]:
        """The inner fits, each tied to both ends."""
        found = self.inner.fit_outputs(masks, values, order=order, seed=seed)
        return [
            replace(recovery, spectrum=tied(recovery.spectrum, masks, column), method=recovery.method or self.inner.name)
            for recovery, column in zip(found, values.T, strict=True)
        ]


def tied(spectrum: Spectrum, masks: Masks, values: Values) -> Spectrum:
    """The spectrum plus the additive function, the same for every feature, that makes it exact at both ends.

    At an end that is not among ``masks`` it stays as it is.
    """
    n = spectrum.n
    full, empty = (_missed(spectrum, masks, values, kept=kept) for kept in (True, False))
    # a + b |m| with the values `empty` at 0 and `full` at n, and |m| = n/2 - sum_j chi_j / 2
    coefficients = dict(spectrum.coefficients)
    coefficients[()] = coefficients.get((), 0.0) + (full + empty) / 2
    for feature in range(n):
        coefficients[feature,] = coefficients.get((feature,), 0.0) - (full - empty) / (2 * n)
    return Spectrum(n, coefficients)


def _missed(spectrum: Spectrum, masks: Masks, values: Values, *, kept: bool) -> float:
    """What a spectrum lacks where everything is kept, or nothing."""
    rows = np.flatnonzero((masks == kept).all(axis=1))
    return float(values[rows[0]] - spectrum.predict(masks[rows[:1]])[0]) if len(rows) else 0.0
