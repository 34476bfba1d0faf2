"""From bins to sets: decode every bin at once, believe what the groups agree on, subtract it, and begin again."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._spectrum.characters import Features, walsh_hadamard
from interplay.estimators.spex._bins import Bins, Grid, Residual, Sets
from interplay.estimators.spex._design import Design
from interplay.estimators.spex._galois import Bits, Elements

Batch: TypeAlias = tuple[Sets, npt.NDArray[np.float64], str]
"""Candidate sets (K, w), their scores (K,) and how they were found."""
NEAR = "near what was found"
"""How a set was found that has one feature more or less than another one."""

_PATTERNS = 1 << 16  # sign patterns decoded at once, over all bins: with 2^9 for each, those of the 128 strongest bins
_SINGLE = 0.1  # a bin whose residual is a smaller share of its energy holds one set (the authors' limit)
# Standard errors in the other groups that confirm a decoded set. Chance passes 4 of 65,536 patterns; but only one in
# 2^b of those names a set that belongs into the bin it was decoded from.
_CLEAR = 4.0
_ROUNDS = 200  # a guard: rounds end where nothing new is found
_CELLS = 1 << 20  # scores of neighbours held at once
_ALL_PAIRS = 1500  # features up to which all n^2 pairs are scored; above, only pairs with a feature already found


@dataclass(frozen=True, eq=False)
class Decoder:
    """Names the set whose signs a bin shows, hard or soft.

    Parameters
    ----------
    design
        Whose delays were sampled.
    order
        Larger sets are not looked for.
    soft
        Chase decoding (Chase 1972): besides the signs as they are, every pattern that flips some of the least
        reliable ones. False decodes the signs as they are.
    """

    design: Design
    order: int
    soft: bool = True

    @cached_property
    def direct(self) -> bool:
        """Whether the delays are the single features, so that the signs are the set itself."""
        return len(self.design.delays) == self.design.n + 1

    @cached_property
    def _columns(self) -> Elements:
        """What flipping each delay's sign adds to the syndrome, (P + 1, t); flipping the first flips all."""
        code = self.design.code
        bits = code.syndrome_map(self.design.delays[1:])
        columns = code.syndromes(np.ascontiguousarray(bits.T))
        return np.concatenate([np.bitwise_xor.reduce(columns, axis=0)[None], columns])

    def decode(self, signals: npt.NDArray[np.float64], depth: int) -> tuple[npt.NDArray[np.intp], Sets]:
        """The sets that ``signals`` (R, P + 1) may show: ``(which, sets)``, with the row of each set.

        ``depth`` least reliable signs are flipped in every combination, 2^depth of them.
        """
        # A bin with one set S shows sign(F(S)) (-1)^<d_p, S>; that of no delay takes the coefficient's own sign away.
        negative = (signals < 0).astype(np.uint8)
        bits = negative[:, 1:] ^ negative[:, :1]
        weakest = np.argsort(np.abs(signals), axis=1, kind="stable")[:, : min(depth, signals.shape[1])]
        if self.direct:
            return self._read(bits, weakest)
        # The syndrome is linear: it is the sum of the columns of the set bits, and a flip adds one column.
        columns = self._columns
        patterns = np.zeros((len(bits), 1, columns.shape[1]), dtype=np.int32)
        for p in range(bits.shape[1]):
            patterns[:, 0] ^= columns[p + 1] * bits[:, p, None].astype(np.int32)
        for flip in weakest.T:
            patterns = np.concatenate([patterns, patterns ^ columns[flip][:, None]], axis=1)
        which, sets = self.design.code.decode(patterns.reshape(-1, columns.shape[1]))
        fits = (sets < self.design.n).sum(axis=1) <= self.order
        return which[fits] // patterns.shape[1], sets[fits]

    def _read(self, bits: Bits, weakest: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], Sets]:
        n = self.design.n
        flips = np.concatenate([np.ones((1, n), dtype=np.uint8), np.eye(n, dtype=np.uint8)])
        patterns = bits[:, None]
        for flip in weakest.T:
            patterns = np.concatenate([patterns, patterns ^ flips[flip][:, None]], axis=1)
        flat = patterns.reshape(-1, n)
        rows = np.flatnonzero(flat.sum(axis=1) <= self.order)
        at, features = np.nonzero(flat[rows])
        sets = np.full((len(rows), min(self.order, n)), n, dtype=np.intp)
        sets[at, np.arange(len(at)) - np.searchsorted(at, at)] = features
        return rows // patterns.shape[1], sets


@dataclass
class Support:
    """The sets believed so far, and how each was found."""

    n: int
    width: int
    found: dict[Features, str] = field(default_factory=dict)

    @property
    def sets(self) -> Sets:
        """All of them, (K, width)."""
        return pad(list(self.found), self.n, self.width)


def pad(keys: list[Features], n: int, width: int) -> Sets:
    """Feature tuples as one array (K, width), filled up with n."""
    sets = np.full((len(keys), width), n, dtype=np.intp)
    for row, key in enumerate(keys):
        sets[row, : len(key)] = key
    return sets


def unpad(sets: Sets, n: int) -> list[Features]:
    """The rows of ``sets`` as feature tuples."""
    return [tuple(i for i in row if i < n) for row in sets.tolist()]


def peel(
    decoder: Decoder, values: Grid, weights: Grid, start: dict[Features, str] | None = None
) -> tuple[dict[Features, str], Residual]:
    """Find sets until nothing moves: ``({set: how it was found}, what is left of the bins)``.

    Every round fits what was found to all samples, transforms what is left, collects candidates - single features,
    pairs, found sets with one feature more or less, and what the bins decode to - and believes the clearest of
    them, at most one for each bin. While rounds succeed they are cheap; when one finds nothing the next looks
    harder, and the last one ends it.

    Parameters
    ----------
    decoder
        The decoder of the design that was sampled.
    values, weights
        The samples (2^b, C, P + 1), and 1 where they may be used, else 0: unmeasured or held out.
    start
        Sets already found.
    """
    design = decoder.design
    bins = Bins(design, design.bits)
    width = max(decoder.order, 2)
    support = Support(design.n, width, {(): "constant"} | (start or {}))
    coefficients = np.zeros(len(support.found))
    scale = float((weights * values**2).sum() / weights.sum())
    level = 0
    # Flipped signs: 1, then 32, then 512 patterns for each bin, the last for the strongest bins alone.
    depths = (0, 5, 9) if decoder.soft else (0, 0)
    tried: set[Features] = set()
    near: list[Batch] | None = None  # neighbours in this residual, once they were looked for
    for _ in range(_ROUNDS):
        coefficients = np.concatenate([coefficients, np.zeros(len(support.found) - len(coefficients))])
        coefficients = bins.least_squares(support.sets, values, weights, coefficients)
        left = weights * (values - bins.predict(support.sets, coefficients))
        counts = np.maximum(weights.sum(axis=0), 1.0)
        residual = Residual(bins, walsh_hadamard(left) / counts)
        if float((left**2).sum() / weights.sum()) <= 1e-22 * scale:  # exact but for rounding
            break
        if level and near is None:
            near = neighbours(residual, support, decoder.order)
        accepted = _round(decoder, residual, support, near or [], depths[level])
        fresh = {key: how for key, how in accepted.items() if key not in tried}
        if fresh:
            tried |= fresh.keys()
            support.found |= fresh
            level, near = 0, None
        elif level + 1 < len(depths):
            level += 1
        else:
            break
        if len(support.found) > weights.sum() / 4:  # more cannot be told apart
            break
    return support.found, residual


def _round(
    decoder: Decoder, residual: Residual, support: Support, near: list[Batch], depth: int
) -> dict[Features, str]:
    """The clearest new sets of one round, ``near`` ones among them, at most one in any bin."""
    n, width = support.n, support.width
    batches = [_decoded(decoder, residual, depth, width), *near]
    singles = np.arange(n)[:, None]
    about = residual.about(singles)
    clear = about.scores() > _needed(n)
    batches.append((_widen(singles[clear], n, width), about.scores()[clear], "single feature"))
    sets = np.concatenate([batch[0] for batch in batches])
    scores = np.concatenate([batch[1] for batch in batches])
    how = [batch[2] for batch in batches for _ in range(len(batch[0]))]
    index, _ = residual.bins.place(sets)
    used = np.zeros((residual.bins.design.groups, 1 << residual.bins.bits), dtype=np.bool_)
    groups = np.arange(len(used))
    # Sets that share a bin may be one set, and its imitations: the others wait until it has been subtracted.
    accepted: dict[Features, str] = {}
    keys = unpad(sets, n)
    for row in np.argsort(-scores, kind="stable"):
        if keys[row] in support.found or keys[row] in accepted or used[groups, index[:, row]].any():
            continue
        accepted[keys[row]] = how[row]
        used[groups, index[:, row]] = True
    return accepted


def _decoded(decoder: Decoder, residual: Residual, depth: int, width: int) -> Batch:
    """What the bins decode to, where the set belongs into its bin and the residual or the other groups confirm it."""
    design = decoder.design
    n, groups = design.n, design.groups
    size = 1 << residual.bins.bits
    strongest = np.argsort(-residual.energy.ravel(), kind="stable")[: max(1, _PATTERNS >> depth)]
    strongest = strongest[residual.energy.ravel()[strongest] > 1e-24 * residual.energy.max()]
    which, sets = decoder.decode(residual.folded.reshape(size * groups, -1)[strongest], depth)
    sets = _widen(sets, n, width)
    bin_of, group_of = np.divmod(strongest[which], groups)
    index, _ = residual.bins.place(sets)
    rows = np.flatnonzero(index[group_of, np.arange(len(sets))] == bin_of)
    sets, group_of = sets[rows], group_of[rows]
    evidence = residual.about(sets)
    # A set that does not hash to the bin it was read from is a wrong reading: a check that costs nothing.
    alone = evidence.fractions[group_of, np.arange(len(sets))] < _SINGLE
    others = evidence.scores(without=group_of)
    passed = alone | (others > _CLEAR)
    score = np.where(alone, evidence.scores(), others)
    return sets[passed], score[passed], "decoded"


def neighbours(
    residual: Residual, support: Support, order: int, needed: float | None = None, most: int = 1 << 20
) -> list[Batch]:
    """Pairs, and found sets with one feature more or less, that stand ``needed`` standard errors clear.

    Of each block of bases, the clearest ``most`` at most; a pair counts twice, once from each of its features.
    """
    n = support.n
    active = sorted({i for key in support.found for i in key})
    bases: list[Features] = [(i,) for i in (range(n) if n <= _ALL_PAIRS else active)]
    bases += [key for key in support.found if len(key) > 1]
    least = _needed(len(bases) * n) if needed is None else needed
    best: dict[Features, float] = {}
    step = max(1, _CELLS // n)
    for first in range(0, len(bases), step):
        block = bases[first : first + step]
        found = residual.extensions(pad(block, n, max(map(len, block))))
        hits = np.argwhere(found > least)
        if len(hits) > most:
            hits = hits[np.argsort(-found[hits[:, 0], hits[:, 1]], kind="stable")[:most]]
        for row, i in hits.tolist():
            key = tuple(sorted({*block[row]} ^ {i}))
            if 0 < len(key) <= order:
                best[key] = max(float(found[row, i]), best.get(key, 0.0))
    return [(pad(list(best), n, support.width), np.array(list(best.values())), NEAR)]


def _needed(candidates: int) -> float:
    """Standard errors that chance is unlikely to reach among so many candidates."""
    # The largest of K standard normals is near sqrt(2 log K); one more keeps its scatter out.
    return float(np.sqrt(2 * np.log(max(candidates, 2)))) + 1.0


def _widen(sets: Sets, n: int, width: int) -> Sets:
    out = np.full((len(sets), width), n, dtype=np.intp)
    out[:, : min(width, sets.shape[1])] = sets[:, :width]
    return out
