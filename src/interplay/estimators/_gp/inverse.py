"""The inverse covariance of noisy values, and what is read off it: by NumPy here, by PyTorch on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

from interplay._errors import InterplayError
from interplay.estimators._gp.hyper import Hyper, Signs, Vector
from interplay.estimators._gp.kernel import kernel

_BLOCK = 1 << 22  # entries of a block of products: 32 MiB


class Inverse(Protocol):
    """K^-1 for N ablations and one draw of the hyper-parameters, wherever it lies."""

    @property
    def diagonal(self) -> Vector:
        """K^-1[i, i], (N,)."""
        ...

    def overlaps(self, rows: npt.NDArray[np.int8], variances: Vector) -> Vector:
        """The sums over i' of K_sets[i, i'] K^-1[i', i], (N,).

        K_sets is the kernel of K sets alone, of prior ``variances`` (K,) and chi_S(m_i) ``rows`` (K, N).
        """
        ...

    def quadratics(self, rows: npt.NDArray[np.int8]) -> Vector:
        """chi' K^-1 chi for every row chi, (K,)."""
        ...


def solved(signs: Signs, values: Vector, hyper: Hyper, device: str | None = None) -> tuple[Vector, Inverse]:
    """K^-1 y (N,) and K^-1 for values (N,) at ``signs`` (N, n); by PyTorch on a ``device``."""
    if device is None:
        inverse = HostInverse.of(signs, hyper)
        return inverse.matrix @ values, inverse
    from interplay.estimators._gp.inverse_torch import torch_solved

    return torch_solved(signs, values, hyper, device)


@dataclass(frozen=True)
class HostInverse:
    """K^-1 (N, N) in memory; what is summed from it in ``precision``."""

    matrix: Signs
    precision: type[np.floating[Any]]

    @classmethod
    def of(cls, signs: Signs, hyper: Hyper) -> HostInverse:
        """That of the covariance of noisy values at ``signs`` (N, n)."""
        covariance = kernel(signs, signs, hyper)
        covariance.flat[:: len(signs) + 1] += hyper.noise
        # The transposed view of a symmetric C-ordered matrix is the matrix in Fortran order: LAPACK works in place.
        lower, failed = lapack.dpotrf(covariance.T, lower=1, overwrite_a=1)
        if failed:
            raise InterplayError(
                f"the covariance of {len(signs)} ablations is numerically singular at noise {hyper.noise:.1e}: "
                "this is a fault of interplay; fit with method='lasso' and report it."
            )
        inverse, _ = lapack.dpotri(lower, lower=1, overwrite_c=1)
        # dpotrf has cleared the other triangle, so the sum with the transpose counts only the diagonal twice.
        symmetric: Signs = inverse + inverse.T
        symmetric.flat[:: len(symmetric) + 1] *= 0.5
        # Single precision is twice as fast; its rounding, times 1 / noise, must stay far below 1.
        return cls(symmetric, np.float32 if hyper.noise > 1e-3 else np.float64)

    @property
    def diagonal(self) -> Vector:
        """K^-1[i, i], (N,)."""
        return np.diagonal(self.matrix)

    def overlaps(self, rows: npt.NDArray[np.int8], variances: Vector) -> Vector:
        """As `Inverse.overlaps`."""
        own_rows = rows.astype(self.precision)
        part = (own_rows.T * variances.astype(self.precision)) @ own_rows  # the kernel of these sets alone, (N, N)
        return np.asarray(np.einsum("ij,ij->i", part, self.matrix.astype(self.precision, copy=False)))

    def quadratics(self, rows: npt.NDArray[np.int8]) -> Vector:
        """As `Inverse.quadratics`."""
        light = self.matrix.astype(self.precision, copy=False)
        step = max(1, _BLOCK // rows.shape[1])
        parts = []
        for first in range(0, len(rows), step):
            block = rows[first : first + step].astype(self.precision)
            parts.append(np.einsum("ij,ij->i", block @ light, block).astype(np.float64))
        return np.concatenate(parts) if parts else np.empty(0)
