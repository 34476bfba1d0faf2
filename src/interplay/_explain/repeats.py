"""Games measured several times per ablation: how much of what varies is noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Values


def noise_shares(values: Values, repeats: int) -> npt.NDArray[np.float64]:
    """The share of noise in the variance of each output's averaged ablations, (T,), from values (N, T * repeats).

    The variance between the repeats of one ablation, pooled over ablations and divided by ``repeats``, is what
    noise adds to the variance of their mean (one-way random effects); clipped to [0, 1]. One minus it estimates the
    highest R² that any fit can reach on such ablations.
    """
    cube = values.reshape(len(values), -1, repeats)
    noise = cube.var(axis=2, ddof=1).mean(axis=0) / repeats
    total = cube.mean(axis=2).var(axis=0, ddof=1) if len(cube) > 1 else np.zeros(cube.shape[1])
    shares: npt.NDArray[np.float64] = np.clip(np.divide(noise, total, out=np.ones_like(noise), where=total > 0), 0, 1)
    shares[noise == 0] = 0.0
    return shares


def noise_notes(values: Values, repeats: int) -> tuple[tuple[str, ...], ...]:
    """What a reader of each output's fit should know about its noise; T tuples, empty ones without repeats."""
    if repeats == 1:
        return ((),) * (values.shape[1] if values.ndim == 2 else 1)
    return tuple(
        (
            f"noise: {share:.1%} of the variance between ablations, each the mean of {repeats} repeats; "
            f"about R² {1 - share:.3f} is the most that a fit can reach on them",
        )
        for share in noise_shares(values, repeats)
    )
