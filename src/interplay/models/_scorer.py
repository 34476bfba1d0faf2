"""What a text lens asks of a model: texts in, floats out, and who is speaking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from interplay._game.masks import Values

TextScorer: TypeAlias = Callable[[Sequence[str]], Values]
"""Any function from N texts to N floats, or to (N, T) floats."""


@dataclass(frozen=True, eq=False)
class Scorer:
    """A model's score of texts, with what a lens needs to know about the model.

    A plain function from texts to floats is a scorer, too; this class adds an identity for the store, the
    model's own tokens and mask token, and an early check of the whole text.

    Parameters
    ----------
    score
        N texts to floats, (N,) or (N, T).
    name
        What it measures, in words.
    model
        The name of the model that is asked, for a reader.
    identity
        JSON-able parts that identify model and target, made only when a store asks for them.
    outputs
        Names of the T outputs.
    token_spans
        The character ranges of a text's tokens.
    mask_token
        The tokenizer's mask token, None where it has none.
    special_tokens
        Strings that the tokenizer reads as one special token; None where there is no tokenizer.
    check
        Raises an `InputError` for a text the model cannot take whole; returns notes for the reader.
    batch_size
        Texts per call that keep the model busy.
    bind
        Where the score depends on the full prompt (as the model's own response to it does): makes this scorer
        the one for that prompt. A lens calls it before anything else.
    """

    score: TextScorer = field(repr=False)
    name: str
    identity: Callable[[], dict[str, Any] | None] = field(default=lambda: None, repr=False)
    outputs: tuple[str, ...] | None = None
    token_spans: Callable[[str], list[tuple[int, int]]] | None = field(default=None, repr=False)
    mask_token: str | None = None
    special_tokens: frozenset[str] | None = field(default=None, repr=False)
    check: Callable[[str], tuple[str, ...]] = field(default=lambda _text: (), repr=False)
    batch_size: int = 64
    model: str | None = None
    bind: Callable[[str], Scorer] | None = field(default=None, repr=False)

    def __call__(self, texts: Sequence[str]) -> Values:
        """The scores of ``texts``."""
        return self.score(texts)
