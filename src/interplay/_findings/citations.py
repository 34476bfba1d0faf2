"""Whether the documents that an answer cites are those that drove it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._game.layout import TextLayout

_NUMBERS = re.compile(r"\[(\d+(?:\s*[,;]\s*\d+)*)\]")


@dataclass(frozen=True)
class Citation:
    """One part of an answer: the documents that it cites, and those that drove it, as numbers from 0.

    ``drove`` are the documents whose presence raises the part's score beyond doubt and by enough, alone or in a set,
    the strongest first; ``unsupported`` are cited and did not, ``uncited`` did and are not cited. Of ``missing`` ones,
    that are cited, too, there is no such document.
    """

    output: str
    cited: tuple[int, ...]
    drove: tuple[int, ...]
    missing: tuple[int, ...] = ()

    @property
    def unsupported(self) -> tuple[int, ...]:
        """Cited documents that did not drive this part."""
        return tuple(one for one in self.cited if one not in self.drove)

    @property
    def uncited(self) -> tuple[int, ...]:
        """Documents that drove this part and are not cited."""
        return tuple(one for one in self.drove if one not in self.cited)


def citations(
    explanation: Explanation,
    *,
    documents: Sequence[str] | None = None,
    cited: Callable[[str], list[int]] | None = None,
    least: float = 0.1,
) -> tuple[Citation, ...]:
    """Hold an answer's own citations against what drove each of its parts.

    Parameters
    ----------
    explanation
        What `interplay.explain` says of a game of `interplay.lenses.documents` whose outputs are the parts of an
        answer, as ``lm.logprob(answer, per="sentence")`` scores them.
    documents
        Where features are sentences or words of documents, the documents' texts: both kinds of numbers are then those
        of documents, each of which drove what any of its features did.
    cited
        Reads the documents' numbers, from 1, out of a part of the answer; by default those in brackets: [2], [1, 3].
    least
        The share of the largest effect from which on a document counts as a driver: with a good fit every document has
        some effect beyond doubt, however small.

    Raises
    ------
    InputError
        For an explanation whose outputs are not named after parts of an answer, a share outside [0, 1], or documents
        that are not those of the explanation.
    """
    if not 0 <= least <= 1:
        raise InputError(f"least must be a share between 0 and 1, not {least!r}.")
    if explanation.outputs is None:
        raise InputError("citations need the parts of an answer as outputs: score it with per='sentence'.")
    home = list(range(explanation.n)) if documents is None else _homes(explanation, documents)
    count = explanation.n if documents is None else len(documents)
    read = _bracketed if cited is None else cited
    found = []
    for output in explanation.outputs:
        numbers = [number - 1 for number in dict.fromkeys(read(output))]
        drove = dict.fromkeys(home[feature] for feature in _drivers(explanation.for_output(output), least))
        cites = tuple(number for number in numbers if 0 <= number < count)
        found.append(Citation(output, cites, tuple(drove), tuple(one for one in numbers if one not in cites)))
    return tuple(found)


def _homes(explanation: Explanation, documents: Sequence[str]) -> list[int]:
    """The number of the document that each feature lies in."""
    layout = explanation.layout
    if not isinstance(layout, TextLayout):
        raise InputError("documents= is for an explanation of ip.lenses.documents: its features lie in no text.")
    ends, at = [], 0
    for number, text in enumerate(documents):
        start = layout.text.find(text, at)
        if start < 0:
            raise InputError(f"document {number + 1} is not in what was explained: pass the texts, in their order.")
        at = start + len(text)
        ends.append(at)
    homes = [bisect_right(ends, start) for start, _ in layout.spans]
    if max(homes, default=0) >= len(ends):
        raise InputError(f"{len(ends)} documents were given, but features lie behind the last of them: pass all.")
    return homes


def _bracketed(text: str) -> list[int]:
    return [int(number) for group in _NUMBERS.findall(text) for number in re.split(r"\s*[,;]\s*", group)]


def _drivers(one: Explanation, least: float) -> tuple[int, ...]:
    """Features in a set of positive effect, large enough and beyond zero, by their strongest such set."""
    effects = one.interactions()
    enough = least * max((abs(value) for features, value in effects.items() if features), default=0.0)
    strength: dict[int, float] = {}
    for features, value in effects.items():
        interval = effects.interval(features)
        if value >= enough and (value if interval is None else interval[0]) > 0:
            for feature in features:
                strength[feature] = max(strength.get(feature, 0.0), value)
    return tuple(sorted(strength, key=lambda feature: (-strength[feature], feature)))
