"""The features of a text: its words, sentences, paragraphs, tokens, or any ranges of characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._game.game import Game
from interplay._game.layout import TextLayout
from interplay._game.masks import Masks
from interplay._units import Span, merged, paragraph_spans, sentence_spans, word_spans
from interplay.lenses._features.regions import Prompt, Unit, compose, units_of
from interplay.models import TextScorer

UNITS = ("word", "sentence", "paragraph", "token")


def text(
    scorer: TextScorer,
    text: str | Mapping[str, str],
    *,
    unit: Unit | Mapping[str, Unit] = "word",
    ablate: str = "[UNK]",
    template: str | None = None,
    region: str | Sequence[str] | None = None,
    name: str | None = None,
) -> Game:
    """A game whose features are the units of a text, and whose value is the scorer's.

    Whatever lies between units (spaces, punctuation, line breaks) is the same in every ablation.

    >>> import interplay as ip
    >>> game = ip.lenses.text(lambda texts: [t.count("never fails") for t in texts], "It never fails.", ablate="_")
    >>> game.labels, ip.explain(game, budget=8).interactions("mobius", top=1).named()
    (('It', 'never', 'fails'), [(('never', 'fails'), 1.0)])

    A prompt of several parts, of which only one is ablated:

    >>> prompt = {"context": "It rains. Take a coat.", "question": "What is it like?"}
    >>> template = "Context: {context}\\n\\nQuestion: {question}"
    >>> game = ip.lenses.text(len, prompt, template=template, region="context", unit="sentence")
    >>> game.labels
    ('It rains.', 'Take a coat.')

    Parameters
    ----------
    scorer
        N texts to N floats, or to (N, T): a model's scorer or any function.
    text
        What to explain; or the regions of a prompt by name, for a template that says where each goes.
    unit
        "word", "sentence", "paragraph", "token" (the scorer's own), or ascending character ranges ``[(start, end)]``;
        or one of these for each region that is ablated.
    ablate
        What an ablated unit becomes: any string, "delete" for nothing, "mask" for the scorer's own mask token.
    template
        What surrounds the text, with ``{text}`` where it goes, or with the name of each region in braces; the
        surroundings are never ablated.
    region
        The regions, one or several, whose units are ablated; all of them when left out.
    name
        The game's identity in a store, needed where the scorer is a plain function.

    Raises
    ------
    InputError
        For an empty text or one without units, an unknown unit, ranges that overlap or lie outside the text, a
        template without ``{text}`` or without a region, a region that is not there, or a text that the scorer's
        model cannot take whole.
    """
    if not callable(scorer):
        raise InputError(
            f"a scorer must be a function from texts to floats, but {type(scorer).__name__} is not callable."
        )
    if not isinstance(ablate, str):
        raise InputError(f"ablate must be 'delete', 'mask' or the string that an ablated unit becomes, not {ablate!r}.")
    prompt = compose(text, template, region)
    chosen = units_of(prompt, unit)
    spans = [span for name in prompt.ablated for span in _cut(scorer, prompt, name, chosen[name])]
    bind = getattr(scorer, "bind", None)
    if bind is not None:
        scorer = bind(prompt.whole)
    replacement, notes = _replacement(scorer, ablate)
    if bind is not None:  # what is measured was not known to whoever made the scorer
        notes += (f"measured: {getattr(scorer, 'name', 'the bound scorer')}",)
    notes += getattr(scorer, "check", _no_check)(prompt.whole)
    if len(spans) == 1:
        only = chosen[prompt.ablated[0]]
        what = only if isinstance(only, str) else "range"
        notes += (f"the text is a single {what}, so there is nothing to combine: choose a smaller unit",)
    edges = [0, *chain.from_iterable(spans), len(prompt.text)]
    pieces = tuple(prompt.text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True))
    units = tuple(prompt.text[a:b] for a, b in spans)
    between = (prompt.before + pieces[0], *pieces[1:-1], pieces[-1] + prompt.after)
    value = _TextAblation(scorer, units, between, replacement)
    scorer_identity = getattr(scorer, "identity", _no_identity)

    def identity() -> dict[str, Any] | None:
        known = scorer_identity()
        if known is None:
            return None
        parts = {"lens": "text", "text": prompt.text, "spans": [list(span) for span in spans], "scorer": known}
        return parts | {"replacement": replacement, "before": prompt.before, "after": prompt.after}

    return Game(
        value,
        units,
        outputs=getattr(scorer, "outputs", None),
        name=name,
        identity=identity,
        layout=TextLayout(prompt.text, tuple(spans)),
        batch_size=getattr(scorer, "batch_size", 64),
        notes=notes,
        question=_question(scorer, [chosen[name] for name in prompt.ablated]),
    )


def _question(scorer: TextScorer, units: Sequence[Unit]) -> str:
    """What is asked, for a reader: "Which words drive similarity to 'a good film' of MiniLM?"."""
    first = units[0]
    parts = f"{first}s" if isinstance(first, str) and all(unit == first for unit in units) else "parts of the text"
    model = getattr(scorer, "model", None)
    return f"Which {parts} drive {getattr(scorer, 'name', 'the score')}{f' of {model}' if model else ''}?"


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


def _cut(scorer: TextScorer, prompt: Prompt, name: str, unit: Unit) -> list[Span]:
    """The units of one region, as ranges of the whole text."""
    start, end = prompt.regions[name]
    found = _spans(scorer, prompt.text[start:end], unit)
    return [(start + left, start + right) for left, right in found]


def _spans(scorer: TextScorer, text: str, unit: Unit) -> list[Span]:
    if not isinstance(unit, str):
        return _given_spans(text, unit)
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
    return spans


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
