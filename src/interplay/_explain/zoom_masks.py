"""Which ablations a round of a zoom makes: masks of the leaves, by the parts that are open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interplay._explain.plan import draw
from interplay._game.masks import Masks
from interplay._game.tree import Part, Tree
from interplay.estimators import get_estimator

_TRIES = 10  # at drawing ablations that are new, before there are taken to be no more
_WHOLE = 1 / 3  # how often a part whose parts are features is kept or ablated whole all the same


def first_masks(tree: Tree, count: int, seed: int, keep: float) -> Masks:
    """The masks (N, L) of the first round: a design over the coarsest parts."""
    return tree.expanded(draw(get_estimator("gp"), len(tree.parts), count, seed, keep))


@dataclass(frozen=True)
class Draws:
    """Random masks (N, L) of the parts of ``tree``, opened from those of ``roots``.

    A part opened last is often still kept or ablated whole. Were all of its parts always drawn one by one, what needs
    many of them (the words of a sentence) would hardly ever be there, and nothing could be seen of it.
    """

    roots: Tree
    tree: Tree
    quiet: frozenset[Part]
    keep: float
    rng: np.random.Generator

    def plain(self, count: int, seen: set[bytes]) -> Masks:
        """Masks that keep or ablate every part whole: as many new ones as there are, up to ``count``."""
        return self._new(count, seen, self._whole)

    def guards(self, count: int, seen: set[bytes]) -> Masks:
        """Masks in which half of the ``quiet`` parts are opened, to any depth."""
        return self._new(count, seen, self._opened) if self.quiet else np.empty((0, self.tree.leaves), dtype=np.bool_)

    def _new(self, count: int, seen: set[bytes], drawn: Callable[[int], Masks]) -> Masks:
        found: list[npt.NDArray[np.bool_]] = []
        for _ in range(_TRIES):
            for row in drawn(count - len(found)):
                key = np.packbits(row).tobytes()
                if key not in seen:
                    seen.add(key)
                    found.append(row)
            if len(found) == count:
                break
        return np.array(found, dtype=np.bool_).reshape(len(found), self.tree.leaves)

    def _whole(self, count: int) -> Masks:
        leaves = np.empty((count, self.tree.leaves), dtype=np.bool_)
        closed = {id(part) for part in self.tree.parts}

        def whole(part: Part) -> float:
            if id(part) in closed:
                return 1.0
            return _WHOLE if all(id(inner) in closed for inner in part.parts) else 0.0

        for part in self.roots.parts:
            self._draw(leaves, part, np.arange(count), whole)
        return leaves

    def _opened(self, count: int) -> Masks:
        leaves = self._whole(count)
        for part in sorted(self.quiet, key=lambda part: part.start):
            rows = np.flatnonzero(self.rng.random(count) < 0.5)
            for inner in part.parts:
                self._draw(leaves, inner, rows, lambda _inner: 0.5)
        return leaves

    def _draw(self, leaves: Masks, part: Part, rows: npt.NDArray[np.intp], whole: Callable[[Part], float]) -> None:
        """Draw the leaves of a part in some rows: whole so often, else each of its parts in the same way."""
        closed = self.rng.random(len(rows)) < (whole(part) if part.parts else 1.0)
        leaves[rows[closed], part.start : part.end] = (self.rng.random(int(closed.sum())) < self.keep)[:, None]
        if not closed.all():
            for inner in part.parts:
                self._draw(leaves, inner, rows[~closed], whole)


def keys_of(masks: Masks) -> set[bytes]:
    """What tells masks apart."""
    return {row.tobytes() for row in np.packbits(masks, axis=1)}
