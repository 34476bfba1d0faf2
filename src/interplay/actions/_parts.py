"""Which parts and which output of a game an action is about."""

from __future__ import annotations

from collections.abc import Iterable

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._game.game import Game


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
