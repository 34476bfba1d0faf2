"""The one entry point: a game, a budget and a method in; an explanation out."""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from interplay._checks import check_whole, is_between
from interplay._errors import AblationError, InputError
from interplay._explain.explanation import Explanation
from interplay._explain.fitting import explained, fits_of
from interplay._explain.goal import Goal
from interplay._explain.plan import draw, is_complete
from interplay._explain.rounds import Task, run
from interplay._explain.sample import Sample
from interplay._explain.zooming import Begun, zoom
from interplay._game.game import Game, check_labels
from interplay._game.masks import Masks, Values, check_masks, check_values
from interplay._game.slopes import check_slopes
from interplay._spectrum.indices import ASKED, canonical_index
from interplay.ablate import Progress, Store, measure, measure_slopes, progress_bar
from interplay.estimators import Estimator, ForIndex, get_estimator

_FEW_FOR_SLOPES = 32  # ablations below which none are spent on finding out whether slopes help


def explain(
    game: Game | Callable[[Masks], Any],
    *,
    budget: int,
    method: str | Estimator = "auto",
    index: str | None = None,
    slopes: bool | Literal["auto"] = "auto",
    labels: Sequence[str] | int | None = None,
    order: int = 5,
    keep: float | None = None,
    seed: int = 0,
    until: float | None = None,
    tolerance: float | None = None,
    removals: int | None = None,
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
    index
        Which interaction index is to be known best. None: those that uniform masks know well ("bii", "bv", "fourier",
        "fbii" of low order). "sv", "sii", "k-sii", "stii" or "fsii", which weigh all sizes of masks alike: masks of all
        sizes, each beside its complement; both ends take part in the fit, and what adds up to f(all) - f(none) does so
        exactly. R² then speaks for such masks.
    slopes
        "auto" measures slopes, where the game has them and the method takes them, as long as they pay by the error on
        unseen ablations: an ablation with slopes counts as ``game.slope_cost`` of the budget. True always does, False
        never.
    labels
        Feature names, or their number, where ``game`` is a plain function.
    order
        The largest set of features to look for.
    keep
        The probability with which each feature is kept; the game's own, one half unless it says otherwise, when None.
        Masks for an ``index`` have no such rate.
    seed
        Seed of every random choice.
    until
        Measure in growing rounds and stop as soon as the whole interval of R² on unseen ablations lies at or above
        this goal, for every output that varies; ``budget`` is then the most it may take.
    tolerance
        Measure in growing rounds and stop as soon as R² is known to within this much, up or down.
    removals
        How many ablations to spend, at most, on measuring the untouched input without each of the strongest parts and
        pairs (`Explanation.removals`): never more than one in twenty of the budget, nor than 32. None is so many, from
        a budget of 200 on; 0 none.
    store
        A `Store` or the path of one: values are read from it and written to it as they come, so a run that was
        stopped goes on where it was. A plain function needs a name for it: ``ip.Game(function, labels, name=...)``.
    executor
        A `concurrent.futures.Executor` to measure with, and to fit several outputs with; None does all in turn, in this
        process.
    progress
        True for a progress bar, or a function called with a `Progress` after every batch; None shows a bar where
        standard error is a terminal.

    Raises
    ------
    InputError
        For a budget, method, order or labels that cannot be used; for slopes=True where there are none.
    AblationError
        For a game that fails or returns anything but finite real numbers.
    StoreError
        For a store that cannot be used, or a game that it cannot identify.
    InterruptionError
        On Ctrl-C, carrying what was measured.
    """
    game = as_game(game, labels)
    if game.tree is not None and game.n == game.tree.leaves:
        game = game.finest  # nothing is left to open
    _check_options(budget, order, seed)
    if removals is not None:
        check_whole("removals", removals, 0)
    rate = game.keep if keep is None else _check_keep(keep)
    estimator, asked = _estimator(method, index, keep, slopes)
    wanted = _wanted_slopes(slopes, game, estimator, budget)
    kept, goal = 0.5 if asked else rate, Goal(until, tolerance)
    task = Task(game, estimator, budget, order, seed, kept, goal, wanted, asked, removals, executor)

    def explained(task: Task, begun: Begun | None = None) -> Explanation:
        with Store.at(store) as held, _watched(progress) as watch:
            options: dict[str, Any] = {"store": held, "executor": executor, "progress": watch, "failed": {}}
            ablate = partial(measure, game.finest, **options)
            if game.tree is not None:
                return zoom(task, ablate, begun, again=explained)
            return run(task, ablate, partial(measure_slopes, game, **options) if wanted else None)

    return explained(task)


def design(
    n: int,
    budget: int,
    *,
    method: str | Estimator = "auto",
    index: str | None = None,
    seed: int = 0,
    keep: float = 0.5,
) -> Masks:
    """Masks (N, n), N <= ``budget``, whose values `fit` can turn into an explanation.

    For ablations measured elsewhere; a larger budget keeps every mask of a smaller one. ``keep`` is the probability
    with which each feature is kept; an ``index`` draws its own masks, as in `explain`.

    >>> import interplay as ip
    >>> ip.design(3, 100).shape, ip.design(30, 100).shape
    ((8, 3), (100, 30))
    """
    check_whole("the number of features", n, 1)
    _check_options(budget, 1, seed)
    _check_keep(keep)
    return draw(_estimator(method, index, keep)[0], n, budget, seed, keep)


def fit(
    masks: object,
    values: object,
    *,
    slopes: object = None,
    method: str | Estimator = "auto",
    index: str | None = None,
    labels: Sequence[str] | int | None = None,
    order: int = 5,
    seed: int = 0,
    keep: float = 0.5,
    executor: futures.Executor | None = None,
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
    slopes
        (N, n) or (N, T, n): the slopes of the values in every feature's gate, from ablated to kept, where measured;
        NaN in rows and outputs without. They take part where held-out error says that they help.
    method, labels, order, seed
        As in `explain`.
    index
        The index that the masks were drawn for, by `design`.
    keep
        The probability with which the masks kept each feature: effects of training examples are means at this rate.
    executor
        A `concurrent.futures.Executor` whose workers fit several outputs side by side; None fits them here, in turn.
        The results are the same.
    """
    rows, rate = check_masks(masks), _check_keep(keep)
    names = check_labels(rows.shape[1] if labels is None else labels)
    if len(names) != rows.shape[1]:
        raise InputError(f"there are {len(names)} labels, but the masks have {rows.shape[1]} columns.")
    _check_options(max(1, len(rows)), order, seed)
    if not len(rows):
        raise InputError("there are no masks to fit: pass at least one row.")
    checked = check_values(values, rows)
    given = None if slopes is None else _given_slopes(slopes, rows, checked)
    estimator, asked = _estimator(method, index, keep, slopes is not None)
    sample = Sample.given(rows, checked, given, ends_fitted=asked is not None)
    fits = fits_of(sample, estimator, order=order, seed=seed, executor=executor)
    return explained(Game(_elsewhere, names), sample, fits, budget=sample.used, seed=seed, keep=rate, index=asked)


def as_game(game: Game | Callable[[Masks], Any], labels: Sequence[str] | int | None) -> Game:
    """A game as given, or made of a function and its labels."""
    if isinstance(game, Game):
        if labels is None:
            return game
        names = check_labels(labels)
        if game.tree is not None:
            raise InputError(
                "labels name features, and those of a zoom change from round to round: name them in the game."
            )
        if len(names) != game.n:
            raise InputError(f"there are {len(names)} labels for a game of {game.n} features.")
        return game.relabelled(names)
    if labels is None:
        raise InputError("a plain function needs labels: pass labels=[names] or labels=number of features.")
    return Game(game, labels)


def _wanted_slopes(
    slopes: bool | Literal["auto"], game: Game, estimator: Estimator, budget: int
) -> bool | Literal["auto"]:
    """Whether to measure slopes; an error where they are asked for and cannot be had."""
    if slopes not in (True, False, "auto"):
        raise InputError(f"slopes must be 'auto', True or False, not {slopes!r}.")
    if slopes is True and game.slopes is None:
        raise InputError("slopes=True needs a game with slopes, which this one lacks: leave slopes='auto'.")
    if slopes is True and game.tree is not None:
        raise InputError("slopes take no part in a zoom, which measures values alone: leave slopes='auto'.")
    if slopes is True and not estimator.takes_slopes:
        raise InputError(f"{estimator.name} takes no slopes: choose method='gp' or 'auto', or leave slopes='auto'.")
    if game.slopes is None or game.tree is not None or not estimator.takes_slopes or is_complete(game.n, budget):
        return False
    return slopes if slopes is True or budget >= _FEW_FOR_SLOPES else False


def _given_slopes(slopes: object, masks: Masks, values: Values) -> Values:
    try:
        return check_slopes(slopes, masks, 1 if values.ndim == 1 else values.shape[1])
    except AblationError as error:
        raise InputError(str(error)) from error


def _estimator(
    method: str | Estimator, index: str | None, keep: float | None, slopes: bool | Literal["auto"] = False
) -> tuple[Estimator, str | None]:
    """The estimator, on the masks of the ``index`` where one is asked for, and that index in its canonical spelling."""
    estimator = get_estimator(method)
    if index is None:
        return estimator, None
    name = canonical_index(index)
    if name not in ASKED:
        raise InputError(
            f"no masks are drawn for index={index!r}, which uniform ones know: leave index out and ask the result for "
            f"interactions({name!r}), or choose one of {', '.join(ASKED)}."
        )
    if keep not in (None, 0.5):
        raise InputError(
            f"keep={keep:g} and index={index!r} exclude each other: masks of all sizes have no one rate of keeping, so "
            "leave one of them out."
        )
    if slopes is True:
        raise InputError(
            f"slopes and index={index!r} exclude each other: slopes take part only in fits to uniform masks, so leave "
            "one of them out."
        )
    return ForIndex(estimator, name), name


def _check_keep(keep: float) -> float:
    if not is_between(keep, 0, 1):
        raise InputError(f"keep must lie strictly between 0 and 1, not {keep!r}: it is a probability of keeping.")
    return float(keep)


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
def _watched(progress: bool | Callable[[Progress], None] | None) -> Iterator[Callable[[Progress], None] | None]:
    if callable(progress):
        yield progress
        return
    with progress_bar(progress) as bar:
        yield bar
