"""The features of a text: its words, sentences, paragraphs, tokens, or any ranges of characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from interplay._errors import InputError, unknown
from interplay._game import Game, Masks
from interplay._layout import TextLayout
from interplay.lenses._units import Span, merged, paragraph_spans, sentence_spans, word_spans
from interplay.models._scorer import TextScorer

UNITS = ("word", "sentence", "paragraph", "token")
_SLOT = "{text}"


def text(
    scorer: TextScorer,
    text: str,
    *,
    unit: str | Sequence[Span] = "word",
    ablate: str = "[UNK]",
    template: str | None = None,
    name: str | None = None,
) -> Game:
    """A game whose features are the units of a text, and whose value is the scorer's.

    Whatever lies between units (spaces, punctuation, line breaks) is the same in every ablation.

    >>> import interplay as ip
    >>> game = ip.lenses.text(lambda texts: [t.count("never fails") for t in texts], "It never fails.", ablate="_")
    >>> game.labels, ip.explain(game, budget=8).interactions("mobius", top=1).named()
    (('It', 'never', 'fails'), [(('never', 'fails'), 1.0)])

    Parameters
    ----------
    scorer
        N texts to N floats, or to (N, T): a model's scorer or any function.
    text
        What to explain.
    unit
        "word", "sentence", "paragraph", "token" (the scorer's own), or ascending character ranges ``[(start, end)]``.
    ablate
        What an ablated unit becomes: any string, "delete" for nothing, "mask" for the scorer's own mask token.
    template
        What surrounds the text, with ``{text}`` where it goes; the surroundings are never ablated.
    name
        The game's identity in a store, needed where the scorer is a plain function.

    Raises
    ------
    InputError
        For an empty text or one without units, an unknown unit, ranges that overlap or lie outside the text, a
        template without ``{text}``, or a text that the scorer's model cannot take whole.
    """
    if not isinstance(text, str):
        raise InputError(f"the text must be a string, not {type(text).__name__}.")
    if not text.strip():
        raise InputError("the text is empty: there is nothing to ablate.")
    spans, unit_name = _spans(scorer, text, unit)
    if template is not None and template.count(_SLOT) != 1:
        raise InputError(
            f"the template must hold {_SLOT} exactly once, but it holds it {template.count(_SLOT)} times: {template!r}."
        )
    before, after = ("", "") if template is None else template.split(_SLOT)
    replacement, notes = _replacement(scorer, ablate)
    notes += getattr(scorer, "check", _no_check)(before + text + after)
    if len(spans) == 1:
        notes += (f"the text is a single {unit_name}, so there is nothing to combine: choose a smaller unit",)
    edges = [0, *chain.from_iterable(spans), len(text)]
    pieces = tuple(text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True))
    units = tuple(text[a:b] for a, b in spans)
    value = _TextAblation(scorer, units, (before + pieces[0], *pieces[1:-1], pieces[-1] + after), replacement)
    scorer_identity = getattr(scorer, "identity", _no_identity)

    def identity() -> dict[str, Any] | None:
        known = scorer_identity()
        if known is None:
            return None
        parts = {"lens": "text", "text": text, "spans": [list(span) for span in spans], "scorer": known}
        return parts | {"replacement": replacement, "before": before, "after": after}

    return Game(
        value,
        units,
        outputs=getattr(scorer, "outputs", None),
        name=name,
        identity=identity,
        layout=TextLayout(text, tuple(spans)),
        batch_size=getattr(scorer, "batch_size", 64),
        notes=notes,
    )


@dataclass(frozen=True, eq=False)
class _TextAblation:
    """Masks to texts to scores."""

    scorer: TextScorer = field(repr=False)
    units: tuple[str, ...]
    between: tuple[str, ...]  # one more than units: what precedes each unit, and what follows the last
    replacement: str

    def texts(self, masks: Masks) -> list[str]:
        """The text of each mask (N, n)."""
        kept = np.array(self.units, dtype=object)
        composed = []
        for mask in masks:
            units = np.where(mask, kept, self.replacement).tolist()
            composed.append("".join(chain.from_iterable(zip(self.between, [*units, ""], strict=True))))
        return composed

    def __call__(self, masks: Masks) -> Any:
        return self.scorer(self.texts(masks))


def _spans(scorer: TextScorer, text: str, unit: str | Sequence[Span]) -> tuple[list[Span], str]:
    if not isinstance(unit, str):
        return _given_spans(text, unit), "range"
    if unit not in UNITS:
        raise unknown("unit", unit, UNITS)
    if unit == "token":
        token_spans = getattr(scorer, "token_spans", None)
        if token_spans is None:
            raise InputError(
                "this scorer has no tokenizer whose tokens are known: choose unit='word', or pass character ranges."
            )
        spans = merged(text, token_spans(text))
    else:
        cut = {"word": word_spans, "sentence": sentence_spans, "paragraph": paragraph_spans}[unit]
        spans = cut(text)
    if not spans:
        raise InputError(f"the text {text[:40]!r} holds no {unit}: there is nothing to ablate.")
    return spans, unit


def _given_spans(text: str, given: Sequence[Span]) -> list[Span]:
    try:
        spans = [(int(start), int(end)) for start, end in given]
    except (TypeError, ValueError):
        raise InputError(
            f"unit must be one of {', '.join(UNITS)}, or ranges [(start, end), ...], not {given!r}."
        ) from None
    if not spans:
        raise InputError("there are no character ranges: there is nothing to ablate.")
    previous = 0
    for start, end in spans:
        if not previous <= start < end <= len(text):
            raise InputError(
                f"the character range ({start}, {end}) is empty, overlaps the one before, is out of order, or lies "
                f"outside the text of {len(text)} characters."
            )
        previous = end
    return spans


def _replacement(scorer: TextScorer, ablate: str) -> tuple[str, tuple[str, ...]]:
    if ablate == "delete":
        return "", ()
    if ablate == "mask":
        token = getattr(scorer, "mask_token", None)
        if token is None:
            raise InputError("this scorer has no mask token: choose ablate='delete' or a string such as '[UNK]'.")
        return str(token), ()
    special = getattr(scorer, "special_tokens", None)
    if special is not None and ablate.startswith(("[", "<")) and ablate.endswith(("]", ">")) and ablate not in special:
        known = ", ".join(sorted(special))
        return ablate, (f"{ablate!r} is not a special token of this tokenizer ({known}): it is read as plain text",)
    return ablate, ()


def _no_check(_text: str) -> tuple[str, ...]:
    return ()


def _no_identity() -> None:
    return None
