"""The prior variance of every Walsh-Fourier coefficient under the Walsh kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interplay._spectrum.characters import Features, by_size
from interplay._spectrum.uncertainty import SetPrior
from interplay.estimators._gp.hyper import Hyper, Signs, Vector

Ids = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Prior:
    """``Var F(S) = c prod_{j in S} w_j * (boost + sum_{j in S} single_j + sum_{neighbours i, j in S} pair_ij)``.

    The second factor is what neighbours add. Where p = {i, i+d} has ``beta_p = b_d w_i w_{i+d}``, the product of both
    kernels gives S the variance of ``S xor p`` times beta_p; sorted by how much of p lies in S, that sums to

        boost = 1 + sum_p b_d w_i^2 w_{i+d}^2
        single_j = (1 - w_j^2) sum_{p = {j, k}} b_d w_k^2
        pair_ij = b_d (1 - w_i^2) (1 - w_j^2)
    """

    hyper: Hyper
    w: Vector
    boost: float
    single: Vector

    @classmethod
    def of(cls, hyper: Hyper) -> Prior:
        """The prior of these hyper-parameters."""
        w = hyper.w
        square = w**2
        single, boost = np.zeros_like(w), 1.0
        # The sums over p above, one distance at a time: slices shifted by d pair every feature with its neighbour.
        for d, b in hyper.local:
            boost += b * float(square[:-d] @ square[d:])
            single[:-d] += b * square[d:]
            single[d:] += b * square[:-d]
        return cls(hyper, w, boost, (1.0 - square) * single)

    def factors(self, ids: Ids) -> Vector:
        """What neighbours multiply the variance of K sets of equal size by; ids (K, size), result (K,)."""
        factor = self.boost + self.single[ids].sum(axis=1)
        for second in range(ids.shape[1]):
            for first in range(second):
                factor += self._pair(ids[:, first], ids[:, second])
        return np.asarray(factor)

    def factors_extended(self, ids: Ids, factors: Vector) -> Signs:
        """The factors of K sets, each extended by every one of the n features, (K, n); meaningless for its own."""
        # A new member adds its own single_j to the factor, and a pair for every neighbour that is in the set already.
        n = len(self.w)
        extended = factors[:, None] + self.single
        rows = np.arange(len(ids))
        for column in ids.T:
            for d, _ in self.hyper.local:
                for other in (column - d, column + d):
                    there = (other >= 0) & (other < n)
                    extended[rows[there], other[there]] += self._pair(column[there], other[there])
        return extended

    def variances(self, ids: Ids) -> Vector:
        """The prior variances of K sets of equal size; ids (K, size), result (K,)."""
        return np.asarray(self.hyper.constant * self.w[ids].prod(axis=1) * self.factors(ids))

    def _pair(self, first: Ids, second: Ids) -> Vector:
        strengths = np.array([0.0, *(b for _, b in self.hyper.local), 0.0])  # by distance; 0 beyond the last
        distance = np.minimum(np.abs(first - second), len(strengths) - 1)
        away = 1.0 - self.w**2  # what boost and single leave, so that a pair inside S counts b_d in all
        return np.asarray(strengths[distance] * away[first] * away[second])


def mean_prior(hypers: Sequence[Hyper], scale: float) -> SetPrior:
    """One prior in place of several draws, the geometric mean of their factors, for values of standard ``scale``.

    Without what neighbours add: it speaks for sets that were not singled out.
    """
    weights = np.exp(np.mean([np.log(hyper.w) for hyper in hypers], axis=0))
    constant = float(np.exp(np.mean([np.log(hyper.constant) for hyper in hypers])))
    return SetPrior(constant * scale**2, tuple(weights.tolist()))


def prior_variances(hyper: Hyper, sets: list[Features]) -> Vector:
    """The prior variances of K sets of any sizes, (K,)."""
    prior = Prior.of(hyper)
    out = np.empty(len(sets))
    for rows, ids in by_size(sets):
        out[rows] = prior.variances(ids)
    return out
