"""Whether slopes help an output: by the error on values that no fit has seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from interplay._game.masks import Values
from interplay.estimators._base import Recovery
from interplay.estimators._validation import r_squared


def better_with_slopes(sloped: Recovery, plain: Recovery | None, values: Values) -> Recovery:
    """The fit to values and slopes or, where it predicts unseen values better, the ``plain`` one, to values alone."""
    if plain is None or plain.unseen is None:
        return sloped if plain is None else plain
    rows = np.arange(len(values)) if plain.rows is None else plain.rows
    assert sloped.unseen is not None
    without = 1.0 - plain.flatters * (1.0 - r_squared(values[rows], plain.unseen))
    with_slopes = r_squared(values, sloped.unseen)
    note = f"R² on unseen ablations with slopes {with_slopes:.3f}, from the values alone {without:.3f}"
    chosen = sloped if with_slopes >= without else plain
    return replace(chosen, notes=(note, *chosen.notes), alone=plain.alone if chosen is plain else None)
