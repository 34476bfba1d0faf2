"""How far the coefficients of any fit can be trusted: a Gaussian process of the same ablations has an answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from interplay._game.masks import Masks, Values
from interplay._spectrum.spectrum import Spectrum
from interplay._spectrum.uncertainty import SetPrior, Uncertainty
from interplay.estimators._base import Recovery
from interplay.estimators._lasso.wide import LARGE
from interplay.estimators._validation import is_constant

_SUBSET = 600  # ablations from which the prior is taken
_DENSE = 2000  # up to so many its posterior is exact
_EXACT = 1e-18  # of the variance, left unexplained on unseen masks: rounding, of which no process knows more
_FEWEST = 24  # unseen masks that can show so: a set that they all miss is no part of them
_SETS = 1000  # the strongest sets that have a deviation of their own; the others have the prior's


def doubt_of(recovery: Recovery, masks: Masks, values: Values, *, order: int, seed: int) -> Uncertainty | None:
    """The uncertainty of a ``recovery`` whose estimator knows none, from distinct ``masks`` (N, n); None if too many.

    It is that of a Gaussian process with its most probable hyper-parameters.
    """
    from interplay.estimators._gp.gp import GP  # loads SciPy

    if recovery.unseen is None or masks.size > LARGE or is_constant(values):
        return None
    truth = values if recovery.rows is None else values[recovery.rows]
    left = float(((truth - recovery.unseen) ** 2).mean())
    if len(truth) >= _FEWEST and left <= _EXACT * values.var():
        return _of_rounding(recovery.spectrum, left, len(values))
    reference = GP(effort=0.0, blind=True, subset=_SUBSET, dense=_DENSE, coefficients=_SETS)
    return transferred(reference.fit(masks, values, order=order, seed=seed), recovery.spectrum)


def _of_rounding(spectrum: Spectrum, left: float, count: int) -> Uncertainty:
    """Of a spectrum that is exact but for rounding: all other sets together hold what is ``left`` of a mean square."""
    weight = min(0.5, 1.5 / spectrum.n)
    prior = SetPrior(left / (1.0 + weight) ** spectrum.n, (weight,) * spectrum.n)
    return Uncertainty(spectrum.n, dict.fromkeys(spectrum.coefficients, (left / count) ** 0.5), prior)


def transferred(reference: Recovery, spectrum: Spectrum) -> Uncertainty | None:
    """How far another ``spectrum`` of the same ablations is from the truth, by what the ``reference`` knows of it.

    Where F(S) is Gaussian around the reference's value, the mean square of its distance from another one is its
    variance and the square of their difference.
    """
    doubt = reference.uncertainty
    if doubt is None:
        return None
    apart = {key: value for key, value in (spectrum - reference.spectrum).coefficients.items() if value}
    known = doubt.variances([*dict.fromkeys([*doubt.deviations, *apart])])
    return replace(
        doubt, deviations={key: float(np.hypot(value**0.5, apart.get(key, 0.0))) for key, value in known.items()}
    )
