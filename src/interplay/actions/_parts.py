"""Which parts and which output of a game an action is about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from numbers import Integral

import numpy as np

from interplay._checks import is_whole, output_position, unknown
from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._game.game import Game
from interplay._game.masks import Values
from interplay._spectrum.characters import Features


def chosen_parts(game: Game, within: Iterable[int | str] | None) -> tuple[int, ...]:
    """The ids of the parts that may be touched: ascending, from ids or labels; all where none are given."""
    if within is None:
        return tuple(range(game.n))
    chosen = set(_named_parts(game, "within", within))
    if not chosen:
        raise InputError("within is empty: name at least one part, or leave it out for all.")
    return tuple(sorted(chosen))


def set_of_parts(game: Game, name: str, given: Iterable[int | str]) -> Features:
    """The ids of one set of parts, ascending, from ids or labels, each of them named once."""
    parts = _named_parts(game, name, given)
    if not parts:
        raise InputError(f"{name} is empty: name at least one part.")
    twice = next((part for part in parts if parts.count(part) > 1), None)
    if twice is not None:
        raise InputError(f"{name} holds part {twice} ({game.labels[twice]!r}) more than once: name it once.")
    return tuple(sorted(parts))


def _named_parts(game: Game, name: str, given: Iterable[int | str]) -> list[int]:
    """The ids of the parts that ``given`` names, in its order; a label stands for every part that has it."""
    if isinstance(given, str):
        raise InputError(f"{name} must be a list of ids or labels, not the text {given!r}: pass [{given!r}].")
    if not isinstance(given, Iterable):
        raise InputError(f"{name} must be a list of ids or labels, not {given!r}: pass [{given!r}].")
    named: list[int] = []
    for part in given:
        if isinstance(part, str):
            same = [i for i, label in enumerate(game.labels) if label == part]
            if not same:
                raise unknown("part", part, game.labels)
            named += same
        elif is_whole(part, 0) and part < game.n:
            named.append(int(part))
        else:
            raise InputError(f"there is no part {part!r}: ids run from 0 to {game.n - 1}.")
    return named


def as_explained(game: Game, explanation: Explanation, name: str = "game") -> Game:
    """The game whose features are the explanation's: where parts were opened on the way, they are opened here."""
    if not isinstance(game, Game):
        raise InputError(f"{name} must be a game, as a lens or interplay.Game makes it, not {game!r}.")
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
        For another number of them, and for what is no number.
    """
    try:
        numbers = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a list of numbers, one for each part, not {given!r}.") from None
    if numbers.shape == (game.n,):
        return numbers
    leaves = game.finest.n
    if game.tree is None or numbers.shape != (leaves,):
        finest = f" ({leaves} finest ones)" if leaves != game.n else ""
        raise InputError(f"{name}: {numbers.size} numbers for {game.n} parts{finest}; give one for each.")
    return np.asarray(np.add.reduceat(numbers, game.tree.starts), dtype=np.float64)


def rankings_of(
    game: Game, rankings: Mapping[str, Sequence[float]] | None, taken: Collection[str]
) -> dict[str, Values]:
    """By name, scores of a game's parts (n,), as `by_part` reads them.

    Raises
    ------
    InputError
        For scores that give no order, and for a name that is ``taken`` by another way of choosing.
    """
    if not isinstance(rankings, (Mapping, type(None))):
        raise InputError(f"rankings must map a name to the scores of all parts, not {rankings!r}.")
    read: dict[str, Values] = {}
    for name, scores in (rankings or {}).items():
        if not isinstance(name, str) or not name.strip() or name in taken:
            raise InputError(f"a ranking cannot be called {name!r}: give it a name of its own, not {', '.join(taken)}.")
        read[name] = by_part(game, f"the ranking {name!r}", scores)
        unranked = np.flatnonzero(np.isnan(read[name]))
        if len(unranked):
            raise InputError(
                f"the ranking {name!r} has no number (NaN) for {game.labels[unranked[0]]!r}: give one for each part."
            )
    return read


def output_at(names: Sequence[str], output: str | int | None) -> int:
    """Where the output asked for, by name or position, stands among ``names``; the only one where none is asked for."""
    if output is None:
        if len(names) > 1:
            raise InputError(f"the games have {len(names)} outputs: choose one with output=, of {', '.join(names)}.")
        return 0
    if not isinstance(output, (str, Integral)) or isinstance(output, bool):
        raise InputError(f"output must be a name or a whole number, not {output!r}.")
    return output_position(output, names, len(names))


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
