"""Coefficients of given sets from values and slopes, alternating with the calibration of the slopes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, lapack

from interplay._spectrum.characters import Features, characters_of, signs_of
from interplay.estimators._slopes.observations import Observations, Rows, Vector

_SHARED = 1.0  # times as large as the rest is the part of a slope's error that all masks share, until the data say
_LITTLE, _MUCH = 0.1, 30.0  # the least and the most of it: thousands of slopes must not outvote the values
_TRUST = 10.0  # how many slopes' worth of evidence stands for beta = 1
_LOST = 0.3  # of a slope's mean square is error, until the data say otherwise
_EVEN = 0.8  # better than 1 or .6 on heads and training examples
_LEAST = 1e-6  # noise variances, in units of the values' variance
_ROWS = 4096  # ablations whose characters are in memory at once as floats

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Calibration:
    """``slope = beta_{h,s} jump + error of variance tau2_{h,s}``, and ``noise``, the variance of values around sets.

    ``beta`` and ``tau2`` are (2, n): row s = 0 for ablated features, 1 for kept ones. ``decay`` (order + 1,) is the
    prior variance of a set of each size over the product of its features' weights. ``shared`` is the variance, in
    units of tau2, of what is the same in the errors of a feature and state in all masks: a gate that is not linear errs
    on one side, and no number of masks averages it out.
    """

    beta: Vector
    tau2: Vector
    noise: float
    decay: Vector
    shared: float = _SHARED

    @classmethod
    def guess(cls, seen: Observations, order: int) -> Calibration:
        """Before anything is fitted: slopes are jumps, but for a part of their mean square."""
        tau2 = np.maximum(_LOST * 4.0 * seen.influences(), _LEAST)
        decay = np.array([1.0, *(0.5**size for size in range(order))])
        return cls(np.ones((2, seen.n)), np.stack([tau2, tau2]), _LOST, decay)


@dataclass(frozen=True, eq=False)
class Posterior:
    """Coefficients of K sets: means (K,) and their covariance (K, K)."""

    means: Vector
    covariance: Floats


def shrunk(products: Vector, sizes: npt.NDArray[np.intp] | int) -> Vector:
    """What the prior takes of products of features' weights: sets of several are less unlike than their products."""
    return np.asarray(np.where(np.asarray(sizes) > 1, products**_EVEN, products))


class Equations:
    """The normal equations of K sets: made once, weighted by every calibration.

    A slope of feature h touches only the sets that hold h, so each block (h, state) adds to their rows and columns.
    """

    def __init__(self, seen: Observations, sets: list[Features], weights: Vector) -> None:
        self.seen, self.sets = seen, sets
        self.sizes = np.array([len(features) for features in sets])
        self.products = shrunk(np.array([weights[list(features)].prod() for features in sets]), self.sizes)
        self.characters = characters_of(signs_of(seen.signs < 0), sets)  # (K, N)
        self.holding = _holding(sets, seen.n)
        self.gram = np.zeros((len(sets), len(sets)))
        for first in range(0, len(seen.values), _ROWS):
            part = self.characters[:, first : first + _ROWS].astype(np.float32)
            self.gram += part @ part.T  # sums of at most 4,096 signs: exact in single precision
        self.moment = self.characters @ seen.values
        self.blocks = {}
        for h, state, rows in seen.blocks():
            if len(self.holding[h]):
                self.blocks[h, state] = (rows, *self._summed(h, rows))

    def jumps(self, h: int, rows: Rows) -> Floats:
        """What every set that holds h adds to the jump of h at ``rows``: -2 chi_{S without h}, (K_h, R)."""
        chi = self.characters[np.ix_(self.holding[h], rows)].astype(np.float32)
        return np.asarray(-2.0 * chi * self.seen.signs[rows, h])

    def _summed(self, h: int, rows: Rows) -> tuple[Vector, Vector, Vector]:
        """Sums over rows of products of the jumps of h with one another, with its slopes, and of the jumps alone."""
        size = len(self.holding[h])
        products, moments, total = np.zeros((size, size)), np.zeros(size), np.zeros(size)
        slopes = self.seen.slopes[rows, h]
        for first in range(0, len(rows), _ROWS):
            part = self.jumps(h, rows[first : first + _ROWS])
            products += part @ part.T
            moments += part @ slopes[first : first + _ROWS]
            total += part.sum(axis=1)
        return products, moments, total

    def solve(self, calibration: Calibration) -> Posterior:
        """The posterior of the coefficients under a calibration."""
        matrix, right = self.gram / calibration.noise, self.moment / calibration.noise
        for (h, state), (rows, products, moments, total) in self.blocks.items():
            weight = calibration.beta[state, h] / calibration.tau2[state, h]
            inside, share = self.holding[h], _share(calibration.shared, len(rows))
            apart = products - share * np.multiply.outer(total, total)
            matrix[np.ix_(inside, inside)] += weight * calibration.beta[state, h] * apart
            right[inside] += weight * (moments - share * self.seen.slopes[rows, h].sum() * total)
        matrix.flat[:: len(matrix) + 1] += 1.0 / (calibration.decay[self.sizes] * self.products)
        root = np.sqrt(np.diagonal(matrix))
        matrix /= np.multiply.outer(root, root)
        factor, lower = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        means = cho_solve((factor, lower), right / root, check_finite=False) / root
        inverse, _ = lapack.spotri(factor.astype(np.float32), lower=1, overwrite_c=1)
        inverse = np.tril(inverse)
        inverse += np.tril(inverse, -1).T
        return Posterior(means, inverse / np.multiply.outer(root, root).astype(np.float32))

    def calibrated(self, posterior: Posterior, before: Calibration) -> Calibration:
        """One step of expectation-maximisation: what the posterior says of slopes, noise and prior variances."""
        beta, tau2, common = before.beta.copy(), before.tau2.copy(), []
        moments = {key: self._agreement(key, posterior) for key in self.blocks}
        for (h, state), (rows, *_) in self.blocks.items():
            jumps, doubt, doubt_of_sum = moments[h, state]
            slopes = self.seen.slopes[rows, h]
            size = float(slopes @ slopes) / len(rows)
            prior = _TRUST * size
            beta[state, h] = (slopes @ jumps + prior) / (jumps @ jumps + doubt + prior + _LEAST)
            error = slopes - beta[state, h] * jumps
            share = _share(before.shared, len(rows))
            squares = error @ error - share * error.sum() ** 2 + beta[state, h] ** 2 * doubt
            tau2[state, h] = max((squares + _LOST * size) / (len(rows) + 1.0), _LEAST * max(size, _LEAST))
            mean = share**2 * (error.sum() ** 2 + beta[state, h] ** 2 * doubt_of_sum)
            common.append(share + mean / tau2[state, h])
        shared = float(np.clip(np.mean(common), _LITTLE, _MUCH)) if common else before.shared
        noise = self._noise(posterior)
        squares_of = posterior.means**2 + np.diagonal(posterior.covariance)
        decay = before.decay.copy()
        for size_ in range(1, len(decay)):
            of_size = self.sizes == size_
            if of_size.sum() > 5:
                decay[size_] = np.clip(squares_of[of_size].sum() / self.products[of_size].sum(), 1e-3, 1e3)
        return Calibration(beta, tau2, noise, decay, shared)

    def _agreement(self, key: tuple[int, int], posterior: Posterior) -> tuple[Vector, float, float]:
        """A block's jumps by the posterior mean, (R,), the sum of their variances, and the variance of their sum."""
        h, _ = key
        (rows, *_, total), inside = self.blocks[key], self.holding[h]
        covariance = posterior.covariance[np.ix_(inside, inside)]
        jumps, doubt = np.empty(len(rows)), 0.0
        for first in range(0, len(rows), _ROWS):
            part = self.jumps(h, rows[first : first + _ROWS])
            jumps[first : first + _ROWS] = posterior.means[inside] @ part
            doubt += float(np.einsum("ij,ij->", covariance @ part, part))
        return jumps, doubt, float(total @ covariance @ total)

    def _noise(self, posterior: Posterior) -> float:
        total = 0.0
        for first in range(0, len(self.seen.values), _ROWS):
            part = self.characters[:, first : first + _ROWS].astype(np.float32)
            error = self.seen.values[first : first + _ROWS] - posterior.means @ part
            total += float(error @ error) + float(np.einsum("ij,ij->", posterior.covariance @ part, part))
        return max(total / len(self.seen.values), _LEAST)


def _share(shared: float, count: int) -> float:
    """The inverse of ``I + shared 1 1'`` of so many rows is ``I - share 1 1'``."""
    return shared / (1.0 + shared * count)


def _holding(sets: list[Features], n: int) -> list[npt.NDArray[np.intp]]:
    """For every feature the positions of the sets that hold it."""
    found: list[list[int]] = [[] for _ in range(n)]
    for position, features in enumerate(sets):
        for h in features:
            found[h].append(position)
    return [np.array(positions, dtype=np.intp) for positions in found]
