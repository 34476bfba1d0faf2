"""The Walsh kernel's hyper-parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Signs = npt.NDArray[np.float64]


Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Hyper:
    """The hyper-parameters of one kernel, for standardised values.

    ``log_h`` (n,) are the logarithms of the features' h, ``log_scale`` that of a, ``log_noise`` that of the
    variance of what no function of the mask explains, ``log_local`` (D,) those of the b_d of neighbours.
    """

    log_h: Vector
    log_scale: float
    log_noise: float
    log_local: Vector = field(default_factory=lambda: np.empty(0))

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

    @property
    def total(self) -> float:
        """k(m, m): the prior variance of all coefficients together."""
        near = sum(b * float(self.w[:-d] @ self.w[d:]) for d, b in self.local)
        return float(np.exp(self.log_scale)) * (1.0 + near)

    @property
    def local(self) -> list[tuple[int, float]]:
        """Every distance d of neighbours, with its b_d."""
        return list(enumerate(np.exp(self.log_local).tolist(), start=1))

    def packed(self) -> Vector:
        """All of them in one vector (n + 2 + D,): log h, log a, log noise, log b."""
        return np.concatenate([self.log_h, [self.log_scale, self.log_noise], self.log_local])

    @classmethod
    def unpacked(cls, theta: Vector, n: int) -> Hyper:
        """The hyper-parameters of n features that `packed` wrote."""
        return cls(theta[:n].copy(), float(theta[n]), float(theta[n + 1]), theta[n + 2 :].copy())


def gradient_of(hyper: Hyper, by_feature: Vector, pairs: list[Vector], total: float, trace: float) -> Vector:
    """The gradient of the negative log likelihood from sums over pairs of ablations (i, i').

    ``by_feature`` (n,) sums M k z_j z'_j, ``pairs[d - 1]`` (n - d,) sums M times the product kernel times the product
    of both ablations' neighbours at distance d, ``total`` sums M k, and ``trace`` is that of M.
    """
    w, h = hyper.w, np.exp(hyper.log_h)
    by_w = np.zeros_like(w)
    by_local = []
    for (d, b), sums in zip(hyper.local, pairs, strict=True):
        by_w[:-d] += b * w[d:] * sums
        by_w[d:] += b * w[:-d] * sums
        by_local.append(b * float((w[:-d] * w[d:]) @ sums))
    by_h = by_feature - total + by_w * (1.0 - w**2)  # dk/dh_j = k (z_j z'_j - 1), dw/dh = 1 - w^2
    return 0.5 * np.concatenate([by_h * h, [total, trace * hyper.noise], by_local])
