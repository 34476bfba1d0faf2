"""Sets of parts worth a look: all small ones, those the spectrum names, and what a beam grows from them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np

from interplay._game.masks import Values
from interplay._spectrum.characters import Features
from interplay.actions._toggles import Sets, Toggles

_ENUMERATED = 30_000  # sets looked at one by one, smallest first
_NAMED = 5000  # of the spectrum's own sets, the strongest
_BEAM = 100


class Candidates:
    """Sets of up to ``most`` parts by size, with what a polynomial says of each."""

    def __init__(self, toggles: Toggles, most: int) -> None:
        self._toggles, self._most = toggles, min(most, toggles.count)
        self.complete = 0
        """Every set of up to so many parts is among them."""
        self.sets: dict[int, Sets] = {}
        self._predicted: dict[int, Values] = {}
        total = 0
        for size in range(1, self._most + 1):
            total += comb(toggles.count, size)
            if total > _ENUMERATED and size > 1:
                break
            self._put(size, np.array(list(combinations(range(toggles.count), size)), dtype=np.intp))
            self.complete = size
        for size in range(self.complete + 1, self._most + 1):
            named = sorted((key for key in toggles.terms if len(key) == size), key=lambda key: -abs(toggles.terms[key]))
            self._put(size, np.array(named[:_NAMED], dtype=np.intp).reshape(-1, size))

    def _put(self, size: int, sets: Sets) -> None:
        self.sets[size] = sets
        self._predicted[size] = self._toggles.at(sets)

    def predicted(self, size: int) -> Values:
        """What the polynomial says of ``sets[size]``."""
        return self._predicted[size]

    def add(self, chosen: Features) -> None:
        """One more set, unless it is there."""
        row = np.array([chosen], dtype=np.intp)
        known = self.sets[len(chosen)]
        if not (known == row).all(axis=1).any():
            self.sets[len(chosen)] = np.concatenate([known, row])
            self._predicted[len(chosen)] = np.concatenate([self._predicted[len(chosen)], self._toggles.at(row)])

    def grow(self, movement: Callable[[Sets, Values], Values]) -> None:
        """Add to sizes beyond `complete` what a beam finds: the best sets of each size, each with one part more.

        ``movement`` says of sets and their predicted values how far they go the right way.
        """
        for size in range(max(2, self.complete + 1), self._most + 1):
            smaller = self.sets[size - 1]
            if not len(smaller):
                continue
            order = np.argsort(-movement(smaller, self._predicted[size - 1]), kind="stable")[:_BEAM]
            stems = np.repeat(smaller[order], self._toggles.count, axis=0)
            part = np.tile(np.arange(self._toggles.count), len(order))[:, None]
            fresh = ~(stems == part).any(axis=1)
            grown = np.unique(np.sort(np.concatenate([stems, part], axis=1)[fresh], axis=1), axis=0)
            predicted = self._toggles.at(grown)
            best = np.argsort(-movement(grown, predicted), kind="stable")[:_BEAM]
            sets, first = np.unique(np.concatenate([self.sets[size], grown[best]]), axis=0, return_index=True)
            self.sets[size] = sets
            self._predicted[size] = np.concatenate([self._predicted[size], predicted[best]])[first]
