"""What the strongest parts do in the real input: it is measured without each of them, and without pairs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from interplay._explain.explanation import Fit, Removal
from interplay._explain.sample import Measure, Sample
from interplay._game.masks import Masks, Values, averaged
from interplay._spectrum.characters import Features
from interplay._spectrum.indices import compute_index
from interplay._spectrum.interactions import Interactions
from interplay.estimators import Estimator

_SHARE = 20  # one in so many ablations goes to removals
_MOST = 32
_ENOUGH = 200  # ablations from which on some can be spared


def removals_allowed(budget: int, asked: int | None, estimator: Estimator, *, complete: bool) -> int:
    """How many of ``budget`` ablations to keep back; none where all there are will be measured anyway."""
    if complete or estimator.whole or (asked is None and budget < _ENOUGH):
        return 0
    return removals_most(budget, asked)


def removals_most(budget: int, asked: int | None) -> int:
    """How many removals there may be at most: one in twenty of the budget, 32, and as many as were asked for."""
    most = min(_MOST, budget // _SHARE)
    return most if asked is None else min(asked, most)


def with_removals(
    sample: Sample, fits: Sequence[Fit], measure: Measure, most: int, count: int
) -> tuple[Sample, tuple[Fit, ...]]:
    """The ``fits`` with what was measured of the untouched input without their strongest parts and pairs.

    ``most`` sets at most, and no more than ``count`` ablations that were not made before.
    """
    at_full = sample.full
    if at_full is None or most < 1:
        return sample, tuple(fits)
    n = sample.masks.shape[1]
    without = {features: _without(features, n) for features in _strongest(fits, n)[:most]}
    known = {row.tobytes(): value for row, value in zip(*sample.everything, strict=True)}
    missing = [row for row in without.values() if row.tobytes() not in known][:count]
    if missing:
        found = measure(np.array(missing))
        sample = replace(sample, used=sample.used + found.distinct, paid=sample.paid + found.measured)
        values: Values = averaged(found.values, sample.repeats)
        known |= {
            row.tobytes(): value for row, value, failed in zip(missing, values, found.failed, strict=True) if not failed
        }
    there = {features: known[row.tobytes()] for features, row in without.items() if row.tobytes() in known}
    if not there:
        return sample, tuple(fits)
    measured = np.array(list(there.values())).reshape(len(there), -1)
    masks = np.array([without[features] for features in there])
    return sample, tuple(
        replace(fit, removals=_told(fit, list(there), masks, measured[:, t], full))
        for t, (fit, full) in enumerate(zip(fits, at_full, strict=True))
    )


def _told(fit: Fit, sets: list[Features], masks: Masks, measured: Values, full: float) -> tuple[Removal, ...]:
    rows = zip(sets, measured.tolist(), fit.spectrum.predict(masks).tolist(), strict=True)
    return tuple(Removal(features, full, value, predicted) for features, value, predicted in rows)


def _without(features: Features, n: int) -> Masks:
    mask = np.ones(n, dtype=np.bool_)
    mask[list(features)] = False
    return mask


def _strongest(fits: Sequence[Fit], n: int) -> list[Features]:
    """Parts and pairs by mean effect, those of several outputs in turn; what cannot be told from zero is left out."""
    ranked = []
    for fit in fits:
        values, baseline = compute_index(fit.spectrum, "bii", 2)
        doubt = None if fit.uncertainty is None else fit.uncertainty.of("bii", 2, list(values))
        found = Interactions("bii", 2, values, labels=[""] * n, baseline=baseline, deviations=doubt)
        ranked.append(list(found.distinct()))
    return list(dict.fromkeys(key for row in zip_longest(*ranked) for key in row if key is not None))
