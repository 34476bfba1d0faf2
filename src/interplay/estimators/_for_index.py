"""Any estimator, on masks drawn for one index, which adds up to what was measured at both ends."""

from __future__ import annotations

import concurrent.futures as futures
from dataclasses import dataclass, replace
from math import comb
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game.masks import Masks, Values
from interplay.estimators._base import Estimator, Recovery
from interplay.estimators._halves import refit_halves
from interplay.estimators._index_design import index_design
from interplay.estimators._lasso.wide import LARGE
from interplay.estimators._many import MANY, spread
from interplay.estimators._misses import misses
from interplay.estimators._validation import is_constant

_FEWEST = 16  # masks of sizes that were not measured whole, below which no fit goes by them alone
_NOTEWORTHY = 1e-6  # of the difference between both ends


class _Prepared(NamedTuple):
    """Masks (N, n), what the inner estimator makes of them, and of the ``rest`` of them alone."""

    masks: Masks
    inner: Any
    rest: npt.NDArray[np.bool_] | None
    inner_rest: Any


@dataclass(frozen=True)
class ForIndex(Estimator):
    """An ``inner`` estimator on the masks of `index_design`, its index tied to what was measured at both ends.

    What the inner fit misses of the masks that were measured counts in the index, as far as it is no noise
    (`misses`): an index that adds up adds up to the measured f(all) - f(none). The spectrum itself is that of the fit.
    Where all masks of a size were measured, none of them needs to be predicted: the inner fit goes without them if it
    predicts the others better so.

    Parameters
    ----------
    inner
        What fits the masks.
    index
        sv, sii, k-sii, stii or fsii.
    """

    name: ClassVar[str] = "index"
    fits_ends: ClassVar[bool] = True
    inner: Estimator
    index: str = "sii"

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

    def prepare(self, masks: Masks) -> _Prepared:
        """The masks, and what the inner estimator makes of them and of those whose size was not measured whole."""
        rest = None if self.inner.whole else not_whole(masks)
        return _Prepared(
            masks, self.inner.prepare(masks), rest, None if rest is None else self.inner.prepare(masks[rest])
        )

    def recover(self, prepared: _Prepared, values: Values, *, order: int, seed: int) -> Recovery:
        """The inner recovery that predicts unseen masks best, with what it misses of the measured ones."""
        masks, rest = prepared.masks, prepared.rest
        found = self._halved(self.inner.recover(prepared.inner, values, order=order, seed=seed), masks, values)
        if rest is not None and not is_constant(values[rest]):
            part = self.inner.recover(prepared.inner_rest, values[rest], order=order, seed=seed)
            found = better_without(found, self._halved(part, masks[rest], values[rest]), masks, values, rest)
        return replace(tied(found, masks, values, self.index), method=found.method or self.inner.name)

    def fit_outputs(self, masks: Masks, values: Values, *, order: int, seed: int) -> list[Recovery]:
        """One recovery per output; all at once where the masks are too many for copies of them."""
        return self.spread_outputs(masks, values, order=order, seed=seed, executor=None)

    def spread_outputs(
        self, masks: Masks, values: Values, *, order: int, seed: int, executor: futures.Executor | None
    ) -> list[Recovery]:
        """As `fit_outputs`, by the workers of an ``executor`` where there is one; many share."""
        if masks.size <= LARGE and values.shape[1] < MANY:
            return spread(Estimator.fit_outputs, self, masks, values, 1, executor, order=order, seed=seed)
        found = self.inner.spread_outputs(masks, values, order=order, seed=seed, executor=executor)
        if masks.size <= LARGE:
            found = [self._halved(one, masks, column) for one, column in zip(found, values.T, strict=True)]
            rest = None if self.inner.whole else not_whole(masks)
            if rest is not None:
                varied = [t for t, column in enumerate(values[rest].T) if not is_constant(column)]
                few, some = masks[rest], values[rest][:, varied]
                parts = self.inner.spread_outputs(few, some, order=order, seed=seed, executor=executor)
                for t, part in zip(varied, parts, strict=True):
                    half = self._halved(part, few, values[rest, t])
                    found[t] = better_without(found[t], half, masks, values[:, t], rest)
        return [
            replace(tied(one, masks, column, self.index), method=one.method or self.inner.name)
            for one, column in zip(found, values.T, strict=True)
        ]

    def _halved(self, recovery: Recovery, masks: Masks, values: Values) -> Recovery:
        return refit_halves(recovery, masks, values) if self.inner.name == "auto" else recovery


def not_whole(masks: Masks) -> npt.NDArray[np.bool_] | None:
    """Which masks (N, n) have a size of which not all were measured, (N,).

    None where these are too few, and where only the ends have such a size.
    """
    n, size = masks.shape[1], masks.sum(axis=1)
    counts = np.bincount(size, minlength=n + 1)
    whole = np.array([int(count) == comb(n, kept) for kept, count in enumerate(counts)])
    rest = np.asarray(~whole[size])
    return rest if whole[1:n].any() and rest.sum() >= max(_FEWEST, len(masks) / 2) else None


def better_without(
    found: Recovery, part: Recovery, masks: Masks, values: Values, rest: npt.NDArray[np.bool_]
) -> Recovery:
    """The recovery of all masks, or that of the ``rest`` of them where it predicts these better; as one of all."""
    if found.unseen is None or part.unseen is None or found.rows is not None or part.rows is not None:
        return found
    before = found.flatters * ((found.unseen - values)[rest] ** 2).sum()
    if part.flatters * ((part.unseen - values[rest]) ** 2).sum() >= before:
        return found
    unseen = part.spectrum.predict(masks)
    unseen[rest] = part.unseen
    sizes = sorted(set(masks[~rest].sum(axis=1).tolist()))
    note = (
        f"all ablations that keep {', '.join(map(str, sizes))} features were measured; the others are predicted better "
        "by a fit without them"
    )
    return replace(part, unseen=unseen, alone=found.alone, notes=(*part.notes, note))


def tied(recovery: Recovery, masks: Masks, values: Values, index: str) -> Recovery:
    """The recovery with what it misses; with a note where both ends were not measured, or are far off."""
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
    errors = None
    if recovery.unseen is not None:
        errors = np.full(len(values), np.nan)
        at = np.arange(len(values)) if recovery.rows is None else recovery.rows
        errors[at] = values[at] - recovery.unseen
    return replace(recovery, notes=notes, misses=misses(recovery.spectrum, masks, values, errors, index))
