"""Any estimator, on masks drawn for one index and tied to what was measured at both ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from interplay._errors import InputError
from interplay._game.masks import Masks, Values
from interplay._spectrum.spectrum import Spectrum
from interplay.estimators._base import Estimator, Recovery
from interplay.estimators._halves import refit_halves
from interplay.estimators._index_design import index_design

ASKED = ("sv", "sii", "k-sii", "stii", "fsii")
"""The indices that weigh all sizes of masks alike, for which masks can be drawn."""

_NOTEWORTHY = 1e-6  # of the difference between both ends


@dataclass(frozen=True)
class ForIndex(Estimator):
    """An ``inner`` estimator on the masks of `index_design`, its spectrum exact where all or nothing is kept.

    Where an index adds up, it adds up to f(all) - f(none): of a spectrum that has both values, to the measured
    difference. What the inner fit misses of them is spread evenly over the features, for nothing says which it belongs
    to.

    Parameters
    ----------
    inner
        What fits the masks.
    """

    name: ClassVar[str] = "index"
    fits_ends: ClassVar[bool] = True
    inner: Estimator

    def __post_init__(self) -> None:
        if not self.inner.any_masks and not self.inner.whole:
            raise InputError(
                f"{self.inner.name} needs ablations of its own, so none can be drawn for an index: leave index out or "
                "choose method='auto'."
            )
        object.__setattr__(self, "name", self.inner.name)

    def design(self, n: int, budget: int, seed: int) -> Masks:
        """The masks of `index_design`; of an inner estimator that needs every mask of its design, that one's."""
        return self.inner.design(n, budget, seed) if self.inner.whole else index_design(n, budget, seed)

    def fewest(self, n: int) -> int:
        """As the inner estimator says."""
        return self.inner.fewest(n)

    def prepare(self, masks: Masks) -> tuple[Masks, Any]:
        """The masks, and what the inner estimator makes of them."""
        return masks, self.inner.prepare(masks)

    def recover(self, prepared: tuple[Masks, Any], values: Values, *, order: int, seed: int) -> Recovery:
        """The inner recovery, tied to both ends."""
        masks, inner = prepared
        return self._finished(self.inner.recover(inner, values, order=order, seed=seed), masks, values)

    def fit_outputs(self, masks: Masks, values: Values, *, order: int, seed: int) -> list[Recovery]:
        """The inner recoveries, each tied to both ends."""
        found = self.inner.fit_outputs(masks, values, order=order, seed=seed)
        return [self._finished(recovery, masks, column) for recovery, column in zip(found, values.T, strict=True)]

    def _finished(self, recovery: Recovery, masks: Masks, values: Values) -> Recovery:
        better = refit_halves(recovery, masks, values) if self.inner.name == "auto" else recovery
        return replace(tied(better, masks, values), method=recovery.method or self.inner.name)


def tied(recovery: Recovery, masks: Masks, values: Values) -> Recovery:
    """The recovery, its spectrum exact at both ends; with a note where they were not measured, or far off."""
    rows = np.flatnonzero(masks.all(axis=1)), np.flatnonzero(~masks.any(axis=1))
    if not len(rows[0]) or not len(rows[1]):
        note = (
            "everything kept and everything ablated were not both measured, so indices need not add up to their "
            "difference"
        )
        return replace(recovery, notes=(*recovery.notes, note))
    ends = np.concatenate(rows)
    full, empty = (values[ends] - recovery.spectrum.predict(masks[ends])).tolist()
    notes, gap, difference = recovery.notes, full - empty, values[ends[0]] - values[ends[1]]
    if abs(gap) > _NOTEWORTHY * abs(difference):
        notes += (
            f"of the measured difference between everything and nothing, {difference:.3g}, the fit missed "
            f"{gap:.3g}, which was spread evenly over the features",
        )
    return replace(recovery, spectrum=with_ends(recovery.spectrum, full, empty), notes=notes)


def with_ends(spectrum: Spectrum, full: float, empty: float) -> Spectrum:
    """A spectrum plus the function of the number of kept features that is linear from ``empty`` up to ``full``."""
    n, coefficients = spectrum.n, dict(spectrum.coefficients)
    coefficients[()] = coefficients.get((), 0.0) + (full + empty) / 2  # |m| = n / 2 - sum_j chi_j(m) / 2
    for feature in range(n):
        coefficients[feature,] = coefficients.get((feature,), 0.0) - (full - empty) / (2 * n)
    return Spectrum(n, coefficients)
