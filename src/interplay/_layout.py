"""Where a game's features lie in what the user gave, so that a report can show them in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from interplay._errors import InputError


@dataclass(frozen=True)
class TextLayout:
    """Features that are character ranges of one text: ``spans[i] = (start, end)`` is feature i."""

    text: str
    spans: tuple[tuple[int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts."""
        return {"kind": "text", "text": self.text, "spans": [list(span) for span in self.spans]}


@dataclass(frozen=True)
class GridLayout:
    """Features that stand in a grid, such as layers x heads: ``cells[i] = (row, column)`` is feature i.

    ``rows`` and ``columns`` are the names of the grid's; not every cell need hold a feature.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts."""
        cells = [list(cell) for cell in self.cells]
        return {"kind": "grid", "rows": list(self.rows), "columns": list(self.columns), "cells": cells}


Layout: TypeAlias = TextLayout | GridLayout


def layout_from_dict(parts: dict[str, Any] | None) -> Layout | None:
    """The layout that ``to_dict`` wrote."""
    if parts is None:
        return None
    if parts.get("kind") == "text":
        return TextLayout(parts["text"], tuple((int(a), int(b)) for a, b in parts["spans"]))
    if parts.get("kind") == "grid":
        cells = tuple((int(row), int(column)) for row, column in parts["cells"])
        return GridLayout(tuple(parts["rows"]), tuple(parts["columns"]), cells)
    raise InputError(
        f"unknown layout {parts.get('kind')!r} in a saved explanation: it was not written by this version."
    )
