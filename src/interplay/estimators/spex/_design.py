"""The masks of SPEX: affine subspaces whose samples fold a huge spectrum into few bins, and how to recognise them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Masks
from interplay.estimators.spex._bch import Code
from interplay.estimators.spex._galois import Bits

FEWEST_BITS = 3
"""The smallest subsampling dimension, where there are as many features: below it every bin holds a crowd."""
MOST_BITS = 20
MOST_GROUPS = 16
MOST_STRENGTH = 10
"""Larger designs are not looked for among masks."""
_PRESENT = 0.8  # a level of which less was measured counts as incomplete
_HALF = 0.5

Rows: TypeAlias = npt.NDArray[np.uint8]
"""Masks packed to bytes, (N, ceil(n / 8))."""


@dataclass(frozen=True, eq=False)
class Design:
    """The masks ``m = M_c l + d_p (mod 2)`` for every group c < C, delay p <= P and ``l`` of b bits.

    Everything follows from the header row: it is the first column of M_0, and the seed of all other columns. Column
    r + 1 of every matrix is drawn after column r, so the masks of b are among those of b + 1.

    Parameters
    ----------
    header
        The first column of M_0, booleans (n,), not all False.
    bits
        b, the subsampling dimension.
    groups
        C, the number of matrices.
    strength
        t, the largest set that the delays are certain to name.

    Attributes
    ----------
    delays
        Bits (P + 1, n): no delay, then the checks of the BCH code; or every single feature where those are no more,
        and then sets of any size are named.
    """

    header: npt.NDArray[np.bool_]
    bits: int
    groups: int
    strength: int

    @property
    def n(self) -> int:
        """The number of features."""
        return len(self.header)

    @cached_property
    def code(self) -> Code:
        """The code whose checks the delays are."""
        return code_of(self.n, self.strength)

    @cached_property
    def delays(self) -> Bits:
        """(P + 1, n)."""
        return delays_of(self.n, self.strength)

    def matrix(self, group: int, bits: int) -> Bits:
        """M_c as bits (n, b), its columns independent."""
        return _matrix(self.header.tobytes(), group, bits)

    def rows(self, bits: int) -> npt.NDArray[np.uint8]:
        """The packed masks of every cell: (C, P + 1, 2^bits, ceil(n / 8))."""
        delays = np.packbits(self.delays, axis=1)
        space = np.stack([_span(np.packbits(self.matrix(c, bits).T, axis=1)) for c in range(self.groups)])
        return np.asarray(space[:, None] ^ delays[None, :, None])

    def sequence(self, budget: int, most_bits: int | None = None) -> Rows:
        """The first ``budget`` distinct masks of one fixed order, in which every smaller design comes first.

        All of the smallest dimension; fresh uniform masks, as many as its cells coincide, so that a complete design
        and they never cost more than ``C 2^b (P + 1)``; then, dimension by dimension, what the next one adds,
        shuffled. ``most_bits`` ends it with that dimension.
        """
        most = min(self.n, MOST_BITS) if most_bits is None else most_bits
        level = min(FEWEST_BITS, most)
        cells = self.rows(level).reshape(-1, (self.n + 7) // 8)
        distinct = _distinct(cells)
        fresh = _generator(self.header.tobytes()).random((len(cells) - len(distinct), self.n)) < 0.5
        distinct = _distinct(np.concatenate([distinct, np.packbits(fresh, axis=1)]))
        while len(distinct) < budget and level < most:
            added = self.rows(level + 1)[:, :, 1 << level :].reshape(-1, distinct.shape[1])
            order = _generator(self.header.tobytes(), level).permutation(len(added))
            distinct = _distinct(np.concatenate([distinct, added[order]]))
            level += 1
        return distinct[:budget]


@lru_cache(maxsize=32)
def code_of(n: int, strength: int) -> Code:
    """The BCH code for sets of up to ``strength`` of n features."""
    return Code(n, min(strength, n))


@lru_cache(maxsize=32)
def delays_of(n: int, strength: int) -> Bits:
    """No delay, then the checks of the code; or, where those are as many as the features, every feature by itself."""
    checks = code_of(n, strength).checks
    if len(checks) >= n:
        checks = np.eye(n, dtype=np.uint8)
    return np.concatenate([np.zeros((1, n), dtype=np.uint8), checks])


def design_from(n: int, seed: int, *, bits: int, groups: int, strength: int) -> Design:
    """The design of ``seed``."""
    rng = np.random.default_rng([seed, n, 0x5BE7])
    header = rng.random(n) < 0.5
    while not header.any():
        header = rng.random(n) < 0.5
    return Design(header, bits, groups, strength)


@lru_cache(maxsize=64)
def _matrix(header: bytes, group: int, bits: int) -> Bits:
    first = np.frombuffer(header, dtype=np.uint8)
    if not bits:
        return np.zeros((len(first), 0), dtype=np.uint8)
    before = _matrix(header, group, bits - 1)
    if group == 0 and bits == 1:
        return first[:, None].copy()
    rng = _generator(header, group, bits)
    known = _span(np.packbits(before.T, axis=1)) if bits <= len(first) < 64 else None
    while True:
        column = (rng.random(len(first)) < 0.5).astype(np.uint8)
        # Only few features make a dependent column likely enough to look for it.
        if known is None or not (np.packbits(column) == known).all(axis=1).any():
            return np.concatenate([before, column[:, None]], axis=1)


def _generator(header: bytes, *use: int) -> np.random.Generator:
    """Random numbers that follow from the header alone, others for every use."""
    seed = hashlib.sha256(header).digest()[:16]
    return np.random.default_rng([int.from_bytes(seed, "little"), *use])


def _span(columns: Rows) -> Rows:
    """Every sum of the packed ``columns`` (b, bytes): row l (of 2^b) sums those at the set bits of l."""
    span = np.zeros((1, columns.shape[1]), dtype=np.uint8)
    for column in columns:
        span = np.concatenate([span, span ^ column])
    return span


def _distinct(rows: Rows) -> Rows:
    """Without repeats, in the order of first occurrence."""
    _, first = np.unique(_keys(rows), return_index=True)
    return rows[np.sort(first)]


def _keys(rows: Rows) -> npt.NDArray[np.void]:
    flat = np.ascontiguousarray(rows.reshape(-1, rows.shape[-1]))
    return flat.view(np.dtype((np.void, flat.shape[1]))).ravel()


@dataclass(frozen=True, eq=False)
class Found:
    """A design recognised among masks: ``cells[c, p, l]`` is the row that measured the cell of dimension ``level``.

    -1 where none did. ``level`` exceeds ``design.bits`` by one where the next dimension was measured in part.
    ``foreign`` are the rows that are in no cell.
    """

    design: Design
    level: int
    cells: npt.NDArray[np.intp]
    foreign: npt.NDArray[np.intp]


class _Lookup:
    """Where a packed mask is among those measured."""

    def __init__(self, packed: Rows) -> None:
        keys = _keys(packed)
        self.order = np.argsort(keys)
        self.sorted = keys[self.order]
        self.known = set(map(bytes, packed))

    def __call__(self, rows: Rows) -> npt.NDArray[np.intp]:
        keys = _keys(rows)
        place = np.minimum(np.searchsorted(self.sorted, keys), len(self.sorted) - 1)
        found = np.where(self.sorted[place] == keys, self.order[place], -1)
        return found.reshape(rows.shape[:-1]).astype(np.intp)

    def share(self, rows: Rows) -> float:
        """The share of ``rows`` (C, P + 1, L, bytes) that was measured; 0 where most of any one delay is missing."""
        by_delay = (self(rows) >= 0).mean(axis=(0, 2))
        return float(by_delay.mean()) if by_delay.min() >= _HALF else 0.0


def recognise(masks: Masks) -> Found | None:
    """The design that ``masks`` (N, n) contain, in any order and among others, or None.

    Every row is tried as the header, whose first few masks must then be there too; and where the header itself is
    missing, because its ablation failed, every row as the header under one of two delays.
    """
    n = masks.shape[1]
    packed = np.packbits(masks, axis=1)
    lookup = _Lookup(packed)
    least = min(FEWEST_BITS, n)
    checks = delays_of(n, 1)[1:2]  # delays of every design, but for those that have each feature as one
    for delay in (np.zeros(n, dtype=np.bool_), *np.unique([*checks, np.arange(n) == 0], axis=0).astype(np.bool_)):
        for row in masks:
            header = row ^ delay
            if not header.any():
                continue
            design = Design(np.ascontiguousarray(header), least, 1, 1)
            if n > 1:
                column = np.packbits(design.matrix(0, 2)[:, 1])
                both = column ^ np.packbits(header)
                if column.tobytes() not in lookup.known and both.tobytes() not in lookup.known:
                    continue
            found = _measure(design, lookup, least)
            if found is not None:
                return found
    return None


def _measure(design: Design, lookup: _Lookup, least: int) -> Found | None:
    """How large a design with this header was measured; None if not even the smallest."""
    n = design.n
    best: Design | None = None
    for strength in range(1, MOST_STRENGTH + 1):  # the delays of a smaller t are among those of a larger one
        candidate = replace(design, strength=strength)
        count = len(candidate.delays)
        if lookup.share(candidate.rows(least)) >= _PRESENT and (best is None or count >= len(best.delays)):
            best = candidate
        if count == n + 1:
            break
    if best is None:
        return None
    for groups in range(2, MOST_GROUPS + 1):
        larger = replace(best, groups=groups)
        if lookup.share(larger.rows(least)[-1:]) < _PRESENT:
            break
        best = larger
    level = least
    while level < min(n, MOST_BITS):
        share = lookup.share(best.rows(level + 1)[:, :, 1 << level :])
        if share < _PRESENT:
            break
        level += 1
    further = min(level + 1, n)
    cells = lookup(best.rows(further))
    used = np.zeros(len(lookup.order) + 1, dtype=np.bool_)
    used[cells] = True  # of -1, the last one
    return Found(replace(best, bits=level), further, cells, np.flatnonzero(~used[:-1]))
