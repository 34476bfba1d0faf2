"""Slopes of a game's output in the gates of its features, measured together with the values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from interplay._errors import AblationError
from interplay._game.masks import Masks, Values, as_array, check_values
from interplay._game.partial import Partial

Slopes: TypeAlias = Callable[[Masks], Any]
"""masks (N, n) to values, as the game gives them, and slopes (N, n) or (N, T, n)."""

NOT_GIVEN = float(np.finfo(np.float32).min)
"""What stands for a slope that is not given, NaN, in rows of values, where NaN would be refused."""


@dataclass(frozen=True)
class Sloped:
    """Values and slopes side by side in rows, (N, T * repeats + T * n), for whatever measures and stores values.

    A game may give one number for each mask, or a row of one: the rows of the latter have a column more, so that its
    values are stored as the game itself gives them. Slopes of an output that the game does not give, all NaN, are
    marked; single precision is all that slopes have.
    """

    function: Slopes
    n: int
    repeats: int

    def __call__(self, masks: Masks) -> Any:
        found = self.function(masks)
        if isinstance(found, Partial):
            good = np.delete(masks, list(found.failures), axis=0)
            return replace(found, values=self._side_by_side(found.values, good) if len(good) else [])
        return self._side_by_side(found, masks)

    def _side_by_side(self, found: Any, masks: Masks) -> Values:
        if not isinstance(found, tuple) or len(found) != 2:
            raise AblationError(f"slopes gave a {type(found).__name__}: return a pair, values and slopes.")
        given = check_values(found[0], masks)
        values = given.reshape(len(masks), -1)
        slopes = check_slopes(found[1], masks, values.shape[1] // self.repeats)
        marked = np.where(np.isnan(slopes), NOT_GIVEN, slopes).astype(np.float32)
        mark = np.zeros((len(masks), int(given.shape[1:] == (1,))))
        return np.concatenate([values, marked.reshape(len(masks), -1).astype(np.float64), mark], axis=1)

    def split(self, rows: Values) -> tuple[Values, Values]:
        """The values, (N,) of single numbers and else (N, T * repeats), and the slopes (N, T, n) of such rows."""
        outputs, marked = divmod(rows.shape[1], self.repeats + self.n)
        width = outputs * self.repeats
        values, slopes = rows[:, :width], rows[:, width : rows.shape[1] - marked]
        single = width == 1 and not marked
        return (
            values[:, 0] if single else values,
            np.where(slopes == NOT_GIVEN, np.nan, slopes).reshape(len(rows), outputs, self.n),
        )


def check_slopes(slopes: object, masks: Masks, outputs: int) -> Values:
    """``slopes`` as (N, T, n) floats, finite but for outputs that have none, which are NaN; else an `AblationError`."""
    array = as_array(slopes)
    count, n = masks.shape
    shapes = {(count, outputs, n)} | ({(count, n)} if outputs == 1 else set())
    if array.shape not in shapes or array.dtype.kind not in "fiub":
        wanted = f"({count}, {n})" if outputs == 1 else f"({count}, {outputs}, {n})"
        raise AblationError(
            f"slopes must be real numbers of shape {wanted}, one for each mask{', output' * (outputs > 1)} and "
            f"feature, not {array.dtype} of shape {array.shape}."
        )
    found = array.astype(np.float64).reshape(count, outputs, n)
    bad = ~np.isfinite(found).all(axis=2) & ~np.isnan(found).all(axis=2)
    rows = np.unique(np.nonzero(bad)[0])
    if len(rows):
        raise AblationError(
            f"the slopes of {len(rows)} of {count} masks are not finite: return finite numbers, or NaN for all "
            "features of an output that has none."
        )
    return found
