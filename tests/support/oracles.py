"""Random games and spectra with a known truth."""

from __future__ import annotations

from itertools import combinations

import numpy as np

import interplay as ip


def dense_values(n: int, seed: int) -> np.ndarray:
    """A random game's values at all 2^n masks, by the integer whose bit i keeps feature i."""
    return np.random.default_rng(seed).normal(size=1 << n)


def mask_bits(masks: np.ndarray) -> np.ndarray:
    return masks @ (1 << np.arange(masks.shape[1]))


def dense_game(n: int, seed: int, **options: object) -> ip.Game:
    values = dense_values(n, seed)
    return ip.Game(lambda masks: values[mask_bits(masks)], labels=n, **options)


def sparse_spectrum(n: int, count: int, order: int, seed: int) -> ip.Spectrum:
    """``count`` random coefficients of order 1 to ``order``, and a constant."""
    rng = np.random.default_rng(seed)
    coefficients: dict[tuple[int, ...], float] = {(): float(rng.normal())}
    while len(coefficients) < count + 1:
        size = int(rng.integers(1, order + 1))
        key = tuple(sorted(rng.choice(n, size, replace=False).tolist()))
        coefficients[key] = float(rng.choice([-1, 1]) * rng.uniform(0.5, 2.0))
    return ip.Spectrum(n, coefficients)


def subsets(items: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [key for size in range(len(items) + 1) for key in combinations(items, size)]
