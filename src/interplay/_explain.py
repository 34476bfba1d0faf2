"""The one entry point: a game, a budget and a method in; an explanation out."""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from interplay._errors import AblationError, InputError
from interplay._explanation import Explanation, Fit, Point
from interplay._faithfulness import Faithfulness, is_constant, measure_faithfulness, r_squared
from interplay._game import Game, Masks, Values, averaged, check_labels, check_masks, check_values
from interplay._goal import Goal
from interplay._repeats import noise_notes
from interplay._spectrum import Spectrum
from interplay.ablate import Measurement, Progress, Store, measure
from interplay.estimators import Estimator, Recovery, biased_design, get_estimator

_ENDS = 16  # from so many ablations on, two go to the ends: everything kept, everything ablated
_FEWEST = 4  # ablations from which anything at all can be estimated


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
        this goal, for every output; ``budget`` is then the most it may take.
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
    _check_options(budget, order)
    goal = Goal(until, tolerance)
    schedule = list(goal.rounds(game.n, budget))
    curve: list[Point] = []
    paid, seconds = 0, 0.0
    with _opened(store, always=len(schedule) > 1) as opened, _watched(progress) as watch:
        for allowed in schedule:
            masks, ends = plan(estimator, game.n, allowed, seed, game.keep)
            asked = np.concatenate([ends, masks])
            measured = measure(game, asked, store=opened, executor=executor, progress=watch)
            explanation = _explain_measured(asked, len(ends), measured, estimator, game, order=order, seed=seed)
            paid, seconds = paid + measured.measured, seconds + measured.seconds
            curve.append(Point.of(measured.distinct, explanation.fits))
            if goal.reached(explanation):
                break
    notes = game.notes + measured.notes
    if game.keep != 0.5 and len(masks) < 1 << min(game.n, 60):
        notes += (f"each feature was kept with probability {game.keep:g}: R² speaks for such ablations",)
    if goal:
        notes += (goal.outcome(explanation, measured.distinct, budget),)
    if budget > measured.distinct == 1 << game.n:
        notes += (f"the budget of {budget} exceeds the 2^{game.n} = {1 << game.n} ablations there are",)
    return replace(
        explanation,
        budget=budget,
        used=measured.distinct,
        from_store=measured.distinct - paid,
        seconds=seconds,
        keep=game.keep,
        game_notes=notes,
        curve=tuple(curve),
    )


def design(n: int, budget: int, *, method: str | Estimator = "auto", seed: int = 0, keep: float = 0.5) -> Masks:
    """Masks (N, n), N <= ``budget``, whose values `fit` can turn into an explanation.

    For ablations measured elsewhere; a larger budget keeps every mask of a smaller one. ``keep`` is the probability
    with which each feature is kept.

    >>> import interplay as ip
    >>> ip.design(3, 100).shape, ip.design(30, 100).shape
    ((8, 3), (100, 30))
    """
    if n < 1:
        raise InputError(f"there must be at least one feature, not n = {n}.")
    _check_options(budget, 1)
    if not 0 < keep < 1:
        raise InputError(f"keep must lie strictly between 0 and 1, not {keep}: it is a probability of keeping.")
    return _draw(get_estimator(method), n, budget, seed, keep)


def fit(
    masks: object,
    values: object,
    *,
    method: str | Estimator = "auto",
    labels: Sequence[str] | int | None = None,
    order: int = 5,
    seed: int = 0,
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
    """
    rows = check_masks(masks)
    names = check_labels(rows.shape[1] if labels is None else labels)
    if len(names) != rows.shape[1]:
        raise InputError(f"there are {len(names)} labels, but the masks have {rows.shape[1]} columns.")
    _check_options(max(1, len(rows)), order)
    if not len(rows):
        raise InputError("there are no masks to fit: pass at least one row.")
    measured = check_values(values, rows)
    distinct, averaged, notes = _distinct(rows, measured)
    explanation = _explain_values(
        distinct, averaged, get_estimator(method), Game(_elsewhere, names), order=order, seed=seed
    )
    return replace(
        explanation,
        budget=len(distinct),
        used=len(distinct),
        full=_find(distinct, averaged, kept=True),
        empty=_find(distinct, averaged, kept=False),
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
    if not complete and budget < _FEWEST:
        raise InputError(
            f"a budget of {budget} is too small to estimate anything for {n} features: allow at least {_FEWEST}."
        )
    masks = _draw(estimator, n, budget, seed, keep)
    if complete or budget < _ENDS:
        return masks, ends[:0]
    if budget - len(masks) >= len(ends):
        return masks, ends
    return (masks[: -len(ends)], ends) if estimator.any_masks else (masks, ends[:0])


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


def _check_options(budget: int, order: int) -> None:
    if isinstance(budget, bool) or not isinstance(budget, (int, np.integer)):
        raise InputError(f"budget must be a whole number of ablations, not {budget!r}.")
    if budget < 1:
        raise InputError(f"budget must be at least 1 ablation, not {budget}.")
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)) or order < 1:
        raise InputError(f"order must be a whole number of at least 1, not {order!r}.")


def _explain_values(
    masks: Masks, values: Values, estimator: Estimator, game: Game, *, order: int, seed: int
) -> Explanation:
    columns = values[:, None] if values.ndim == 1 else values
    varied = [t for t, column in enumerate(columns.T) if not is_constant(column)]
    recoveries = dict(
        zip(varied, estimator.fit_outputs(masks, columns[:, varied], order=order, seed=seed), strict=True)
        if varied
        else ()
    )
    fits = tuple(
        _fit_output(masks, np.ascontiguousarray(column), estimator, recoveries.get(t), order=order, seed=seed)
        for t, column in enumerate(columns.T)
    )
    outputs = game.outputs
    if outputs is None and values.ndim == 2:
        outputs = tuple(f"output {t}" for t in range(values.shape[1]))
    return Explanation(labels=game.labels, fits=fits, outputs=outputs, seed=seed, layout=game.layout)


def _explain_measured(
    asked: Masks, ends: int, measured: Measurement, estimator: Estimator, game: Game, *, order: int, seed: int
) -> Explanation:
    """The explanation of what was measured, its first ``ends`` rows aside; ablations that failed are left out."""
    good = ~measured.failed
    masks, raw = asked[ends:][good[ends:]], measured.values[ends:][good[ends:]]
    if len(masks) < _FEWEST <= len(asked) - ends:
        raise AblationError(
            f"only {len(masks)} of {len(asked) - ends} ablations succeeded: too few to estimate anything."
        )
    values = averaged(measured.values[good], game.repeats)
    explanation = _explain_values(masks, averaged(raw, game.repeats), estimator, game, order=order, seed=seed)
    noted = tuple(
        replace(fit, notes=fit.notes + more)
        for fit, more in zip(explanation.fits, noise_notes(raw, game.repeats), strict=True)
    )
    return replace(
        explanation,
        fits=noted,
        full=_find(asked[good], values, kept=True),
        empty=_find(asked[good], values, kept=False),
    )


def _fit_output(
    masks: Masks, values: Values, estimator: Estimator, recovery: Recovery | None, *, order: int, seed: int
) -> Fit:
    if recovery is None:  # nothing to recover
        spectrum = Spectrum(masks.shape[1], {(): float(values.mean())})
        note = f"the game is constant: all {len(values)} ablations gave {values[0]:.6g}, so no feature has any effect"
        faithfulness = measure_faithfulness(values, values, how="", first_order=None)
        return Fit(spectrum, faithfulness, min(order, masks.shape[1]), estimator.name, (note,))
    faithfulness = _judge(recovery, masks, values, seed)
    return Fit(
        recovery.spectrum,
        faithfulness,
        recovery.order,
        recovery.method or estimator.name,
        recovery.notes,
        recovery.evidence,
        recovery.uncertainty,
    )


def _judge(recovery: Recovery, masks: Masks, values: Values, seed: int) -> Faithfulness:
    """The recovery's faithfulness, and the first-order one beside it, on the same unseen ablations."""
    if recovery.unseen is None:  # every mask was measured: the first-order share of the variance is exact, too
        spectrum = recovery.spectrum
        single = sum(value**2 for key, value in spectrum.coefficients.items() if len(key) == 1)
        return Faithfulness(1.0, 1.0, 1.0, single / spectrum.variance, recovery.how, len(values))
    rows: npt.NDArray[np.intp] = np.arange(len(values)) if recovery.rows is None else recovery.rows
    if recovery.alone is not None:
        first: float | None = r_squared(values[rows], recovery.alone)
    elif recovery.method == "lasso":
        first = r_squared(values[rows], recovery.unseen)
    else:
        from interplay.estimators import Lasso

        baseline = Lasso().fit(masks, values, order=1, seed=seed).unseen
        first = None if baseline is None else r_squared(values[rows], baseline[rows])
    return measure_faithfulness(values[rows], recovery.unseen, how=recovery.how, first_order=first)


def _distinct(masks: Masks, values: Values) -> tuple[Masks, Values, tuple[str, ...]]:
    """Repeated masks averaged, so that no ablation is scored by a fit that saw its twin."""
    _, first, inverse, counts = np.unique(
        np.packbits(masks, axis=1), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    if len(first) == len(masks):
        return masks, values, ()
    sums = np.zeros((len(first), *values.shape[1:]))
    np.add.at(sums, inverse.ravel(), values)
    order = np.argsort(first)
    mean = sums / counts.reshape(-1, *[1] * (values.ndim - 1))
    note = f"{len(masks) - len(first)} of {len(masks)} masks repeat others; their values were averaged"
    return masks[first[order]], mean[order], (note,)


def _find(masks: Masks, values: Values, *, kept: bool) -> tuple[float, ...] | None:
    rows = np.flatnonzero(masks.all(axis=1) if kept else ~masks.any(axis=1))
    return tuple(float(value) for value in np.atleast_1d(values[rows[0]])) if len(rows) else None


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
    from interplay.ablate._bar import progress_bar

    with progress_bar(progress) as bar:
        yield bar
