"""The lasso from moments alone, by accelerated proximal gradient steps (FISTA, Beck & Teboulle 2009)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
Times = Callable[[Floats], Floats]
"""The Gram matrix G of K columns times weights (K, L): a function, so that nobody has to hold a centred copy of it."""


def descend(
    times: Times,
    moment: Floats,
    penalty: Floats,
    weights: Floats,
    *,
    rate: float,
    steps: int,
    still: float = 0.0,
    support: npt.NDArray[np.bool_] | None = None,
) -> Floats:
    """Minimise ``w' G w / 2 - w' moment + penalty |w|`` for L columns of ``weights`` (K, L) side by side.

    Parameters
    ----------
    times
        G times weights.
    moment, penalty
        What `numpy` spreads to (K, L); the precision of ``moment`` and ``weights`` is that of the result.
    weights
        Where to start.
    rate
        The step, at most one over the largest eigenvalue of G.
    steps, still
        How many steps, fewer where one changes no weight by more than ``still`` times the largest of the start.
    support
        (K, L): where weights may differ from zero; everywhere when None.
    """
    still *= max(float(np.abs(weights).max()), 1e-300)
    threshold = rate * penalty
    # ``ahead`` is where momentum has carried the weights; the gradient is taken there (Nesterov 1983).
    ahead, momentum = weights, 1.0
    for _ in range(steps):
        moved = ahead - rate * (times(ahead) - moment)
        # Soft thresholding minimises the distance to ``moved`` plus the penalty: the proximal step, in closed form.
        shrunk = np.sign(moved) * np.maximum(np.abs(moved) - threshold, 0.0)
        if support is not None:
            shrunk *= support
        if float(np.abs(shrunk - weights).max()) < still:
            return np.asarray(shrunk)
        following = float((1 + np.sqrt(1 + 4 * momentum**2)) / 2)
        ahead = shrunk + (momentum - 1) / following * (shrunk - weights)
        weights, momentum = shrunk, following
    return weights


def safe_rate(times: Times, start: Floats, steps: int = 30) -> float:
    """One over an upper estimate of G's largest eigenvalue, by power iteration from ``start`` (K, 1).

    The iteration comes from below, and stops a few hundredths short where eigenvalues crowd: hence the margin. Too
    large a rate would diverge, too small a one crawls.
    """
    vector, value = start, 1.0
    for _ in range(steps):
        vector = times(vector)
        value = float(np.linalg.norm(vector)) or 1.0
        vector = vector / value
    return 1.0 / (1.1 * value)
