"""What a text lens asks of a model: texts in, floats out, and who is speaking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy.typing as npt

from interplay._checks import Attributes, are_names, check_told, is_whole, told_by
from interplay._errors import InputError
from interplay._game.cost import Cost
from interplay._game.partial import Partial

TextScorer: TypeAlias = Callable[[list[str]], npt.ArrayLike | Partial]
"""Any function from N texts to N floats, or to (N, T) floats: a list, an array, whatever NumPy reads."""

_TELLS: Attributes = {
    "name": (lambda seen: isinstance(seen, str), "a text"),
    "identity": (callable, "a function that returns JSON-able parts, or None"),
    "outputs": (are_names, "a list of names"),
    "token_spans": (callable, "a function from a text to character ranges"),
    "mask_token": (lambda seen: isinstance(seen, str), "a text"),
    "special_tokens": (lambda seen: isinstance(seen, (set, frozenset, list, tuple)), "a set of texts"),
    "check": (callable, "a function from a text to notes"),
    "batch_size": (is_whole, "a whole number of at least 1"),
    "sees": (lambda seen: isinstance(seen, bool), "True or False"),
    "hides": (lambda seen: isinstance(seen, bool), "True or False"),
    "repeats": (is_whole, "a whole number of at least 1"),
    "bind": (callable, "a function from a text to a scorer"),
}


class Infill:
    """What stands in for units where they stand: a text and character ranges to alternatives for each range.

    Derive from it to have a stand-in of your own that reads what is around a unit.
    """

    def __call__(self, text: str, spans: Sequence[tuple[int, int]]) -> Sequence[Sequence[str]]:
        """For each of ``spans`` of ``text`` one or several texts that could stand there."""
        raise NotImplementedError


def _unknown() -> None:
    """The identity of what only its user can name."""
    return


def _no_notes(_text: str) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, eq=False)
class Scorer:
    """A model's score of texts, with what a lens needs to know about the model.

    A plain function from texts to floats is a scorer, too; this class adds an identity for the store, the
    model's own tokens and mask token, and an early check of the whole text.

    >>> import interplay as ip
    >>> words = ip.models.Scorer(lambda texts: [len(text.split()) for text in texts], "number of words")
    >>> words(["It never fails."])
    [3]

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
    repeats
        How often each text is measured, where that is noisy: scores are then (N, T * repeats), the repeats of an
        output side by side (see `interplay.Game`).
    hides
        Whether texts may have parts hidden from the model's attention (``ablate="attention"``).
    sees
        Whether it reads a picture with each text, which a lens is given as ``image``.

    Raises
    ------
    InputError
        For a parameter of another kind.
    """

    score: TextScorer = field(repr=False)
    name: str
    identity: Callable[[], dict[str, Any] | None] = field(default=_unknown, repr=False)
    outputs: Sequence[str] | None = None
    token_spans: Callable[[str], list[tuple[int, int]]] | None = field(default=None, repr=False)
    mask_token: str | None = None
    special_tokens: frozenset[str] | None = field(default=None, repr=False)
    check: Callable[[str], tuple[str, ...]] = field(default=_no_notes, repr=False)
    batch_size: int = 64
    model: str | None = None
    bind: Callable[[str], Scorer] | None = field(default=None, repr=False)
    repeats: int = 1
    hides: bool = False
    sees: bool = False

    def __post_init__(self) -> None:
        if not callable(self.score):
            raise InputError(f"score must be a function from texts to floats, not {self.score!r}.")
        for name in _TELLS:
            if getattr(self, name) is not None:
                check_told(name, getattr(self, name), "scorer", _TELLS)

    @classmethod
    def of(cls, given: TextScorer) -> Scorer:
        """A scorer as given, or of any function, with what an object tells of itself by attributes named as here.

        Raises
        ------
        InputError
            For what cannot be called, and for an attribute that will not do or is misspelt.
        """
        if isinstance(given, Scorer):
            return given
        if not callable(given) or isinstance(given, type):
            seen = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
            raise InputError(f"a scorer must be a function from texts to floats, but {seen} is not callable on texts.")
        return cls(given, **{"name": "the score", **told_by(given, "scorer", _TELLS)})

    def price(self, text: str, ablations: int = 1) -> Cost:  # noqa: ARG002
        """What so many ablations of ``text`` take."""
        return Cost(ablations)

    def __call__(self, texts: Sequence[str]) -> Any:
        """The scores of ``texts``, as ``score`` returned them.

        Raises
        ------
        InputError
            For a single text, which would be read as letters, what has no order, or an entry that is no text.
        """
        if isinstance(texts, (str, bytes)):
            raise InputError(f"a scorer takes a list of texts, not the single text {texts[:40]!r}: pass [text].")
        if isinstance(texts, (Mapping, Set)) or not isinstance(texts, Iterable):
            raise InputError(f"a scorer takes a list of texts, not a {type(texts).__name__}: pass [text, ...].")
        listed = list(texts)
        for text in listed:
            if not isinstance(text, str):
                raise InputError(f"a scorer takes a list of texts, but one of them is {text!r}.")
        return self.score(listed)
