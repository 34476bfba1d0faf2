"""What should make a reader doubt the game itself, however well it is explained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from interplay._explain.sample import Sample
from interplay._game.game import Game
from interplay._game.layout import TextLayout
from interplay._game.masks import Masks, Values
from interplay.estimators import is_constant

_LENGTH = 0.9  # of the variance: what the length may explain before it is all there is to say
_SAME = 0.1  # standard deviations over ablations: a smaller difference of both ends is none


def doubts_of(game: Game, sample: Sample) -> Iterator[str]:
    """Notes on a model's outputs that rise where all of a text is taken away, or with its length and little else."""
    if not isinstance(game.layout, TextLayout):
        return
    columns = sample.values.reshape(len(sample.masks), -1)
    names = game.outputs or ("the output",)
    for t, values in enumerate(columns.T[: len(names)]):
        if is_constant(values):
            continue
        name = "the output" if len(names) == 1 else f"the output {names[t]!r}"
        yield from _ends(name, sample, t, float(values.std()))
        yield from _length(name, sample.masks, values, game.labels)


def _ends(name: str, sample: Sample, output: int, spread: float) -> Iterator[str]:
    if sample.full is None or sample.empty is None:
        return
    full, empty = sample.full[output], sample.empty[output]
    if empty >= full - _SAME * spread:
        yield (
            f"with everything ablated {name} is {empty:.3g}, as high as with everything kept ({full:.3g}): the input "
            "as a whole does not raise it, so what single parts do may say little about it"
        )


def _length(name: str, masks: Masks, values: Values, labels: tuple[str, ...]) -> Iterator[str]:
    """By the number of parts kept, or of their characters, whichever tells more."""
    lengths = np.array([len(label) for label in labels], dtype=np.float64)
    shares = [
        float(np.corrcoef(kept, values)[0, 1] ** 2) for kept in (masks.sum(axis=1), masks @ lengths) if np.ptp(kept) > 0
    ]
    if len(labels) > 1 and max(shares, default=0.0) >= _LENGTH:
        yield (
            f"{max(shares):.0%} of what varies in {name} is the length of the text: whatever is removed, it goes the "
            "same way; compare with a margin between two answers, or ablate by a neutral text of the same length"
        )
