"""A grid of components, such as layers by heads."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._findings.views import alone
from interplay._game.layout import GridLayout
from interplay.plots._palette import axes, colour, diverging, explanation_of, interactions_of, light, strongest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ARCS = 12


def grid(result: Explanation, *, top: int = _ARCS, index: str = "bv", ax: Axes | None = None) -> Axes:
    """What each cell does by itself, and lines between those that act together most.

    Parameters
    ----------
    result
        The explanation of one output of a components game, or of any whose layout is a grid.
    top
        How many combinations are drawn as lines.
    index
        Whose values of single cells shade them: "bv", the mean effect of keeping a cell, or "sv".
    ax
        Where to draw: new axes when left out.

    Raises
    ------
    InputError
        For an explanation of anything but a grid.
    MissingExtraError
        Without matplotlib.
    """
    layout = explanation_of(result, "grid").layout
    if not isinstance(layout, GridLayout):
        raise InputError("grid takes the explanation of components: this one's features lie in no grid.")
    effects = alone(result.interactions(index))
    values = np.full((len(layout.rows), len(layout.columns)), np.nan)
    for cell, effect in zip(layout.cells, effects, strict=True):
        values[cell] = 0.0 if effect.faint else effect.value
    most = np.nanmax(np.abs(values)) or 1.0
    ax = axes(ax, 2 + 0.42 * len(layout.columns), 1.2 + 0.34 * len(layout.rows))
    image = ax.imshow(values, cmap=diverging(), vmin=-most, vmax=most, aspect="auto")
    ax.figure.colorbar(image, ax=ax, shrink=0.8, label="mean effect of keeping it" if index == "bv" else index)
    shown, _ = strongest(interactions_of(result, None), top, low=2)
    scale = max((abs(effect.value) for effect in shown), default=1.0)
    for effect in shown:
        places = [layout.cells[i] for i in effect.features]
        for (y, x), (v, u) in pairwise(places):
            ax.annotate(
                "",
                (u, v),
                (x, y),
                arrowprops={
                    "arrowstyle": "-",
                    "connectionstyle": "arc3,rad=0.25",
                    "color": colour(effect.value),
                    "linewidth": 0.8 + 3 * abs(effect.value) / scale,
                    "linestyle": "-" if effect.value > 0 else "--",
                },
            )
    ax.set_xticks(range(len(layout.columns)), layout.columns)
    ax.set_yticks(range(len(layout.rows)), layout.rows)
    light(ax)
    return ax
