"""Units within units: paragraphs of sentences of words, as the tree of a game that can be zoomed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise

from interplay._errors import InputError
from interplay._game.tree import Part, in_blocks
from interplay._units import Span

_LONGEST = 60  # characters of a part's label


def parts_of(
    text: str, leaves: Sequence[Span], levels: Sequence[str], cut: Callable[[str, str], list[Span]], first: int = 0
) -> tuple[Part, ...]:
    """The coarsest parts of a ``text`` whose finest units are the ranges ``leaves``.

    Parameters
    ----------
    text
        The text of which ``leaves`` are ascending character ranges.
    leaves
        The units of the last level.
    levels
        Names of units, coarse to fine, such as ``("paragraph", "sentence", "word")``.
    cut
        The ranges of a text's units of that name.
    first
        The number of the first leaf.
    """
    starts = [start for start, _ in leaves]

    def within(start: int, end: int, below: Sequence[str]) -> tuple[Part, ...]:
        if len(below) == 1:
            inside = range(bisect_left(starts, start), bisect_left(starts, end))
            return tuple(_leaf(text, leaves[i], below[0], first + i) for i in inside)
        # A part reaches to where the next one begins, so that no unit falls between two.
        edges = [start, *(start + at for at, _ in cut(text[start:end], below[0])[1:]), end]
        found = []
        for left, right in pairwise(edges):
            inner = in_blocks(within(left, right, below[1:]))
            if not inner:
                continue
            # What opens into a single part of the same extent is that part.
            found.append(inner[0] if len(inner) == 1 else _part(text[left:right], below[0], inner))
        return tuple(found)

    return within(0, len(text), levels)


def check_levels(levels: Sequence[str], known: Sequence[str]) -> None:
    """An `InputError` unless names of units go from coarse to fine, each once."""
    places = [known.index(level) for level in levels]
    if places != sorted(set(places)):
        raise InputError(
            f"a tuple of units goes from coarse to fine, each once ({', '.join(known)}), not {tuple(levels)!r}."
        )


def _leaf(text: str, span: Span, level: str, number: int) -> Part:
    return Part(text[slice(*span)], level, number, number + 1)


def _part(text: str, level: str, inner: tuple[Part, ...]) -> Part:
    words = " ".join(text[: 4 * _LONGEST].split())
    label = words if len(words) <= _LONGEST else words[: _LONGEST - 1].rstrip() + "…"
    return Part(label, level, inner[0].start, inner[-1].end, inner)
