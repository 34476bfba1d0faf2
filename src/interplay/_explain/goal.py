"""When a sequential measurement has seen enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from interplay._checks import is_between
from interplay._errors import InputError
from interplay._explain.explanation import Fit


@dataclass(frozen=True)
class Goal:
    """What R² on unseen ablations is to be, for every output; false where nothing is asked for.

    Parameters
    ----------
    until
        The whole interval of R² is to lie at or above this.
    tolerance
        R² is to be known to within this much, up or down.
    """

    until: float | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.until is not None and not is_between(self.until, 0, 1):
            raise InputError(f"until must be an R² between 0 and 1, not {self.until!r}.")
        if self.tolerance is not None and not is_between(self.tolerance, 0, 1):
            raise InputError(f"tolerance must be a difference of R² between 0 and 1, not {self.tolerance!r}.")

    def __bool__(self) -> bool:
        return self.until is not None or self.tolerance is not None

    def rounds(self, n: int, budget: int, fewest: int = 1) -> Iterator[int]:
        """Growing budgets up to ``budget``: from about two masks a feature, each a half more than the one before.

        None is smaller than the ``fewest`` ablations that the estimator has a design for.

        Designs are nested, so a round pays only for what it adds; all fits together take about three times the
        last one's time.
        """
        allowed = max(32, 2 * n, fewest)
        while self and allowed < 0.8 * budget:
            yield allowed
            allowed += allowed // 2
        yield budget

    def reached(self, fits: Sequence[Fit]) -> bool:
        """Whether the fit of every output is there.

        A constant output, whose R² is undefined, meets any goal where another one varies; where none does, what
        matters may be rare and is still to be seen.
        """
        if _unseen(fits):
            return False
        for fit in fits:
            found = fit.faithfulness
            if np.isnan(found.r2):
                continue
            if self.until is not None and not found.low >= self.until:
                return False
            if self.tolerance is not None and not found.high - found.low <= 2 * self.tolerance:
                return False
        return bool(self)

    def outcome(self, fits: Sequence[Fit], used: int, budget: int) -> str:
        """What became of the goal, for the reader of the result."""
        goals = [f"R² of at least {self.until:g}"] if self.until is not None else []
        goals += [f"R² known to ±{self.tolerance:g}"] if self.tolerance is not None else []
        words = " and ".join(goals)
        if any(np.isnan(fit.faithfulness.r2) for fit in fits) and not _unseen(fits):
            words += " (an output that never varied has none and does not count)"
        if self.reached(fits):
            return f"stopped after {used} of {budget} ablations, as soon as the goal was reached: {words}"
        if _unseen(fits):
            return f"the budget of {budget} ablations was used up, and R² is undefined, for nothing varied: {words}"
        return f"the budget of {budget} ablations was used up before the goal was reached: {words}"


def _unseen(fits: Sequence[Fit]) -> bool:
    return all(np.isnan(fit.faithfulness.r2) for fit in fits)
