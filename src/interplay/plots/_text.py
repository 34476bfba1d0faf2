"""A text, its parts shaded by what they do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._findings.views import alone
from interplay._game.layout import TextLayout
from interplay.plots._palette import axes, bare, colour, explanation_of, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 76  # characters a line
_LINES = 60
_ADVANCE = 0.602  # of a character of DejaVu Sans Mono, in its size
_STRONGEST = 0.6  # opacity of the strongest part


def text(result: Explanation, *, index: str = "bv", ax: Axes | None = None) -> Axes:
    """The explained text, its parts on blue where they raise the output and on vermilion where they lower it.

    Parts that cannot be told from zero have no shade. A text of more than 60 lines is cut, and its end says so.

    Parameters
    ----------
    result
        The explanation of one output of a text game.
    index
        Whose values of single parts shade them: "bv", the mean effect of keeping a part, or "sv".
    ax
        Where to draw: new axes when left out.

    Raises
    ------
    InputError
        For an explanation of anything but a text.
    MissingExtraError
        Without matplotlib.
    """
    layout = explanation_of(result, "text").layout
    if not isinstance(layout, TextLayout):
        raise InputError("text takes the explanation of a text: this one's features lie in no text.")
    effects = alone(result.interactions(index))
    most = max((abs(effect.value) for effect in effects if not effect.faint), default=0.0)
    lines = _lines(layout)
    left, lines = max(0, len(lines) - _LINES), lines[:_LINES]
    ax = axes(ax, 8.0, 0.4 + 0.27 * len(lines))
    bare(ax)
    ax.set_xlim(0, _WIDTH)
    ax.set_ylim(len(lines) + (left > 0), 0)
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # which settles how wide the axes are
    size = 0.97 * ax.get_window_extent().width * 72 / ax.figure.dpi / _WIDTH / _ADVANCE
    for row, line in enumerate(lines):
        column = 0
        for piece, feature in line:
            if feature is not None and most and not effects[feature].faint:
                strength = effects[feature].value / most
                ax.broken_barh(
                    [(column - 0.1, len(piece) + 0.2)],
                    (row + 0.08, 0.84),
                    color=colour(strength),
                    alpha=_STRONGEST * abs(strength),
                    linewidth=0,
                )
            for word in re.finditer(r"\S+", piece):  # one by one, so that a font of another width drifts little
                x = column + word.start()
                ax.text(x, row + 0.5, plain(word.group()), va="center", fontsize=size, family="monospace")
            column += len(piece)
    if left:
        ax.text(0, len(lines) + 0.5, f"{left} more lines", va="center", fontsize=9, color="#565f69")
    return ax


def _lines(layout: TextLayout) -> list[list[tuple[str, int | None]]]:
    """The text in lines of pieces, each of one feature or none."""
    owner: list[int | None] = [None] * len(layout.text)
    for feature, (start, end) in enumerate(layout.spans):
        owner[start:end] = [feature] * (end - start)
    lines: list[list[tuple[str, int | None]]] = [[]]
    used = 0
    for match in re.finditer(rf"\n|[^\S\n]+|\S{{1,{_WIDTH}}}", layout.text):
        word, start = match.group(), match.start()
        if word == "\n" or used + len(word) > _WIDTH:
            lines.append([])
            used = 0
            if word.isspace():
                continue
        for offset, character in enumerate(word):
            mine, line = owner[start + offset], lines[-1]
            if line and line[-1][1] == mine:
                line[-1] = (line[-1][0] + character, mine)
            else:
                line.append((character, mine))
        used += len(word)
    return lines
