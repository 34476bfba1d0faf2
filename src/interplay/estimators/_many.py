"""Many outputs of the same ablations: a few are fitted in full, the others share what these have shown to be enough."""

from __future__ import annotations

import concurrent.futures as futures
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from interplay._game.masks import Masks, Values
from interplay.estimators._base import Estimator, Recovery

MANY = 16  # outputs from which on they share: below, each is fitted as if it were the only one
_PROBES = 4  # outputs that are fitted in full, spread over all: a few seconds each
_PART = 128  # outputs that share: enough for what they share to cost little, few enough for workers to divide
_HELPED = 1 / 3  # of the probes whose blend holds trees: where fewer do, the others go without


class Shares(Protocol):
    """An estimator whose many outputs share."""

    def fit_part(
        self, masks: Masks, values: Values, trees: Estimator | None, *, order: int, seed: int
    ) -> list[Recovery]:
        """One recovery for each of the outputs, with ``trees`` where they help."""
        ...


def many(
    estimator: Any, masks: Masks, values: Values, *, order: int, seed: int, executor: futures.Executor | None
) -> list[Recovery]:
    """One recovery by ``estimator`` (of the kind `Shares`) for each of the T columns of ``values`` (N, T).

    A few outputs are fitted as if each were the only one. They show whether trees help, and with which options; the
    others are fitted in parts, with those options or without trees.
    """
    outputs = values.shape[1]
    probes = np.unique(np.linspace(0, outputs - 1, _PROBES).round().astype(int))
    full = spread(Estimator.fit_outputs, estimator, masks, values[:, probes], 1, executor, order=order, seed=seed)
    helped = [one.chosen for one in full if one.chosen is not None and one.chosen.name in (one.method or "").split("+")]
    trees = Counter(helped).most_common(1)[0][0] if len(helped) >= _HELPED * len(probes) else None
    others = np.setdiff1d(np.arange(outputs), probes)
    rest = spread(_fit_part, estimator, masks, values[:, others], _PART, executor, trees=trees, order=order, seed=seed)
    what = "trees left out, as they helped too few of these"
    if trees is not None:
        what = "trees with the options that won for most of these"
    note = f"one of {outputs} outputs that share what {len(probes)} of them, fitted in full, have shown: {what}"
    recoveries: dict[int, Recovery] = dict(zip(probes.tolist(), full, strict=True))
    for t, one in zip(others.tolist(), rest, strict=True):
        recoveries[t] = replace(one, notes=(*one.notes, note))
    return [recoveries[t] for t in range(outputs)]


def _fit_part(estimator: Shares, masks: Masks, values: Values, **options: Any) -> list[Recovery]:
    return estimator.fit_part(masks, values, **options)


def spread(
    fit: Callable[..., list[Recovery]],
    estimator: Any,
    masks: Masks,
    values: Values,
    size: int,
    executor: futures.Executor | None,
    **options: Any,
) -> list[Recovery]:
    """``fit(estimator, masks, part, **options)`` for parts of ``values`` (N, T), all recoveries in order.

    A part has at most ``size`` outputs. By the workers of an ``executor``, where there is one.
    """
    count = -(-values.shape[1] // size)
    parts = [np.ascontiguousarray(part) for part in np.array_split(values, max(1, count), axis=1)]
    if executor is None or len(parts) == 1:
        return [recovery for part in parts for recovery in fit(estimator, masks, part, **options)]
    running = [executor.submit(fit, estimator, masks, part, **options) for part in parts]
    try:
        return [recovery for future in running for recovery in future.result()]
    finally:
        for future in running:
            future.cancel()
