"""The inverse covariance by PyTorch, on any of its devices: in single precision where that can be shown to be safe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interplay._errors import InterplayError
from interplay.estimators._gp.hyper import Hyper, Signs, Vector
from interplay.estimators._gp.kernel_torch import moved

_MANY = 4000  # ablations from which the time that single precision saves is worth its check
_ROUNDS = 20  # of refinement: one that converges at all gains a digit or more each
_EXACT = 1e-11  # of the values: what refinement leaves of the residual in double precision
_PROBES = 16  # columns of the inverse that are solved in double precision, to see what single precision made of them
_CLOSE = 1e-3  # of a diagonal entry: leave-one-out errors are then known to a thousandth
_BLOCK = 1 << 27  # entries of a block of products on the device: 512 MiB in single precision


@dataclass(frozen=True)
class TorchInverse:
    """K^-1 (N, N) as a tensor on its device."""

    matrix: Any

    @property
    def diagonal(self) -> Vector:
        """K^-1[i, i], (N,)."""
        entries: Vector = self.matrix.diagonal().double().cpu().numpy()
        return entries

    def overlaps(self, rows: npt.NDArray[np.int8], variances: Vector) -> Vector:
        """As `Inverse.overlaps`: sum_k v_k chi_k(i) (K^-1 chi_k)(i), without any other N x N matrix."""
        import torch

        total = torch.zeros(len(self.matrix), dtype=torch.float64, device=self.matrix.device)
        shares = torch.as_tensor(variances, device=self.matrix.device)
        for part, block, product in self._products(rows):
            total += ((block * product).double() * shares[part, None]).sum(dim=0)
        out: Vector = total.cpu().numpy()
        return out

    def quadratics(self, rows: npt.NDArray[np.int8]) -> Vector:
        """As `Inverse.quadratics`."""
        import torch

        sums = [(block * product).double().sum(dim=1) for _, block, product in self._products(rows)]
        out: Vector = torch.cat(sums).cpu().numpy() if sums else np.empty(0)
        return out

    def _products(self, rows: npt.NDArray[np.int8]) -> Any:
        """Blocks of rows, on the device, and what they give times the matrix."""
        import torch

        step = max(1, _BLOCK // rows.shape[1])
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            block = torch.as_tensor(rows[part], device=self.matrix.device).to(self.matrix.dtype)
            yield part, block, block @ self.matrix


def torch_solved(
    signs: Signs, values: Vector, hyper: Hyper, device: str, *, single: bool | None = None
) -> tuple[Vector, TorchInverse]:
    """As `interplay.estimators._gp.inverse.solved`, on a ``device``.

    ``single`` tries single precision first: K^-1 y is refined against the covariance in double precision, and some of
    the inverse's diagonal is compared with it. Where either fails, all is double. None tries it for many ablations.
    """
    import torch

    z = moved(signs, device)
    y = torch.as_tensor(values, device=z.device)
    covariance = _covariance(z, hyper)
    if len(signs) >= _MANY if single is None else single:
        found = _in_single(covariance, y)
        if found is not None:
            alpha, matrix = found
            return alpha.cpu().numpy(), TorchInverse(matrix)
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if int(failed):
        raise InterplayError(f"the covariance of {len(z)} ablations is numerically singular on {z.device}.")
    del covariance
    matrix = torch.cholesky_inverse(lower)
    return (matrix @ y).cpu().numpy(), TorchInverse(matrix)


def _in_single(covariance: Any, y: Any) -> tuple[Any, Any] | None:
    """K^-1 y in double precision and K^-1 in single, from a factor in single; None where that is too coarse.

    Iterative refinement (Wilkinson 1963): residuals are those of the covariance in double precision.
    """
    import torch

    lower, failed = torch.linalg.cholesky_ex(covariance.float())
    if int(failed):
        return None
    probes = torch.linspace(0, len(y) - 1, min(_PROBES, len(y)), device=y.device).long()
    columns = torch.arange(len(probes), device=y.device)
    right = torch.zeros(len(y), 1 + len(probes), dtype=y.dtype, device=y.device)
    right[:, 0] = y
    right[probes, 1 + columns] = 1.0
    found, before = torch.zeros_like(right), float("inf")
    for _ in range(_ROUNDS):
        residual = right - covariance @ found
        left = float((residual.norm(dim=0) / right.norm(dim=0)).max())
        if left <= _EXACT:
            break
        if not left < 0.5 * before:  # it does not converge; NaN is no less than anything
            return None
        found, before = found + torch.cholesky_solve(residual.float(), lower).double(), left
    else:
        return None
    matrix = torch.cholesky_inverse(lower)
    exact, light = found[probes, 1 + columns], matrix.diagonal()[probes].double()
    if float(((light - exact) / exact).abs().max()) > _CLOSE:
        return None
    return found[:, 0], matrix


def _covariance(z: Any, hyper: Hyper) -> Any:
    """The covariance (N, N) of noisy values in double precision, with one other matrix of its size at a time."""
    import torch

    h = torch.as_tensor(np.exp(hyper.log_h), device=z.device)
    w = torch.tanh(h)
    covariance = torch.exp_((z * h) @ z.T - (h.sum() - hyper.log_scale))
    near = torch.ones_like(covariance) if hyper.local else None
    for d, b in hyper.local:
        pairs = z[:, :-d] * z[:, d:]
        near.addmm_(pairs * (b * w[:-d] * w[d:]), pairs.T)  # type: ignore[union-attr]
    if near is not None:
        covariance *= near
    covariance.diagonal().add_(hyper.noise)
    return covariance
