"""Whether the documents that an answer cites are those that drove it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from interplay._errors import InputError
from interplay._explain.explanation import Explanation

_NUMBERS = re.compile(r"\[(\d+(?:\s*[,;]\s*\d+)*)\]")


@dataclass(frozen=True)
class Citation:
    """One part of an answer: the documents that it cites, and those that drove it, as feature ids.

    ``drove`` are the documents whose presence raises the part's score beyond doubt, alone or in a set, the strongest
    first; ``unsupported`` are cited and did not, ``uncited`` did and are not cited.
    """

    output: str
    cited: tuple[int, ...]
    drove: tuple[int, ...]

    @property
    def unsupported(self) -> tuple[int, ...]:
        """Cited documents that did not drive this part."""
        return tuple(one for one in self.cited if one not in self.drove)

    @property
    def uncited(self) -> tuple[int, ...]:
        """Documents that drove this part and are not cited."""
        return tuple(one for one in self.drove if one not in self.cited)


def citations(explanation: Explanation, *, cited: Callable[[str], list[int]] | None = None) -> tuple[Citation, ...]:
    """Hold an answer's own citations against what drove each of its parts.

    Parameters
    ----------
    explanation
        What `interplay.explain` says of a game of `interplay.lenses.documents` whose outputs are the parts of an
        answer, as ``lm.logprob(answer, per="sentence")`` scores them.
    cited
        Reads the documents' numbers, from 1, out of a part of the answer; by default those in brackets: [2], [1, 3].

    Raises
    ------
    InputError
        For an explanation whose outputs are not named after parts of an answer.
    """
    if explanation.outputs is None:
        raise InputError("citations need the parts of an answer as outputs: score it with per='sentence'.")
    read = _bracketed if cited is None else cited
    found = []
    for output in explanation.outputs:
        numbers = [number - 1 for number in read(output) if 0 < number <= explanation.n]
        found.append(Citation(output, tuple(dict.fromkeys(numbers)), _drivers(explanation.for_output(output))))
    return tuple(found)


def _bracketed(text: str) -> list[int]:
    return [int(number) for group in _NUMBERS.findall(text) for number in re.split(r"\s*[,;]\s*", group)]


def _drivers(one: Explanation) -> tuple[int, ...]:
    """Features in a set of positive effect whose interval leaves out zero, by their strongest such set."""
    effects = one.interactions()
    strength: dict[int, float] = {}
    for features, value in effects.items():
        interval = effects.interval(features)
        if (value if interval is None else interval[0]) > 0:
            for feature in features:
                strength[feature] = max(strength.get(feature, 0.0), value)
    return tuple(sorted(strength, key=lambda feature: (-strength[feature], feature)))
