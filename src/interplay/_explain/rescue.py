"""Where an estimator explains little: coded masks for the rest of the budget, and what to say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from interplay._explain.explanation import Fit
from interplay._explain.plan import Plan
from interplay._explain.sample import distinct_masks
from interplay.estimators import Estimator, Rescue

LITTLE = 0.5
"""R² on unseen ablations below which coded masks are tried; where those are in vain, they cost about .005.

Under a fifth instead, a game of large sets without parts keeps .42 of 2,835 ablations, not .98; forced on three games
that need none, coded masks changed R² by -.006 to +.009 (docs/gp.md).
"""


def best_r2(fits: Sequence[Fit]) -> float:
    """The highest R² of all outputs; 1 where none of them varied."""
    return max((fit.faithfulness.r2 for fit in fits if not np.isnan(fit.faithfulness.r2)), default=1.0)


def rescue_plan(rescue: Rescue, first: Plan, n: int, rest: int, seed: int) -> Plan:
    """The ``first`` plan and coded masks for the ``rest`` of a budget.

    Coded masks flatter the fits that decode them, so the first ones judge.
    """
    coded = rescue.estimator.design(n, rest, seed)
    both, _ = distinct_masks(np.concatenate([first.masks, coded]), np.zeros(len(first.masks) + len(coded)))
    return replace(first, masks=both, fair=np.arange(len(both)) < len(first.masks))


def better_fits(
    coded: Sequence[Fit], plain: Sequence[Fit], rescue: Rescue, estimator: Estimator, why: str
) -> tuple[Fit, ...]:
    """For every output the better of two fits of the same ablations: by the rescue and by the first ``estimator``.

    More ablations may be all that the first one lacked.
    """
    return tuple(
        _better(left, right, rescue.estimator.name, estimator.name, why)
        for left, right in zip(coded, plain, strict=True)
    )


def _better(coded: Fit, fit: Fit, coded_name: str, name: str, why: str) -> Fit:
    left, right = coded.faithfulness.r2, fit.faithfulness.r2
    if np.isnan(left):  # a constant output: nothing was looked for
        return fit
    better = coded if left >= right else fit
    note = f"{why}; R² then: {coded_name} {left:.3f}, {name} on all of them {right:.3f}"
    return replace(better, notes=(note, *better.notes))


def turning(rescue: Rescue, before: Sequence[Fit], ablations: int, *, whole: bool) -> str:
    """Why coded masks were turned to after so many ``ablations``; ``whole`` if with the whole rest of the budget."""
    spent = "the rest of the budget" if whole else "what followed"
    return (
        f"after {ablations} ablations no fit explained half of what varies over unseen ones (R² "
        f"{best_r2(before):.2f}), so {spent} went to the coded masks of {rescue.estimator.name}, which may find "
        "large sets without strong parts"
    )


def left_out(fit: Fit, rescue: Rescue | None) -> Fit:
    """The fit of one output of several; with a note where it alone would have been worth a rescue."""
    if rescue is None or not fit.faithfulness.r2 < LITTLE:
        return fit
    name = rescue.estimator.name
    note = (
        f"no fit explained half of what varies over unseen ablations of this output (R² {fit.faithfulness.r2:.2f}); "
        f"the coded masks of {name} were not tried, because other outputs of the same ablations were explained: "
        f"method={name!r} tries them"
    )
    return replace(fit, notes=(note, *fit.notes))


def too_few(estimator: Estimator, n: int, budget: int) -> tuple[str, ...]:
    """A note on the budget from which another estimator would be turned to, where that is within reach."""
    for enough in (budget << times for times in range(1, 5)):
        rescue = estimator.rescue(n, enough)
        if rescue is not None:
            return (
                f"no fit explained half of what varies over unseen ablations; a budget of {enough} would allow "
                f"the coded masks of {rescue.estimator.name}, which may find large sets without strong parts",
            )
    return ()
