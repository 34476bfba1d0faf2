"""Pairs as a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from interplay._explain.explanation import Explanation
from interplay._findings.views import effects_of
from interplay._spectrum.interactions import Interactions
from interplay.plots._palette import axes, counted, diverging, interactions_of, labels_of, light

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def matrix(
    result: Explanation | Interactions, *, top: int = 24, index: str | None = None, ax: Axes | None = None
) -> Axes:
    """What pairs of features do together, with each feature by itself on the diagonal.

    Pairs that cannot be told from zero are left blank.

    Parameters
    ----------
    result
        An explanation of one output, or interactions.
    top
        How many features, those with the strongest pairs; the others are counted.
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
    n = len(found.labels)
    values, strength = np.full((n, n), np.nan), np.zeros(n)
    for effect in effects_of(found.of_order(1, 2)):
        if effect.faint:
            continue
        rows, columns = effect.features[0], effect.features[-1]
        values[rows, columns] = values[columns, rows] = effect.value
        if rows != columns:
            strength[list(effect.features)] += abs(effect.value)
        else:
            strength[rows] += 1e-3 * abs(effect.value)  # features without pairs come last, strongest first
    chosen = np.sort(np.argsort(-strength, kind="stable")[: min(top, n)])
    part = values[np.ix_(chosen, chosen)]
    most = np.nanmax(np.abs(part), initial=0.0, where=~np.isnan(part)) or 1.0
    side = 2.2 + 0.26 * len(chosen)
    ax = axes(ax, side + 0.8, side)
    image = ax.imshow(part, cmap=diverging(), vmin=-most, vmax=most)
    ax.figure.colorbar(image, ax=ax, shrink=0.7, label=f"{found.index}: change of the output")
    labels = labels_of(found)
    names = [labels[i] for i in chosen]
    ax.set_xticks(range(len(names)), names, rotation=90)
    ax.set_yticks(range(len(names)), names)
    light(ax)
    counted(ax, n - len(chosen), "features")
    return ax
