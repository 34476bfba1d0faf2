"""From a sample to an explanation: the estimator's fits, each judged on ablations that it did not see."""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._explain.explanation import DEFAULT_INDEX, Explanation, Fit, Point
from interplay._explain.faithfulness import Faithfulness, measure_faithfulness
from interplay._explain.repeats import noise_notes
from interplay._explain.sample import Sample
from interplay._game.game import Game
from interplay._game.masks import Values
from interplay._spectrum.spectrum import Spectrum
from interplay._spectrum.uncertainty import Uncertainty
from interplay.estimators import (
    Estimator,
    Recovery,
    better_with_slopes,
    doubt_of,
    first_order_r2,
    gain_of_all,
    is_constant,
    r_squared,
)

_FEW = 1000  # ablations up to which one thread is as fast as several
_OUTPUTS = 20  # of a fit that knows no intervals: up to so many get theirs from another one, a second or so each
_LARGEST = 1e140  # squares of values, and sums of them, must stay below the largest float


def fits_of(
    sample: Sample,
    estimator: Estimator,
    *,
    order: int,
    seed: int,
    slopes: bool | str = "auto",
    executor: futures.Executor | None = None,
) -> tuple[Fit, ...]:
    """One fit per output of the ``sample``, with what its reader should know; of several, by an ``executor``'s workers.

    Where ``slopes`` is "auto", they take part in the fit of an output whose unseen values are predicted better so.
    """
    columns = sample.values.reshape(len(sample.masks), -1)
    _check_range(columns)
    varied = [t for t, column in enumerate(columns.T) if not is_constant(column)]
    with _few_threads(len(columns)):
        recoveries = _recovered(
            sample, columns, varied, estimator, order=order, seed=seed, slopes=slopes, executor=executor
        )
        fits = [
            _judged(sample, values, recoveries[t], estimator.name, seed, t)
            if t in recoveries
            else _constant(sample, values, estimator.name, order, t)
            for t, values in enumerate(np.ascontiguousarray(columns.T))
        ]
    noise = noise_notes(sample.raw, sample.repeats)
    return tuple(replace(fit, notes=fit.notes + more) for fit, more in zip(fits, noise, strict=True))


def _recovered(
    sample: Sample,
    columns: Values,
    varied: list[int],
    estimator: Estimator,
    *,
    order: int,
    seed: int,
    slopes: bool | str,
    executor: futures.Executor | None,
) -> dict[int, Recovery]:
    """The recovery of every output that varied, from slopes where it has some and the estimator takes them."""
    from interplay.estimators import fit_slopes  # loads SciPy

    usable: list[int] = []
    if slopes and sample.slopes is not None and estimator.takes_slopes:
        usable = [t for t in varied if not np.isnan(sample.slopes[:, t]).all()]
    plain = [t for t in varied if t not in usable or slopes != True]  # noqa: E712 - "auto" is true, too
    found: list[Recovery] = []
    if plain:
        options = {"order": order, "seed": seed}
        if len(plain) > 1 and executor is not None:
            found = estimator.spread_outputs(sample.masks, columns[:, plain], executor=executor, **options)
        else:
            found = estimator.fit_outputs(sample.masks, columns[:, plain], **options)
    recoveries = dict(zip(plain, found, strict=True))
    for t in usable:
        assert sample.slopes is not None
        values = np.ascontiguousarray(columns[:, t])
        with_slopes = fit_slopes(sample.masks, values, sample.slopes[:, t], order=order, seed=seed)
        recoveries[t] = better_with_slopes(with_slopes, recoveries.get(t), values)
    if len(recoveries) <= _OUTPUTS:
        for t, one in recoveries.items():
            if one.uncertainty is None:
                doubt = doubt_of(one, sample.masks, np.ascontiguousarray(columns[:, t]), order=order, seed=seed)
                recoveries[t] = replace(one, uncertainty=doubt)
    if slopes and sample.slopes is not None and not estimator.takes_slopes:
        note = f"{estimator.name} takes no slopes: method='gp' or 'auto' does"
        recoveries = {t: replace(one, notes=(*one.notes, note)) for t, one in recoveries.items()}
    return recoveries


def explained(
    game: Game,
    sample: Sample,
    fits: Sequence[Fit],
    *,
    budget: int,
    seed: int,
    keep: float,
    index: str | None = None,
    notes: tuple[str, ...] = (),
    curve: tuple[Point, ...] = (),
    deeper: Callable[[Sequence[int], int], Explanation] | None = None,
) -> Explanation:
    """The explanation that the ``fits`` of a ``sample`` make."""
    outputs = game.outputs
    if outputs is None and sample.values.ndim == 2:
        outputs = tuple(f"output {t}" for t in range(len(fits)))
    return Explanation(
        labels=game.labels,
        fits=tuple(fits),
        outputs=outputs,
        budget=budget,
        used=sample.used,
        from_store=sample.used - sample.paid,
        seconds=sample.seconds,
        seed=seed,
        full=sample.full,
        empty=sample.empty,
        game_notes=game.notes + sample.notes + notes,
        layout=game.layout,
        question=game.question,
        keep=keep,
        curve=curve,
        index=index or DEFAULT_INDEX,
        outline=() if game.tree is None else game.tree.outline,
        deeper=deeper,
    )


def _check_range(columns: Values) -> None:
    """Squares of values and of their differences must neither overflow nor vanish."""
    largest = float(np.abs(columns).max())
    if largest > _LARGEST:
        raise InputError(f"values up to {largest:.1e} are too large to be squared: divide them by a constant.")
    spread = np.ptp(columns, axis=0)
    smallest = float(spread[spread > 0].min(initial=np.inf))
    if smallest < 1 / _LARGEST:
        raise InputError(
            f"values that differ by {smallest:.1e} at most are too small to be squared: multiply them by a constant, "
            "or take their logarithms."
        )


@contextlib.contextmanager
def _few_threads(count: int) -> Iterator[None]:
    """One thread for linear algebra on few ablations: several would mostly wait for one another, on a busy machine
    many times longer than they work.
    """
    import scipy.linalg  # noqa: F401 - a library that is not loaded yet would not be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1 if count <= _FEW else None):
        yield


def _constant(sample: Sample, values: Values, name: str, order: int, output: int) -> Fit:
    """The fit of an output that never varied over the ablations that were fitted."""
    n, full, empty = sample.masks.shape[1], sample.full, sample.empty
    mean = float(values.mean())
    note = f"the game is constant: all {len(values)} ablations gave {values[0]:.6g}, so no feature has any effect"
    if full is not None and empty is not None and not is_constant(np.array([mean, full[output], empty[output]])):
        note = (
            f"all {len(values)} ablations gave {mean:.6g}, but everything kept gives {full[output]:.6g} and everything "
            f"ablated {empty[output]:.6g}: what matters shows too rarely in ablations at random, so none of it was "
            "found; allow a larger budget, or make fewer and larger features"
        )
    faithfulness = measure_faithfulness(values, values, how="", first_order=None)
    return Fit(Spectrum(n, {(): mean}), faithfulness, min(order, n), name, (note,))


def _judged(sample: Sample, values: Values, recovery: Recovery, name: str, seed: int, output: int) -> Fit:
    """An output's recovery with its faithfulness, and with what both ends, where measured besides, say of its doubt."""
    if sample.fair is not None and recovery.unseen is not None:
        rows = np.arange(len(values)) if recovery.rows is None else recovery.rows
        fair = sample.fair[rows]
        alone = None if recovery.alone is None else recovery.alone[fair]
        recovery = replace(recovery, unseen=recovery.unseen[fair], rows=rows[fair], alone=alone)
    return Fit(
        recovery.spectrum,
        _faithfulness(sample, values, recovery, seed),
        recovery.order,
        recovery.method or name,
        recovery.notes,
        recovery.evidence,
        _seen_at_ends(sample, recovery, output),
        misses=recovery.misses,
    )


def _seen_at_ends(sample: Sample, recovery: Recovery, output: int) -> Uncertainty | None:
    if recovery.uncertainty is None or sample.full is None or sample.empty is None:
        return recovery.uncertainty
    if not len(sample.ends):  # both are among the masks that were fitted, so their errors are known and made up for
        return recovery.uncertainty
    ends = np.array([[False], [True]]).repeat(sample.masks.shape[1], axis=1)
    empty, full = (np.array([sample.empty[output], sample.full[output]]) - recovery.spectrum.predict(ends)).tolist()
    return recovery.uncertainty.seen_at_ends(empty, full)


def _faithfulness(sample: Sample, values: Values, recovery: Recovery, seed: int) -> Faithfulness:
    """The recovery's faithfulness, and the first-order one beside it, on the same unseen ablations."""
    if recovery.unseen is None:  # every mask was measured: the first-order share of the variance is exact, too
        spectrum = recovery.spectrum
        single = sum(value**2 for key, value in spectrum.coefficients.items() if len(key) == 1)
        return Faithfulness(1.0, 1.0, 1.0, single / spectrum.variance, recovery.how, len(values))
    rows: npt.NDArray[np.intp] = np.arange(len(values)) if recovery.rows is None else recovery.rows
    if recovery.alone is not None:
        first = r_squared(values[rows], recovery.alone)
    elif recovery.method == "lasso":
        first = r_squared(values[rows], recovery.unseen)
    else:
        first = first_order_r2(sample.masks, values, rows, seed)
    truth, n = values[rows], recovery.spectrum.n
    gain = gain_of_all(len(values), n, r_squared(truth, recovery.unseen))
    unseen = truth - np.sqrt(recovery.flatters * gain) * (truth - recovery.unseen)
    first = 1.0 - gain_of_all(len(values), n, first) * (1.0 - first)
    return measure_faithfulness(truth, unseen, how=recovery.how, first_order=first, fitted=len(values))
