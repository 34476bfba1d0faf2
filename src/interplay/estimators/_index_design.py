"""Masks for the indices that weigh all sizes alike: sizes spread evenly, each mask beside its complement."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game.masks import Masks

_BALANCEABLE = 512  # features up to which balancing takes a second or less
_BALANCED = 40  # masks per feature that are balanced: beyond, chance balances as well
_TRIES = 200  # draws of a mask of one size before the size counts as used up


def index_design(n: int, budget: int, seed: int) -> Masks:
    """``min(budget, 2^n)`` distinct masks for sv, sii, k-sii, stii and fsii; those of a smaller budget come first.

    Everything kept and everything ablated come first. Then sizes from 1 to n - 1 turn up equally often (leverage
    scores: Musco & Witter 2025), each mask followed by its complement, so that what changes sign with all features
    is told apart from what does not. Of each size the masks are chosen so that every two features are kept together
    about equally often.
    """
    if budget < 1:
        raise InputError(f"budget must be at least 1 ablation, not {budget}.")
    ends = np.array([[True], [False]]).repeat(n, axis=1)
    if budget <= 2 or n == 1:
        return ends[:budget]
    rng = np.random.default_rng([seed, n, 0x51])
    drawn = list(_halves(n, min(budget - 1, (1 << min(n, 60)) - 2), rng))
    pairs = np.repeat(np.array(drawn), 2, axis=0)
    pairs[1::2] = ~pairs[1::2]
    return np.concatenate([ends, pairs])[:budget]


def _halves(n: int, count: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.bool_]]:
    """One mask of each of ``count // 2`` pairs of complements, the smaller one."""
    sizes = np.arange(1, n // 2 + 1)
    weights = np.where(2 * sizes == n, 0.5, 1.0)  # a pair of size n / 2 counts twice for its size
    left = np.array([comb(n, int(s)) / (2 if 2 * s == n else 1) for s in sizes])
    used = np.zeros(len(sizes))
    seen: set[bytes] = set()
    balance = _Balance(n) if n <= _BALANCEABLE else None
    for _ in range(count // 2):
        open_ = used < left
        place = int(np.argmin(np.where(open_, (used + rng.random(len(sizes))) / weights, np.inf)))
        row = _drawn(n, int(sizes[place]), rng, seen, balance if len(seen) < _BALANCED * n else None)
        used[place] += 1
        seen.add(_key(row))
        if balance is not None:
            balance.add(row)
        yield row


def _drawn(
    n: int, size: int, rng: np.random.Generator, seen: set[bytes], balance: _Balance | None
) -> npt.NDArray[np.bool_]:
    """A mask of ``size`` features whose pair is not among the ``seen``."""
    row = np.zeros(n, dtype=np.bool_)
    for _ in range(_TRIES):
        row = np.zeros(n, dtype=np.bool_)
        row[rng.permutation(n)[:size]] = True
        if balance is not None:
            row = balance.improved(row, seen)
        if _key(row) not in seen:
            return row
    raise AssertionError


def _key(row: npt.NDArray[np.bool_]) -> bytes:
    """The same for a mask and its complement."""
    return np.packbits(row if row[0] else ~row).tobytes()


class _Balance:
    """Sums of z_i z_j over the masks so far, beyond what masks of their sizes have in the mean."""

    def __init__(self, n: int) -> None:
        self._surplus = np.zeros((n, n))

    def improved(self, row: npt.NDArray[np.bool_], seen: set[bytes]) -> npt.NDArray[np.bool_]:
        """``row`` (n,), kept and ablated features exchanged as long as that lowers the squared surpluses."""
        signs = np.where(row, -1.0, 1.0)
        pull = self._surplus @ signs
        for _ in range(len(row)):
            kept, ablated = np.flatnonzero(signs < 0), np.flatnonzero(signs > 0)
            # Exchanging i and j changes z'Gz by -4 z_i g_i - 4 z_j g_j + 8 z_i z_j G_ij.
            i, j = kept[np.argmin(pull[kept])], ablated[np.argmax(pull[ablated])]
            change = -4 * signs[i] * pull[i] - 4 * signs[j] * pull[j] + 8 * signs[i] * signs[j] * self._surplus[i, j]
            if change >= -1e-9:
                break
            for k in (i, j):
                pull -= 2.0 * signs[k] * self._surplus[k]
                signs[k] = -signs[k]
        better = np.asarray(signs < 0)
        return better if _key(better) not in seen else row

    def add(self, row: npt.NDArray[np.bool_]) -> None:
        """Count ``row`` (n,) in."""
        n, size = len(row), int(row.sum())
        signs = np.where(row, -1.0, 1.0)
        self._surplus += np.multiply.outer(signs, signs) - ((n - 2 * size) ** 2 - n) / (n * (n - 1))
        np.fill_diagonal(self._surplus, 0.0)
