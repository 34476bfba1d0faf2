"""Measure values and slopes together, each ablation once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from interplay._errors import InputError
from interplay._game.game import Game
from interplay._game.masks import Masks, Values
from interplay._game.slopes import Sloped
from interplay.ablate._runner import Measurement, measure
from interplay.ablate._store import Store


@dataclass(frozen=True)
class SlopeMeasurement:
    """Slopes (N, T, n) of the masks asked for, NaN where they failed, and what measuring them cost."""

    slopes: Values
    measurement: Measurement


def measure_slopes(game: Game, masks: Masks, *, store: Store, **options: Any) -> SlopeMeasurement:
    """Measure values and slopes of every mask (N, n) once; the ``options`` are those of `measure`.

    Both are in the store as they come, the values also as those of the game without slopes: whoever measures these
    next pays nothing for them. Where only values are there, values and slopes are measured together.

    Raises
    ------
    InputError
        For a game without slopes.
    """
    sloped = game.sloped
    if sloped is None:
        raise InputError("this game has no slopes: choose slopes=False.")
    found = measure(sloped, masks, store=store, **options)
    values, slopes = cast(Sloped, sloped.value).split(found.values)
    good = ~found.failed
    store.of(game).write(masks[good], values[good])
    return SlopeMeasurement(slopes, found)
