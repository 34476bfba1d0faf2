"""The one entry point: a game, a budget and a method in; an explanation out."""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from interplay._checks import check_whole, is_between
from interplay._errors import InputError
from interplay._explain.explanation import Explanation, Fit, Point
from interplay._explain.fitting import FEWEST, distinct_masks, explain_measured, explain_values, find_row
from interplay._explain.goal import Goal
from interplay._game.game import Game, check_labels
from interplay._game.masks import Masks, Values, check_masks, check_values
from interplay.ablate import Measurement, Progress, Store, measure
from interplay.estimators import Estimator, Rescue, biased_design, get_estimator

_LITTLE = 0.5  # R² on unseen ablations below which coded masks are tried; where those are in vain, they cost about .005
_ENDS = 16  # from so many ablations on, two go to the ends: everything kept, everything ablated


def explain(
    game: Game | Callable[[Masks], Any],
    *,
    budget: int,
    method: str | Estimator = "auto",
    labels: Sequence[str] | int | None = None,
    order: int = 5,
    seed: int = 0,
    until: float | None = None,
    tolerance: float | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    executor: futures.Executor | None = None,
    progress: bool | Callable[[Progress], None] | None = None,
) -> Explanation:
    """Find which features, alone and together, drive a game's output, from at most ``budget`` ablations.

    >>> import interplay as ip
    >>> def fails(masks):                       # "never" and "fails" matter only together
    ...     return 3.0 * (masks[:, 1] & masks[:, 2]) + 0.5 * masks[:, 0]
    >>> result = ip.explain(fails, labels=["it", "never", "fails"], budget=8)
    >>> result.interactions("mobius", top=2).named()
    [(('never', 'fails'), 3.0), (('it',), 0.5)]

    Parameters
    ----------
    game
        A `Game`, or any function from boolean masks (N, n) to N floats or (N, T), together with ``labels``.
    budget
        The most ablations to make, all model calls included; repeated ones and those in the store count once.
    method
        "auto", "exact", "lasso", "proxyspex", "gp", "spex", or an estimator with its options.
    labels
        Feature names, or their number, where ``game`` is a plain function.
    order
        The largest set of features to look for.
    seed
        Of every random choice.
    until
        Measure in growing rounds and stop as soon as the whole interval of R² on unseen ablations lies at or above
        this goal, for every output that varies; ``budget`` is then the most it may take.
    tolerance
        Measure in growing rounds and stop as soon as R² is known to within this much, up or down.
    store
        A `Store` or the path of one: values are read from it and written to it as they come, so a run that was
        stopped goes on where it was. A plain function needs a name for it: ``ip.Game(function, labels, name=...)``.
    executor
        A `concurrent.futures.Executor` to measure with; None measures in turn, in this process.
    progress
        True for a progress bar, or a function called with a `Progress` after every batch; None shows a bar where
        standard error is a terminal.

    Raises
    ------
    InputError
        For a budget, method, order or labels that cannot be used.
    AblationError
        For a game that fails or returns anything but finite real numbers.
    StoreError
        For a store that cannot be used, or a game that it cannot identify.
    Interrupted
        On Ctrl-C, carrying what was measured.
    """
    game = as_game(game, labels)
    estimator = get_estimator(method)
    _check_options(budget, order, seed)
    goal = Goal(until, tolerance)
    rescue = estimator.rescue(game.n, budget) if game.keep == 0.5 else None
    turned = False  # to the rescue
    stops = {*goal.rounds(game.n, budget, estimator.fewest(game.n))} | ({rescue.after} if rescue is not None else set())
    with _opened(store, always=len(stops) > 1) as opened, _watched(progress) as watch:
        ablate = partial(measure, game, store=opened, executor=executor, progress=watch)
        run = _Run(game, order, seed, ablate)
        for allowed in sorted(stops):
            masks, ends = plan(estimator, game.n, allowed, seed, game.keep)
            if (
                rescue is not None and allowed == rescue.after and not goal
            ):  # the rest is to be expected, and an estimator that is quicker will do
                ahead = plan(estimator, game.n, budget, seed, game.keep)[0][len(masks) :]
                explanation = run.explained(rescue.probe, masks, ends, ahead)
            else:
                explanation = run.explained(estimator, masks, ends)
            if goal.reached(explanation):
                break
            if rescue is not None and allowed == rescue.after and _best(explanation) < _LITTLE:
                explanation = run.rescued(rescue, estimator, explanation, masks, ends, budget, goal)
                turned = True
                break
    if not turned and len(explanation.fits) > 1 and run.measured.distinct > 0.8 * budget:
        explanation = replace(explanation, fits=tuple(_left_out(fit, rescue) for fit in explanation.fits))
    notes = game.notes + run.measured.notes
    if game.keep != 0.5 and len(masks) < 1 << min(game.n, 60):
        notes += (f"each feature was kept with probability {game.keep:g}: R² speaks for such ablations",)
    if goal:
        notes += (goal.outcome(explanation, run.measured.distinct, budget),)
    if rescue is None and game.keep == 0.5 and _best(explanation) < _LITTLE and not goal.reached(explanation):
        notes += _too_few(estimator, game.n, budget)
    if budget > run.measured.distinct == 1 << game.n:
        notes += (f"the budget of {budget} exceeds the 2^{game.n} = {1 << game.n} ablations there are",)
    return replace(
        explanation,
        budget=budget,
        used=run.measured.distinct,
        from_store=run.measured.distinct - run.paid,
        seconds=run.seconds,
        keep=game.keep,
        game_notes=notes,
        curve=tuple(run.curve),
    )


@dataclass
class _Run:
    """The rounds of one call of `explain`: what they cost and what they found."""

    game: Game
    order: int
    seed: int
    measure: Callable[..., Measurement]
    paid: int = 0
    seconds: float = 0.0
    curve: list[Point] = field(default_factory=list)
    measured: Measurement = field(init=False)  # of the last round, which holds all rounds before

    def explained(self, estimator: Estimator, masks: Masks, ends: Masks, ahead: Masks | None = None) -> Explanation:
        """Measure ``masks`` and, besides, the ``ends``; explain the masks. Those ``ahead`` will probably follow."""
        asked = np.concatenate([ends, masks])
        self.measured = self.measure(asked, ahead=ahead)
        self.paid += self.measured.measured
        self.seconds += self.measured.seconds
        found = explain_measured(
            asked, len(ends), self.measured, estimator, self.game, order=self.order, seed=self.seed
        )
        self.curve.append(Point.of(self.measured.distinct, found.fits))
        return found

    def rescued(
        self,
        rescue: Rescue,
        estimator: Estimator,
        before: Explanation,
        masks: Masks,
        ends: Masks,
        budget: int,
        goal: Goal,
    ) -> Explanation:
        """Spend the rest of the budget, in rounds up to the ``goal``, on the masks of another estimator.

        Of its explanation and that by the first one the better is kept, output by output.
        """
        first = len(masks) + len(ends)
        for rest in goal.rounds(self.game.n, budget - first, rescue.estimator.fewest(self.game.n)):
            coded = rescue.estimator.design(self.game.n, rest, self.seed)
            both, _, _ = distinct_masks(np.concatenate([masks, coded]), np.zeros(len(masks) + len(coded)))
            found = self.explained(rescue.estimator, both, ends)
            # More ablations may be all that was missing. Coded masks are no fair test, so the first ones judge.
            again = explain_measured(
                np.concatenate([ends, both]),
                len(ends),
                self.measured,
                estimator,
                self.game,
                order=self.order,
                seed=self.seed,
                judges=len(masks),
            )
            spent = "the rest of the budget" if first + rest == budget else "what followed"
            why = (
                f"after {first} ablations no fit explained half of what varies over unseen ones (R² "
                f"{_best(before):.2f}), so {spent} went to the coded masks of {rescue.estimator.name}, which may find "
                "large sets without strong parts"
            )
            fits = tuple(
                _better(coded_fit, fit, rescue.estimator.name, estimator.name, why)
                for coded_fit, fit in zip(found.fits, again.fits, strict=True)
            )
            self.curve[-1] = Point.of(self.measured.distinct, fits)
            explanation = replace(found, fits=fits)
            if goal.reached(explanation):
                break
        return explanation


def _better(coded: Fit, fit: Fit, coded_name: str, name: str, why: str) -> Fit:
    """The better of an output's fits by coded masks and by the first estimator; with a note that says ``why``."""
    left, right = coded.faithfulness.r2, fit.faithfulness.r2
    if np.isnan(left):  # a constant output: nothing was looked for
        return fit
    better = coded if left >= right else fit
    note = f"{why}; R² then: {coded_name} {left:.3f}, {name} on all of them {right:.3f}"
    return replace(better, notes=(note, *better.notes))


def _left_out(fit: Fit, rescue: Rescue | None) -> Fit:
    """The fit of one output of several; with a note where it alone would have been worth a rescue."""
    if rescue is None or not fit.faithfulness.r2 < _LITTLE:
        return fit
    name = rescue.estimator.name
    note = (
        f"no fit explained half of what varies over unseen ablations of this output (R² {fit.faithfulness.r2:.2f}); "
        f"the coded masks of {name} were not tried, because other outputs of the same ablations were explained: "
        f"method={name!r} tries them"
    )
    return replace(fit, notes=(note, *fit.notes))


def _too_few(estimator: Estimator, n: int, budget: int) -> tuple[str, ...]:
    """A note on the budget from which another estimator would be turned to, where that is within reach."""
    for enough in (budget << times for times in range(1, 5)):
        rescue = estimator.rescue(n, enough)
        if rescue is not None:
            return (
                f"no fit explained half of what varies over unseen ablations; a budget of {enough} would allow "
                f"the coded masks of {rescue.estimator.name}, which may find large sets without strong parts",
            )
    return ()


def _best(explanation: Explanation) -> float:
    return max((fit.faithfulness.r2 for fit in explanation.fits if not np.isnan(fit.faithfulness.r2)), default=1.0)


def design(n: int, budget: int, *, method: str | Estimator = "auto", seed: int = 0, keep: float = 0.5) -> Masks:
    """Masks (N, n), N <= ``budget``, whose values `fit` can turn into an explanation.

    For ablations measured elsewhere; a larger budget keeps every mask of a smaller one. ``keep`` is the probability
    with which each feature is kept.

    >>> import interplay as ip
    >>> ip.design(3, 100).shape, ip.design(30, 100).shape
    ((8, 3), (100, 30))
    """
    check_whole("the number of features", n, 1)
    _check_options(budget, 1, seed)
    _check_keep(keep)
    return _draw(get_estimator(method), n, budget, seed, keep)


def fit(
    masks: object,
    values: object,
    *,
    method: str | Estimator = "auto",
    labels: Sequence[str] | int | None = None,
    order: int = 5,
    seed: int = 0,
    keep: float = 0.5,
) -> Explanation:
    """Explain ablations measured elsewhere.

    >>> import numpy as np, interplay as ip
    >>> masks = ip.design(4, 16)
    >>> ip.fit(masks, np.where(masks[:, 0] & masks[:, 3], 2.0, 0.0)).interactions("mobius", top=1).named()
    [(('x0', 'x3'), 2.0)]

    Parameters
    ----------
    masks
        Boolean (N, n), True = kept. Rows that repeat are averaged.
    values
        (N,), or (N, T) for T outputs of the same ablations.
    method, labels, order, seed
        As in `explain`.
    keep
        The probability with which the masks kept each feature: effects of training examples are means at this rate.
    """
    rows = check_masks(masks)
    _check_keep(keep)
    names = check_labels(rows.shape[1] if labels is None else labels)
    if len(names) != rows.shape[1]:
        raise InputError(f"there are {len(names)} labels, but the masks have {rows.shape[1]} columns.")
    _check_options(max(1, len(rows)), order, seed)
    if not len(rows):
        raise InputError("there are no masks to fit: pass at least one row.")
    measured = check_values(values, rows)
    distinct, averaged, notes = distinct_masks(rows, measured)
    explanation = explain_values(
        distinct, averaged, get_estimator(method), Game(_elsewhere, names), order=order, seed=seed
    )
    return replace(
        explanation,
        budget=len(distinct),
        used=len(distinct),
        keep=float(keep),
        full=find_row(distinct, averaged, kept=True),
        empty=find_row(distinct, averaged, kept=False),
        game_notes=notes,
    )


def as_game(game: Game | Callable[[Masks], Any], labels: Sequence[str] | int | None) -> Game:
    """A game as given, or made of a function and its labels."""
    if isinstance(game, Game):
        if labels is None:
            return game
        names = check_labels(labels)
        if len(names) != game.n:
            raise InputError(f"there are {len(names)} labels for a game of {game.n} features.")
        return game.relabelled(names)
    if labels is None:
        raise InputError("a plain function needs labels: pass labels=[names] or labels=number of features.")
    return Game(game, labels)


def plan(estimator: Estimator, n: int, budget: int, seed: int, keep: float = 0.5) -> tuple[Masks, Masks]:
    """The masks to fit, and the ends to measure besides: nothing ablated, everything ablated.

    The ends tell a reader what the model says of the untouched input. They are no uniform sample, so they take
    no part in the fit; where the budget cannot spare two, there are none.
    """
    ends = np.array([[True], [False]]).repeat(n, axis=1)
    complete = n < 60 and budget >= 1 << n
    if not complete and budget < FEWEST:
        raise InputError(
            f"a budget of {budget} is too small to estimate anything for {n} feature{'s' * (n > 1)}: allow at least "
            f"{min(FEWEST, 1 << min(n, 60))}."
        )
    masks = _draw(estimator, n, budget, seed, keep)
    if complete or budget < _ENDS:
        return masks, ends[:0]
    if budget - len(masks) >= len(ends):
        return masks, ends
    return (masks[: -len(ends)], ends) if not estimator.whole else (masks, ends[:0])


def _draw(estimator: Estimator, n: int, budget: int, seed: int, keep: float) -> Masks:
    """The estimator's masks, or where features are not kept half of the time, masks at that rate if it takes any."""
    if keep == 0.5 or (n < 60 and budget >= 1 << n):
        return estimator.design(n, budget, seed)
    if not estimator.any_masks:
        raise InputError(
            f"{estimator.name} needs its own ablations, which keep half of the features, not {keep:g} of them: choose "
            "method='auto' or keep=0.5."
        )
    return biased_design(n, budget, seed, keep)


def _check_keep(keep: float) -> None:
    if not is_between(keep, 0, 1):
        raise InputError(f"keep must lie strictly between 0 and 1, not {keep!r}: it is a probability of keeping.")


def _check_options(budget: int, order: int, seed: int) -> None:
    if isinstance(budget, bool) or not isinstance(budget, (int, np.integer)):
        raise InputError(f"budget must be a whole number of ablations, not {budget!r}.")
    if budget < 1:
        raise InputError(f"budget must be at least 1 ablation, not {budget}.")
    check_whole("order", order, 1)
    check_whole("seed", seed, 0)


def _elsewhere(_masks: Masks) -> Values:
    raise InputError("these ablations were measured elsewhere: there is no game to call.")


@contextlib.contextmanager
def _opened(store: Store | str | os.PathLike[str] | None, *, always: bool) -> Iterator[Store | None]:
    """The store to use; where there is none but ``always`` one is needed, one that dies with the call."""
    if isinstance(store, Store) or (store is None and not always):
        yield store
    else:
        with Store(":memory:" if store is None else store) as opened:
            yield opened


@contextlib.contextmanager
def _watched(progress: bool | Callable[[Progress], None] | None) -> Iterator[Callable[[Progress], None] | None]:
    if callable(progress):
        yield progress
        return
    from interplay.ablate import progress_bar

    with progress_bar(progress) as bar:
        yield bar
