"""Small grey pictures in a terminal: two pixels a character."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.text import Text

Picture: TypeAlias = tuple[tuple[float, ...], ...]
_HALVES = (" ", "▄", "▀", "█")  # by whether the upper, then the lower pixel is bright


def half_blocks(picture: Picture, *, colour: bool) -> Text:
    """A picture, rows of brightness from 0 to 1, as lines of half-block characters; in two tones without colour."""
    from rich.text import Text

    shown = Text(no_wrap=True)
    rows = [*picture, (0.0,) * len(picture[0])] if len(picture) % 2 else list(picture)
    for line in range(0, len(rows), 2):
        if line:
            shown.append("\n")
        for upper, lower in zip(rows[line], rows[line + 1], strict=True):
            if colour:
                a, b = (round(255 * min(1.0, max(0.0, tone))) for tone in (upper, lower))
                shown.append("▀", f"rgb({a},{a},{a}) on rgb({b},{b},{b})")
            else:
                shown.append(_HALVES[2 * (upper >= 0.5) + (lower >= 0.5)])
    return shown
