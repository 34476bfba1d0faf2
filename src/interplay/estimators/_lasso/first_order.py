"""The first-order baseline: how much single features explain of unseen ablations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Masks, Values
from interplay.estimators._validation import folds, is_constant, r_squared


def first_order_r2(masks: Masks, values: Values, rows: npt.NDArray[np.intp], seed: int) -> float:
    """The R² at ``rows`` of a lasso that did not see them.

    By cross-validation; where there are too many masks for copies of them, by a fit to all others, in bounded memory.
    """
    from interplay.estimators._lasso.lasso import Lasso
    from interplay.estimators._lasso.wide import LARGE, LONG, Wide

    # A few held-out rows of many masks: one fit to the others costs a fifth of a cross-validation.
    if masks.size > LARGE or (masks.size > LONG and 2 * len(rows) <= len(masks)):
        out = np.zeros(len(masks), dtype=np.bool_)
        out[rows] = True
        if 2 * len(rows) > len(masks):  # they judge by cross-validation: a fifth of them has to do
            out[:] = folds(len(masks), seed) == 0
        if is_constant(values[~out]):
            return r_squared(values[out], np.full(int(out.sum()), values[~out].mean()))
        spectrum = Wide().fit(masks[~out], values[~out], order=1, seed=seed).spectrum
        return r_squared(values[out], spectrum.predict(masks[out]))
    baseline = Lasso().fit(masks, values, order=1, seed=seed).unseen
    assert baseline is not None
    return r_squared(values[rows], baseline[rows])
