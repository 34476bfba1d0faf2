"""Which games ask the same prompt again, so that each counts as evidence once."""

from __future__ import annotations

from types import MethodType

import numpy as np

from interplay._game.game import Game


class Prompts:
    """The prompts met so far, numbered: the same prompt, asked of the same model, has the same number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[object, ...], int] = {}
        self._met: list[Game] = []  # kept, so that no other function takes the place of one that scored them

    def number(self, game: Game) -> int:
        """The number of the game's prompt; a new one where it was not met, or where nothing tells whether it was."""
        key = _told_apart(game)
        number = len(self._met) if key is None else self._numbers.setdefault(key, len(self._met))
        if number == len(self._met):
            self._met.append(game)
        return number


def _told_apart(game: Game) -> tuple[object, ...] | None:
    """What two games of the same prompt share, and no others; None where nothing is known to be so.

    That is the fingerprint, by which a store gives both the same values. Of a text without one it is what scores it and
    what a reader sees of it: the parts, the whole, and what is left where every part is ablated.
    """
    if game.fingerprint is not None:
        return game.labels, game.fingerprint
    finest = game.finest
    if not hasattr(finest.value, "scorer") or hasattr(finest.value, "picture"):  # no reader sees all of a picture
        return None
    seen = finest.inputs(np.array([[True] * finest.n, [False] * finest.n]))
    told = repr([(one, getattr(one, "options", None)) for one in seen])  # options are a chat's
    return game.labels, finest.labels, told, *_function(getattr(finest.value.scorer, "score", finest.value.scorer))


def _function(scores: object) -> tuple[int, ...]:
    """Which function it is: a method is made anew whenever it is asked for, so it goes by its object and its code."""
    return (id(scores.__self__), id(scores.__func__)) if isinstance(scores, MethodType) else (id(scores),)
