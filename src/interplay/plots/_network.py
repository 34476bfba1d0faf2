"""Features on a circle, those that act together joined."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from interplay._explain.explanation import Explanation
from interplay._spectrum.interactions import Interactions
from interplay.plots._palette import FAINT, axes, bare, colour, counted, interactions_of, labels_of, strongest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_THICKEST = 6.0  # points
_LARGEST = 320.0  # square points


def network(
    result: Explanation | Interactions, *, top: int = 20, index: str | None = None, ax: Axes | None = None
) -> Axes:
    """The strongest combinations as lines between their features, thick where strong; dots are single features.

    A set of three or more is drawn as lines between each two of its features, dashed.

    Parameters
    ----------
    result
        An explanation of one output, or interactions.
    top
        How many sets; the others that differ from zero are counted.
    index
        The interaction index of an explanation; its own when left out.
    ax
        Where to draw: new axes when left out.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    found = interactions_of(result, index)
    shown, left = strongest(found, top, low=2)
    nodes = sorted({i for effect in shown for i in effect.features})
    angles = dict(zip(nodes, np.linspace(np.pi / 2, np.pi / 2 - 2 * np.pi, len(nodes), endpoint=False), strict=True))
    ax = axes(ax, 6.5, 6.5)
    bare(ax)
    ax.set_aspect("equal")
    ax.set_xlim(-1.7, 1.7)
    ax.set_ylim(-1.5, 1.5)
    most = max((abs(effect.value) for effect in shown), default=1.0)
    for effect in reversed(shown):  # the strongest on top
        style = "-" if len(effect.features) == 2 else (0, (3, 2))
        width = 0.6 + _THICKEST * abs(effect.value) / most / max(1, len(effect.features) - 1)
        for a, b in combinations(effect.features, 2):
            ends = np.array([[np.cos(angles[i]), np.sin(angles[i])] for i in (a, b)])
            ax.plot(*ends.T, color=colour(effect.value), linewidth=width, linestyle=style, alpha=0.75, zorder=1)
    labels = labels_of(found)
    alone = {key[0]: value for key, value in found.of_order(1).items()}
    largest = max((abs(alone.get(i, 0.0)) for i in nodes), default=0.0) or 1.0
    for i, angle in angles.items():
        x, y = np.cos(angle), np.sin(angle)
        value = alone.get(i, 0.0)
        size = 20 + _LARGEST * abs(value) / largest
        ax.scatter([x], [y], s=size, color=colour(value) if value else FAINT, edgecolor="white", zorder=2)
        side = "center" if abs(x) < 0.2 else "left" if x > 0 else "right"
        height = "bottom" if y > 0.9 else "top" if y < -0.9 else "center"
        ax.text(1.16 * x, 1.16 * y, labels[i], ha=side, va=height, fontsize=9)
    if not shown:
        ax.text(0, 0, "no combination differs from zero", ha="center", color=FAINT)
    counted(ax, left, "weaker combinations")
    return ax
