"""The features of a text: its words, sentences, paragraphs, tokens, or any ranges of characters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from interplay._checks import unknown, within
from interplay._errors import InputError
from interplay._game.cost import Cost
from interplay._game.game import Game
from interplay._game.layout import TextLayout
from interplay._game.masks import Masks
from interplay._networks.hidden import Hidden
from interplay._units import (
    Span,
    merged,
    not_told_apart,
    paragraph_spans,
    section_spans,
    sentence_spans,
    word_spans,
)
from interplay.lenses._features.illustrated import Fill, picture_of, with_picture
from interplay.lenses._features.levels import check_levels, parts_of
from interplay.lenses._features.regions import Prompt, Unit, compose, units_of
from interplay.lenses._features.standins import ATTENTION, MEND, Ablate, averaged, mended, replacements_for, suiting
from interplay.models import Scorer, TextScorer

UNITS = ("word", "sentence", "paragraph", "section", "token")
_LEVELS = ("section", "paragraph", "sentence", "word", "token")  # from coarse to fine


def text(
    scorer: TextScorer,
    text: str | Mapping[str, str],
    *,
    unit: Unit | Sequence[str] | Mapping[str, Unit] = "word",
    ablate: Ablate | None = None,
    template: str | None = None,
    region: str | Sequence[str] | None = None,
    image: Any = None,
    grid: tuple[int, int] | None = None,
    segments: Any = None,
    fill: Fill = "blur",
    keep: float = 0.5,
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
        "word", "sentence", "paragraph", "section", "token" (the scorer's own), or ascending character ranges
        ``[(start, end)]``; or one of these for each region that is ablated. A tuple from coarse to fine, such as
        ``("paragraph", "sentence", "word")``, makes a game that `interplay.explain` zooms: it opens the parts that
        matter into finer ones, within one budget.
    ablate
        What an ablated unit becomes: any string, "delete" for nothing, "mend" for nothing and no blank left doubled,
        "mask" for the scorer's own mask token, "attention" for units that stay in place and are hidden from the
        attention of a `CausalLM`; or a string for each unit, as a mapping from every unit's text, or a function of
        it. In the place of a string, a list of alternatives: the score is averaged over the first of each, the second
        of each, and so on, and an ablation costs as many calls; or what a masked language model puts there
        (`interplay.models.MaskedLM.infill`). Left out, "[UNK]" where the model's tokenizer knows it, or nobody knows
        the tokenizer, else "mend".
    template
        What surrounds the text, with ``{text}`` where it goes, or with the name of each region in braces; the
        surroundings are never ablated.
    region
        The regions, one or several, whose units are ablated; all of them when left out.
    image, grid, segments, fill
        For a scorer that reads a picture with the text (`interplay.models.VisionLM`): the picture, whose segments
        are features, too, before those of the text; how it is cut, and what an ablated segment becomes, as
        `interplay.lenses.image` takes them (``fill`` is its ``ablate``).
    keep
        The probability with which a design keeps each unit.
    name
        The game's identity in a store, needed where the scorer is a plain function.

    Raises
    ------
    InputError
        For an empty text or one without units, an unknown unit, ranges that overlap or lie outside the text, a
        template without ``{text}`` or without a region, a region that is not there, or a text that the scorer's
        model cannot take whole.
    """
    asked = Scorer.of(scorer)
    picture = picture_of(asked, image, grid, segments, fill)
    prompt = compose(text, template, region)
    levels, given = levels_of(unit)
    chosen = units_of(prompt, given)
    spans = [span for name in prompt.ablated for span in _cut(asked, prompt, name, chosen[name])]
    units = tuple(prompt.text[a:b] for a, b in spans)
    whole = prompt.whole if picture is None else picture.seen(prompt.whole)
    bound = asked if asked.bind is None else Scorer.of(asked.bind(whole))
    stands_in = suiting(bound) if ablate is None else ablate
    shift = len(prompt.before)
    places = [(prompt.whole, [(start + shift, end + shift) for start, end in spans])]
    worlds, notes = replacements_for(bound, stands_in, units, places)
    if asked.bind is not None:  # what is measured was not known to whoever made the scorer
        notes += (f"measured: {bound.name}",)
    notes += bound.check(whole)
    notes += notes_on_words(prompt.text[slice(*prompt.regions[one])] for one in chosen if chosen[one] == "word")
    if len(spans) == 1:
        only = chosen[prompt.ablated[0]]
        what = only if isinstance(only, str) else "range"
        notes += (f"the text is a single {what}, so there is nothing to combine: choose a smaller unit",)
    edges = [0, *chain.from_iterable(spans), len(prompt.text)]
    pieces = tuple(prompt.text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True))
    between = (prompt.before + pieces[0], *pieces[1:-1], pieces[-1] + prompt.after)
    value = _TextAblation(bound, prompt, tuple(spans), between, worlds, stands_in == MEND, stands_in == ATTENTION)
    game = Game(
        value,
        units,
        outputs=bound.outputs,
        name=name,
        identity=value.identity,
        inputs=value.texts,
        price=value.price,
        layout=TextLayout(prompt.text, tuple(spans)),
        batch_size=bound.batch_size,
        notes=notes,
        keep=keep,
        repeats=bound.repeats,
        question=_question(bound, [chosen[name] for name in prompt.ablated]),
    )
    if picture is not None:
        if levels:
            raise InputError(f"a text with a picture takes one unit, not {levels!r}: give the finest of them.")
        return with_picture(game, bound, picture, value.in_worlds(), value.identity)
    if not levels:
        return game
    return game.zoomed(parts_of(prompt.text, spans, levels, partial(cut_into, asked)))


def levels_of(unit: Unit | Sequence[str] | Mapping[str, Unit]) -> tuple[tuple[str, ...], Unit | Mapping[str, Unit]]:
    """Names of units from coarse to fine where they are given, else none; and the finest unit, or what is given."""
    if isinstance(unit, (str, Mapping)) or not isinstance(unit, Sequence):
        return (), unit
    if not len(unit):
        raise InputError("unit is empty: name at least one, such as 'sentence', or several from coarse to fine.")
    levels = tuple(level for level in unit if isinstance(level, str))
    if not levels or len(levels) < len(unit):
        return (), unit  # type: ignore[return-value]  # character ranges, or a mistake that is named where they are read
    for level in levels:
        if level not in UNITS:
            raise unknown("unit", level, UNITS)
    check_levels(levels, _LEVELS)
    return levels, levels[-1]


def cut_into(scorer: Scorer, text: str, unit: str) -> list[Span]:
    """As `spans_of`; none of a blank text."""
    return spans_of(scorer, text, unit) if text.strip() else []


def _question(scorer: Scorer, units: Sequence[Unit]) -> str:
    """What is asked, for a reader: "Which words drive similarity to 'a good film' of MiniLM?"."""
    first = units[0]
    parts = f"{first}s" if isinstance(first, str) and all(unit == first for unit in units) else "parts of the text"
    return f"Which {parts} drive {scorer.name}{f' of {scorer.model}' if scorer.model else ''}?"


@dataclass(frozen=True, eq=False)
class _TextAblation:
    """Masks to texts to scores."""

    scorer: Scorer = field(repr=False)
    prompt: Prompt
    spans: tuple[Span, ...]
    between: tuple[str, ...]  # one more than spans: what precedes each unit, and what follows the last
    worlds: tuple[tuple[str, ...], ...]  # what each unit becomes, in each world that is averaged over
    mends: bool = False
    hides: bool = False

    def identity(self) -> dict[str, Any] | None:
        """What identifies the game in a store; None where the scorer does not know what identifies it."""
        known = self.scorer.identity()
        if known is None:
            return None
        where = {"lens": "text", "text": self.prompt.text, "spans": [list(span) for span in self.spans]}
        around = {"before": self.prompt.before, "after": self.prompt.after}
        return (
            where
            | around
            | {"scorer": known, "replacements": [list(one) for one in self.worlds]}
            | ({"mended": True} if self.mends else {})
            | ({"hidden": True} if self.hides else {})
        )

    def in_worlds(self) -> list[Callable[[Masks], list[str]]]:
        """Masks to texts, in each world."""
        return [partial(self._texts, replacements=one) for one in self.worlds]

    def price(self, ablations: int) -> Cost:
        """What so many texts take."""
        return self.scorer.price(self.prompt.whole, ablations * len(self.worlds))

    def texts(self, masks: Masks) -> list[str]:
        """The text of each mask (N, n), in the first world."""
        return self._texts(masks, self.worlds[0])

    def _texts(self, masks: Masks, replacements: tuple[str, ...]) -> list[str]:
        if not self.hides:
            return self._composed(masks, replacements)
        shift = len(self.prompt.before)
        places = [(start + shift, end + shift) for start, end in self.spans]
        return [
            Hidden(self.prompt.whole, [place for place, kept in zip(places, mask, strict=True) if not kept])
            for mask in masks.tolist()
        ]

    def _composed(self, masks: Masks, replacements: tuple[str, ...]) -> list[str]:
        units = [self.prompt.text[start:end] for start, end in self.spans]
        kept, ablated = np.array(units, dtype=object), np.array(replacements, dtype=object)
        composed = []
        for mask in masks:
            shown = np.where(mask, kept, ablated).tolist()
            between = mended(self.between, [not one for one in shown]) if self.mends else self.between
            composed.append("".join(chain.from_iterable(zip(between, [*shown, ""], strict=True))))
        return composed

    def replaced(self, words: Mapping[int, str]) -> str:
        """The text in which some units, by number, stand replaced by other words."""
        given = tuple(words.get(i, word) for i, word in enumerate(self.worlds[0]))
        return self._composed(np.array([[i not in words for i in range(len(given))]]), given)[0]

    def __call__(self, masks: Masks) -> Any:
        if len(self.worlds) == 1:
            return self.scorer(self.texts(masks))
        return averaged([self.scorer(self._texts(masks, one)) for one in self.worlds])


def _cut(scorer: Scorer, prompt: Prompt, name: str, unit: Unit) -> list[Span]:
    """The units of one region, as ranges of the whole text."""
    start, end = prompt.regions[name]
    with within(f"in the region {name!r}") if len(prompt.regions) > 1 else nullcontext():
        found = spans_of(scorer, prompt.text[start:end], unit)
    return [(start + left, start + right) for left, right in found]


def spans_of(scorer: Scorer, text: str, unit: Unit) -> list[Span]:
    """The units of a text as ascending character ranges, or an `InputError` where there are none."""
    if not isinstance(unit, str):
        return _given_spans(text, unit)
    if unit not in UNITS:
        raise unknown("unit", unit, UNITS)
    if unit == "token":
        if scorer.token_spans is None:
            raise InputError(
                "this scorer has no tokenizer whose tokens are known: choose unit='word', or pass character ranges."
            )
        spans = merged(text, scorer.token_spans(text))
    else:
        cut = {"word": word_spans, "sentence": sentence_spans, "paragraph": paragraph_spans, "section": section_spans}[
            unit
        ]
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


def notes_on_words(texts: Iterable[str]) -> tuple[str, ...]:
    """What a reader should know of texts cut into words, where a script does not show them."""
    scripts = not_told_apart(" ".join(texts))
    if not scripts:
        return ()
    return (
        f"text written without spaces ({' and '.join(scripts)}): its words were not told apart, characters of Chinese "
        "and Japanese and whole runs of others stand for them; the dictionaries: pip install 'interplay[words]'",
    )
