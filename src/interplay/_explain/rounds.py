"""The loop: plan, measure and fit in rounds, until the goal is reached or the budget is spent."""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from interplay._errors import InterruptionError
from interplay._explain.doubts import doubts_of
from interplay._explain.explanation import Explanation, Fit, Point
from interplay._explain.fitting import explained, fits_of
from interplay._explain.goal import Goal
from interplay._explain.plan import Plan, is_complete, plan
from interplay._explain.removals import removals_allowed, removals_most, with_removals
from interplay._explain.rescue import LITTLE, best_r2, better_fits, left_out, rescue_plan, too_few, turning
from interplay._explain.sample import Gradient, Measure, Sample
from interplay._explain.slopes import agreement, check_count, flipped, judge, looks, price_note, spread_slopes, switched
from interplay._game.game import Game
from interplay._game.masks import averaged
from interplay.estimators import Estimator, Rescue


@dataclass(frozen=True)
class Task:
    """What one call of `explain` asks for, checked."""

    game: Game
    estimator: Estimator
    budget: int
    order: int
    seed: int
    keep: float
    goal: Goal
    slopes: bool | Literal["auto"] = False
    index: str | None = None
    removals: int | None = None
    executor: futures.Executor | None = None

    @property
    def n(self) -> int:
        """The number of features."""
        return self.game.n

    @cached_property
    def rescue(self) -> Rescue | None:
        """What to turn to where the estimator explains little; its masks keep half of the features."""
        return self.estimator.rescue(self.n, self.budget) if self.keep == 0.5 else None

    @cached_property
    def stops(self) -> list[int]:
        """After how many ablations to fit and look, ascending; the last is the budget."""
        rounds = {*self.goal.rounds(self.n, self.budget, self.estimator.fewest(self.n))}
        return sorted(rounds | ({self.rescue.after} if self.rescue is not None else set()))

    @property
    def checks(self) -> int:
        """How many ablations are kept back to check slopes by."""
        return check_count(self.budget) if self.slopes else 0

    def plan(self, allowed: int, sloped: int | None = 0) -> Plan:
        """The ablations of the estimator's own design, the first ``sloped`` of them with slopes, None for all."""
        planned = plan(self.estimator, self.n, allowed, self.seed, self.keep)
        if not self.slopes:
            return planned
        return spread_slopes(planned, allowed - (self.checks if sloped is None else 0), sloped, self.game.slope_cost)

    def fits(self, sample: Sample, estimator: Estimator) -> tuple[Fit, ...]:
        """The fits of a sample by an ``estimator``."""
        with _nothing_lost(sample):
            return fits_of(sample, estimator, order=self.order, seed=self.seed, executor=self.executor)


@dataclass(frozen=True)
class Round:
    """What is known after a round: all ablations so far, their fits, and R² after this round and those before."""

    plan: Plan
    sample: Sample
    fits: tuple[Fit, ...]
    curve: tuple[Point, ...]


def run(task: Task, measure: Measure, gradient: Gradient | None = None) -> Explanation:
    """Explain in rounds: first by the estimator's design, then, where that shows little, by the coded rescue's.

    Where ``gradient`` measures slopes and "auto" is to decide about them, the first few masks decide.
    """
    spare = removals_allowed(task.budget, task.removals, task.estimator, complete=is_complete(task.n, task.budget))
    allowed = replace(task, budget=task.budget - spare)
    if task.rescue is not None and allowed.rescue is None:  # coded masks, where they are wanted, need all of it
        allowed = task
    known, turned, notes = _in_rounds(allowed, measure, gradient)
    asked = removals_most(task.budget, task.removals)
    with _nothing_lost(known.sample):
        sample, fits = with_removals(known.sample, known.fits, measure, asked, task.budget - known.sample.used)
    return _end(task, replace(known, sample=sample, fits=fits), turned=turned, notes=notes)


def _in_rounds(task: Task, measure: Measure, gradient: Gradient | None) -> tuple[Round, bool, tuple[str, ...]]:
    """All rounds; whether the rescue was turned to, and what to say of slopes."""
    known: Round | None = None
    turned = False
    probed = _probed(task, measure, gradient)
    for allowed in task.stops:
        known = _step(task, measure, allowed, known, probed)
        if task.goal.reached(known.fits):
            break
        if task.rescue is not None and allowed == task.rescue.after and best_r2(known.fits) < LITTLE:
            known, turned = _rescued(task, task.rescue, measure, known), True
            break
    assert known is not None  # there is always a last stop, the budget
    known, told = _checked(task, measure, known) if probed.sloped is None else (known, ())
    return known, turned, (*probed.notes, *told)


@dataclass(frozen=True)
class _Probed:
    """For how many masks slopes are paid, None for all; what was measured to decide it, and what to say of it."""

    gradient: Gradient | None
    sloped: int | None
    sample: Sample | None = None
    notes: tuple[str, ...] = ()


def _probed(task: Task, measure: Measure, gradient: Gradient | None) -> _Probed:
    """Look whether slopes pay, where nobody has decided it."""
    if gradient is None or not task.slopes:
        return _Probed(None, 0)
    if task.slopes is True:
        return _Probed(gradient, None)
    sample: Sample | None = None
    notes: tuple[str, ...] = ()
    for masks in looks(task.budget, task.game.slope_cost):
        planned = task.plan(task.budget, masks).first(masks)
        sample = Sample.measured(task.game, planned, measure, sample, gradient=gradient)
        verdict = judge(sample, order=task.order, seed=task.seed)
        notes = (verdict.note,)
        if not verdict.pays:
            return _Probed(gradient, masks, sample, notes)
    return _Probed(gradient, None, sample, notes)


def _checked(task: Task, measure: Measure, known: Round) -> tuple[Round, tuple[str, ...]]:
    """Slopes against true jumps, where slopes were measured."""
    sample = known.sample
    if not task.checks or sample.slopes is None:
        return known, ()
    rows, features = flipped(sample, task.checks, task.seed)
    found = measure(switched(sample, rows, features))
    spent = replace(sample, used=sample.used + found.distinct, paid=sample.paid + found.measured)
    good = ~found.failed
    values = averaged(found.values[good], task.game.repeats)
    told = [agreement(sample, rows[good], features[good], values)]
    if task.executor is None:  # among several workers the few checks would wait for one another
        plain = found.seconds / found.measured if found.measured else None
        told += filter(None, [price_note(sample, task.game.slope_cost, plain)])
    return replace(known, sample=spent), tuple(told)


def _step(task: Task, measure: Measure, allowed: int, known: Round | None, probed: _Probed) -> Round:
    """One round of the estimator's own design."""
    planned, estimator, ahead = task.plan(allowed, probed.sloped), task.estimator, None
    if task.rescue is not None and allowed == task.rescue.after and not task.goal:
        # Nobody sees this fit unless it explains little, so an estimator that is quicker will do; and the rest of the
        # budget is to be expected.
        estimator, ahead = task.rescue.probe, task.plan(task.budget, probed.sloped).after(planned)
    before = probed.sample if known is None else known.sample
    sample = Sample.measured(task.game, planned, measure, before, ahead, probed.gradient)
    return _after(known, planned, sample, task.fits(sample, estimator))


def _rescued(task: Task, rescue: Rescue, measure: Measure, known: Round) -> Round:
    """The rest of the budget, in rounds up to the goal, on the coded masks of the rescue."""
    first, before = known.plan, known.fits
    spent = first.cost
    left = task.budget - spent
    for rest in task.goal.rounds(task.n, left, rescue.estimator.fewest(task.n)):
        planned = rescue_plan(rescue, first, task.n, rest, task.seed)
        sample = Sample.measured(task.game, planned, measure, known.sample)
        coded, plain = (task.fits(sample, estimator) for estimator in (rescue.estimator, task.estimator))
        why = turning(rescue, before, spent, whole=rest == left)
        known = _after(known, planned, sample, better_fits(coded, plain, rescue, task.estimator, why))
        if task.goal.reached(known.fits):
            break
    return known


def _after(before: Round | None, planned: Plan, sample: Sample, fits: tuple[Fit, ...]) -> Round:
    curve = () if before is None else before.curve
    return Round(planned, sample, fits, (*curve, Point.of(sample.used, fits)))


@contextlib.contextmanager
def _nothing_lost(sample: Sample) -> Iterator[None]:
    """On Ctrl-C say where the sample is to be found."""
    try:
        yield
    except KeyboardInterrupt as error:
        where = f"kept in {sample.kept_in}" if sample.kept_in else "in this exception's masks and values"
        way = "run the same again to go on" if sample.kept_in else "pass them to interplay.fit"
        raise InterruptionError(
            f"Interrupted while fitting: all {sample.used} ablations are measured and {where}; {way}.",
            *sample.everything,
        ) from error


def _end(task: Task, known: Round, *, turned: bool, notes: tuple[str, ...]) -> Explanation:
    """The explanation of what is known, with what its reader should be told."""
    fits, used = known.fits, known.sample.used
    if not turned and len(fits) > 1 and used > 0.8 * task.budget:
        fits = tuple(left_out(fit, task.rescue) for fit in fits)
    return explained(
        task.game,
        known.sample,
        fits,
        budget=task.budget,
        seed=task.seed,
        keep=task.keep,
        index=task.index,
        notes=(*_notes(task, known), *notes),
        curve=known.curve,
    )


def _notes(task: Task, known: Round) -> Iterator[str]:
    n, used = task.n, known.sample.used
    if task.index is not None and not is_complete(n, used):
        yield (
            f"the ablations were drawn for {task.index}: as many of every size, each beside its complement; R² speaks "
            "for such ablations, everything kept and everything ablated aside"
        )
    if task.keep != 0.5 and not is_complete(n, used):
        yield f"each feature was kept with probability {task.keep:g}: R² speaks for such ablations"
    if task.goal:
        yield task.goal.outcome(known.fits, used, task.budget)
    little = best_r2(known.fits) < LITTLE and not task.goal.reached(known.fits)
    if task.rescue is None and task.keep == 0.5 and little:
        yield from too_few(task.estimator, n, task.budget)
    yield from doubts_of(task.game, known.sample)
    if task.budget > used == 1 << n:
        yield f"the budget of {task.budget} exceeds the 2^{n} = {1 << n} ablations there are"
