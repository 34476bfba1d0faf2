"""Where stretches of neighbouring features lie in what the user gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from interplay._game.layout import Gallery, ImageLayout, Layout, TextLayout, TrainingLayout


def coarsened(layout: Layout | None, stretches: Sequence[tuple[int, int]], names: Sequence[str]) -> Layout | None:
    """The layout of ``stretches`` (first, one past the last) of the features of ``layout``, which ``names`` name.

    None where the layout has no place for parts of mixed size: a grid whose cells are joined, a row of a table.
    """
    if all(end - start == 1 for start, end in stretches):
        return layout
    if isinstance(layout, TextLayout):
        return TextLayout(layout.text, tuple((layout.spans[a][0], layout.spans[b - 1][1]) for a, b in stretches))
    if isinstance(layout, ImageLayout):
        part_of = np.repeat(np.arange(len(stretches)), [b - a for a, b in stretches])
        part_of = np.append(part_of, -1)  # what pixels of no segment point to
        segments = tuple(map(tuple, part_of[np.array(layout.segments)].tolist()))
        return replace(layout, segments=segments, grid=None)
    if isinstance(layout, TrainingLayout):
        return replace(layout, examples=_groups(layout.examples, stretches, names))
    return None


def _groups(examples: Gallery, stretches: Sequence[tuple[int, int]], names: Sequence[str]) -> Gallery:
    """Groups of examples: their class is the one that all have."""
    classes = examples.classes
    if classes is not None:
        each = [set(classes[a:b]) for a, b in stretches]
        classes = tuple(one.pop() if len(one) == 1 else "mixed" for one in each)
    return Gallery(tuple(names), classes)
