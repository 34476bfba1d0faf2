"""The Gaussian process on many ablations: seconds, peak memory and R² on unseen masks, on a device and here.

    python benchmarks/gp_device.py --device cuda --ablations 5000 20000
    python benchmarks/gp_device.py --device numpy --ablations 5000 20000      # no device: NumPy
    python benchmarks/gp_device.py --device numpy --ablations 20000 --dense 5000   # the default: sets fitted to all

A sparse game of ``--features`` features with sets of up to five, and noise of 0.3 of its norm. ``inverse_s`` is the
seconds of the last N x N solve, and ``precision`` what it ran in; ``apart`` is how far its K^-1 y is from a refined
one, the residual over the norm of y. One fit of 500 ablations comes first, to load libraries.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np

from interplay.estimators import GP
from interplay.estimators._gp.inverse import solved
from interplay.estimators._gp.kernel import kernel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", required=True, help="cuda, cpu (PyTorch) or numpy")
    parser.add_argument("--ablations", type=int, nargs="+", default=[5000, 20_000])
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--dense", type=int, help="most ablations solved exactly; all when left out")
    parser.add_argument("--solves-only", action="store_true", help="leave the fits out")
    options = parser.parse_args()
    device = None if options.device == "numpy" else options.device
    fit(device, 500, options.features, 500)
    for count in options.ablations:
        found = {"device": options.device, "N": count, "n": options.features, "dense": options.dense or count}
        found |= solve(device, min(count, found["dense"]), options.features)
        if not options.solves_only:
            found |= fit(device, count, options.features, found["dense"])
        found["peak_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
        if device and device.startswith("cuda"):
            import torch

            found["device_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
            torch.cuda.reset_peak_memory_stats()
        print(json.dumps(found), flush=True)


def fit(device: str | None, count: int, n: int, dense: int) -> dict[str, float]:
    """Seconds of a whole fit by `GP`, and its R² on 2,000 masks that it did not see."""
    masks, values, unseen, truth = drawn(count, n)
    began = time.perf_counter()
    found = GP(device=device, dense=dense).fit(masks, values, order=5, seed=0)
    seconds = time.perf_counter() - began
    predicted = found.spectrum.predict(unseen)
    r2 = 1 - float(((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
    return {"fit_s": round(seconds, 2), "r2": round(r2, 4)}


def solve(device: str | None, count: int, n: int) -> dict[str, object]:
    """Seconds of one K^-1 y and K^-1, its precision, and its residual in double precision."""
    masks, values, *_ = drawn(count, n)
    signs, target = np.where(masks, -1.0, 1.0), (values - values.mean()) / values.std()
    hyper = GP(effort=0.0, subset=600).hypers(signs[:600], target[:600], 0)[0][0]
    began = time.perf_counter()
    alpha, inverse = solved(signs, target, hyper, device)
    diagonal = inverse.diagonal
    seconds = time.perf_counter() - began
    some = np.arange(0, count, max(1, count // 500))
    product = kernel(signs[some], signs, hyper) @ alpha + hyper.noise * alpha[some]
    apart = float(np.linalg.norm(product - target[some]) / np.linalg.norm(target[some]))
    precision = str(getattr(inverse, "matrix").dtype)  # noqa: B009 - of NumPy's and of PyTorch's alike
    return {
        "inverse_s": round(seconds, 2),
        "precision": precision.removeprefix("torch."),
        "apart": apart,
        "noise": round(hyper.noise, 5),
        "diagonal": round(float(diagonal.mean()), 4),
    }


def drawn(count: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Masks (N, n) with noisy values (N,), and 2,000 unseen masks with true ones."""
    rng = np.random.default_rng(n)
    sets = [(i,) for i in range(n)]
    sets += [tuple(rng.choice(n, rng.integers(2, 6), replace=False).tolist()) for _ in range(3 * n)]
    strengths = rng.standard_normal(len(sets)) * np.array([2.0 if len(key) == 1 else 1.0 for key in sets])
    masks = rng.random((count + 2000, n)) < 0.5
    signs = np.where(masks, -1.0, 1.0)
    truth = sum(c * signs[:, list(key)].prod(axis=1) for key, c in zip(sets, strengths, strict=True))
    assert isinstance(truth, np.ndarray)
    noisy = truth + 0.3 * float(np.linalg.norm(strengths)) * rng.standard_normal(len(truth))
    return masks[:count], noisy[:count], masks[count:], truth[count:]


if __name__ == "__main__":
    main()
