"""Rounds of proposing sets, measuring them and correcting the spectrum by what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interplay._explain.explanation import Explanation
from interplay._game.masks import Values
from interplay._spectrum.characters import Features
from interplay.actions._candidates import Candidates
from interplay.actions._correction import Correction
from interplay.actions._program import least
from interplay.actions._toggles import Sets, Toggles

_UNLIKELY = 0.005  # a set this unlikely to cross the line is not worth a measurement, once one was found
_SMALLER = 0.05  # a smaller set this likely to cross the line is looked at before the search ends at what it has
_LOOKED, _NONE = 3, 0.01  # measurements a part, after which sets whose chances add up to so little are given up
_DISCOUNT = 0.35  # of a set's worth, for one part more
_KNOWN = 0.1  # an R² below which a fit knows nothing of the spread of outputs
_JOINT = 400  # likeliest sets whose joint probability is taken, and draws of it
_SECONDS = 2.0  # for one integer program


@dataclass(frozen=True)
class Flip:
    """A set of features, the output predicted for it before it was measured, and the output measured."""

    features: Features
    predicted: float
    measured: float


@dataclass(frozen=True)
class _Prospect:
    """A set that may still be measured, its expected output and how likely it is to cross the line."""

    chosen: Features
    expected: float
    likely: float


class Search:
    """Which sets of toggled parts take the output across ``line``: upwards for ``sign`` +1, downwards for -1.

    Sets are positions among ``parts``; nothing is measured here: `propose` says what to measure, `learn` is told.
    """

    def __init__(
        self,
        explanation: Explanation,
        kept: npt.NDArray[np.bool_],
        parts: Sequence[int],
        most: int,
        start: float,
        line: float,
        sign: float,
    ) -> None:
        spectrum, r2 = explanation.spectrum, explanation.faithfulness.r2
        around = Toggles.of(spectrum, kept, parts, most)
        # How far the spectrum is off at the start is known: what counts is how the output moves from there.
        self._toggles = around + {(): start - around.terms.get((), 0.0)}
        self._most, self._line, self._sign = most, line, sign
        unexplained = 0.0 if np.isnan(r2) else spectrum.variance * (1 / max(r2, _KNOWN) - 1)
        if r2 < _KNOWN:  # a fit that found next to nothing says as little of how far outputs spread
            unexplained = max(unexplained, (start - line) ** 2 / 8)
        # A part turned alone meets twice the error's standard deviation, if all of the error were that part's.
        floor = (1e-6 * max(abs(start - line), np.sqrt(spectrum.variance))) ** 2
        self._correction = Correction(len(parts), max(8 * unexplained / len(kept), floor, 1e-300))
        self._exact = 8 * unexplained / len(kept) <= floor
        self._candidates = Candidates(self._toggles, most)
        self._flips: dict[Features, Flip] = {}
        self._gap: float | None = 0.0 if self._candidates.complete >= most else None

    def propose(self, count: int) -> list[Features]:
        """Up to ``count`` sets to measure next: likely ones, small ones first; none where none is likely."""
        # How unlikely is said by a few measurements: as long as none crossed, all that may be spent on looking is.
        unlikely = _UNLIKELY if self._exact or self._crossed() else 0.0
        prospects = self._prospects(unlikely, verify=not self._exact)
        if self._gap is None and not any(prospect.likely > 0.5 for prospect in prospects):
            self._solve()
            prospects = self._prospects(unlikely, verify=not self._exact)
        minimal = self._minimal()

        def worth(prospect: _Prospect) -> float:
            inside = any(set(prospect.chosen) < key for key in minimal)  # is what was found really minimal?
            return inside + prospect.likely * _DISCOUNT ** len(prospect.chosen)

        batch: list[Features] = []
        for prospect in sorted(prospects, key=lambda prospect: (-worth(prospect), prospect.chosen)):
            if len(batch) < count and not any(set(other) < set(prospect.chosen) for other in batch):
                batch.append(prospect.chosen)
        return batch

    def learn(self, batch: Sequence[Features], values: Values) -> None:
        """Take in what was measured, and correct the spectrum by it."""
        for chosen, value in zip(batch, values, strict=True):
            at = np.array([chosen], dtype=np.intp)
            expected = self._toggles.at(at) + self._correction.at(at)[0]
            self._flips[chosen] = Flip(chosen, float(expected[0]), float(value))
        before = np.concatenate([self._toggles.at(np.array([key], dtype=np.intp)) for key in self._flips])
        errors = np.array([flip.measured for flip in self._flips.values()]) - before
        self._correction.learn(list(self._flips), errors)
        if self._candidates.complete < self._most:
            self._gap = None

    def is_enough(self, count: int) -> bool:
        """Whether ``count`` minimal sets were found and no smaller one is likely, or after much looking none at all."""
        sizes = sorted(map(len, self._minimal()))[:count]
        if not sizes and len(self._flips) >= _LOOKED * self._toggles.count:
            return sum(prospect.likely for prospect in self._prospects(0.0)) <= _NONE
        if len(sizes) < count:
            return False
        return all(len(prospect.chosen) >= sizes[-1] for prospect in self._prospects(_SMALLER))

    def outcome(self) -> tuple[list[Flip], list[Flip]]:
        """The minimal sets that crossed the line, smallest first, and all others that were measured."""
        minimal = self._minimal()
        ranked = sorted(self._flips.values(), key=lambda flip: (len(flip.features), flip.features))
        found = [flip for flip in ranked if frozenset(flip.features) in minimal]
        return found, [flip for flip in ranked if flip not in found]

    def doubts(self, rng: np.random.Generator) -> tuple[float, float]:
        """The probability that no other minimal set crosses, and the gap that the integer program left."""
        if self._gap is None:
            self._solve()
        prospects = sorted(self._prospects(1e-4), key=lambda prospect: -prospect.likely)[:_JOINT]
        if not prospects:
            return 1.0, self._gap or 0.0
        expected = np.array([prospect.expected for prospect in prospects])
        drawn = expected + self._correction.draws([prospect.chosen for prospect in prospects], _JOINT, rng)
        crossing = (self._sign * (drawn - self._line) > 0).any(axis=1)
        return 1 - float(crossing.mean()), self._gap or 0.0

    def _crossed(self) -> list[frozenset[int]]:
        return [frozenset(key) for key, flip in self._flips.items() if self._sign * (flip.measured - self._line) > 0]

    def _minimal(self) -> set[frozenset[int]]:
        crossed = self._crossed()
        return {key for key in crossed if not any(other < key for other in crossed)}

    def _prospects(self, unlikely: float, *, verify: bool = False) -> list[_Prospect]:
        """Sets that may be measured, contain none that crossed, and are not as unlikely as that to cross.

        With ``verify`` also every part of a set that crossed: only where none of them does is that set minimal.
        """
        from scipy.special import stdtr

        if self._candidates.complete < self._most:
            self._candidates.grow(lambda sets, said: self._sign * (said + self._correction.at(sets)[0]))
        minimal = self._minimal()
        found = []
        for size, sets in self._candidates.sets.items():
            if not len(sets):
                continue
            error, scale = self._correction.at(sets)
            expected = self._candidates.predicted(size) + error
            ahead = self._sign * (expected - self._line)
            likely = stdtr(self._correction.freedom, ahead / np.maximum(scale, 1e-300))
            parts = _inside(sets, minimal) if verify else np.zeros(len(sets), dtype=np.bool_)
            listed = np.flatnonzero(((likely >= unlikely) | parts) & ~_holding(sets, minimal))
            if len(listed) > 2 * _JOINT:  # nobody will come to the others
                listed = listed[np.argsort(-(likely + parts)[listed], kind="stable")[: 2 * _JOINT]]
            for at in listed:
                chosen = tuple(sets[at].tolist())
                if chosen not in self._flips:
                    found.append(_Prospect(chosen, float(expected[at]), float(likely[at])))
        return found

    def _solve(self) -> None:
        """Ask HiGHS for the set that goes furthest by the corrected spectrum; note by how much it may be wrong."""
        corrected = self._toggles + self._correction.terms()
        towards = Toggles(corrected.count, {key: -self._sign * value for key, value in corrected.terms.items()})
        minimal = self._minimal()
        best = least(towards, self._most, beyond=minimal, other=self._flips, seconds=_SECONDS)
        if best.chosen is not None:
            self._candidates.add(best.chosen)
        furthest = min(
            (
                float(towards.at(sets)[free].min())
                for sets in self._candidates.sets.values()
                if (free := ~_holding(sets, minimal)).any()
            ),
            default=np.inf,
        )
        self._gap = max(0.0, min(furthest, best.value) - best.bound) if np.isfinite(furthest) else 0.0


def _holding(sets: Sets, smaller: Iterable[frozenset[int]]) -> npt.NDArray[np.bool_]:
    """Which of ``sets`` (N, k) contain one of the ``smaller``: (N,)."""
    holding = np.zeros(len(sets), dtype=np.bool_)
    for key in smaller:
        if len(key) <= sets.shape[1]:
            holding |= np.isin(sets, list(key)).sum(axis=1) == len(key)
    return holding


def _inside(sets: Sets, larger: Iterable[frozenset[int]]) -> npt.NDArray[np.bool_]:
    """Which of ``sets`` (N, k) lie within one of the ``larger``: (N,)."""
    inside = np.zeros(len(sets), dtype=np.bool_)
    for key in larger:
        if len(key) > sets.shape[1]:
            inside |= np.isin(sets, list(key)).all(axis=1)
    return inside
