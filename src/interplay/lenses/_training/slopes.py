"""Slopes of a training game: what each example does to the outputs of every retraining, beside the outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from interplay._game.masks import Masks, Values
from interplay._game.partial import Partial
from interplay._game.slopes import NOT_GIVEN
from interplay.lenses._training.doors import Evaluator, Trainer
from interplay.lenses._training.examples import Indices

Jumps = Callable[[Any, Indices], Any]


@dataclass(frozen=True, eq=False)
class Retrained:
    """Masks to values, as a ``retraining`` gives them, and slopes (N, T, n); one retraining for both.

    The slope of a group is the sum of its examples' ``jumps``, which may have a ``trainer`` of their own: the same
    training, with what they need to know of it.
    """

    retraining: Any
    jumps: Jumps = field(repr=False)

    def __call__(self, masks: Masks) -> Any:
        retraining = self.retraining
        fit: Trainer = getattr(self.jumps, "trainer", retraining.fit)
        remembering = replace(
            fit,
            train=_Remembering(fit),
            takes_seed=True,
            together=None if fit.together is None else _RememberingTogether(fit),
            remark=None if fit.remark is None else _Remark(fit),
        )
        beside = replace(retraining.score, measure=_Beside(retraining.score, self.jumps, retraining.groups))
        found = replace(retraining, fit=remembering, score=beside)(masks)
        if isinstance(found, Partial):
            if not len(found.values):  # all failed
                return found
            return replace(found, values=self._parted(np.asarray(found.values)))
        return self._parted(found)

    def _parted(self, rows: Values) -> tuple[Values, Values]:
        """Values (N, T * seeds) or, of a single number, (N,), and slopes (N, T, n), of rows as `_Beside` makes them."""
        seeds, n = self.retraining.seeds, len(self.retraining.groups)
        table = rows.reshape(len(rows), -1, seeds)
        outputs, marked = divmod(table.shape[1], 1 + n)
        values = table[:, :outputs].reshape(len(rows), -1)
        slopes = table[:, outputs : table.shape[1] - marked].reshape(len(rows), outputs, n, seeds)
        missing = (slopes == NOT_GIVEN).any(axis=3)
        single = values.shape[1] == 1 and not marked
        return values[:, 0] if single else values, np.where(missing, np.nan, slopes.mean(axis=3))


@dataclass(frozen=True, eq=False)
class _Remembering:
    """A model with the indices it was trained on."""

    fit: Trainer

    def __call__(self, indices: Indices, seed: int) -> tuple[Any, Indices]:
        return self.fit(indices, seed), indices


@dataclass(frozen=True, eq=False)
class _RememberingTogether:
    fit: Trainer

    def __call__(self, jobs: list[tuple[Indices, int]]) -> Sequence[tuple[Any, Indices]]:
        assert self.fit.together is not None
        return [(model, indices) for model, (indices, _) in zip(self.fit.together(jobs), jobs, strict=True)]


@dataclass(frozen=True, eq=False)
class _Remark:
    fit: Trainer

    def __call__(self, remembered: tuple[Any, Indices]) -> str | None:
        assert self.fit.remark is not None
        return self.fit.remark(remembered[0])


@dataclass(frozen=True, eq=False)
class _Beside:
    """A model's outputs and their slopes in a row, (T + T n,); with one column more where the score is a row of one."""

    score: Evaluator
    jumps: Jumps
    groups: tuple[Indices, ...]

    def __call__(self, remembered: tuple[Any, Indices]) -> Values:
        given = np.asarray(self.score(remembered[0]), dtype=np.float64)
        outputs, mark = np.atleast_1d(given), np.zeros(int(given.shape == (1,)))
        jumps = self.jumps(*remembered)
        if jumps is None:
            return np.concatenate([outputs, np.full(len(outputs) * len(self.groups), NOT_GIVEN), mark])
        each = np.asarray(jumps, dtype=np.float64).reshape(len(outputs), -1)
        starts = np.cumsum([0, *(len(group) for group in self.groups[:-1])])
        summed = np.add.reduceat(each[:, np.concatenate(self.groups)], starts, axis=1)
        return np.concatenate([outputs, summed.ravel(), mark])
