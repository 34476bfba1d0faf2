"""How faithful the fit was after how many ablations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from interplay._explain.explanation import Explanation
from interplay.plots._palette import FAINT, RAISES, axes, explanation_of, light

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def curve(result: Explanation, *, ax: Axes | None = None) -> Axes:
    """R² on unseen ablations after each round, with its interval; the median of several outputs.

    One point where everything was measured at once; `explain` with ``until=`` or ``tolerance=`` measures in rounds.

    Parameters
    ----------
    result
        An explanation.
    ax
        Where to draw: new axes when left out.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    explanation = explanation_of(result, "curve")
    points = [point for point in explanation.curve if not np.isnan(point.r2).all()]
    ax = axes(ax, 6, 3.6)
    spent = [point.ablations for point in points]
    r2, low, high = (np.array([_median(getattr(point, name)) for point in points]) for name in ("r2", "low", "high"))
    ax.plot(spent, r2, "o-", color=RAISES, markersize=5, label="with interactions")
    ax.fill_between(spent, low, high, color=RAISES, alpha=0.2, linewidth=0)
    if len(points) == 1:
        reach = np.nan_to_num([[r2[0] - low[0]], [high[0] - r2[0]]])
        ax.errorbar(spent, r2, yerr=reach, color=RAISES, capsize=3)
    first = [fit.faithfulness.first_order for fit in explanation.fits if fit.faithfulness.first_order is not None]
    if first:
        ax.axhline(float(np.median(first)), color=FAINT, linestyle="--", label="single features alone, at the end")
        ax.legend(frameon=False, fontsize=9, loc="lower right")
    ax.set_xlabel("ablations", fontsize=9)
    ax.set_ylabel("R² on unseen ablations", fontsize=9)
    ax.set_ylim(top=1.02)
    light(ax, "bottom", "left")
    return ax


def _median(values: tuple[float, ...]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")
