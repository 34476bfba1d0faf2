"""Games whose slopes are known: planted spectra, and the jumps that switching a feature makes."""

from __future__ import annotations

import numpy as np

import interplay as ip


def planted_spectrum(n: int, seed: int) -> ip.Spectrum:
    """Ten sets of two to four features, each with all its subsets."""
    rng = np.random.default_rng(seed)
    coefficients: dict[tuple[int, ...], float] = {}
    for _ in range(10):
        top = rng.choice(n, int(rng.integers(2, 5)), replace=False).tolist()
        for bits in range(1, 1 << len(top)):
            key = tuple(sorted(top[i] for i in range(len(top)) if bits >> i & 1))
            coefficients[key] = coefficients.get(key, 0.0) + float(rng.normal()) / len(key)
    return ip.Spectrum(n, coefficients)


def jumps_of(spectrum: ip.Spectrum, masks: np.ndarray) -> np.ndarray:
    """f(m with h) - f(m without h) of every feature h at every mask, (N, n), by predicting both."""
    found = np.empty(masks.shape)
    for h in range(spectrum.n):
        kept, ablated = masks.copy(), masks.copy()
        kept[:, h], ablated[:, h] = True, False
        found[:, h] = spectrum.predict(kept) - spectrum.predict(ablated)
    return found
