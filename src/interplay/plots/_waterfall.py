"""From the empty input to the whole one, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from interplay._checks import check_whole
from interplay._explain.explanation import Explanation
from interplay.plots._palette import FAINT, INK, axes, colour, explanation_of, labels_of, light

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def waterfall(result: Explanation, *, top: int = 12, ax: Axes | None = None) -> Axes:
    """How the output gets from its value with nothing to that with everything, by Shapley values.

    The strongest features one by one, the others together. The steps are those of the fit; where the measured ends
    differ from the fitted ones, the difference is a step of its own.

    Parameters
    ----------
    result
        An explanation of one output.
    top
        How many features have a step of their own.
    ax
        Where to draw: new axes when left out.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    explanation = explanation_of(result, "waterfall")
    check_whole("top", top, 1)
    found = explanation.interactions("sv")
    ends = explanation.spectrum.predict(np.array([[False], [True]]).repeat(explanation.n, axis=1))
    start = explanation.empty[0] if explanation.empty is not None else float(ends[0])
    end = explanation.full[0] if explanation.full is not None else float(ends[1])
    labels = labels_of(found)
    ranked = list(found.items())
    steps = [(labels[key[0]], value) for key, value in ranked[:top]]
    rest = ranked[top:]
    if rest:
        steps.append((f"{len(rest)} others", sum(value for _, value in rest)))
    missing = end - start - sum(value for _, value in steps)
    if abs(missing) > 1e-6 * (abs(end - start) or 1.0):
        steps.append(("not in the fit", missing))
    ax = axes(ax, 7, 1.2 + 0.3 * (len(steps) + 2))
    at = start
    for row, (name, value) in enumerate(steps, start=1):
        shade = FAINT if name == "not in the fit" else colour(value)
        ax.barh(row, value, left=at, color=shade, height=0.6)
        ax.plot([at + value] * 2, [row - 0.3, row + 1.3], color=FAINT, linewidth=0.8)
        ax.annotate(
            f"{value:+.3g}",
            (max(at, at + value), row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
        at += value
    for row, value in ((0, start), (len(steps) + 1, end)):
        ax.plot([value], [row], "o", color=INK, markersize=6)
        _number(ax, f"{value:.3g}", value, row)
    ax.set_yticks(range(len(steps) + 2), ["nothing kept", *(name for name, _ in steps), "everything kept"])
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_xlabel("output (steps are Shapley values)", fontsize=9)
    light(ax, "bottom")
    return ax


def _number(ax: Axes, words: str, x: float, row: int) -> None:
    ax.annotate(words, (x, row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8)
