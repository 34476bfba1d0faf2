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


@dataclass(frozen=True)
class Gallery:
    """Items as a reader knows them: training examples, groups of them, or test points.

    ``names`` has one word or sentence per item; ``classes`` one class each; ``pictures`` one grey picture each, rows
    of brightness from 0 (dark) to 1.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    pictures: tuple[tuple[tuple[float, ...], ...], ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(map(str, self.names)))
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(map(str, self.classes)))
        if self.pictures is not None:
            rounded = tuple(tuple(tuple(round(float(v), 3) for v in row) for row in item) for item in self.pictures)
            object.__setattr__(self, "pictures", rounded)
        for what in ("classes", "pictures"):
            given = getattr(self, what)
            if given is not None and len(given) != len(self.names):
                raise InputError(f"there are {len(given)} {what} for {len(self.names)} items: give one for each.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts."""
        return {"names": self.names, "classes": self.classes, "pictures": self.pictures}

    @classmethod
    def from_dict(cls, parts: dict[str, Any]) -> Gallery:
        """The gallery that `to_dict` wrote."""
        return cls(parts["names"], parts["classes"], parts["pictures"])


@dataclass(frozen=True)
class TrainingLayout:
    """Features that are training examples, outputs that are test points.

    ``lower_is_better`` where the outputs are losses, so that what raises them harms; ``neutral`` where higher is
    neither better nor worse, as of a predicted number, so that nothing helps or harms.
    """

    examples: Gallery
    targets: Gallery | None = None
    lower_is_better: bool = False
    neutral: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts."""
        targets = None if self.targets is None else self.targets.to_dict()
        return {
            "kind": "training",
            "examples": self.examples.to_dict(),
            "targets": targets,
            "lower_is_better": self.lower_is_better,
            "neutral": self.neutral,
        }


@dataclass(frozen=True)
class TableLayout:
    """Features that are columns of one row, or groups of columns: what each is called, is, and typically is.

    ``typical`` holds the background's mean or most frequent values.
    """

    names: tuple[str, ...]
    values: tuple[str, ...]
    typical: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts."""
        return {"kind": "table", "names": self.names, "values": self.values, "typical": self.typical}


@dataclass(frozen=True)
class ImageLayout:
    """Features that are segments of an image, kept as a small picture of it.

    ``picture[y][x]`` is a pixel ``(red, green, blue)`` of 0 to 255, ``segments[y][x]`` the feature it belongs to or -1
    for none. ``shape`` is the height and width of the whole image; ``grid`` the rows and columns of cells, numbered
    row by row, where the segments are a grid's.
    """

    picture: tuple[tuple[tuple[int, int, int], ...], ...]
    segments: tuple[tuple[int, ...], ...]
    shape: tuple[int, int]
    grid: tuple[int, int] | None = None

    @property
    def cells(self) -> GridLayout | None:
        """The grid as a spreadsheet has it, columns A, B, ... and rows 1, 2, ...; None where there is none."""
        if self.grid is None:
            return None
        rows, columns = self.grid
        places = tuple((row, column) for row in range(rows) for column in range(columns))
        return GridLayout(tuple(str(row + 1) for row in range(rows)), tuple(map(letters, range(columns))), places)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts; the picture is one text of six hexadecimal digits a pixel for each row."""
        return {
            "kind": "image",
            "picture": [bytes(tone for pixel in row for tone in pixel).hex() for row in self.picture],
            "segments": self.segments,
            "shape": self.shape,
            "grid": self.grid,
        }

    @classmethod
    def from_dict(cls, parts: dict[str, Any]) -> ImageLayout:
        """The layout that `to_dict` wrote."""
        rows = [bytes.fromhex(row) for row in parts["picture"]]
        return cls(
            tuple(tuple((row[i], row[i + 1], row[i + 2]) for i in range(0, len(row), 3)) for row in rows),
            tuple(tuple(map(int, row)) for row in parts["segments"]),
            (int(parts["shape"][0]), int(parts["shape"][1])),
            None if parts["grid"] is None else (int(parts["grid"][0]), int(parts["grid"][1])),
        )


def letters(column: int) -> str:
    """The name of a spreadsheet's column, counted from 0: A to Z, AA, AB, ..."""
    name = ""
    column += 1
    while column:
        column, last = divmod(column - 1, 26)
        name = chr(ord("A") + last) + name
    return name


Layout: TypeAlias = TextLayout | GridLayout | TrainingLayout | TableLayout | ImageLayout


def layout_from_dict(parts: dict[str, Any] | None) -> Layout | None:
    """The layout that ``to_dict`` wrote."""
    if parts is None:
        return None
    if parts.get("kind") == "text":
        return TextLayout(parts["text"], tuple((int(a), int(b)) for a, b in parts["spans"]))
    if parts.get("kind") == "grid":
        cells = tuple((int(row), int(column)) for row, column in parts["cells"])
        return GridLayout(tuple(parts["rows"]), tuple(parts["columns"]), cells)
    if parts.get("kind") == "training":
        targets = None if parts["targets"] is None else Gallery.from_dict(parts["targets"])
        examples, losses = Gallery.from_dict(parts["examples"]), bool(parts["lower_is_better"])
        return TrainingLayout(examples, targets, losses, bool(parts.get("neutral", False)))
    if parts.get("kind") == "table":
        return TableLayout(*(tuple(map(str, parts[name])) for name in ("names", "values", "typical")))
    if parts.get("kind") == "image":
        return ImageLayout.from_dict(parts)
    raise InputError(
        f"unknown layout {parts.get('kind')!r} in a saved explanation: it was not written by this version."
    )
