"""What was observed: values of ablations, and slopes of some of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Masks, Values

Signs = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Observations:
    """Values and slopes in units of the values' standard deviation, values around their mean.

    Attributes
    ----------
    signs
        (N, n), +1 where ablated, -1 where kept.
    values
        (N,), standardised.
    slopes
        (N, n), d value / d gate; 0 in rows that have none.
    sloped
        (N,): which ablations have slopes.
    centre, scale
        Mean and standard deviation of the values as they were.
    """

    signs: Signs
    values: Vector
    slopes: Vector
    sloped: npt.NDArray[np.bool_]
    centre: float
    scale: float

    @classmethod
    def of(cls, masks: Masks, values: Values, slopes: Values) -> Observations:
        """Those of ``masks`` (N, n), ``values`` (N,) that vary and ``slopes`` (N, n), NaN in rows that have none."""
        centre, scale = float(values.mean()), float(values.std())
        signs = np.where(masks, np.float32(-1), np.float32(1))
        return cls(
            signs, (values - centre) / scale, np.nan_to_num(slopes) / scale, ~np.isnan(slopes[:, 0]), centre, scale
        )

    @property
    def n(self) -> int:
        """The number of features."""
        return int(self.signs.shape[1])

    def influences(self) -> Vector:
        """A quarter of the mean squared slope of every feature, (n,).

        Where slopes are jumps this is ``sum_{S ∋ h} F(S)^2``, as ``E (D_h f)^2 = 4 sum_{S ∋ h} F(S)^2``.
        """
        return np.asarray((self.slopes[self.sloped] ** 2).mean(axis=0) / 4.0)

    def blocks(self) -> Iterator[tuple[int, int, Rows]]:
        """Every feature h and state s, 0 ablated and 1 kept, with the sloped rows in which h is in that state."""
        for feature in range(self.n):
            kept = self.signs[:, feature] < 0
            for state, rows in enumerate((np.flatnonzero(self.sloped & ~kept), np.flatnonzero(self.sloped & kept))):
                if len(rows):
                    yield feature, state, rows
