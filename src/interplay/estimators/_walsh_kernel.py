"""The Walsh product kernel, and the evidence of its hyper-parameters with an analytic gradient.

With signs ``z = 1 - 2m`` in {+1, -1}, the kernel

    k(m, m') = a exp(sum_j h_j z_j z'_j - sum_j h_j),    h_j = atanh(w_j) > 0,

is a prior over games under which the Walsh-Fourier coefficients are independent and ``Var F(S) = c prod_{j in S} w_j``
with ``c = a prod_j 1/(1 + w_j)``: sparse in features, decaying in order, every order allowed. Expanding
``exp(h zz') = cosh h (1 + w zz')`` gives the one from the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

from interplay._errors import InterplayError

Signs = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

# The prior of the hyper-parameters, for standardised values. Each line: the centre and the standard deviation.
_SCALE_PRIOR = (np.log(0.6), 1.0)  # log a
_NOISE_PRIOR = (np.log(0.1), 2.0)  # log noise variance
_DEGREE_PRIOR = (np.log(1.5), 0.7)  # log of the mean order of a set drawn in proportion to its prior variance
_FREEDOM = 3.0  # of Student's t for log h_j around their mean: most features alike, a few far off
_BOUNDS = ((-17.0, 0.8), (-7.0, 7.0), (-14.0, 3.5))  # of log h_j, log a, log noise


@dataclass(frozen=True)
class Hyper:
    """The hyper-parameters of one kernel, for standardised values.

    ``log_h`` (n,) are the logarithms of the features' h, ``log_scale`` that of a, ``log_noise`` that of the
    variance of what no function of the mask explains.
    """

    log_h: Vector
    log_scale: float
    log_noise: float

    @property
    def w(self) -> Vector:
        """w_j (n,): by what factor the prior variance of a coefficient falls when feature j joins its set."""
        return np.tanh(np.exp(self.log_h))

    @property
    def constant(self) -> float:
        """c: the prior variance of F({})."""
        return float(np.exp(self.log_scale - np.log1p(self.w).sum()))

    @property
    def noise(self) -> float:
        """The noise variance."""
        return float(np.exp(self.log_noise))

    def packed(self) -> Vector:
        """All of them in one vector (n + 2,): log h, log a, log noise."""
        return np.append(self.log_h, [self.log_scale, self.log_noise])

    @classmethod
    def unpacked(cls, theta: Vector) -> Hyper:
        """The hyper-parameters that `packed` wrote."""
        return cls(theta[:-2].copy(), float(theta[-2]), float(theta[-1]))


def kernel(left: Signs, right: Signs, hyper: Hyper) -> Signs:
    """k between signs (A, n) and (B, n), shape (A, B)."""
    h = np.exp(hyper.log_h)
    out = (left * h) @ right.T
    out -= h.sum() - hyper.log_scale
    return np.exp(out, out=out)


def factorised(covariance: Signs) -> tuple[Signs, float] | None:
    """The inverse and the log-determinant of a symmetric matrix (N, N), overwritten; None where it is not positive."""
    # The transposed view of a symmetric C-ordered matrix is the matrix in Fortran order: LAPACK works in place.
    lower, failed = lapack.dpotrf(covariance.T, lower=1, overwrite_a=1)
    if failed:
        return None
    log_determinant = 2.0 * float(np.log(np.diagonal(lower)).sum())
    inverse, _ = lapack.dpotri(lower, lower=1, overwrite_c=1)
    # dpotrf has cleared the other triangle, so the sum with the transpose counts only the diagonal twice.
    symmetric = inverse + inverse.T
    symmetric.flat[:: len(symmetric) + 1] *= 0.5
    return symmetric, log_determinant


def inverse_covariance(signs: Signs, hyper: Hyper, device: str | None = None) -> Signs:
    """The inverse (N, N) of the covariance of noisy values at ``signs`` (N, n); by PyTorch on a ``device``."""
    if device is not None:
        from interplay.estimators._walsh_torch import torch_inverse_covariance

        return torch_inverse_covariance(signs, hyper, device)
    covariance = kernel(signs, signs, hyper)
    covariance.flat[:: len(signs) + 1] += hyper.noise
    found = factorised(covariance)
    if found is None:
        raise InterplayError(
            f"the covariance of {len(signs)} ablations is numerically singular at noise {hyper.noise:.1e}: "
            "this is a fault of interplay; fit with method='lasso' and report it."
        )
    return found[0]


@dataclass(frozen=True)
class Evidence:
    """The negative log posterior density of hyper-parameters given values, up to a constant.

    The values' Gaussian marginal likelihood times a weak prior: log h_j follow Student's t of scale ``spread``
    around their own mean, and the mean order of a set is of the order of one or two, whatever n is.

    Attributes
    ----------
    signs
        (N, n), +1 where ablated.
    values
        (N,), standardised.
    device
        Where PyTorch does the linear algebra; None for NumPy.
    """

    signs: Signs
    values: Vector
    device: str | None = None

    def start(self) -> Vector:
        """Where a search starts: all features alike, (n + 2,)."""
        n = self.signs.shape[1]
        return np.append(np.full(n, np.log(min(0.5, 1.5 / n))), [_SCALE_PRIOR[0], _NOISE_PRIOR[0]])

    def __call__(self, theta: Vector, spread: float = 1.0) -> tuple[float, Vector]:
        """The negative log density at ``theta`` (n + 2,) and its gradient; infinite outside the bounds."""
        n = self.signs.shape[1]
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
        for place, prior_of in ((n, _SCALE_PRIOR), (n + 1, _NOISE_PRIOR)):
            value += _gaussian(float(theta[place]), prior_of)
            gradient[place] += (theta[place] - prior_of[0]) / prior_of[1] ** 2
        return value, gradient

    def _likelihood(self, theta: Vector) -> tuple[float, Vector] | None:
        # d/dtheta of 1/2 y'K^-1 y + 1/2 log|K| is 1/2 sum(M * dK/dtheta) with M = K^-1 - alpha alpha'.
        hyper = Hyper.unpacked(theta)
        if self.device is not None:
            from interplay.estimators._walsh_torch import torch_likelihood

            return torch_likelihood(self.signs, self.values, hyper, self.device)
        signal = kernel(self.signs, self.signs, hyper)
        covariance = signal.copy()
        covariance.flat[:: len(self.values) + 1] += hyper.noise
        found = factorised(covariance)
        if found is None:
            return None
        weight, log_determinant = found
        alpha = weight @ self.values
        value = 0.5 * float(self.values @ alpha) + 0.5 * log_determinant
        trace = float(np.trace(weight) - alpha @ alpha)
        weight -= np.multiply.outer(alpha, alpha)
        weight *= signal
        total = float(weight.sum())
        # dK/dh_j = K * (z_j z'_j - 1); the sum over pairs is one matrix product.
        by_feature = np.einsum("ij,ij->j", self.signs, weight @ self.signs) - total
        gradient = np.append(0.5 * by_feature * np.exp(hyper.log_h), [0.5 * total, 0.5 * trace * hyper.noise])
        return value, gradient


def maximise(
    evidence: Evidence, *, start: Vector | None = None, spread: float = 1.0, steps: int = 40, tolerance: float = 1e-3
) -> Vector:
    """The most probable hyper-parameters (n + 2,), by L-BFGS."""
    from scipy.optimize import minimize

    n = evidence.signs.shape[1]
    bounds = [_BOUNDS[0]] * n + [_BOUNDS[1], _BOUNDS[2]]

    def finite(theta: Vector) -> tuple[float, Vector]:
        value, gradient = evidence(theta, spread)
        return (value, gradient) if np.isfinite(value) else (1e10, gradient)

    found = minimize(
        finite,
        evidence.start() if start is None else start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": steps, "gtol": tolerance, "ftol": 1e-7},
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
    w = np.tanh(h)
    return float((w / (1 + w)).sum()), (1 - w) / (1 + w) * h


def _gaussian(value: float, prior: tuple[float, float]) -> float:
    return 0.5 * ((value - prior[0]) / prior[1]) ** 2


def _inside(theta: Vector, n: int) -> bool:
    lowest, highest = _BOUNDS[0]
    return bool(
        theta[:n].min() >= lowest
        and theta[:n].max() <= highest
        and all(low <= theta[n + k] <= high for k, (low, high) in enumerate(_BOUNDS[1:]))
    )
