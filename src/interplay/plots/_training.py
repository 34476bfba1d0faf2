"""Pairs of training examples that act together, by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interplay._checks import check_whole
from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._findings.influences import KINDS, influences, training_summary
from interplay._game.layout import TrainingLayout
from interplay._spectrum.interactions import distinct_labels
from interplay.plots._palette import INK, LOWERS, RAISES, axes, counted, explanation_of, light, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHADES = dict(zip(KINDS, (RAISES, LOWERS, "#cc79a7"), strict=True))  # and Okabe and Ito's purple
_HATCHES = dict(zip(KINDS, ("", "//", ".."), strict=True))


def training(result: Explanation, *, output: str | int | None = None, top: int = 20, ax: Axes | None = None) -> Axes:
    """The pairs of training examples that act together most, coloured by kind.

    Parameters
    ----------
    result
        An explanation of a training game.
    output
        A test point, by name or position; the mean over all of them when left out.
    top
        How many pairs; the others are counted.
    ax
        Where to draw: new axes when left out.

    Raises
    ------
    InputError
        For an explanation of anything but training examples.
    MissingExtraError
        Without matplotlib.
    """
    explanation = explanation_of(result, "training")
    check_whole("top", top, 1)
    layout = explanation.layout
    if not isinstance(layout, TrainingLayout):
        raise InputError("training takes the explanation of a training game: this one's features are no examples.")
    pairs = training_summary(explanation).pairs if output is None else influences(explanation, output).pairs
    shown = pairs[:top]
    names = [plain(name) for name in distinct_labels(layout.examples.names, width=24)]
    ax = axes(ax, 7.5, 1.2 + 0.28 * max(3, len(shown)))
    drawn = set()
    for row, pair in enumerate(shown):
        label = None if pair.kind in drawn else pair.kind
        drawn.add(pair.kind)
        ax.barh(
            row,
            pair.effect,
            color=_SHADES[pair.kind],
            hatch=_HATCHES[pair.kind],
            edgecolor="white",
            height=0.64,
            label=label,
        )
    ax.set_yticks(range(len(shown)), [" + ".join(names[i] for i in pair.features) for pair in shown])
    ax.invert_yaxis()
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_xlabel("effect of keeping both beyond the sum of each", fontsize=9)
    if shown:
        ax.legend(frameon=False, fontsize=9)
    light(ax, "bottom")
    counted(ax, len(pairs) - len(shown), "weaker pairs")
    return ax
