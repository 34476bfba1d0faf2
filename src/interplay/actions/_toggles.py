"""What a spectrum says near one input: a polynomial in which parts were toggled there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features
from interplay._spectrum.spectrum import Spectrum

Sets: TypeAlias = npt.NDArray[np.intp]
"""(N, k): N sets of k parts each, ascending positions among the parts that may be toggled."""


@dataclass(frozen=True)
class Toggles:
    """``sum_U terms[U] * prod_{i in U} x_i``, where x_i says whether part i of ``count`` was toggled.

    Toggling is ablating, where the input is untouched, and keeping, where everything was ablated.
    """

    count: int
    terms: Mapping[Features, float]

    def __post_init__(self) -> None:
        # A set's key is the sum of its parts' random 64-bit numbers: sets of any size share one sorted table.
        numbers = np.random.default_rng(0).integers(1 << 63, size=self.count, dtype=np.uint64)
        keys = np.array([numbers[list(key)].sum(dtype=np.uint64) for key in self.terms], dtype=np.uint64)
        order = np.argsort(keys)
        values = np.array(list(self.terms.values()), dtype=np.float64)
        for name, given in {"_numbers": numbers, "_keys": keys[order], "_values": values[order]}.items():
            object.__setattr__(self, name, given)

    @classmethod
    def of(cls, spectrum: Spectrum, kept: npt.NDArray[np.bool_], parts: Sequence[int], most: int) -> Toggles:
        """The polynomial around the mask ``kept`` (n,), exact for up to ``most`` toggled ``parts``.

        A character is a product of signs, and toggling i turns its sign: ``chi_S = chi_S(kept) prod_{i in S}
        (1 - 2 x_i)``, whose products over subsets U of S have the coefficients ``(-2)^|U|``.
        """
        place = {part: position for position, part in enumerate(parts)}
        terms: dict[Features, float] = {}
        for features, value in spectrum.coefficients.items():
            start = value * (-1.0) ** int(kept[list(features)].sum())
            free = tuple(sorted(place[i] for i in features if i in place))
            for size in range(min(most, len(free)) + 1):
                for subset in combinations(free, size):
                    terms[subset] = terms.get(subset, 0.0) + start * (-2.0) ** size
        return cls(len(parts), terms)

    def at(self, sets: Sets) -> Values:
        """The polynomial where each of ``sets`` (N, k) was toggled, (N,)."""
        width = sets.shape[1]
        largest = min(width, max(map(len, self.terms), default=0))
        # Sets of many parts have more subsets than there are terms: each term is looked up among the parts instead.
        if sum(comb(width, size) for size in range(largest + 1)) > max(len(self.terms), 1 << width if width < 7 else 0):
            return self._over_terms(members(sets, self.count))
        numbers = self._numbers[sets]  # type: ignore[attr-defined]
        total = np.zeros(len(sets))
        for size in range(largest + 1):
            for columns in combinations(range(width), size):
                total += self._look_up(numbers[:, list(columns)].sum(axis=1, dtype=np.uint64))
        return total

    def _over_terms(self, held: npt.NDArray[np.bool_]) -> Values:
        """As `at`, of the parts held (N, count), term by term."""
        total = np.zeros(len(held))
        for key, value in self.terms.items():
            total += value * held[:, list(key)].all(axis=1)
        return total

    def _look_up(self, wanted: npt.NDArray[np.uint64]) -> Values:
        keys, values = self._keys, self._values  # type: ignore[attr-defined]
        if not len(keys):
            return np.zeros(len(wanted))
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found: Values = np.where(keys[at] == wanted, values[at], 0.0)
        return found

    def __add__(self, other: Mapping[Features, float]) -> Toggles:
        merged = dict(self.terms)
        for key, value in other.items():
            merged[key] = merged.get(key, 0.0) + value
        return Toggles(self.count, merged)


def members(sets: Sets, count: int) -> npt.NDArray[np.bool_]:
    """Which of ``count`` parts each of ``sets`` (N, k) holds: (N, count)."""
    held = np.zeros((len(sets), count), dtype=np.bool_)
    np.put_along_axis(held, sets, values=True, axis=1)
    return held


def toggled(kept: npt.NDArray[np.bool_], parts: Sequence[int], sets: Sequence[Features]) -> Masks:
    """The masks (N, n) in which each of ``sets`` of positions among ``parts`` was toggled from ``kept``."""
    masks = np.repeat(kept[None], len(sets), axis=0)
    for row, chosen in zip(masks, sets, strict=True):
        row[[parts[position] for position in chosen]] ^= True
    return masks
