"""The view of training data: the rows to look at first, pairs that act together, and every test point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from interplay._findings.influences import Influences, Pair, TrainingSummary, influences, training_summary
from interplay._findings.views import Card, Cards, Effect, Facts, Matrix, Part, Quality, Table, View, signed
from interplay._game.layout import Gallery, TrainingLayout
from interplay._spectrum.interactions import distinct_labels
from interplay.report._views.explained import cost_of, quality_of, question_of

if TYPE_CHECKING:
    from interplay._explain.explanation import Explanation

_ROWS = 24  # of a table of examples, of a matrix
_SETS = 12  # of cards
_KINDS = {
    "synergistic": "Synergistic: more together than the sum of both",
    "redundant": "Redundant: less together, as duplicates are",
    "opposed": "Opposed: one {one}, the other {other}, and together they are not the sum",
}


def training_view(explanation: Explanation) -> View:
    """All test points summed up, then each of them, those that pairs move most first."""
    layout = explanation.layout
    assert isinstance(layout, TrainingLayout)
    names = distinct_labels(layout.examples.names)
    found = [influences(explanation, position) for position in range(len(explanation.fits))]
    summary = training_summary(explanation)
    cards = _cards(layout.examples, names)
    notes = tuple(dict.fromkeys(note for fit in explanation.fits for note in fit.notes))
    moved = sorted(range(len(found)), key=lambda t: (-sum(abs(pair.effect) for pair in found[t].pairs), t))
    choices = tuple(_point(explanation, found[position], position, layout, cards) for position in moved)
    quality = _quality(explanation)
    return View(
        question_of(explanation),
        _answer(explanation, layout, summary, names),
        (quality, *_summed(summary, names, cards), _matrix(found, summary, names)),
        notes=explanation.game_notes,
        asides=notes,
        cost=cost_of(explanation),
        choices=choices,
    )


def _quality(explanation: Explanation) -> Quality:
    """That of the only output, or the median of all."""
    if len(explanation.fits) == 1:
        return quality_of(explanation)
    each = [quality_of(explanation.for_output(position)) for position in range(len(explanation.fits))]
    known = [one for one in each if one.known]
    if not known:
        return each[0]
    first = [one.first_order for one in known if one.first_order is not None]
    low, high = min(one.r2 for one in known), max(one.r2 for one in known)
    return Quality(
        float(np.median([one.r2 for one in known])),
        low,
        high,
        float(np.median(first)) if first else None,
        any(one.interactions for one in known),
        f"median of {len(known)} outputs, which reach from {low:.3f} to {high:.3f}",
    )


def _answer(explanation: Explanation, layout: TrainingLayout, summary: TrainingSummary, names: Sequence[str]) -> str:
    """One sentence on the rows to look at first."""
    ranked = sorted(summary.examples, key=lambda item: item[1])
    worst, best = ranked[0], ranked[-1]
    raised, lowered = ("raises", "lowers") if layout.neutral else ("helps", "harms")
    of = "the output" if summary.outputs == 1 else f"{summary.outputs} outputs on average"
    words = []
    if best[1] > 0:
        words.append(f"{names[best[0]]} {raised} {of} most ({signed(float(f'{best[1]:.2g}'))})")
    if worst[1] < 0:
        words.append(f"{names[worst[0]]} {lowered} {'it' if words else of} most ({signed(float(f'{worst[1]:.2g}'))})")
    if summary.pairs:
        pair = summary.pairs[0]
        both = " + ".join(names[i] for i in pair.features)
        words.append(f"{both} do {signed(float(f'{pair.effect:.2g}'))} beyond the sum of both")
    if not words:
        return f"None of the {explanation.n} examples changes {of}."
    text = "; ".join(words)
    return f"{text[0].upper()}{text[1:]}."


def _summed(summary: TrainingSummary, names: Sequence[str], cards: dict[int, Card]) -> list[Part]:
    """The examples to look at first, and the pairs that act together, over all outputs."""
    first = sorted(summary.examples, key=lambda item: (-abs(item[1]) - item[2], item[0]))
    parts: list[Part] = [
        Table(
            "Look at these first",
            ("example", "mean effect", "in pairs"),
            tuple((names[i], effect, pairs) for i, effect, pairs in first[:_ROWS]),
            left=max(0, len(first) - _ROWS),
        )
    ]
    facts = []
    if summary.kinds:
        facts.append(("pairs", ", ".join(f"{kind} {share:.0%}" for kind, share in summary.kinds)))
    if summary.classes:
        facts.append(("classes", ", ".join(f"{a} with {b} {share:.0%}" for (a, b), share in summary.classes[:5])))
    if facts:
        parts.append(Facts("All pairs, by strength", tuple(facts)))
    if summary.pairs:
        parts.append(_paired("Pairs that act together most: mean effect beyond the sum of both", summary.pairs, cards))
    else:
        parts.append(
            Facts("Pairs", (("none", "the examples act one by one, or this method looks for single features only"),))
        )
    return parts


def _point(
    explanation: Explanation, found: Influences, position: int, layout: TrainingLayout, cards: dict[int, Card]
) -> View:
    """One test point: what helps, what harms, and its pairs by kind."""
    titles = ("Raise it most", "Lower it most") if layout.neutral else ("Most helpful", "Most harmful")
    one, other = ("raises", "lowers") if layout.neutral else ("helps", "harms")
    parts: list[Part] = [quality_of(explanation.for_output(position))]
    for title, items in zip(titles, (found.helpful, found.harmful), strict=True):
        if items:
            effects = tuple((Effect((i,), value), "") for i, value in items[:_SETS])
            parts.append(Cards(title, effects, cards, left=max(0, len(items) - _SETS)))
    for kind, title in _KINDS.items():
        pairs = found.of_kind(kind)
        if pairs:
            parts.append(_paired(title.format(one=one, other=other), pairs, cards))
    ends = [
        f"{values[position]:.3g} with {which} examples"
        for values, which in ((explanation.full, "all"), (explanation.empty, "no"))
        if values is not None
    ]
    start = f"The output is {' and '.join(ends)}; " if ends else ""
    targets = layout.targets
    pictures = None if targets is None else targets.pictures
    return View(
        question_of(explanation),
        f"{start}{len(found.helpful)} examples {'raise' if layout.neutral else 'help'}, {len(found.harmful)} "
        f"{'lower' if layout.neutral else 'harm'}, and {len(found.pairs)} pairs act together.",
        tuple(parts),
        name=found.output,
        picture=None if pictures is None else pictures[position],
    )


def _paired(title: str, pairs: Sequence[Pair], cards: dict[int, Card]) -> Cards:
    shown = tuple((Effect(pair.features, pair.effect), pair.kind) for pair in pairs[:_SETS])
    return Cards(title, shown, cards, left=max(0, len(pairs) - _SETS))


def _matrix(found: Sequence[Influences], summary: TrainingSummary, names: Sequence[str]) -> Matrix:
    """The effects of the examples that matter most, (examples, outputs)."""
    each = [dict((*one.helpful, *one.harmful)) for one in found]
    strength = {i: sum(abs(effects.get(i, 0.0)) for effects in each) for i, _, _ in summary.examples}
    rows = sorted(strength, key=lambda i: (-strength[i], i))[:_ROWS]
    return Matrix(
        "Examples by test points",
        tuple(names[i] for i in rows),
        tuple(one.output for one in found),
        tuple(tuple(effects.get(i, 0.0) for effects in each) for i in rows),
        left=max(0, len(strength) - _ROWS),
    )


def _cards(gallery: Gallery, names: Sequence[str]) -> dict[int, Card]:
    kinds, pictures = gallery.classes, gallery.pictures
    return {
        i: Card(name, None if kinds is None else kinds[i], None if pictures is None else pictures[i])
        for i, name in enumerate(names)
    }
