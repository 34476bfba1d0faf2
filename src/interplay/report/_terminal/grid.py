"""A grid of layers by parts shaded by importance, and what lies within a layer and across layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from interplay._game.layout import GridLayout
from interplay.report._terminal.shading import background

_ROWS = 14

if TYPE_CHECKING:
    from rich.text import Text


def shaded_grid(layout: GridLayout, values: npt.NDArray[np.float64], *, width: int, colour: bool) -> Text:
    """The grid, each cell its value (n,) in per cent of the strongest, on green or red where there is colour.

    Columns that do not fit ``width`` characters go into further blocks below.
    """
    from rich.text import Text

    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    at = {cell: round(100 * float(value) / scale) for cell, value in zip(layout.cells, values, strict=True)}
    margin = max(len(name) for name in layout.rows) + 1
    cell_width = max(5, 1 + max(len(name) for name in layout.columns))
    per_block = max(1, (width - margin) // cell_width)
    shown = Text()
    rows = _strongest(layout, at)
    for start in range(0, len(layout.columns), per_block):
        columns = range(start, min(start + per_block, len(layout.columns)))
        shown.append("\n" * (start > 0) + " " * margin)
        shown.append("".join(layout.columns[column].rjust(cell_width) for column in columns), "dim")
        for row in rows:
            name = layout.rows[row]
            shown.append("\n" + name.ljust(margin), "dim")
            for column in columns:
                share = at.get((row, column))
                if share is None:
                    shown.append(" " * cell_width)
                    continue
                words = f"{share:+d}" if share else "·"
                shown.append(words.rjust(cell_width), background(share / 100) if colour else "")
    if len(rows) < len(layout.rows):
        shown.append(f"\n{len(layout.rows) - len(rows)} weaker layers are not shown", "dim")
    return shown


def _strongest(layout: GridLayout, at: Mapping[tuple[int, int], int]) -> list[int]:
    """The rows to show, in their order: all of a small grid, those with the strongest cells of a tall one."""
    best = [max((abs(value) for (r, _), value in at.items() if r == row), default=0) for row in range(len(layout.rows))]
    ranked = sorted(range(len(best)), key=lambda row: (-best[row], row))
    return sorted(ranked[:_ROWS])
