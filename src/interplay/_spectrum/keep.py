"""Spectra at other keep rates: the same polynomial in the basis, and by the measure, of p-biased masks."""

from __future__ import annotations

import math
from itertools import combinations

from interplay._errors import InputError
from interplay._spectrum.characters import Features
from interplay._spectrum.spectrum import Spectrum


def keep_coefficients(spectrum: Spectrum, keep: float) -> dict[Features, float]:
    """The p-biased Fourier coefficients of a spectrum: what it is where each feature is kept with probability p.

    With z = -1 where kept, of mean ``mu = 1 - 2p`` and deviation ``sigma = 2 sqrt(p (1 - p))``, the functions
    ``prod_{i in S} (z_i - mu) / sigma`` are orthonormal (O'Donnell, Analysis of Boolean Functions, chapter 8), and
    ``F_p(S) = sigma^|S| sum_{T >= S} mu^(|T| - |S|) F(T)``. The squares of all nonempty sets sum to the variance
    over such masks; at p = 1/2 they are the spectrum's own.

    >>> import interplay as ip
    >>> keep_coefficients(ip.Spectrum(2, {(0, 1): 1.0}), 0.5)[0, 1]
    1.0
    """
    sigma = 2 * math.sqrt(keep * (1 - keep))
    return {key: value * sigma ** len(key) for key, value in _means_of_derivatives(spectrum, keep, None).items()}


def keep_effects(spectrum: Spectrum, keep: float, order: int | None = None) -> dict[Features, float]:
    """The mean joint effect of each set of at most ``order`` features where the others are kept with probability p.

    For one feature, the mean of f with it kept less f with it ablated; for two, what the pair adds beyond the sum of
    both: the weighted Banzhaf interaction ``(-2)^|S| sum_{T >= S} mu^(|T| - |S|) F(T)``, ``mu = 1 - 2p``. At p = 1/2
    it is "bii". The empty set's is the mean of f.

    >>> import interplay as ip
    >>> both = ip.fit(ip.design(2, 4), ip.design(2, 4).all(axis=1)).spectrum     # 1 where both are kept
    >>> round(keep_effects(both, 0.9)[0,], 6), round(keep_effects(both, 0.9)[0, 1], 6)
    (0.9, 1.0)
    """
    return {key: value * (-2.0) ** len(key) for key, value in _means_of_derivatives(spectrum, keep, order).items()}


def _means_of_derivatives(spectrum: Spectrum, keep: float, order: int | None) -> dict[Features, float]:
    """``sum_{T >= S} mu^(|T| - |S|) F(T)`` of every S of at most ``order`` features inside some T."""
    if not 0 < keep < 1:
        raise InputError(f"keep must lie strictly between 0 and 1, not {keep}: it is a probability of keeping.")
    mu = 1 - 2 * keep
    found: dict[Features, float] = {}
    for key, value in spectrum.coefficients.items():
        if mu == 0:
            if order is None or len(key) <= order:
                found[key] = found.get(key, 0.0) + value
            continue
        for size in range(min(len(key), len(key) if order is None else order) + 1):
            weight = value * mu ** (len(key) - size)
            for subset in combinations(key, size):
                found[subset] = found.get(subset, 0.0) + weight
    return found
