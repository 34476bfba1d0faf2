"""Which of some answers a language model chooses, each in all the ways in which it can be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._game.masks import Values
from interplay._networks.continuation import Reader
from interplay.models._causal.target import Likelihoods

Scale: TypeAlias = Literal["log-odds", "probability"]
_LITTLE = 0.1  # of the probability: less is noted


@dataclass(frozen=True, eq=False)
class ChoiceScore:
    """Prompts to the log-odds (nats) or the probability of each answer against the others.

    The probability of an answer is that of its ways to be written, added up; all answers together are taken for
    certain. Of two answers there is one value, the first one's.
    """

    reader: Reader
    likelihood: Likelihoods
    answers: Mapping[str, tuple[str, ...]]
    scale: Scale

    @classmethod
    def of(
        cls, reader: Reader, likelihood: Likelihoods, answers: Mapping[str, Sequence[str] | str], scale: Scale
    ) -> ChoiceScore:
        """The score of answers as a user gives them.

        Raises
        ------
        InputError
            For fewer than two answers, one without a way to be written, ways of which one begins with another (its
            probability would be counted twice), and an unknown scale.
        """
        if scale not in get_args(Scale):
            raise unknown("scale", scale, get_args(Scale))
        if not isinstance(answers, Mapping) or len(answers) < 2:
            raise InputError(
                f"a choice is between at least two answers by name, such as {{'yes': ['yes', 'Yes'], 'no': ['no', "
                f"'No']}}, not {answers!r}."
            )
        ways = {str(name): (given,) if isinstance(given, str) else tuple(given) for name, given in answers.items()}
        for name, written in ways.items():
            if not written or not all(isinstance(way, str) and way for way in written):
                raise InputError(f"the answer {name!r} needs at least one text that is not empty, not {written!r}.")
        everything = sorted(way for written in ways.values() for way in written)
        for one, following in pairwise(everything):
            if following.startswith(one):
                raise InputError(f"{following!r} begins with {one!r}, and would be counted twice: leave one out.")
        return cls(reader, likelihood, ways, scale)

    @property
    def targets(self) -> tuple[str, ...]:
        """Every text that is scored."""
        return tuple(way for written in self.answers.values() for way in written)

    @property
    def outputs(self) -> tuple[str, ...] | None:
        """The answers' names; None for two, whose value is one number."""
        return tuple(self.answers) if len(self.answers) > 2 else None

    @property
    def name(self) -> str:
        """What is measured."""
        first, *others = self.answers
        rest = "the others" if len(others) > 1 else repr(others[0])
        return f"{self.scale} of {repr(first) if len(others) == 1 else 'each answer'} against {rest}"

    def identity(self) -> dict[str, Any]:
        """What tells this score from others of the same model."""
        return {"score": "choice", "answers": [list(written) for written in self.answers.values()], "as": self.scale}

    def logprobs(self, texts: Sequence[str]) -> Values:
        """The log-probability (nats) of each answer after each text, (N, A)."""
        asks = self.reader.asks(list(texts), self.targets)
        found = self.likelihood([ask for row in asks for ask in row])
        totals = np.array([part.sum() for part in found]).reshape(len(texts), len(self.targets))
        edges = np.cumsum([len(written) for written in self.answers.values()])[:-1]
        return np.stack([np.logaddexp.reduce(part, axis=1) for part in np.split(totals, edges, axis=1)], axis=1)

    def __call__(self, texts: Sequence[str]) -> Values:
        each = self.logprobs(texts)
        rivals = [np.logaddexp.reduce(np.delete(each, one, axis=1), axis=1) for one in range(each.shape[1])]
        odds = each - np.stack(rivals, axis=1)
        values = odds if self.scale == "log-odds" else 1 / (1 + np.exp(-odds))
        return np.asarray(values[:, 0] if self.outputs is None else values)

    def notes(self, text: str) -> tuple[str, ...]:
        """What a reader should know where the answers are little of what the model would say to the whole text."""
        share = float(np.exp(np.logaddexp.reduce(self.logprobs([text])[0])))
        if share >= _LITTLE:
            return ()
        return (
            f"the answers hold {share:.1%} of the model's probability after the full prompt: it would rather say "
            "something else; add the ways in which it writes them",
        )
