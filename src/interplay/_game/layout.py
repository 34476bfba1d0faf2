"""Where a game's features lie in what the user gave, so that a report can show them in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from interplay._errors import InputError
from interplay._saved import Saved, boolean, damaged, each, number, rectangle, text, whole


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


@dataclass(frozen=True)
class IllustratedLayout:
    """Features that are segments of a picture, the first ones, and ranges of a text that goes with it.

    ``text.spans`` has an empty range for each segment, so that both count features alike.
    """

    picture: ImageLayout
    text: TextLayout

    @property
    def segments(self) -> int:
        """How many features are the picture's."""
        return next((i for i, (start, end) in enumerate(self.text.spans) if start < end), len(self.text.spans))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts."""
        return {"kind": "illustrated", "picture": self.picture.to_dict(), "text": self.text.to_dict()}


def letters(column: int) -> str:
    """The name of a spreadsheet's column, counted from 0: A to Z, AA, AB, ..."""
    name = ""
    column += 1
    while column:
        column, last = divmod(column - 1, 26)
        name = chr(ord("A") + last) + name
    return name


Layout: TypeAlias = TextLayout | GridLayout | TrainingLayout | TableLayout | ImageLayout | IllustratedLayout


def layout_from_dict(parts: dict[str, Any] | None) -> Layout | None:
    """The layout that ``to_dict`` wrote.

    Raises
    ------
    InputError
        For parts of other types or sizes than any layout has.
    """
    if parts is None:
        return None
    saved = Saved.of(parts, "the layout")
    kind = saved("kind", text)
    if kind not in _READERS:
        raise InputError(f"unknown layout {kind!r} in a saved explanation: it was not written by this version.")
    return _READERS[kind](saved)


def _texts(value: object, where: str) -> tuple[str, ...]:
    return each(value, where, text)


def _pair(value: object, where: str) -> tuple[int, int]:
    first, second = each(value, where, whole, 2)
    return first, second


def _text_from(saved: Saved) -> TextLayout:
    content, spans = saved("text", text), saved("spans", each, _pair)
    if not all(start <= end <= len(content) for start, end in spans):
        raise damaged(f"a span of the layout lies outside of its text of {len(content)} characters")
    return TextLayout(content, spans)


def _grid_from(saved: Saved) -> GridLayout:
    rows, columns, cells = saved("rows", _texts), saved("columns", _texts), saved("cells", each, _pair)
    if not all(row < len(rows) and column < len(columns) for row, column in cells) or not cells:
        raise damaged(f"a cell of the layout lies outside of its {len(rows)} rows and {len(columns)} columns")
    return GridLayout(rows, columns, cells)


def _gallery_from(value: object, where: str) -> Gallery:
    saved = Saved.of(value, where)
    return Gallery(saved("names", _texts), saved.maybe("classes", _texts), saved.maybe("pictures", each, _picture))


def _picture(value: object, where: str) -> tuple[tuple[float, ...], ...]:
    rows = each(value, where, lambda row, at: each(row, at, number))
    rectangle(rows, where)
    return rows


def _training_from(saved: Saved) -> TrainingLayout:
    examples, targets = saved("examples", _gallery_from), saved.maybe("targets", _gallery_from)
    return TrainingLayout(examples, targets, saved("lower_is_better", boolean), saved("neutral", boolean))


def _table_from(saved: Saved) -> TableLayout:
    names = saved("names", _texts)
    return TableLayout(names, saved("values", each, text, len(names)), saved("typical", each, text, len(names)))


def _image_from(saved: Saved) -> ImageLayout:
    picture = saved("picture", each, _pixels)
    segments = saved("segments", each, lambda row, at: each(row, at, lambda item, here: whole(item, here, -1)))
    if rectangle(picture, "the picture") != rectangle(segments, "the segments"):
        raise damaged("the picture and its segments differ in size")
    return ImageLayout(picture, segments, saved("shape", _pair), saved.maybe("grid", _pair))


def _pixels(value: object, where: str) -> tuple[tuple[int, int, int], ...]:
    try:
        row = bytes.fromhex(text(value, where))
    except ValueError as error:
        raise damaged(f"{where} is no row of pixels") from error
    if len(row) % 3:
        raise damaged(f"{where} is no row of pixels")
    return tuple((row[i], row[i + 1], row[i + 2]) for i in range(0, len(row), 3))


def _illustrated_from(saved: Saved) -> IllustratedLayout:
    picture = _image_from(Saved.of(saved("picture", lambda value, _: value), "the picture"))
    return IllustratedLayout(picture, _text_from(Saved.of(saved("text", lambda value, _: value), "the text")))


_READERS: dict[str, Callable[[Saved], Layout]] = {
    "text": _text_from,
    "grid": _grid_from,
    "training": _training_from,
    "table": _table_from,
    "image": _image_from,
    "illustrated": _illustrated_from,
}


def check_layout(layout: Layout | None, features: int, outputs: int) -> None:
    """An `InputError` for a saved layout that belongs to another number of features or outputs."""
    if isinstance(layout, TrainingLayout):
        if layout.targets is not None and len(layout.targets.names) != outputs:
            raise damaged(f"the layout has {len(layout.targets.names)} test points for {outputs} outputs")
        count = len(layout.examples.names)
    elif isinstance(layout, TextLayout):
        count = len(layout.spans)
    elif isinstance(layout, IllustratedLayout):
        if max(map(max, layout.picture.segments)) >= layout.segments:
            raise damaged(f"the picture has a segment beyond the {layout.segments} that are no words")
        count = len(layout.text.spans)
    elif isinstance(layout, GridLayout):
        count = len(layout.cells)
    elif isinstance(layout, TableLayout):
        count = len(layout.names)
    elif isinstance(layout, ImageLayout):
        if max(map(max, layout.segments)) >= features:
            raise damaged(f"the picture has a segment beyond the {features} features")
        count = features if layout.grid is None else layout.grid[0] * layout.grid[1]
    else:
        return
    if count != features:
        raise damaged(f"the layout has {count} parts for {features} features")
