"""From measured values to an explanation: the estimator's fit, judged on ablations it did not see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from interplay._errors import AblationError, InputError
from interplay._explain.explanation import Explanation, Fit
from interplay._explain.faithfulness import Faithfulness, measure_faithfulness
from interplay._explain.repeats import noise_notes
from interplay._game.game import Game
from interplay._game.masks import Masks, Values, averaged
from interplay._spectrum.spectrum import Spectrum
from interplay.ablate import Interrupted, Measurement
from interplay.estimators import Estimator, Recovery, first_order_r2, is_constant, r_squared

_FEW = 1000  # ablations up to which one thread is as fast as several
_LARGEST = 1e140
FEWEST = 4  # ablations from which anything at all can be estimated


def explain_values(
    masks: Masks,
    values: Values,
    estimator: Estimator,
    game: Game,
    *,
    order: int,
    seed: int,
    judges: int | None = None,
) -> Explanation:
    """The explanation of ``values`` (N,) or (N, T) at distinct ``masks`` (N, n)."""
    columns = values[:, None] if values.ndim == 1 else values
    _check_range(columns)
    varied = [t for t, column in enumerate(columns.T) if not is_constant(column)]
    with _few_threads(len(masks)):
        recoveries = dict(
            zip(varied, estimator.fit_outputs(masks, columns[:, varied], order=order, seed=seed), strict=True)
            if varied
            else ()
        )
        fits = tuple(
            _fit_output(
                masks, np.ascontiguousarray(column), estimator, recoveries.get(t), order=order, seed=seed, judges=judges
            )
            for t, column in enumerate(columns.T)
        )
    outputs = game.outputs
    if outputs is None and values.ndim == 2:
        outputs = tuple(f"output {t}" for t in range(values.shape[1]))
    return Explanation(
        labels=game.labels, fits=fits, outputs=outputs, seed=seed, layout=game.layout, question=game.question
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


def explain_measured(
    asked: Masks,
    ends: int,
    measured: Measurement,
    estimator: Estimator,
    game: Game,
    *,
    order: int,
    seed: int,
    judges: int | None = None,
) -> Explanation:
    """The explanation of what was measured, its first ``ends`` rows aside; ablations that failed are left out.

    Where only the first ``judges`` of the others are fair ablations, R² is measured on those alone.
    """
    good = ~measured.failed
    masks, raw = asked[ends:][good[ends:]], measured.values[ends:][good[ends:]]
    if len(masks) < FEWEST <= len(asked) - ends:
        raise AblationError(
            f"only {len(masks)} of {len(asked) - ends} ablations succeeded: too few to estimate anything."
        )
    values = averaged(measured.values[good], game.repeats)
    if judges is not None:
        judges = int(good[ends : ends + judges].sum())
    try:
        explanation = explain_values(
            masks, averaged(raw, game.repeats), estimator, game, order=order, seed=seed, judges=judges
        )
    except KeyboardInterrupt as error:
        where = f"kept in {measured.kept_in}" if measured.kept_in else "in this exception's masks and values"
        way = "run the same again to go on" if measured.kept_in else "pass them to interplay.fit"
        raise Interrupted(
            f"Interrupted while fitting: all {measured.distinct} ablations are measured and {where}; {way}.",
            asked[good],
            values,
        ) from error
    full, empty = (find_row(asked[good], values, kept=kept) for kept in (True, False))
    noted = tuple(
        replace(fit, notes=(_rare(fit, len(masks), full, empty, t) or fit.notes) + more)
        for t, (fit, more) in enumerate(zip(explanation.fits, noise_notes(raw, game.repeats), strict=True))
    )
    return replace(explanation, fits=noted, full=full, empty=empty)


def _rare(
    fit: Fit, count: int, full: tuple[float, ...] | None, empty: tuple[float, ...] | None, output: int
) -> tuple[str, ...]:
    """What to say of an output that is constant on the ablations that were fitted, but not at the ends."""
    if full is None or empty is None or not np.isnan(fit.faithfulness.r2):
        return ()
    value = fit.spectrum.coefficients.get((), 0.0)
    if is_constant(np.array([value, full[output], empty[output]])):
        return ()
    return (
        f"all {count} ablations gave {value:.6g}, but everything kept gives {full[output]:.6g} and everything ablated "
        f"{empty[output]:.6g}: what matters shows too rarely in ablations at random, so none of it was found; allow a "
        "larger budget, or make fewer and larger features",
    )


def _fit_output(
    masks: Masks,
    values: Values,
    estimator: Estimator,
    recovery: Recovery | None,
    *,
    order: int,
    seed: int,
    judges: int | None,
) -> Fit:
    if recovery is None:  # nothing to recover
        spectrum = Spectrum(masks.shape[1], {(): float(values.mean())})
        note = f"the game is constant: all {len(values)} ablations gave {values[0]:.6g}, so no feature has any effect"
        faithfulness = measure_faithfulness(values, values, how="", first_order=None)
        return Fit(spectrum, faithfulness, min(order, masks.shape[1]), estimator.name, (note,))
    if judges is not None and recovery.unseen is not None and recovery.rows is None:
        alone = None if recovery.alone is None else recovery.alone[:judges]
        recovery = replace(recovery, unseen=recovery.unseen[:judges], rows=np.arange(judges), alone=alone)
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
        first = first_order_r2(masks, values, rows, seed)
    truth = values[rows]
    unseen = truth - np.sqrt(recovery.flatters) * (truth - recovery.unseen)
    return measure_faithfulness(truth, unseen, how=recovery.how, first_order=first)


def distinct_masks(masks: Masks, values: Values) -> tuple[Masks, Values, tuple[str, ...]]:
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


def find_row(masks: Masks, values: Values, *, kept: bool) -> tuple[float, ...] | None:
    rows = np.flatnonzero(masks.all(axis=1) if kept else ~masks.any(axis=1))
    return tuple(float(value) for value in np.atleast_1d(values[rows[0]])) if len(rows) else None
