"""A text with its features shaded by their values, or marked where there is no colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from interplay._game.layout import TextLayout
from interplay._visible import visible

if TYPE_CHECKING:
    from rich.text import Text

_LINES = 10  # of a text shown whole; of a longer one, the surroundings of its strongest features
_AROUND = 40
_EXCERPTS = 6
_MARKED = 0.25  # without colour, features of at least this share of the strongest are marked


def shaded_text(layout: TextLayout, values: npt.NDArray[np.float64], *, colour: bool, width: int) -> Text:
    """The text, features on green or red by their values (n,), or as ``[+word+]``, ``[-word-]`` without colour."""
    from rich.text import Text

    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    text = visible(layout.text)
    shown = Text()
    position = 0
    for start, end in _windows(layout, values, _LINES * width):
        if start > position:
            shown.append(" … ", "dim")
            position = start
        for (left, right), value in zip(layout.spans, values, strict=True):
            if left == right or left < start or right > end:  # a segment of a picture beside the text, or not shown
                continue
            shown.append(text[position:left])
            strength = float(value) / scale
            word = text[left:right]
            if colour:
                shown.append(word, background(strength))
            elif abs(strength) >= _MARKED:
                sign = "+" if strength > 0 else "-"
                shown.append(f"[{sign}{word}{sign}]")
            else:
                shown.append(word)
            position = right
        shown.append(text[position:end])
        position = end
    if position < len(layout.text):
        shown.append(" …", "dim")
    return shown


def background(strength: float) -> str:
    """A background from white (0) to green (+1) or red (-1), black on it, whatever the terminal's own colours."""
    fade = round(235 - 150 * min(1.0, abs(strength)))
    if abs(strength) < 0.05:
        return ""
    red, green, blue = (fade, 235, fade) if strength > 0 else (235, fade, fade)
    return f"black on rgb({red},{green},{blue})"


def _windows(layout: TextLayout, values: npt.NDArray[np.float64], most: int) -> list[tuple[int, int]]:
    """The character ranges to show: all of a short text, what surrounds the strongest features of a long one."""
    length = len(layout.text)
    if length <= most:
        return [(0, length)]
    windows: list[tuple[int, int]] = []
    there = np.array([left < right for left, right in layout.spans])
    for feature in sorted(np.argsort(-np.abs(values) * there, kind="stable")[:_EXCERPTS].tolist()):
        left, right = layout.spans[feature]
        start, end = max(0, left - _AROUND), min(length, right + _AROUND)
        start, end = _whole_features(layout, start, end)
        if windows and start <= windows[-1][1]:
            windows[-1] = (windows[-1][0], max(end, windows[-1][1]))
        else:
            windows.append((start, end))
    return windows


def _whole_features(layout: TextLayout, start: int, end: int) -> tuple[int, int]:
    """The range widened so that it cuts no feature."""
    for left, right in layout.spans:
        if left < start < right:
            start = left
        if left < end < right:
            end = right
    return start, end
