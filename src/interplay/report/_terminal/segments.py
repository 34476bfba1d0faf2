"""An image in the terminal: the picture, its segments by importance, and where the strongest combinations lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from interplay._findings.views import Effect, ShadedPicture, signed
from interplay._game.layout import ImageLayout
from interplay.report._terminal.grid import shaded_grid

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_WIDE, _PANEL = 32, 22  # characters across the picture, and across each of the small ones
_LINES, _SMALL = 12, 8  # lines of both
_SEGMENT = "segment "  # what labels of numbered segments begin with
_SHADES = " ░▒▓█"  # of grey, where there is no colour
_MARKED = 0.25  # without colour, segments of at least this share of the strongest are marked
_GREEN, _RED = (0.0, 190.0, 60.0), (225.0, 40.0, 40.0)


def image_parts(
    part: ShadedPicture, values: npt.NDArray[np.float64], *, width: int, colour: bool
) -> Iterator[RenderableType]:
    """The picture beside its segments shaded by ``values`` (n,), then the strongest sets in place."""
    from rich.table import Table
    from rich.text import Text

    layout, labels = part.layout, part.labels
    sign = "green raises the output" if colour else "+ raises the output"
    how = part.meaning if layout.cells is None else f"{part.meaning} in % of the strongest"
    yield Text.assemble(("Image", "bold"), f"  {how}: {sign}")
    picture = _Raster.of(layout, min(_WIDE, width), _LINES)
    cells = layout.cells
    if cells is None:
        shaded = picture.shaded(labels, values, colour=colour)
        taken = 2 * picture.columns + 2
    else:
        beside = width - picture.columns - 2
        block = _grid_width(max(map(len, cells.rows)), cells.columns)
        shaded = shaded_grid(cells, values, width=beside if block <= beside else width, colour=colour)
        taken = picture.columns + 2 + block
    if taken <= width:
        table = Table.grid(padding=(0, 2))
        table.add_row(picture.plain(colour=colour), shaded)
        yield table
    else:
        yield shaded  # there is no room for the picture beside it, nor below
        return
    small = _Raster.of(layout, _PANEL, _SMALL)
    across = max(small.columns, _PANEL)
    sets = part.sets[: max(1, (width + 2) // (across + 2))]
    if sets:
        yield Text.assemble(("Where", "bold"), "  the strongest combinations lie")
        table = Table.grid(padding=(0, 2))
        for _ in sets:
            table.add_column(width=across)
        table.add_row(*(_caption(effect, labels) for effect in sets))
        table.add_row(*(small.highlighted(effect.features, effect.value, colour=colour) for effect in sets))
        yield table


@dataclass(frozen=True, eq=False)
class _Raster:
    """A picture as a terminal shows it: two rows of pixels (R, C, 3) a line, and the segments (R, C) beneath them."""

    pixels: npt.NDArray[np.float64]
    segments: npt.NDArray[np.intp]

    @classmethod
    def of(cls, layout: ImageLayout, columns: int, lines: int) -> _Raster:
        """The layout's picture, by the nearest pixels, at most so large; small ones a whole number of times larger."""
        height, width = len(layout.segments), len(layout.segments[0])
        scale = min(columns / width, 2 * lines / height)
        scale = float(int(scale)) if scale >= 1 else scale
        across = max(1, round(width * scale))
        down = max(2, 2 * round(height * scale / 2))
        rows, places = np.arange(down) * height // down, np.arange(across) * width // across
        at = np.ix_(rows, places)
        return cls(np.array(layout.picture, dtype=np.float64)[at], np.array(layout.segments)[at])

    @property
    def columns(self) -> int:
        """Characters across."""
        return len(self.pixels[0])

    def plain(self, *, colour: bool) -> Text:
        """The picture itself; in shades without colour."""
        return _half_blocks(self.pixels) if colour else _lines(self._shades())

    def shaded(self, labels: Sequence[str], values: npt.NDArray[np.float64], *, colour: bool) -> Text:
        """The segments in green or red, or of + or -, by the values (n,), with their numbers where there is room."""
        scale = float(np.abs(values).max(initial=0.0)) or 1.0
        strength: npt.NDArray[np.float64] = np.append(values / scale, 0.0)[self.segments]  # the last: no segment
        upper = self.segments[::2]
        marks = np.where(strength > 0, "+", "-")[::2]
        marks = np.where(np.abs(strength[::2]) < _MARKED, "·", marks)
        marks = np.where(upper < 0, " ", marks)
        words = np.full(upper.shape, "▀") if colour else marks
        for feature, label in enumerate(labels):
            _write(words, upper == feature, label.removeprefix(_SEGMENT))
        return _half_blocks(_tinted(self.pixels, strength), words) if colour else _lines(words)

    def highlighted(self, features: Sequence[int], value: float, *, colour: bool) -> Text:
        """Where some features lie, green or red by the sign of ``value``, or solid without colour."""
        members = np.isin(self.segments, features)
        if colour:
            return _half_blocks(_tinted(0.6 * self.pixels, np.where(members, 1.0 if value > 0 else -1.0, 0.0)))
        # Of the two rows of a line either may hold a narrow segment.
        either = members[::2] | members[1::2]
        return _lines(np.where(either, "█", "·"))

    def _shades(self) -> npt.NDArray[np.str_]:
        tones = self.pixels.mean(axis=2)
        tones = (tones[::2] + tones[1::2]) / 2
        low, high = float(tones.min()), float(tones.max())  # all five shades, whatever the contrast
        steps = np.floor((tones - low) / ((high - low) or 1.0) * (len(_SHADES) - 1e-6)).astype(int)
        shades: npt.NDArray[np.str_] = np.array(list(_SHADES))[steps]
        return shades


def _write(words: npt.NDArray[np.str_], inside: npt.NDArray[np.bool_], label: str) -> None:
    """A label into the middle of the longest run of a segment's characters, if it is long enough."""
    best: tuple[int, float, int, int] | None = None
    middle = np.argwhere(inside).mean(axis=0)[0] if inside.any() else 0.0
    for row in np.flatnonzero(inside.any(axis=1)).tolist():
        start = 0
        for member, run in groupby(inside[row].tolist()):
            length = len(list(run))
            if member and length >= len(label) and (best is None or (length, -abs(row - middle)) > best[:2]):
                best = (length, -abs(row - middle), row, start)
            start += length
    if best is not None:
        length, _, row, start = best
        begin = start + (length - len(label)) // 2
        words[row, begin : begin + len(label)] = list(label)


def _tinted(pixels: npt.NDArray[np.float64], strength: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The picture in grey, turned to green (+1) or red (-1) by the strength of each pixel."""
    grey = pixels.mean(axis=2, keepdims=True)
    amount = 0.75 * np.minimum(1.0, np.abs(strength))[..., None]
    tint: npt.NDArray[np.float64] = np.where(strength[..., None] > 0, _GREEN, _RED)
    mixed: npt.NDArray[np.float64] = (1 - amount) * grey + amount * tint
    return mixed


def _half_blocks(pixels: npt.NDArray[np.float64], words: npt.NDArray[np.str_] | None = None) -> Text:
    """Two rows of pixels a line; characters other than the half block stand on the lower one."""
    from rich.text import Text

    shown = Text(no_wrap=True)
    tones = np.round(pixels).clip(0, 255).astype(int).tolist()
    for line, (upper, lower) in enumerate(zip(tones[::2], tones[1::2], strict=True)):
        if line:
            shown.append("\n")
        for column, ((r, g, b), (x, y, z)) in enumerate(zip(upper, lower, strict=True)):
            word = "▀" if words is None else str(words[line, column])
            ink = f"rgb({r},{g},{b})" if word == "▀" else "bold " + ("black" if x + y + z > 380 else "white")
            shown.append(word, f"{ink} on rgb({x},{y},{z})")
    return shown


def _lines(words: npt.NDArray[np.str_]) -> Text:
    from rich.text import Text

    return Text("\n".join("".join(row) for row in words.tolist()), no_wrap=True)


def _grid_width(margin: int, columns: Sequence[str]) -> int:
    """Characters of a grid in one block, as `shaded_grid` lays it out."""
    return margin + 1 + len(columns) * max(5, 1 + max(map(len, columns)))


def _caption(effect: Effect, names: Sequence[str]) -> Text:
    from rich.text import Text

    labels = [names[feature] for feature in effect.features]
    if all(label.startswith(_SEGMENT) for label in labels):
        labels = [label.removeprefix(_SEGMENT) for label in labels]
    return Text(f"{signed(effect.value)}  {' + '.join(labels)}", no_wrap=True, overflow="ellipsis")
