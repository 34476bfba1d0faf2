"""Sets by strength, as bars with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interplay._explain.explanation import Explanation
from interplay._spectrum.interactions import Interactions
from interplay.plots._palette import INK, axes, colour, counted, interactions_of, joined, labels_of, light, strongest

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def ranking(
    result: Explanation | Interactions, *, top: int = 20, index: str | None = None, ax: Axes | None = None
) -> Axes:
    """The strongest sets, alone and together, with their 90% intervals where they are known.

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
    shown, left = strongest(found, top)
    ax = axes(ax, 7, 0.9 + 0.28 * max(3, len(shown)))
    labels = labels_of(found)
    rows = range(len(shown))
    reaches = [0.0 if effect.reach is None else effect.reach for effect in shown]
    ax.barh(
        rows,
        [effect.value for effect in shown],
        xerr=reaches if any(reaches) else None,
        color=[colour(effect.value) for effect in shown],
        height=0.62,
        error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 2},
    )
    ax.set_yticks(rows, [joined(effect.features, labels) for effect in shown])
    ax.invert_yaxis()
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_xlabel(f"{found.index}: change of the output", fontsize=9)
    light(ax, "bottom")
    counted(ax, left)
    return ax
