"""What a fit misses of the masks that were measured, as an index sees it.

Where a mask was measured, its value counts, not the fit's: an index of ``f = fit + missed`` is that of the fit plus
that of what it missed, zero wherever nothing was measured. Of the few masks of the smallest and largest sizes, which
these indices weigh most, all are soon measured, and nothing about them is left to a fit. (RegressionMSR and ProxySHAP
of shapiq correct a fit by its residuals, too, but by means of them that stand for all masks of a size.)
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, lgamma

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features
from interplay._spectrum.spectrum import Spectrum

_PAIRS = 200  # features up to which pairs are corrected, beyond it would be more of them than measurements
_QUIET = 0.1  # quantile over sizes of the squared error on unseen masks that counts as noise (docs/indices.md)

Weight = Callable[[int, int, int], float]
"""Of a mask that keeps k features of a set and u of the n - s others, by n, u and k."""


def _shapley(n: int, u: int, k: int) -> float:
    # 1 / (n C(n - 1, u)): a size is drawn evenly, then a mask of it.
    return (1.0 if k else -1.0) * _inverse_choose(n - 1, u) / n


def _shapley_pair(n: int, u: int, k: int) -> float:
    return (-1.0 if k == 1 else 1.0) * _inverse_choose(n - 2, u) / (n - 1)


def _shapley_taylor_pair(n: int, u: int, k: int) -> float:
    # Sundararajan et al. 2020, eq. 3: 2 / n sum_T discrete derivative / C(n - 1, |T|).
    return (-1.0 if k == 1 else 1.0) * 2.0 * _inverse_choose(n - 1, u) / n


def _faith_shapley_pair(n: int, u: int, k: int) -> float:
    # Tsai et al. 2023, theorem 19, for sets of the highest order, 2: 6 (u + 1)! (n - u - 1)! / (n + 1)!.
    return (-1.0 if k == 1 else 1.0) * 6.0 * exp(lgamma(u + 2) + lgamma(n - u) - lgamma(n + 2))


_PAIR: dict[str, Weight] = {
    "sv": _shapley_pair,
    "sii": _shapley_pair,
    "k-sii": _shapley_pair,
    "stii": _shapley_taylor_pair,
    "fsii": _faith_shapley_pair,
}


def misses(spectrum: Spectrum, masks: Masks, values: Values, errors: Values | None, index: str) -> Spectrum:
    """Singles and pairs whose ``index`` is that of what a ``spectrum`` misses of ``values`` (N,) at ``masks``.

    The masks (N, n) are distinct and hold both ends, whose difference the sum of both spectra meets. The misses of each
    size are shrunk as far as noise would explain them, by the ``errors`` (N,) of predictions of unseen masks; NaN where
    there are none.
    """
    missed = values - spectrum.predict(masks)
    trust = np.ones(len(missed)) if errors is None else _trust(masks.sum(axis=1), missed, errors, masks.shape[1])
    return polynomial(masks, missed, trust, index)


def _trust(size: npt.NDArray[np.intp], missed: Values, errors: Values, n: int) -> Values:
    """By how much to believe each of the misses (N,): the share of their mean square, by size, that is not noise."""
    known = ~np.isnan(errors) & (size > 0) & (size < n)
    counts = np.bincount(size[known], minlength=n + 1)
    unseen = np.bincount(size[known], errors[known] ** 2, minlength=n + 1)[counts > 0] / counts[counts > 0]
    if not len(unseen):
        return np.ones(len(size))
    squares = np.bincount(size, missed**2, minlength=n + 1) / np.maximum(np.bincount(size, minlength=n + 1), 1)
    noise = float(np.quantile(unseen, _QUIET))
    share = 1.0 - np.divide(noise, squares, out=np.ones(n + 1), where=squares > noise)
    return np.asarray(share[size])


def polynomial(masks: Masks, missed: Values, trust: Values, index: str) -> Spectrum:
    """The polynomial of singles and pairs whose ``index`` is that of the function ``trust * missed`` at ``masks``.

    Zero elsewhere; masks (N, n) are distinct and hold both ends, where it is ``missed`` itself. There is no constant,
    for no index has one. Of a polynomial of
    pairs the pairwise index is its Möbius transform, whichever index it is; and to each of sv, sii, k-sii and fsii
    belong the same Shapley values.
    """
    n = masks.shape[1]
    size, kept = masks.sum(axis=1), masks.astype(float)
    ends = (size == 0) | (size == n)
    met = np.where(ends, 1.0, trust) * missed  # measured at the ends, to be met, and told to the reader
    single = _singles(kept, size, met, n)
    pairs = np.zeros((n, n))
    if 2 <= n <= _PAIRS:
        pairs = _pairs(kept, size, met if index == "stii" else trust * missed, n, _PAIR[index])
    if 2 <= n <= _PAIRS and index == "stii":  # its singles are what each feature adds beside an empty input
        single = kept[size == 1].T @ met[size == 1] - met[size == 0].sum() + pairs.sum(axis=1) / 2
    coefficients: dict[Features, float] = {(feature,): -value / 2 for feature, value in enumerate(single.tolist())}
    rows, columns = np.triu_indices(n, 1)
    worth = pairs[rows, columns] != 0
    found = zip(rows[worth].tolist(), columns[worth].tolist(), pairs[rows, columns][worth].tolist(), strict=True)
    coefficients |= {(i, j): value / 4 for i, j, value in found}
    return Spectrum(n, coefficients)


def _singles(kept: npt.NDArray[np.float64], size: npt.NDArray[np.intp], missed: Values, n: int) -> Values:
    """Shapley values (n,): every measured mask counts for those that it keeps, and against all others."""
    of = [np.array([_shapley(n, s - k, k) if 0 <= s - k < n else 0.0 for s in range(n + 1)]) for k in (0, 1)]
    against, favour = (weights[size] * missed for weights in of)
    return np.asarray(kept.T @ favour + (1.0 - kept).T @ against)


def _pairs(
    kept: npt.NDArray[np.float64], size: npt.NDArray[np.intp], missed: Values, n: int, weight: Weight
) -> npt.NDArray[np.float64]:
    """The index of every pair (n, n); the diagonal means nothing."""
    of = [np.array([weight(n, s - k, k) if 0 <= s - k <= n - 2 else 0.0 for s in range(n + 1)]) for k in range(3)]
    none, one, both = (weights[size] * missed for weights in of)
    # By inclusion and exclusion: with x = 1 where kept, (1-x)(1-y) a + (x + y - 2xy) b + xy c.
    mixed = kept.T @ (one - none)
    out = (kept.T * (none - 2.0 * one + both)) @ kept + mixed[:, None] + mixed[None] + none.sum()
    np.fill_diagonal(out, 0.0)
    return np.asarray(out)


def _inverse_choose(n: int, k: int) -> float:
    return exp(lgamma(k + 1) + lgamma(n - k + 1) - lgamma(n + 1))
