"""A text some of whose parts a model reads without attending to them: they keep their places, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence


class Hidden(str):
    """A text with parts that are hidden from the model's attention, shown as dots.

    Parameters
    ----------
    whole
        The text with all its parts.
    spans
        The character ranges that are hidden.
    """

    whole: str
    spans: tuple[tuple[int, int], ...]

    __slots__ = ("spans", "whole")

    def __new__(cls, whole: str, spans: Sequence[tuple[int, int]] = ()) -> Hidden:
        """The text, as it is shown."""
        shown = list(whole)
        for start, end in spans:
            shown[start:end] = ["·"] * (end - start)
        made = super().__new__(cls, "".join(shown))
        made.whole, made.spans = whole, tuple(spans)
        return made

    def __reduce__(self) -> tuple[object, ...]:
        return (Hidden, (self.whole, self.spans))

    def places(self, offsets: Sequence[tuple[int, int]], shift: int) -> list[int]:
        """Which tokens, by their character ranges in a text that holds this one from ``shift`` on, are hidden.

        A token is where it has letters and all of them are hidden; blanks go with the word that they precede.
        """
        gone = {shift + i for start, end in self.spans for i in range(start, end)}
        inside = range(shift, shift + len(self.whole))
        found = []
        for place, (start, end) in enumerate(offsets):
            letters = [i for i in range(start, end) if i not in inside or not self.whole[i - shift].isspace()]
            if letters and all(i in gone for i in letters):
                found.append(place)
        return found
