"""The view of training data: the rows to look at first, pairs that act together, and every test point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from interplay._findings.influences import Influences, Pair, TrainingSummary, influences, training_summary
from interplay._findings.views import Card, Cards, Effect, Facts, Matrix, Part, Quality, View, signed
from interplay._game.layout import Gallery, TrainingLayout
from interplay._spectrum.interactions import distinct_labels
from interplay.report._views.headline import brief, cost_of, quality_of, question_of
from interplay.report._views.unfolded import unfolding_of

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
        _answer(explanation, layout, summary, [brief(name) for name in names]),
        (quality, *_summed(summary, layout, cards), _matrix(found, summary, names), *unfolding_of(explanation, "bv")),
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
    where = "" if summary.outputs == 1 else f"Over {summary.outputs} outputs, "
    words = []
    if best[1] > 0:
        words.append(f"{names[best[0]]} {raised} most ({_rounded(best[1])})")
    if worst[1] < 0:
        words.append(f"{names[worst[0]]} {lowered} most ({_rounded(worst[1])})")
    if summary.pairs:
        pair = summary.pairs[0]
        both = " + ".join(names[i] for i in pair.features)
        words.append(f"{both} together do {_rounded(pair.effect)} beyond the sum of both")
    return f"{where}{'; '.join(words) or f'none of the {explanation.n} examples changes anything'}."


def _summed(summary: TrainingSummary, layout: TrainingLayout, cards: dict[int, Card]) -> list[Part]:
    """The examples to look at first, and the pairs that act together, over all outputs."""
    first = sorted(summary.examples, key=lambda item: (-abs(item[1]) if layout.neutral else item[1], item[0]))
    title = "Look at these first" if layout.neutral else "Look at these first: they harm most, or help least"
    items = tuple((Effect((i,), effect), f"{pairs:.2g} in pairs") for i, effect, pairs in first[:_ROWS])
    parts: list[Part] = [Cards(title, items, cards, left=len(first) - len(items))]
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
            Facts("Pairs", (("none", "no pair was found: examples act one by one, or the method looks for no pairs"),))
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
    targets = layout.targets
    pictures = None if targets is None else targets.pictures
    return View(
        question_of(explanation),
        _point_answer(explanation, found, position, cards, (one, other)),
        tuple(parts),
        name=found.output,
        picture=None if pictures is None else pictures[position],
    )


def _point_answer(
    explanation: Explanation, found: Influences, position: int, cards: dict[int, Card], verbs: tuple[str, str]
) -> str:
    """One sentence on a test point."""
    words = [
        f"{brief(cards[items[0][0]].name)} {verb} most ({_rounded(items[0][1])})"
        for items, verb in zip((found.helpful, found.harmful), verbs, strict=True)
        if items
    ]
    if found.pairs:
        pair = found.pairs[0]
        both = " + ".join(brief(cards[i].name) for i in pair.features)
        words.append(f"{both} are {pair.kind} ({_rounded(pair.effect)})")
    end = "" if explanation.full is None else f"{explanation.full[position]:.3g} with all examples: "
    return f"{end}{'; '.join(words) or 'no example changes it'}."


def _rounded(value: float) -> str:
    return signed(float(f"{value:.2g}"))


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
