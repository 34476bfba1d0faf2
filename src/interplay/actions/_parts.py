"""Which parts and which output of a game an action is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._game.game import Game
from interplay._game.masks import Values


def chosen_parts(game: Game, within: Iterable[int | str] | None) -> tuple[int, ...]:
    """The ids of the parts that may be touched: ascending, from ids or labels; all where none are given."""
    if within is None:
        return tuple(range(game.n))
    if isinstance(within, str):
        raise InputError(f"within must be a list of ids or labels, not the text {within!r}: pass [{within!r}].")
    chosen: set[int] = set()
    for part in within:
        if isinstance(part, str):
            same = [i for i, label in enumerate(game.labels) if label == part]
            if not same:
                raise unknown("part", part, game.labels)
            chosen |= set(same)
        elif 0 <= part < game.n:
            chosen.add(int(part))
        else:
            raise InputError(f"there is no part {part!r}: ids run from 0 to {game.n - 1}.")
    if not chosen:
        raise InputError("within is empty: name at least one part, or leave it out for all.")
    return tuple(sorted(chosen))


def as_explained(game: Game, explanation: Explanation) -> Game:
    """The game whose features are the explanation's: where parts were opened on the way, they are opened here."""
    if game.tree is None or not explanation.outline or game.labels == explanation.labels:
        return game
    return game.opened(explanation.outline)


def stretches(game: Game) -> tuple[tuple[int, int], ...]:
    """The first of each part's finest parts, and one past its last: one a part where nothing opens."""
    if game.tree is None:
        return tuple((i, i + 1) for i in range(game.n))
    return tuple((part.start, part.end) for part in game.tree.parts)


def by_part(game: Game, name: str, given: Sequence[float]) -> Values:
    """Numbers of a game's parts (n,): as given, or of its finest parts, those of each part added up.

    Raises
    ------
    InputError
        For another number of them.
    """
    numbers = np.asarray(given, dtype=np.float64)
    if numbers.shape == (game.n,):
        return numbers
    leaves = game.finest.n
    if game.tree is None or numbers.shape != (leaves,):
        finest = f" ({leaves} finest ones)" if leaves != game.n else ""
        raise InputError(f"{name}: {numbers.size} numbers for {game.n} parts{finest}; give one for each.")
    return np.asarray(np.add.reduceat(numbers, game.tree.starts), dtype=np.float64)


def one_output(game: Game, explanation: Explanation) -> int:
    """Where the explanation's only output stands among the game's; an error where it explains another game."""
    if explanation.labels != game.labels:
        raise InputError(
            f"the explanation is of {explanation.n} features, {list(explanation.labels[:3])}..., but the game has "
            f"{game.n}, {list(game.labels[:3])}...: explain this game first."
        )
    _ = explanation.fit  # an error where there are several
    if explanation.outputs is None:
        return 0
    name = explanation.outputs[0]
    if game.outputs is not None:
        if name not in game.outputs:
            raise unknown("output", name, game.outputs)
        return game.outputs.index(name)
    return int(name.removeprefix("output "))
