"""A Gaussian process on more ablations than a dense covariance allows: its strongest coefficients, fitted to all.

The sets are found on as many ablations as fit, then again with the errors of the fit on all. Given the sets the
posterior is a ridge regression in as many unknowns as there are sets, whose ridge is the prior; the variance of all
other sets counts as noise. Memory grows with the square of the sets, not of the ablations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from interplay._game.masks import Masks
from interplay._spectrum.characters import Features, characters_of, signs_of
from interplay.estimators._gp.beam import strongest
from interplay.estimators._gp.hyper import Hyper, Signs, Vector
from interplay.estimators._gp.posterior import Posterior
from interplay.estimators._gp.prior import prior_variances

_ROWS = 4096  # ablations whose characters are in memory at once: 48 MiB for 3,000 sets
_ROUNDS = 2  # searches: on as many ablations as fit, then once more with the errors on all


@dataclass(frozen=True)
class Support:
    """The posterior of the coefficients of K ``sets``: means (K,), deviations (K,), unseen predictions (N,)."""

    sets: list[Features]
    means: Vector
    deviations: Vector
    left_out: Vector


def fit_support(
    masks: Masks,
    signs: Signs,
    values: Vector,
    hyper: Hyper,
    *,
    dense: int,
    order: int,
    width: int,
    most: int,
    device: str | None = None,
) -> Support:
    """Fit the strongest sets to all ``masks`` (N, n), also given as ``signs``, and standardised ``values`` (N,)."""
    first = Posterior.of(signs[:dense], values[:dense], [hyper], device)
    alphas, seen = first.alphas, signs[:dense]
    for _ in range(_ROUNDS):
        found = strongest(seen, [hyper], alphas, order=order, width=width, most=most)
        support, alpha = _ridge(masks, values, hyper, [(), *found])
        alphas, seen = alpha[None], signs
    return support


def _ridge(masks: Masks, values: Vector, hyper: Hyper, sets: list[Features]) -> tuple[Support, Vector]:
    variances = prior_variances(hyper, sets)
    # What the sets do not hold varies like noise over random masks: characters of other sets are uncorrelated.
    noise = hyper.noise + max(0.0, hyper.total - float(variances.sum()))
    root = np.sqrt(variances)
    gram = np.zeros((len(sets), len(sets)))
    moment = np.zeros(len(sets))
    for start in range(0, len(values), _ROWS):
        block = characters_of(signs_of(masks[start : start + _ROWS]), sets).astype(np.float32)
        gram += block @ block.T  # sums of at most 4,096 signs: exact in single precision
        moment += block @ values[start : start + _ROWS]
    gram *= np.multiply.outer(root, root)  # in units of the prior, so that the ridge is the identity
    gram.flat[:: len(sets) + 1] += noise
    factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    # In weights u = F / root with prior N(0, 1): (A'A + noise I) u = A'y for A = characters * root.
    means = root * cho_solve(factor, root * moment, check_finite=False)
    inverse = cho_solve(factor, np.eye(len(sets)), check_finite=False)
    deviations = root * np.sqrt(noise * np.diagonal(inverse))
    fitted, leverage = np.empty(len(values)), np.empty(len(values))
    light = (inverse * np.multiply.outer(root, root)).astype(np.float32)
    for start in range(0, len(values), _ROWS):
        block = characters_of(signs_of(masks[start : start + _ROWS]), sets).astype(np.float32)
        fitted[start : start + _ROWS] = means @ block
        leverage[start : start + _ROWS] = np.einsum("ij,ij->j", block, light @ block)
    # The left-out error of a ridge regression is the residual over 1 - leverage; and K^-1 y is residual / noise, for
    # the kernel of these sets: so the beam search can go on from here without any N x N matrix.
    residual = values - fitted
    left_out = values - residual / np.maximum(1.0 - leverage, 1e-6)
    return Support(sets, means, deviations, left_out), residual / noise
