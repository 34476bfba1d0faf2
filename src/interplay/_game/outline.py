"""Features of mixed size as a reader unfolds them: which part each came out of, and what its level is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from interplay._saved import damaged, each, listed, text, whole


@dataclass(frozen=True)
class Branch:
    """A part that was opened into ``parts``, or one that is a ``feature`` (its number) and has none.

    ``level`` says what it is ("paragraph", "block of sentences", ...), ``leaves`` how many finest parts it holds.
    """

    label: str
    level: str
    feature: int | None
    leaves: int
    parts: tuple[Branch, ...] = ()

    @property
    def features(self) -> Iterator[int]:
        """The features inside, or the one that it is."""
        if self.feature is not None:
            yield self.feature
        for part in self.parts:
            yield from part.features

    def to_list(self) -> list[Any]:
        """JSON-able parts."""
        return [self.label, self.level, self.feature, self.leaves, [part.to_list() for part in self.parts]]

    @classmethod
    def from_list(cls, parts: object, where: str) -> Branch:
        """The branch that `to_list` wrote."""
        label, level, feature, leaves, inner = listed(parts, where, 5)
        number = None if feature is None else whole(feature, where)
        return cls(
            text(label, where), text(level, where), number, whole(leaves, where), each(inner, where, cls.from_list)
        )


def check_outline(outline: tuple[Branch, ...], features: int) -> None:
    """An `InputError` for a saved outline that does not hold each of so many features once."""
    if outline and sorted(i for branch in outline for i in branch.features) != list(range(features)):
        raise damaged(f"its outline does not hold each of the {features} features once")
