"""Which ablations to make: those to fit, those at the ends, and which of them are a fair test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game.masks import Masks
from interplay.estimators import Estimator, biased_design

FEWEST = 4  # ablations from which anything at all can be estimated
ENDS = 16  # from so many ablations on, two go to the ends: everything kept, everything ablated


@dataclass(frozen=True, eq=False)
class Plan:
    """The ablations of one round, those of all rounds before it included.

    Attributes
    ----------
    masks
        (N, n), distinct: what the estimator fits.
    ends
        (E, n): everything kept and everything ablated, measured besides. They tell a reader what the model says of the
        untouched input, but are no draw of the design, so no fit sees them.
    fair
        (N,): which of ``masks`` may judge a fit; None for all.
    sloped
        How many of the first ``masks`` are measured with their slopes.
    slope_cost
        What each of these costs, in ablations without.
    """

    masks: Masks
    ends: Masks
    fair: npt.NDArray[np.bool_] | None = None
    sloped: int = 0
    slope_cost: float = 1.0

    def first(self, masks: int) -> Plan:
        """Its first ``masks`` alone, without the ends."""
        return Plan(self.masks[:masks], self.ends[:0], None, min(masks, self.sloped), self.slope_cost)

    @property
    def cost(self) -> int:
        """All of it, in ablations without slopes."""
        return len(self.masks) + len(self.ends) + self.surcharge(self.sloped)

    def surcharge(self, sloped: int) -> int:
        """What the slopes of so many masks cost besides these, in ablations, rounded up."""
        return int(np.ceil(sloped * (self.slope_cost - 1.0) - 1e-9))

    def after(self, earlier: Plan) -> Masks:
        """The masks that this one has and an ``earlier`` one of the same design has not."""
        return self.masks[len(earlier.masks) :]


def plan(estimator: Estimator, n: int, budget: int, seed: int, keep: float) -> Plan:
    """The estimator's design for ``budget`` ablations; where it cannot spare two for the ends, there are none."""
    ends = np.array([[True], [False]]).repeat(n, axis=1)
    complete = is_complete(n, budget)
    if not complete and budget < FEWEST:
        raise InputError(
            f"a budget of {budget} is too small to estimate anything for {n} feature{'s' * (n > 1)}: allow at least "
            f"{min(FEWEST, 1 << min(n, 60))}."
        )
    masks = draw(estimator, n, budget, seed, keep)
    if estimator.fits_ends:
        return Plan(masks, ends[:0], between_ends(masks))
    if complete or budget < ENDS:
        return Plan(masks, ends[:0])
    if budget - len(masks) >= len(ends):
        return Plan(masks, ends)
    return Plan(masks[: -len(ends)], ends) if not estimator.whole else Plan(masks, ends[:0])


def draw(estimator: Estimator, n: int, budget: int, seed: int, keep: float) -> Masks:
    """The estimator's masks, or where features are not kept half of the time, masks at that rate if it takes any."""
    if keep == 0.5 or is_complete(n, budget):
        return estimator.design(n, budget, seed)
    if not estimator.any_masks:
        raise InputError(
            f"{estimator.name} needs its own ablations, which keep half of the features, not {keep:g} of them: choose "
            "method='auto' or keep=0.5."
        )
    return biased_design(n, budget, seed, keep)


def between_ends(masks: Masks) -> npt.NDArray[np.bool_]:
    """Which masks (N, n) keep some features and ablate others, (N,)."""
    return np.asarray(masks.any(axis=1) & ~masks.all(axis=1))


def is_complete(n: int, ablations: int) -> bool:
    """Whether so many ablations are all there are of n features."""
    return n < 60 and ablations >= 1 << n
