"""The evidence of hyper-parameters by PyTorch, on any of its devices, in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from interplay._errors import InputError
from interplay.estimators._gp.hyper import Hyper, Signs, Vector, gradient_of


def moved(signs: Signs, device: str) -> Any:
    """The signs (N, n) as a tensor on the ``device``; for a whole search they are moved only once."""
    return _torch(device).as_tensor(signs, device=device)


def torch_likelihood(z: Any, values: Vector, hyper: Hyper) -> tuple[float, Vector] | None:
    """As `Evidence` with NumPy: the negative log likelihood and its gradient (n + 2,); None where not positive.

    ``z`` are the signs, `moved`.
    """
    import torch

    y = torch.as_tensor(values, device=z.device)
    product, near, covariance = _covariance(z, hyper)
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if int(failed):
        return None
    weight = torch.cholesky_inverse(lower)
    alpha = weight @ y
    value = 0.5 * float(y @ alpha) + float(torch.log(torch.diagonal(lower)).sum())
    trace = float(torch.diagonal(weight).sum() - alpha @ alpha)
    weight = (weight - torch.outer(alpha, alpha)) * product
    pairs = [_summed(weight, z[:, :-d] * z[:, d:]) for d, _ in hyper.local]
    weight = weight * near
    return value, gradient_of(hyper, _summed(weight, z), pairs, float(weight.sum()), trace)


def _summed(weight: Any, columns: Any) -> Vector:
    sums: Vector = ((weight @ columns) * columns).sum(dim=0).cpu().numpy()
    return sums


def _covariance(z: Any, hyper: Hyper) -> tuple[Any, Any, Any]:
    import torch

    h = torch.as_tensor(np.exp(hyper.log_h), device=z.device)
    product = torch.exp((z * h) @ z.T - (h.sum() - hyper.log_scale))
    near = torch.ones((), dtype=z.dtype, device=z.device)
    w = torch.tanh(h)
    for d, b in hyper.local:
        pairs = z[:, :-d] * z[:, d:]
        near = near + (pairs * (b * w[:-d] * w[d:])) @ pairs.T
    return product, near, product * near + hyper.noise * torch.eye(len(z), dtype=z.dtype, device=z.device)


def _torch(device: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise InputError(f"device={device!r} needs PyTorch: pip install 'interplay[hf]' or leave it out.") from error
    try:
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError, TypeError) as error:  # PyTorch has one for every way to lack a device
        raise InputError(f"device={device!r} is not available to PyTorch here: leave device out.") from error
    return torch
