"""Sets as columns of dots, their values above."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interplay._explain.explanation import Explanation
from interplay._spectrum.interactions import Interactions
from interplay.plots._palette import FAINT, GREY, INK, axes, colour, interactions_of, labels_of, light, strongest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 40  # features at most


def upset(
    result: Explanation | Interactions, *, top: int = 20, index: str | None = None, ax: Axes | None = None
) -> Axes:
    """The strongest combinations: dots mark the features of each, the bar above what they do together.

    Parameters
    ----------
    result
        An explanation of one output, or interactions.
    top
        How many combinations; the others that differ from zero are counted.
    index
        The interaction index of an explanation; its own when left out.
    ax
        Where to draw the dots, with the bars in axes above it: new axes when left out.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    found = interactions_of(result, index)
    shown, left = strongest(found, top, low=2)
    while len({i for effect in shown for i in effect.features}) > _ROWS:
        shown, left = shown[:-1], left + 1
    members = [set(effect.features) for effect in shown]
    rows = sorted({i for one in members for i in one}, key=lambda i: (-sum(i in one for one in members), i))
    at = {i: row for row, i in enumerate(rows)}
    ax = axes(ax, 2.6 + 0.34 * max(4, len(shown)), 2.4 + 0.26 * max(2, len(rows)))
    bars = ax.inset_axes((0.0, 1.02, 1.0, max(0.35, 1.6 / (0.26 * max(2, len(rows))) * 0.5)), sharex=ax)
    columns = range(len(shown))
    for row in rows:
        ax.axhspan(at[row] - 0.5, at[row] + 0.5, color="#f3f4f6" if at[row] % 2 == 0 else "white", zorder=0)
    for column, effect in zip(columns, shown, strict=True):
        places = sorted(at[i] for i in effect.features)
        ax.scatter([column] * len(rows), range(len(rows)), s=14, color="#dde1e5", zorder=1)
        ax.plot([column, column], [places[0], places[-1]], color=colour(effect.value), linewidth=2, zorder=2)
        ax.scatter([column] * len(places), places, s=42, color=colour(effect.value), zorder=3)
    values, reaches = [effect.value for effect in shown], [effect.reach or 0.0 for effect in shown]
    bars.bar(columns, values, yerr=reaches if any(reaches) else None, color=[colour(v) for v in values], width=0.6,
             error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 2})  # fmt: skip
    bars.axhline(0, color=INK, linewidth=0.8)
    bars.set_ylabel(found.index, fontsize=9)
    bars.tick_params(labelbottom=False)
    light(bars, "left")
    labels = labels_of(found)
    ax.set_yticks(range(len(rows)), [labels[i] for i in rows])
    ax.set_xticks([])
    ax.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    ax.set_xlim(-0.6, max(len(shown), 1) - 0.4)
    light(ax)
    if not shown:
        ax.text(0.5, 0.5, "no combination differs from zero", transform=ax.transAxes, ha="center", color=FAINT)
    if left:
        ax.set_xlabel(f"{left} weaker combinations not shown", fontsize=8, color=GREY)
    return ax
