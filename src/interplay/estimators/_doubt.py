"""How far the coefficients of any fit can be trusted: a Gaussian process of the same ablations has an answer."""

from __future__ import annotations

import numpy as np

from interplay._game.masks import Masks, Values
from interplay._spectrum.uncertainty import Uncertainty
from interplay.estimators._base import Recovery
from interplay.estimators._lasso.wide import LARGE
from interplay.estimators._validation import is_constant

_SUBSET = 600  # ablations from which the prior is taken
_DENSE = 2000  # up to so many its posterior is exact
_SETS = 1000  # the strongest sets that have a deviation of their own; the others have the prior's


def doubt_of(recovery: Recovery, masks: Masks, values: Values, *, order: int, seed: int) -> Uncertainty | None:
    """The uncertainty of a ``recovery`` whose estimator knows none, from distinct ``masks`` (N, n); None if too many.

    It is that of a Gaussian process with its most probable hyper-parameters.
    """
    from interplay.estimators._gp.gp import GP  # loads SciPy

    if recovery.unseen is None or masks.size > LARGE or is_constant(values):
        return None
    reference = GP(effort=0.0, blind=True, subset=_SUBSET, dense=_DENSE, coefficients=_SETS)
    return transferred(reference.fit(masks, values, order=order, seed=seed), recovery, values)


def transferred(reference: Recovery, recovery: Recovery, values: Values) -> Uncertainty | None:
    """The uncertainty of the ``reference`` for another fit of the same ablations: wider where that is the worse one.

    Never narrower: which of two fits has the smaller error is seldom certain.
    """
    if reference.uncertainty is None:
        return None
    wider = squared_error(recovery, values) / max(squared_error(reference, values), 1e-300)
    return reference.uncertainty.widened(float(np.sqrt(max(1.0, wider))))


def squared_error(recovery: Recovery, values: Values) -> float:
    """The mean squared error on unseen ablations, what it flatters put right."""
    assert recovery.unseen is not None
    truth = values if recovery.rows is None else values[recovery.rows]
    return float(((truth - recovery.unseen) ** 2).mean() * recovery.flatters)
