"""Masks for the indices that weigh all sizes alike: sizes spread evenly, each mask beside its complement."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game.masks import Masks

_LISTED = 10_000  # masks of one size up to which all are listed, so that the last of them can be drawn, too
_CANDIDATES = 8  # drawn for every pair of masks, of which the one that balances best is taken
_EFFORT = 5e8  # multiplications spent on balancing; beyond, chance balances as well
_TRIES = 100  # draws of a mask of one size, all of them known, after which the size counts as used up


def index_design(n: int, budget: int, seed: int) -> Masks:
    """``min(budget, 2^n)`` distinct masks for sv, sii, k-sii, stii and fsii; those of a smaller budget come first.

    Everything kept and everything ablated come first. Then sizes from 1 to n - 1 turn up equally often (the leverage
    scores of Musco & Witter, ICLR 2025), sizes 1 and n - 1 twice as often until all of them are there, for each of
    these masks weighs most. Each mask is followed by its complement, so that what changes sign when all features do is
    told apart from what does not. Of each size those masks are taken that keep every two features together about
    equally often.

    >>> index_design(5, 6, seed=0).sum(axis=1)
    array([5, 0, 1, 4, 2, 3])
    """
    if budget < 1:
        raise InputError(f"budget must be at least 1 ablation, not {budget}.")
    ends = np.array([[True], [False]]).repeat(n, axis=1)
    pairs = (min(budget, 1 << min(n, 60)) - 1) // 2
    if n == 1 or not pairs:
        return ends[:budget]
    rng = np.random.default_rng([seed, n, 0x51])
    strata = [_Stratum(n, size, rng) for size in range(1, n // 2 + 1)]
    balance = _Balance(n)
    masks = [*ends]
    for _ in range(pairs):
        due = min((stratum for stratum in strata if stratum.left), key=_Stratum.lateness)
        row = balance.best(due.candidates())
        due.take(row)
        balance.add(row)
        masks += [row, ~row]
    return np.array(masks)[:budget]


class _Stratum:
    """The pairs of a mask that keeps ``size`` of n features, at most half of them, and its complement."""

    def __init__(self, n: int, size: int, rng: np.random.Generator) -> None:
        self.n, self.size, self.rng = n, size, rng
        self.half = 2 * size == n  # both masks of a pair have this size
        self.left = comb(n, size) // (2 if self.half else 1)
        self.taken = 0
        self.known: set[bytes] = set()
        self.listed = self._all() if self.left <= _LISTED else None

    def lateness(self) -> tuple[float, int]:
        """Least for the size that is the most behind; of several, for the smallest."""
        share = 2.0 if self.size == 1 else 1.0
        return (self.taken + 0.5) * (2.0 if self.half else 1.0) / share, self.size

    def candidates(self) -> Masks:
        """A few masks (K, n), or one, that were not taken yet."""
        if self.listed is not None:
            return self.listed[:_CANDIDATES]
        fresh: list[npt.NDArray[np.bool_]] = []
        for _ in range(_TRIES):
            row = np.zeros(self.n, dtype=np.bool_)
            row[self.rng.permutation(self.n)[: self.size]] = True
            if _key(row) not in self.known:
                fresh.append(row)
            if len(fresh) == _CANDIDATES:
                break
        return np.array(fresh)

    def take(self, row: npt.NDArray[np.bool_]) -> None:
        """Count ``row`` as taken."""
        self.left -= 1
        self.taken += 1
        if self.listed is None:
            self.known.add(_key(row))
        else:
            self.listed = self.listed[(self.listed != row).any(axis=1)]

    def _all(self) -> Masks:
        """All masks of the size, one of each pair, in random order."""
        ids = np.array(list(combinations(range(self.n), self.size)))
        if self.half:
            ids = ids[ids[:, 0] == 0]
        masks = np.zeros((len(ids), self.n), dtype=np.bool_)
        np.put_along_axis(masks, ids, values=True, axis=1)
        return self.rng.permutation(masks)


def _key(row: npt.NDArray[np.bool_]) -> bytes:
    """The same for a mask and its complement."""
    return np.packbits(row if row[0] else ~row).tobytes()


class _Balance:
    """Sums of z_i z_j over the masks so far, less what masks of their sizes have in the mean."""

    def __init__(self, n: int) -> None:
        self._surplus = np.zeros((n, n))
        self._left = _EFFORT

    def best(self, rows: Masks) -> npt.NDArray[np.bool_]:
        """The one of ``rows`` (K, n) that adds least to the sum of the squared surpluses."""
        signs = np.where(rows, -1.0, 1.0)
        if self._left < 0:
            return np.asarray(rows[0])
        self._left -= signs.size * signs.shape[1]
        return np.asarray(rows[int(np.argmin(np.einsum("ki,ki->k", signs @ self._surplus, signs)))])

    def add(self, row: npt.NDArray[np.bool_]) -> None:
        """Count ``row`` (n,) in."""
        if self._left < 0:
            return
        n, size = len(row), int(row.sum())
        signs = np.where(row, -1.0, 1.0)
        self._surplus += np.multiply.outer(signs, signs) - ((n - 2 * size) ** 2 - n) / (n * (n - 1))
        np.fill_diagonal(self._surplus, 0.0)
