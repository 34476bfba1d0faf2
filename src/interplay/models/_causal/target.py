"""What a language model's log-probabilities of targets come to: one number per prompt, or one per part of a target."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from interplay._errors import AblationError, InputError
from interplay._game.masks import Values
from interplay._networks.continuation import Ask, Reader, Target
from interplay._networks.readout import Readout
from interplay._units import sentence_spans

Per: TypeAlias = Literal["token", "sentence"]

Likelihoods: TypeAlias = Callable[[Sequence[Ask]], list[Values]]
"""The log-probabilities (nats) of each ask's tokens, each (K,)."""

_ENDLESS = 1 << 31  # no vocabulary is as large, and no tensor of ids could hold more


@dataclass(frozen=True, eq=False)
class TargetScore:
    """Prompts to the signed sum of the log-probabilities of targets, or to each token's or sentence's."""

    reader: Reader
    likelihood: Likelihoods
    targets: tuple[Target, ...]
    readout: Readout
    per: Per | None = None

    def __call__(self, texts: Sequence[str]) -> Values:
        texts = list(texts)
        asks = self.reader.asks(texts, self.targets)
        found = self.likelihood([ask for row in asks for ask in row])
        if self.per is None:
            totals = np.array([part.sum() for part in found]).reshape(len(texts), len(self.targets))
            return np.asarray(self.readout.combined(totals))
        if not texts:
            return np.empty((0, 0))
        rows = [self.readout.combined(part[:, None]) for part in found]
        if self.per == "sentence":
            rows = [self._by_sentence(row, ask[0].ids[ask[0].start :]) for row, ask in zip(rows, asks, strict=True)]
        sizes = sorted({len(row) for row in rows})
        if len(sizes) > 1:
            raise AblationError(
                f"the target has {sizes[0]} tokens after one prompt and {sizes[-1]} after another: use per='sentence', "
                "or its total."
            )
        return np.stack(rows)

    def identity(self) -> dict[str, Any]:
        """What tells this score from others of the same model."""
        return {"score": "continuation", "targets": self.targets, "signs": self.readout.signs, "per": self.per}

    def outputs(self, ids: Sequence[int]) -> list[str]:
        """The target's tokens or sentences."""
        if self.per == "token":
            return self.reader.pieces(ids)
        text = self._text()
        return [text[start:end] for start, end in self._spans(text)]

    def _text(self) -> str:
        target = self.targets[0]
        return target if isinstance(target, str) else self.reader.decoded(target)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        return sentence_spans(text) or [(0, len(text))]

    def _by_sentence(self, values: Values, ids: Sequence[int]) -> Values:
        text = self._text()
        ends = [end for _, end in self._spans(text)]
        sums = np.bincount(self.reader.groups(ids, text, ends), weights=values, minlength=len(ends))
        return sums.astype(np.float64)


def checked(target: Target) -> Target:
    """The target as given, or an `InputError` where it is no text and no list of token ids."""
    if isinstance(target, str):
        if not target:
            raise InputError("the target is empty: pass what the model could say.")
        return target
    try:
        if isinstance(target, (bytes, bytearray, memoryview, Mapping, Set)):
            raise TypeError
        given = list(target)
        if any(isinstance(token, bool) for token in given):
            raise TypeError
        ids = tuple(operator.index(token) for token in given)
    except TypeError:
        raise InputError(f"a target must be a text or a list of token ids (whole numbers), not {target!r}.") from None
    if not ids:
        raise InputError("the target is empty: pass at least one token id, or a text.")
    wrong = next((token for token in ids if not 0 <= token < _ENDLESS), None)
    if wrong is not None:
        raise InputError(f"a target's token ids are whole numbers from 0 on that a vocabulary has, not {wrong}.")
    return ids


def checked_pair(a: Target, b: Target) -> tuple[Target, Target]:
    """The two targets of a margin as given, or an `InputError` where one is none or both are the same."""
    first, second = checked(a), checked(b)
    if first == second:
        raise InputError(f"the two answers of a margin are both {first!r}: give two that differ.")
    return first, second


def distinct(names: Sequence[str]) -> list[str]:
    """Names with repeated ones numbered: the, the#2, ..."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return found
