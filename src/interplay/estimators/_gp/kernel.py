"""The Walsh product kernel, and the evidence of its hyper-parameters with an analytic gradient.

With signs ``z = 1 - 2m`` in {+1, -1}, the kernel

    k(m, m') = a exp(sum_j h_j z_j z'_j - sum_j h_j),    h_j = atanh(w_j) > 0,

is a prior over games under which the Walsh-Fourier coefficients are independent and ``Var F(S) = c prod_{j in S} w_j``
with ``c = a prod_j 1/(1 + w_j)``: sparse in features, decaying in order, every order allowed. Expanding
``exp(h zz') = cosh h (1 + w zz')`` gives the one from the other.

Features come in an order, and neighbours (words side by side) interact more often than strangers. So k is multiplied
by ``1 + sum_d b_d sum_i w_i w_{i+d} z_i z_{i+d} z'_i z'_{i+d}`` over distances d of 1 to 3: a set that holds neighbours
gains prior variance, by factors b_d that the evidence finds and that fall to nothing where order means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

from interplay.estimators._gp.hyper import Hyper, Signs, Vector, gradient_of

# The prior of the hyper-parameters, for standardised values. Each line: the centre and the standard deviation.
_SCALE_PRIOR = (np.log(0.6), 1.0)  # log a: most of the unit variance of the values is the mask's doing
_NOISE_PRIOR = (np.log(0.1), 2.0)  # log noise variance: wide, for games without noise and for sampled answers
# Log of the mean order of a set drawn in proportion to its prior variance. The former one, 1.5 (.7), cost .027 of R² at
# n log2(n) / 4 ablations (18 games, five designs each) and nothing at twice that; lower or tighter: within .003.
_DEGREE_PRIOR = (np.log(0.5), 0.4)
_LOCAL_PRIOR = (np.log(0.5), 1.5)  # log b_d: wide, so that the evidence decides; R² +.008 in the mean of 45 cases
_DISTANCES = 3  # between features that count as neighbours; each costs as much as n features more
MANY_FEATURES = 500  # beyond, products of signs are in single precision, and only features side by side are near
_LIGHT = 400  # ablations beyond which gradients, not values, are summed in single precision, at half the time
_FREEDOM = 3.0  # of Student's t for log h_j around their mean: most alike, a few far off; a Gaussian does as well
# w = tanh(h) stays below 1, where ablations repeat one another in the kernel, and may fall to 4e-8, a feature switched
# off; the noise stays above 8e-7, so that the Cholesky factor exists in double precision.
_BOUNDS = ((-17.0, 0.8), (-7.0, 7.0), (-14.0, 3.5), (-7.0, 7.0))  # of log h_j, log a, log noise, log b_d


def kernel(left: Signs, right: Signs, hyper: Hyper) -> Signs:
    """k between signs (A, n) and (B, n), shape (A, B)."""
    return product_kernel(left, right, hyper) * nearness(left, right, hyper)


def product_kernel(left: Signs, right: Signs, hyper: Hyper) -> Signs:
    """The kernel without what neighbours add."""
    h = np.exp(hyper.log_h)
    out = _product(left * h, right)
    out -= h.sum() - hyper.log_scale
    return np.exp(out, out=out)


def _product(left: Signs, right: Signs) -> Signs:
    """``left @ right.T``; of many columns in single precision, whose rounding is far below any noise that is fitted."""
    if left.shape[1] <= MANY_FEATURES:
        return np.asarray(left @ right.T)
    return np.asarray(left.astype(np.float32) @ right.T.astype(np.float32), dtype=np.float64)


def nearness(left: Signs, right: Signs, hyper: Hyper) -> Signs:
    """What neighbours multiply the kernel by: the matrix (A, B), or the number 1 (as an array) without them."""
    out = np.ones(())
    w = hyper.w
    for d, b in hyper.local:
        out = out + _product(neighbours(left, d) * (b * w[:-d] * w[d:]), neighbours(right, d))
    return out


def neighbours(signs: Signs, d: int) -> Signs:
    """The products z_i z_{i+d} of signs (N, n), shape (N, n - d)."""
    return np.asarray(signs[:, :-d] * signs[:, d:])


@dataclass(frozen=True)
class Evidence:
    """The negative log posterior density of hyper-parameters given values, up to a constant.

    The values' Gaussian marginal likelihood times a weak prior: log h_j follow Student's t of scale ``spread``
    around their own mean, and the mean order of a set, weighted by its prior variance, is about a half whatever n is.

    Attributes
    ----------
    signs
        (N, n), +1 where ablated.
    values
        (N,), standardised; or (N, G) of G outputs that share hyper-parameters: their mean log likelihood counts.
    device
        Where PyTorch does the linear algebra; None for NumPy.
    light
        Whether NumPy does it in single precision: half the time, and enough to search by.
    """

    signs: Signs
    values: Vector
    device: str | None = None
    light: bool = False

    @property
    def n(self) -> int:
        """The number of features."""
        return int(self.signs.shape[1])

    def start(self) -> Vector:
        """Where a search starts: all features alike, (n + 2 + D,)."""
        log_h = np.full(self.n, np.log(min(0.5, 1.5 / self.n)))
        distances = _DISTANCES if self.n <= MANY_FEATURES else 1
        local = np.full(min(distances, self.n - 1), _LOCAL_PRIOR[0])
        return np.concatenate([log_h, [_SCALE_PRIOR[0], _NOISE_PRIOR[0]], local])

    def __call__(self, theta: Vector, spread: float = 1.0) -> tuple[float, Vector]:
        """The negative log density at ``theta`` (n + 2 + D,) and its gradient; infinite outside the bounds."""
        n = self.n
        if not _inside(theta, n):
            return float("inf"), np.zeros_like(theta)
        likelihood = self._likelihood(theta)
        if likelihood is None:
            return float("inf"), np.zeros_like(theta)
        value, gradient = likelihood
        prior, slope = spread_prior(theta[:n], spread)
        value += prior
        gradient[:n] += slope
        degree, slope = _degree(theta[:n])
        value += _gaussian(float(np.log(degree)), _DEGREE_PRIOR)
        gradient[:n] += (np.log(degree) - _DEGREE_PRIOR[0]) / _DEGREE_PRIOR[1] ** 2 * slope / degree
        local = [(place, _LOCAL_PRIOR) for place in range(n + 2, len(theta))]
        for place, prior_of in ((n, _SCALE_PRIOR), (n + 1, _NOISE_PRIOR), *local):
            value += _gaussian(float(theta[place]), prior_of)
            gradient[place] += (theta[place] - prior_of[0]) / prior_of[1] ** 2
        return value, gradient

    def _likelihood(self, theta: Vector) -> tuple[float, Vector] | None:
        # d/dtheta of 1/2 y'K^-1 y + 1/2 log|K| is 1/2 sum(M * dK/dtheta) with M = K^-1 - alpha alpha'.
        hyper = Hyper.unpacked(theta, self.n)
        if self.device is not None:
            from interplay.estimators._gp.kernel_torch import torch_likelihood

            return torch_likelihood(self._moved, self.values, hyper)
        # Everything is symmetric, so only lower triangles are computed, in Fortran order as BLAS has them; what lies
        # above is zero in the weights, and so never counts.
        single = self.light
        potrf, potrs, potri = (
            (lapack.spotrf, lapack.spotrs, lapack.spotri) if single else (lapack.dpotrf, lapack.dpotrs, lapack.dpotri)
        )
        h = np.exp(hyper.log_h)
        product = _triangle(self._signs, h)  # the exponent of the kernel: sum_j h_j z_j z'_j
        product -= h.sum() - hyper.log_scale
        np.exp(product, out=product)
        ends = np.cumsum([self.n - d for d, _ in hyper.local])
        pairs = self._neighbours[:, : ends[-1]] if len(ends) else self._signs[:, :0]
        near = _triangle(pairs, np.concatenate([h[:0], *(b * hyper.w[:-d] * hyper.w[d:] for d, b in hyper.local)]))
        near += 1.0
        covariance = product * near
        covariance[np.diag_indices(len(covariance))] += hyper.noise
        lower, failed = potrf(covariance, lower=1, overwrite_a=1)
        if failed:
            return None
        # log|K| / 2 is the sum of the logarithms of the factor's diagonal (Rasmussen & Williams 2006, eq. 5.8 and 5.9).
        alpha, _ = potrs(lower, self.values, lower=1)
        outputs = alpha.size // len(alpha)
        fit = np.vdot(self.values, alpha) / outputs
        value = 0.5 * float(fit) + float(np.log(np.diagonal(lower)).sum(dtype=np.float64))
        weight, _ = potri(lower, lower=1, overwrite_c=1)
        trace = float(np.trace(weight) - np.vdot(alpha, alpha) / outputs)
        if alpha.ndim == 1:
            rank_one = blas.ssyr if single else blas.dsyr
            weight = rank_one(-1.0, alpha, lower=1, a=weight, overwrite_a=1)
        else:
            syrk = blas.ssyrk if single else blas.dsyrk
            weight = syrk(-1.0 / outputs, alpha, beta=1.0, c=weight, lower=1, overwrite_c=1)
        weight[np.diag_indices(len(weight))] *= 0.5  # z' (L + L') z is 2 z' L z
        weight *= product  # what a change of the second factor weighs
        light = np.float32 if single or len(weight) > _LIGHT else np.float64
        by_pair = 2.0 * _quadratic(weight, pairs, light)
        weight *= near  # what a change of the first weighs
        by_feature = 2.0 * _quadratic(weight, self._signs, light)
        by_distance = np.split(by_pair, ends)[: len(ends)]
        total = 2.0 * float(weight.sum(dtype=np.float64))
        return value, gradient_of(hyper, by_feature, by_distance, total, trace)

    @cached_property
    def _signs(self) -> Signs:
        """The signs in the precision of the linear algebra."""
        return self.signs.astype(np.float32) if self.light else self.signs

    @cached_property
    def _moved(self) -> Any:
        """The signs on the device."""
        from interplay.estimators._gp.kernel_torch import moved

        return moved(self.signs, str(self.device))

    @cached_property
    def _neighbours(self) -> Signs:
        """The neighbours at all distances side by side."""
        distances = range(1, min(_DISTANCES if self.n <= MANY_FEATURES else 1, self.n - 1) + 1)
        return np.hstack([self._signs[:, :0], *(neighbours(self._signs, d) for d in distances)])


def _triangle(columns: Signs, weights: Vector) -> Signs:
    """The lower triangle of ``(columns * weights) @ columns.T`` for nonnegative weights, zeros above; Fortran order."""
    if not columns.shape[1]:
        return np.zeros((len(columns), len(columns)), columns.dtype, order="F")
    scaled = columns * np.sqrt(weights).astype(columns.dtype, copy=False)
    product = blas.ssyrk if columns.dtype == np.float32 else blas.dsyrk
    return np.asarray(product(1.0, scaled.T, trans=1, lower=1))


def _quadratic(weight: Signs, columns: Signs, precision: type[np.floating[Any]]) -> Vector:
    """z' W z for every column z of ``columns`` (N, K), shape (K,)."""
    light = columns.astype(precision, copy=False)
    return np.asarray(np.einsum("ij,ij->j", light, weight.astype(precision, copy=False) @ light), dtype=np.float64)


def maximise(evidence: Evidence, *, start: Vector | None = None, steps: int = 40, gain: float = 1e-7) -> Vector:
    """The most probable hyper-parameters (n + 2 + D,), by L-BFGS, until a step gains a share of less than ``gain``."""
    from scipy.optimize import minimize

    first = evidence.start() if start is None else start
    bounds = [_BOUNDS[0]] * evidence.n + [_BOUNDS[1], _BOUNDS[2]] + [_BOUNDS[3]] * (len(first) - evidence.n - 2)

    def finite(theta: Vector) -> tuple[float, Vector]:
        value, gradient = evidence(theta)
        return (value, gradient) if np.isfinite(value) else (1e10, gradient)  # a wall, from which the search steps back

    found = minimize(
        finite,
        first,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": steps, "gtol": 1e-3, "ftol": gain},
    )
    return np.asarray(found.x, dtype=np.float64)


def spread_prior(log_h: Vector, spread: float) -> tuple[float, Vector]:
    """Minus the log density of Student's t of scale ``spread`` around the mean of log h (n,), and its gradient."""
    away = log_h - log_h.mean()
    value = (_FREEDOM + 1) / 2 * float(np.log1p(away**2 / (_FREEDOM * spread**2)).sum())
    slope = (_FREEDOM + 1) * away / (_FREEDOM * spread**2 + away**2)
    return value, slope - slope.mean()


def _degree(log_h: Vector) -> tuple[float, Vector]:
    """The mean order of a set drawn in proportion to its prior variance, and its gradient by log h."""
    h = np.exp(log_h)
    # Drawn in proportion to prod w_j, feature j is in the set with probability w_j / (1 + w_j), independently.
    w = np.tanh(h)
    return float((w / (1 + w)).sum()), (1 - w) / (1 + w) * h


def _gaussian(value: float, prior: tuple[float, float]) -> float:
    return 0.5 * ((value - prior[0]) / prior[1]) ** 2


def _inside(theta: Vector, n: int) -> bool:
    parts = (theta[:n], theta[n : n + 1], theta[n + 1 : n + 2], theta[n + 2 :])
    return all(low <= value <= high for part, (low, high) in zip(parts, _BOUNDS, strict=True) for value in part)
