"""Which training examples to drop."""

from __future__ import annotations

import numpy as np

from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._findings.influences import training_summary
from interplay._game.layout import TrainingLayout


def worst_examples(explanation: Explanation, k: int, *, pairs: bool = True) -> tuple[int, ...]:
    """The k examples whose removal is predicted to raise the sum of all outputs most, chosen one after the other.

    With ``pairs`` the prediction is the mean over ablations at the run's keep rate in which all chosen so far are
    gone, so that of two harmful twins the second counts for what it does once the first is gone. (Predicting the
    full training set less the chosen ones instead asks the spectrum about a corner far from what it was fitted to;
    measured, it chose worse.) Without, first-order effects alone. Outputs that are losses count negatively.
    """
    if not 0 <= k < explanation.n:
        raise InputError(f"k must lie between 0 and {explanation.n - 1}, not {k}.")
    layout = explanation.layout
    sign = -1.0 if isinstance(layout, TrainingLayout) and layout.lower_is_better else 1.0
    if not pairs:
        summary = training_summary(explanation)
        return tuple(i for i, _, _ in sorted(summary.examples, key=lambda item: item[1])[:k])
    total = explanation.fits[0].spectrum * sign
    for fit in explanation.fits[1:]:
        total = total + fit.spectrum * sign
    groups = [(ids, values) for ids, values in total.by_order() if ids.shape[1]]
    mu = 1 - 2 * explanation.keep  # the mean of a feature's sign, which is +1 once it is gone
    gone = np.zeros(explanation.n, dtype=np.bool_)
    chosen: list[int] = []
    for _ in range(k):
        gain = np.zeros(explanation.n)
        for ids, values in groups:
            means = np.where(gone[ids], 1.0, mu)
            for column in range(ids.shape[1]):
                rest = np.delete(means, column, axis=1).prod(axis=1)
                np.add.at(gain, ids[:, column], values * rest * (1 - mu))
        gain[gone] = -np.inf
        worst = int(np.argmax(gain))
        gone[worst] = True
        chosen.append(worst)
    return tuple(chosen)
