"""What was measured of a game, and what it cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from interplay._errors import AblationError
from interplay._explain.plan import FEWEST, Plan, between_ends
from interplay._game.game import Game
from interplay._game.masks import Masks, Values, averaged
from interplay.ablate import Measurement, SlopeMeasurement

Measure = Callable[..., Measurement]
"""`interplay.ablate.measure` with everything but the masks, and the masks ``ahead``, decided."""

Gradient = Callable[[Masks], SlopeMeasurement]
"""`interplay.ablate.measure_slopes` with everything but the masks decided."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Measured ablations: what a fit sees, the ends besides, and what they cost in all rounds so far.

    Attributes
    ----------
    masks
        (N, n), distinct; ablations that failed are left out.
    raw
        (N,), (N, T), or (N, T * R) with the R ``repeats`` of an output side by side.
    repeats
        How often each output was measured per ablation.
    ends, at_ends
        The masks (E, n) of everything kept and everything ablated where they were measured besides, and their values.
    slopes
        (N, T, n): slopes of the first ablations, NaN for the others; None where there are none.
    fair
        (N,): which ablations may judge a fit; None for all.
    used, paid
        Distinct ablations, and those of them that the game was called for: the others were in the store. One with
        slopes counts as what it costs.
    seconds
        Wall-clock time of the measurement.
    sloped, sloped_seconds
        The ablations that the game was called for with slopes, and the time of these.
    notes
        What a reader should know about the measurement.
    kept_in
        The file that holds the values; None where they live only here.
    """

    masks: Masks
    raw: Values
    repeats: int
    ends: Masks
    at_ends: Values
    fair: npt.NDArray[np.bool_] | None
    used: int
    paid: int
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    kept_in: str | None = None
    slopes: Values | None = None
    sloped: int = 0
    sloped_seconds: float = 0.0

    @classmethod
    def measured(
        cls,
        game: Game,
        plan: Plan,
        measure: Measure,
        before: Sample | None = None,
        ahead: Masks | None = None,
        gradient: Gradient | None = None,
    ) -> Sample:
        """Measure a ``plan``; what the sample ``before`` cost is counted in. Those ``ahead`` will probably follow.

        ``gradient`` measures the slopes of the first ``plan.sloped`` masks.
        """
        ends = len(plan.ends)
        asked = np.concatenate([plan.ends, plan.masks])
        slopes, extra = None, None
        if gradient is not None and plan.sloped:
            extra = gradient(plan.masks[: plan.sloped])
            slopes = np.full((len(plan.masks), *extra.slopes.shape[1:]), np.nan)
            slopes[: plan.sloped] = extra.slopes
        found = measure(asked, ahead=ahead)
        good, values = ~found.failed, averaged(found.values, game.repeats)
        if good[ends:].sum() < FEWEST <= len(plan.masks):
            raise AblationError(
                f"only {good[ends:].sum()} of {len(plan.masks)} ablations succeeded: too few to estimate anything."
            )
        return cls(
            masks=plan.masks[good[ends:]],
            raw=found.values[ends:][good[ends:]],
            repeats=game.repeats,
            ends=plan.ends[good[:ends]],
            at_ends=values[:ends][good[:ends]],
            fair=None if plan.fair is None else plan.fair[good[ends:]],
            used=found.distinct + plan.surcharge(plan.sloped),
            paid=found.measured
            + (0 if extra is None else extra.measurement.measured + plan.surcharge(extra.measurement.measured))
            + (0 if before is None else before.paid),
            seconds=found.seconds
            + (0.0 if extra is None else extra.measurement.seconds)
            + (0.0 if before is None else before.seconds),
            notes=found.notes,
            kept_in=found.kept_in,
            slopes=None if slopes is None else slopes[good[ends:]],
            sloped=(0 if extra is None else extra.measurement.measured) + (0 if before is None else before.sloped),
            sloped_seconds=(0.0 if extra is None else extra.measurement.seconds)
            + (0.0 if before is None else before.sloped_seconds),
        )

    @classmethod
    def given(cls, masks: Masks, values: Values, slopes: Values | None = None, *, ends_fitted: bool = False) -> Sample:
        """Ablations measured elsewhere; repeated masks are averaged, and it says so.

        Where the ends are part of the design, they are ``ends_fitted``, but judge no fit.
        """
        distinct, means = distinct_masks(masks, values)
        if slopes is not None:
            _, slopes = distinct_masks(masks, slopes)
        notes: tuple[str, ...] = ()
        if repeated := len(masks) - len(distinct):
            notes = (f"{repeated} of {len(masks)} masks repeat others; their values were averaged",)
        count = len(distinct)
        fair = between_ends(distinct) if ends_fitted else None
        return cls(
            distinct, means, 1, distinct[:0], means[:0], fair, used=count, paid=count, notes=notes, slopes=slopes
        )

    @cached_property
    def values(self) -> Values:
        """(N,) or (N, T): the means over repeats."""
        return averaged(self.raw, self.repeats)

    @property
    def everything(self) -> tuple[Masks, Values]:
        """All ablations measured, the ends first, and their values."""
        return np.concatenate([self.ends, self.masks]), np.concatenate([self.at_ends, self.values])

    @property
    def full(self) -> tuple[float, ...] | None:
        """The outputs with everything kept, where measured."""
        return self._at(kept=True)

    @property
    def empty(self) -> tuple[float, ...] | None:
        """The outputs with everything ablated, where measured."""
        return self._at(kept=False)

    def _at(self, *, kept: bool) -> tuple[float, ...] | None:
        masks, values = self.everything
        rows = np.flatnonzero((masks == kept).all(axis=1))
        return tuple(float(value) for value in np.atleast_1d(values[rows[0]])) if len(rows) else None


def distinct_masks(masks: Masks, values: Values) -> tuple[Masks, Values]:
    """Repeated masks once, their values averaged, so that no ablation is scored by a fit that saw its twin."""
    _, first, inverse, counts = np.unique(
        np.packbits(masks, axis=1), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    if len(first) == len(masks):
        return masks, values
    sums = np.zeros((len(first), *values.shape[1:]))
    np.add.at(sums, inverse.ravel(), values)
    order = np.argsort(first)
    mean = sums / counts.reshape(-1, *[1] * (values.ndim - 1))
    return masks[first[order]], mean[order]
