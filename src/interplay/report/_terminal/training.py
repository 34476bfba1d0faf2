"""Training examples in the terminal: a summary over all test points, then the test points that pairs move most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from interplay._findings.influences import Influences, Pair, influences, training_summary
from interplay._game.layout import TrainingLayout
from interplay._spectrum.interactions import distinct_labels
from interplay.report._terminal.pictures import half_blocks

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from interplay._explain.explanation import Explanation

_POINTS = 3  # test points shown one by one
_PICTURES = 3  # of a row of pictures


def training_parts(explanation: Explanation, top: int, *, colour: bool, width: int) -> Iterator[RenderableType]:
    """What `show` prints of an explanation whose features are training examples."""
    from rich.text import Text

    layout = explanation.layout
    assert isinstance(layout, TrainingLayout)
    names = distinct_labels(layout.examples.names, width=max(20, width // 2 - 12))
    stored = f", {explanation.from_store} of them from the store" if explanation.from_store else ""
    yield Text(f"{explanation.n} features of the training data, {explanation.used} ablations{stored}", "bold")
    yield from _quality(explanation)
    found = [influences(explanation, position) for position in range(len(explanation.fits))]
    if len(found) > 1:
        yield from _summary(explanation, layout, names, top, colour)
    moved = sorted(range(len(found)), key=lambda t: (-sum(abs(pair.effect) for pair in found[t].pairs), t))
    for position in moved[:_POINTS]:
        yield from _point(found[position], position, layout, names, top, colour)
    if len(found) > _POINTS:
        yield Text("")
        yield Text(f"{len(found) - _POINTS} more test points: influences(explanation, output) reads out each.", "dim")
    notes = dict.fromkeys([*explanation.game_notes, *(note for fit in explanation.fits for note in fit.notes)])
    if notes:
        yield Text("")
        shown = list(notes)[:6]
        for note in shown:
            yield Text.assemble(("Note  ", "bold"), note)
        if len(notes) > len(shown):
            yield Text.assemble(("Note  ", "bold"), f"{len(notes) - len(shown)} more in .fits[...].notes")


def _quality(explanation: Explanation) -> Iterator[RenderableType]:
    from rich.text import Text

    scores = np.array([fit.faithfulness.r2 for fit in explanation.fits])
    first = np.array([fit.faithfulness.first_order for fit in explanation.fits], dtype=np.float64)
    known = ~np.isnan(scores)
    if not known.any():
        yield Text("R² is undefined: no output varies over the ablations")
        return
    which = "median of all outputs" if len(scores) > 1 else explanation.fits[0].faithfulness.how
    alone = f"; first order alone (lasso) {np.nanmedian(first[known]):.3f}" if not np.isnan(first[known]).all() else ""
    yield Text(f"R² on unseen ablations {np.median(scores[known]):.3f}{alone} ({which})")


def _summary(
    explanation: Explanation, layout: TrainingLayout, names: Sequence[str], top: int, colour: bool
) -> Iterator[RenderableType]:
    from rich.text import Text

    summary = training_summary(explanation)
    yield Text("")
    yield Text.assemble((f"Over all {summary.outputs} outputs", "bold"))
    if not summary.pairs:
        yield Text("no pair was found: the examples act one by one, or this method looks for single features only")
    else:
        if summary.kinds:
            yield Text("pairs      " + ", ".join(f"{kind} {share:.0%}" for kind, share in summary.kinds))
        if summary.classes:
            shown = [f"{a} with {b} {share:.0%}" for (a, b), share in summary.classes[:5]]
            yield Text("classes    " + ", ".join(shown))
        yield Text("")
        yield Text.assemble(("Pairs that act together most", "bold"), "  mean effect beyond the sum of both")
        yield _pairs(summary.pairs[:top], names)
        yield from _pictured(layout, [pair.features for pair in summary.pairs[:_PICTURES]], colour)
    yield Text("")
    yield Text.assemble(("Examples", "bold"), "  mean effect alone, mean magnitude of their pairs")
    yield _rows([(f"{effect:+.4f}", f"{pairs:.4f}", names[i]) for i, effect, pairs in summary.examples[:top]])


def _point(
    found: Influences, position: int, layout: TrainingLayout, names: Sequence[str], top: int, colour: bool
) -> Iterator[RenderableType]:
    from rich.text import Text

    yield Text("")
    yield Text.assemble((found.output, "bold reverse"))
    targets = layout.targets
    if targets is not None and targets.pictures is not None:
        yield half_blocks(targets.pictures[position], colour=colour)
    titles = ("Raise it most", "Lower it most") if layout.neutral else ("Most helpful", "Most harmful")
    for title, items in zip(titles, (found.helpful, found.harmful), strict=True):
        if items:
            yield Text(title, "bold")
            yield _rows([(f"{effect:+.4f}", names[i]) for i, effect in items[:top]])
            yield from _pictured(layout, [(i,) for i, _ in items[:_PICTURES]], colour)
    one, other = ("raises", "lowers") if layout.neutral else ("helps", "harms")
    kinds = {
        "synergistic": "Synergistic: more together than the sum of both",
        "redundant": "Redundant: less together, as duplicates are",
        "opposed": f"Opposed: one {one}, the other {other}, and together they are not the sum",
    }
    for kind, title in kinds.items():
        pairs = found.of_kind(kind)
        if pairs:
            yield Text(title, "bold")
            yield _pairs(pairs[:top], names)
            yield from _pictured(layout, [pair.features for pair in pairs[:_PICTURES]], colour)


def _pairs(pairs: Sequence[Pair], names: Sequence[str]) -> Table:
    return _rows([(f"{pair.effect:+.4f}", pair.kind, " + ".join(names[i] for i in pair.features)) for pair in pairs])


def _rows(rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for column in range(len(rows[0]) if rows else 1):
        last = column == len(rows[0]) - 1
        table.add_column(justify="left" if last else "right", overflow="fold", no_wrap=not last)
    for row in rows:
        style = "red" if row[0].startswith("-") else "green"
        table.add_row(Text(row[0], style), *map(Text, row[1:]))
    return table


def _pictured(layout: TrainingLayout, sets: Sequence[tuple[int, ...]], colour: bool) -> Iterator[RenderableType]:
    """The pictures of sets of examples in one line, sets apart."""
    from rich.table import Table
    from rich.text import Text

    pictures = layout.examples.pictures
    if pictures is None or not sets:
        return
    table = Table.grid(padding=(0, 1))
    cells: list[RenderableType] = []
    for number, members in enumerate(sets):
        if number:
            cells.append(Text("  "))
        for position, i in enumerate(members):
            if position:
                cells.append(Text("+"))
            cells.append(half_blocks(pictures[i], colour=colour))
    table.add_row(*cells)
    yield table
