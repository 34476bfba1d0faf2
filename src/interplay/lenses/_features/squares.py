"""The cells of a fine grid in blocks that open into smaller ones, as the tree of a game that can be zoomed."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np

from interplay._game.tree import Part
from interplay.lenses._features.segments import Segments

_SIDE = 4  # blocks along each side into which one opens: 16 in all


def in_squares(cells: Segments) -> tuple[Segments, tuple[Part, ...]]:
    """The cells of a grid in the order of the blocks that hold them, and the coarsest blocks."""
    assert cells.grid is not None
    rows, columns = cells.grid
    order: list[int] = []  # of the cells, row by row in the grid: every block's lie side by side

    def within(top: int, bottom: int, left: int, right: int) -> Part:
        start, first = len(order), top * columns + left
        if (bottom - top) * (right - left) == 1:
            order.append(first)
            return Part(cells.labels[first], "cell", start, start + 1)
        parts = split(top, bottom, left, right)
        last = (bottom - 1) * columns + right - 1
        return Part(f"{cells.labels[first]}:{cells.labels[last]}", "block of cells", start, len(order), parts)

    def split(top: int, bottom: int, left: int, right: int) -> tuple[Part, ...]:
        across = product(pairwise(_edges(top, bottom)), pairwise(_edges(left, right)))
        return tuple(within(*vertical, *horizontal) for vertical, horizontal in across)

    parts = split(0, rows, 0, columns)
    place = np.empty(cells.count + 1, dtype=np.intp)
    place[order] = np.arange(cells.count)
    place[-1] = -1  # pixels of no segment
    return Segments(place[cells.of_pixel], tuple(cells.labels[i] for i in order)), parts


def _edges(first: int, last: int) -> list[int]:
    """The edges of equal stretches, no more than a side has."""
    edges: list[int] = np.linspace(first, last, min(_SIDE, last - first) + 1).round().astype(int).tolist()
    return edges
