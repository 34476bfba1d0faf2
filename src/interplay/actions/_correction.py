"""What measurements near one input add to a spectrum that was fitted far from it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Values
from interplay._spectrum.characters import Features
from interplay.actions._toggles import Sets, members

_DECAYS = (0.1, 0.3, 1.0, 3.0)  # tried for how much less is expected of a pair's error than of a single part's
_WORTH = 2.0  # measurements that the expectation before any is worth
_JITTER = 1e-6


class Correction:
    """A Gaussian process on the spectrum's error at sets toggled from one input.

    The error is a polynomial of toggled parts whose coefficient at a set S of d parts is independent with variance
    ``v w^(d-1)``, so the kernel of two sets that share c parts is ``v ((1+w)^c - 1) / w``; at the input itself, which
    is always measured, the error is zero. The scale v has an inverse gamma prior around ``expected``, the mean square
    of a single part's error, and is integrated out (predictions are Student's t); w maximises the likelihood.
    """

    def __init__(self, count: int, expected: float) -> None:
        self._count, self._expected = count, expected
        self._held = np.zeros((0, count), dtype=np.bool_)
        self._decay = 1.0
        self._scale = expected
        self._alpha: Values = np.zeros(0)
        self._factor: npt.NDArray[np.float64] = np.zeros((0, 0))
        self.freedom = 2.0 * _WORTH

    def learn(self, sets: Sequence[Features], errors: Values) -> None:
        """Condition on the spectrum's ``errors`` (N,) at all ``sets`` measured so far."""
        from scipy.linalg import solve_triangular

        self._held = np.zeros((len(sets), self._count), dtype=np.bool_)
        for row, chosen in zip(self._held, sets, strict=True):
            row[list(chosen)] = True
        shared = self._held.astype(np.float64) @ self._held.T
        rest = _WORTH * self._expected
        best = -np.inf
        for decay in _DECAYS:
            kernel = _kernel(shared, decay)
            kernel[np.diag_indices_from(kernel)] *= 1 + _JITTER
            factor = np.asarray(np.linalg.cholesky(kernel), dtype=np.float64)
            half: Values = solve_triangular(factor, errors, lower=True)
            square = float(half @ half)
            likelihood = -np.log(np.diag(factor)).sum() - (len(sets) / 2 + _WORTH) * np.log(rest + square / 2)
            if likelihood > best:
                best = likelihood
                self._decay, self._factor = decay, factor
                self._alpha = solve_triangular(factor, half, lower=True, trans="T")
                self._scale = (rest + square / 2) / (_WORTH + len(sets) / 2)
        self.freedom = 2 * _WORTH + len(sets)

    def at(self, sets: Sets) -> tuple[Values, Values]:
        """The error expected at ``sets`` (N, k) and the scale of its Student's t: two arrays (N,)."""
        from scipy.linalg import solve_triangular

        prior = _kernel(np.float64(sets.shape[1]), self._decay)
        if not len(self._held):
            return np.zeros(len(sets)), np.full(len(sets), np.sqrt(self._scale * prior))
        cross = _kernel(self._held.T[sets].sum(axis=1, dtype=np.float64), self._decay)  # (N, measured)
        explained = solve_triangular(self._factor, cross.T, lower=True)
        spread = np.maximum(prior * (1 + _JITTER) - (explained**2).sum(axis=0), 0.0)
        return cross @ self._alpha, np.sqrt(self._scale * spread)

    def draws(self, sets: Sequence[Features], count: int, rng: np.random.Generator) -> Values:
        """Joint draws (count, N) of how far the error at ``sets`` may lie from what `at` expects."""
        from scipy.linalg import solve_triangular

        held = np.concatenate([members(np.array([chosen]), self._count) for chosen in sets]).astype(np.float64)
        covariance = _kernel(held @ held.T, self._decay)
        if len(self._held):
            cross = _kernel(self._held.astype(np.float64) @ held.T, self._decay)
            explained = solve_triangular(self._factor, cross, lower=True)
            covariance -= explained.T @ explained
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        normal = rng.standard_normal((count, len(sets))) @ root.T
        chi = rng.chisquare(self.freedom, (count, 1)) / self.freedom
        drawn: Values = normal * np.sqrt(self._scale / chi)
        return drawn

    def terms(self) -> dict[Features, float]:
        """The expected error as a polynomial: its coefficients, nonzero only at subsets of what was measured."""
        terms: dict[Features, float] = {}
        for row, weight in zip(self._held, self._alpha, strict=True):
            chosen = tuple(np.flatnonzero(row).tolist())
            for size in range(1, len(chosen) + 1):
                for subset in combinations(chosen, size):
                    terms[subset] = terms.get(subset, 0.0) + float(weight) * self._decay ** (size - 1)
        return terms


def _kernel(shared: npt.NDArray[np.float64] | np.float64, decay: float) -> npt.NDArray[np.float64]:
    kernel: npt.NDArray[np.float64] = np.expm1(shared * np.log1p(decay)) / decay
    return kernel
