"""A model that says what it was told to say: a double for tests, without a network, weights or a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from interplay._errors import InputError
from interplay.models._scorer import Scorer, TextScorer


@dataclass(frozen=True, eq=False)
class Scripted:
    """A model with ``answers`` of your own, for tests of what you build on this package; it remembers what was asked.

    Where answers are numbers it is a scorer itself; where they are texts, `exact` and `judge` make scorers of them, as
    those of `Server` do.

    >>> import interplay as ip
    >>> model = ip.models.Scripted(lambda text: "gold" if "chest" in text and "key" in text else "nothing")
    >>> game = ip.lenses.text(model.exact("gold"), "A chest. A key. Rain.", unit="sentence", ablate="delete")
    >>> ip.explain(game, budget=8).interactions("mobius", top=1).named()
    [(('A chest.', 'A key.'), 1.0)]
    >>> len(model.asked)
    8

    Parameters
    ----------
    answers
        A function from a text to its answer, or the answers by text: texts, numbers, or rows of numbers.
    asked
        Every text that was asked, in order.
    """

    answers: Callable[[str], Any] | Mapping[str, Any] = field(repr=False)
    asked: list[str] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if not callable(self.answers) and not isinstance(self.answers, Mapping):
            raise InputError(f"answers must be a mapping from texts or a function of a text, not {self.answers!r}.")

    def answer(self, text: str) -> Any:
        """The answer to one text.

        Raises
        ------
        InputError
            For a text that the script does not hold.
        """
        self.asked.append(text)
        if not isinstance(self.answers, Mapping):
            return self.answers(text)
        if text not in self.answers:
            raise InputError(f"the script holds no answer to {text!r}: add one, or pass a function as answers.")
        return self.answers[text]

    def __call__(self, texts: Sequence[str]) -> Any:
        """The answers to ``texts``, (N,) or (N, T) where they are numbers."""
        return np.asarray([self.answer(text) for text in texts])

    def exact(self, target: str) -> Scorer:
        """A scorer of texts by whether the answer is ``target``, white space around it aside: 1 or 0."""
        return Scorer(partial(self._matches, target.strip()), f"exact match of the answer with {target!r}")

    def judge(self, judge: TextScorer, *, name: str | None = None) -> Scorer:
        """A scorer of texts by what ``judge`` says of the answers: N answers to N floats, or to (N, T)."""
        judging = Scorer.of(judge)
        words = f"{name or judging.name}, of the answer"
        return Scorer(partial(self._judged, judging), words, outputs=judging.outputs)

    def _matches(self, target: str, texts: Sequence[str]) -> list[float]:
        return [float(str(self.answer(text)).strip() == target) for text in texts]

    def _judged(self, judge: Scorer, texts: Sequence[str]) -> Any:
        return judge([str(self.answer(text)) for text in texts])
