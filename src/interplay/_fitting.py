"""From measured values to an explanation: the estimator's fit, judged on ablations it did not see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from interplay._errors import AblationError, Interrupted
from interplay._explanation import Explanation, Fit
from interplay._faithfulness import Faithfulness, is_constant, measure_faithfulness, r_squared
from interplay._game import Game, Masks, Values, averaged
from interplay._repeats import noise_notes
from interplay._spectrum import Spectrum
from interplay.ablate import Measurement
from interplay.estimators import Estimator, Recovery

_FEW = 1000  # ablations up to which one thread is as fast as several
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
    return Explanation(labels=game.labels, fits=fits, outputs=outputs, seed=seed, layout=game.layout)


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
    noted = tuple(
        replace(fit, notes=fit.notes + more)
        for fit, more in zip(explanation.fits, noise_notes(raw, game.repeats), strict=True)
    )
    return replace(
        explanation,
        fits=noted,
        full=find_row(asked[good], values, kept=True),
        empty=find_row(asked[good], values, kept=False),
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
        from interplay.estimators import Lasso

        baseline = Lasso().fit(masks, values, order=1, seed=seed).unseen
        first = None if baseline is None else r_squared(values[rows], baseline[rows])
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
