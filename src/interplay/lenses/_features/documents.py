"""The features of a prompt made of documents: passages, examples or search results, whole or by their units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, Literal, cast

from interplay._checks import unknown, within
from interplay._errors import InputError
from interplay._game.cost import Cost
from interplay._game.game import Game
from interplay._game.layout import TextLayout
from interplay._game.masks import Masks
from interplay._game.tree import Part, in_blocks
from interplay._units import Span
from interplay.lenses._features.levels import parts_of
from interplay.lenses._features.regions import Unit
from interplay.lenses._features.standins import ATTENTION, MEND, Ablate, averaged, replacements_for
from interplay.lenses._features.text import cut_into, levels_of, notes_on_words, spans_of
from interplay.models import Scorer, TextScorer

_SLOT = "{documents}"
_WHOLE = "document"
_FIELD = re.compile(r"\{(number|name|text)\}")
_NUMBERINGS = ("kept", "renumbered")


def documents(
    scorer: TextScorer,
    documents: Sequence[str] | Mapping[str, str],
    *,
    template: str = _SLOT,
    form: str = "{text}",
    between: str = "\n\n",
    numbering: Literal["kept", "renumbered"] = "kept",
    unit: Unit | Sequence[str] | None = None,
    ablate: Ablate = "delete",
    keep: float = 0.5,
    name: str | None = None,
) -> Game:
    """A game whose features are the documents of a prompt, and whose value is the scorer's of the prompt.

    >>> import interplay as ip
    >>> def answers(prompts):                                  # needs both passages
    ...     return [float("key is red" in p and "red key opens" in p) for p in prompts]
    >>> passages = {"a": "The key is red.", "b": "It rains.", "c": "The red key opens the chest."}
    >>> game = ip.lenses.documents(answers, passages, template="{documents}\\n\\nQ: What opens it?")
    >>> ip.explain(game, budget=8).interactions("mobius", top=1).named()
    [(('a', 'c'), 1.0)]

    Parameters
    ----------
    scorer
        N texts to N floats, or to (N, T): a model's scorer or any function.
    documents
        Their texts in order; or their texts by name.
    template
        What the model reads around them, with ``{documents}`` once, where they go; other braces stay as they are.
    form
        How each is written: ``{text}`` and, where wanted, ``{number}`` (from 1) and ``{name}``.
    between
        What stands between two documents.
    numbering
        Whether documents behind a deleted one keep their numbers ("kept") or move up ("renumbered").
    unit
        None ablates whole documents; "sentence", "word", "paragraph" or "token" goes inside them. A tuple from coarse
        to fine, such as ``("document", "sentence", "word")``, makes a game that `interplay.explain` zooms: it opens the
        documents that matter, within one budget.
    ablate
        What an ablated document or unit becomes, as in `text`. A document of which everything is deleted goes with
        all that its form writes around it.
    keep
        The probability with which a design keeps each feature.
    name
        The game's identity in a store, needed where the scorer is a plain function.

    Raises
    ------
    InputError
        For no documents or an empty one, a template without ``{documents}``, a form without ``{text}``, or an
        unknown numbering or unit.
    """
    texts, names = _named(documents)
    for what, text in (("template", template), ("form", form)):
        if not isinstance(text, str):
            raise InputError(f"the {what} must be a text, not {text!r}.")
    if template.count(_SLOT) != 1:
        raise InputError(
            f"the template must hold {_SLOT} exactly once, but it holds it {template.count(_SLOT)} times: {template!r}."
        )
    if form.count("{text}") != 1:
        raise InputError(f"the form of a document must hold {{text}} exactly once: {form!r} does not.")
    if numbering not in _NUMBERINGS:
        raise unknown("numbering", numbering, _NUMBERINGS)
    before, after = template.split(_SLOT)
    asked = Scorer.of(scorer)
    levels, unit = _levels(unit)
    cuts = tuple(_cut(asked, text, unit, of) for of, text in zip(names, texts, strict=True))
    pile = _Pile(texts, names, cuts, form, between, numbering == "renumbered", before, after)
    whole = pile.whole
    bound = asked if asked.bind is None else Scorer.of(asked.bind(before + whole + after))
    if ablate in (MEND, ATTENTION):
        raise InputError(
            f"ablate={ablate!r} is for ip.lenses.text; documents that are deleted leave no blanks: use 'delete'."
        )
    worlds, notes = replacements_for(bound, ablate, pile.units, list(zip(texts, cuts, strict=True)))
    value = _DocumentAblation(bound, pile, worlds)
    if asked.bind is not None:  # what is measured was not known to whoever made the scorer
        notes += (f"measured: {bound.name}",)
    notes += notes_on_words(texts) if unit == "word" else ()
    parts = "documents" if unit is None else f"{unit}s" if isinstance(unit, str) else "parts of the documents"
    game = Game(
        value,
        names if unit is None else pile.units,
        outputs=bound.outputs,
        name=name,
        identity=value.identity,
        layout=TextLayout(whole, pile.spans),
        batch_size=bound.batch_size,
        notes=notes + bound.check(before + whole + after),
        keep=keep,
        repeats=bound.repeats,
        inputs=value.texts,
        price=value.price,
        question=f"Which {parts} drive {bound.name}{f' of {bound.model}' if bound.model else ''}?",
    )
    return game.zoomed(_opening(asked, pile, levels)) if levels else game


def _levels(unit: Unit | Sequence[str] | None) -> tuple[tuple[str, ...], Unit | None]:
    """Names of units from coarse to fine, documents first, where several are given; and the finest, or what is given.

    Whole documents are no unit of a text, so that they have no name there.
    """
    if unit == _WHOLE:
        return (), None
    if unit is None or isinstance(unit, str) or _WHOLE not in unit:
        levels, finest = levels_of(unit) if unit is not None else ((), None)
        return ((_WHOLE, *levels) if levels else ()), cast("Unit | None", finest)  # no mapping was given
    inside = [one for one in unit if one != _WHOLE]
    if tuple(unit) != (_WHOLE, *inside):
        raise InputError(
            f"a tuple of units goes from coarse to fine, each once, {_WHOLE!r} first, not {tuple(unit)!r}."
        )
    levels, finest = levels_of(tuple(inside)) if inside else ((), None)  # type: ignore[arg-type]
    return (_WHOLE, *levels), cast("Unit | None", finest)


def _opening(scorer: Scorer, pile: _Pile, levels: Sequence[str]) -> list[Part]:
    """The documents as what their units open from."""
    found: list[Part] = []
    at = 0
    for name, text, cut in zip(pile.names, pile.texts, pile.cuts, strict=True):
        inner = in_blocks(parts_of(text, cut, levels[1:], partial(cut_into, scorer), at)) if levels[1:] else ()
        found.append(Part(name, _WHOLE, at, at + len(cut), inner if len(cut) > 1 else ()))
        at += len(cut)
    return found


def _cut(scorer: Scorer, text: str, unit: Unit | None, name: str) -> tuple[Span, ...]:
    """The units of a document, or all of it as one."""
    if unit is None:
        return ((0, len(text)),)
    with within(f"in the document {name!r}"):
        return tuple(spans_of(scorer, text, unit))


def _named(documents: Sequence[str] | Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The texts of documents, and their names."""
    if isinstance(documents, str):
        raise InputError("documents must be a list of texts or texts by name, not one text: wrap it in a list.")
    if isinstance(documents, Mapping):
        names, texts = tuple(str(one) for one in documents), tuple(documents.values())
    else:
        texts = tuple(documents)
        names = tuple(f"document {number}" for number in range(1, len(texts) + 1))
    if not texts:
        raise InputError("there are no documents: pass at least one.")
    for one, text in zip(names, texts, strict=True):
        if not isinstance(text, str):
            raise InputError(f"the document {one!r} must be a string, not {type(text).__name__}.")
        if not text.strip():
            raise InputError(f"the document {one!r} is empty: leave it out.")
    return texts, names


@dataclass(frozen=True)
class _Pile:
    """Documents, each cut into units, and how they are written into a prompt."""

    texts: tuple[str, ...]
    names: tuple[str, ...]
    cuts: tuple[tuple[Span, ...], ...]  # of each document
    form: str
    between: str
    renumbered: bool
    before: str
    after: str

    @property
    def units(self) -> tuple[str, ...]:
        """The text of every unit of every document."""
        return tuple(text[a:b] for text, cut in zip(self.texts, self.cuts, strict=True) for a, b in cut)

    @property
    def whole(self) -> str:
        """All documents as they are written."""
        return self.between.join(self._written(i, i + 1, text) for i, text in enumerate(self.texts))

    @property
    def spans(self) -> tuple[Span, ...]:
        """Where the units lie in `whole`."""
        spans, at = [], 0
        for i, text in enumerate(self.texts):
            start = at + len(self._filled(self.form.split("{text}")[0], i, i + 1))
            spans += [(start + a, start + b) for a, b in self.cuts[i]]
            at += len(self._written(i, i + 1, text)) + len(self.between)
        return tuple(spans)

    def prompt(self, units: Sequence[str]) -> str:
        """The prompt in which the units read so; a document without any text left is not written at all."""
        left = iter(units)
        written: list[str] = []
        for i, (text, cut) in enumerate(zip(self.texts, self.cuts, strict=True)):
            edges = [0, *chain.from_iterable(cut), len(text)]
            outside = [text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
            inside = [next(left) for _ in cut]
            if any(inside):
                shown = "".join(chain.from_iterable(zip(outside, [*inside, ""], strict=True)))
                written.append(self._written(i, len(written) + 1 if self.renumbered else i + 1, shown))
        return self.before + self.between.join(written) + self.after

    def _written(self, i: int, number: int, text: str) -> str:
        head, tail = self.form.split("{text}")
        return self._filled(head, i, number) + text + self._filled(tail, i, number)

    def _filled(self, form: str, i: int, number: int) -> str:
        given = {"number": str(number), "name": self.names[i]}
        return _FIELD.sub(lambda found: given[found[1]], form)


@dataclass(frozen=True, eq=False)
class _DocumentAblation:
    """Masks to prompts to scores."""

    scorer: Scorer = field(repr=False)
    pile: _Pile
    worlds: tuple[tuple[str, ...], ...]  # what each unit becomes, in each world that is averaged over

    def identity(self) -> dict[str, Any] | None:
        """What identifies the game in a store; None where the scorer does not know what identifies it."""
        known = self.scorer.identity()
        if known is None:
            return None
        pile = {one: getattr(self.pile, one) for one in self.pile.__dataclass_fields__}
        return {"lens": "documents", "scorer": known, "replacements": self.worlds, **pile}

    def price(self, ablations: int) -> Cost:
        """What so many prompts take."""
        return self.scorer.price(self.pile.before + self.pile.whole + self.pile.after, ablations * len(self.worlds))

    def texts(self, masks: Masks) -> list[str]:
        """The prompt of each mask (N, n), in the first world."""
        return self._texts(masks, self.worlds[0])

    def _texts(self, masks: Masks, replacements: tuple[str, ...]) -> list[str]:
        both = list(zip(replacements, self.pile.units, strict=True))
        return [
            self.pile.prompt([pair[kept] for pair, kept in zip(both, mask, strict=True)]) for mask in masks.tolist()
        ]

    def __call__(self, masks: Masks) -> Any:
        if len(self.worlds) == 1:
            return self.scorer(self.texts(masks))
        return averaged([self.scorer(self._texts(masks, one)) for one in self.worlds])
