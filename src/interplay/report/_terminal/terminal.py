"""A view in the terminal: a question, its answer, how far to trust it, and the strongest sets; at most 40 lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from interplay._findings.grid import in_one_row
from interplay._findings.views import (
    Cards,
    Effect,
    Facts,
    Matrix,
    Part,
    Quality,
    Ranking,
    Row,
    ShadedGrid,
    ShadedPicture,
    ShadedText,
    Table,
    Unfolding,
    View,
)
from interplay.report._terminal.cards import card_rows
from interplay.report._terminal.columns import column_rows
from interplay.report._terminal.gate import Gate
from interplay.report._terminal.grid import shaded_grid
from interplay.report._terminal.pictures import half_blocks
from interplay.report._terminal.rows import Names, counted, effect_rows, plain_rows, title
from interplay.report._terminal.segments import image_parts
from interplay.report._terminal.shading import shaded_text
from interplay.report._terminal.unfolding import opened_rows

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

LINES = 40  # of one output
_MOST, _FEWEST = 8, 2  # rows of a list where nobody asked for a number
_POINTS = 5  # test points in a line each
_REMOVED = 4  # removals in a line
_NAMED = 14  # characters of their names


def print_view(view: View, *, top: int | None, console: Console, verbose: bool) -> None:
    """Print a view; its choices one after the other, or in a line each where they have a summary above them."""
    for piece in _all(view, top, console, verbose):
        console.print(Gate(piece))


def _all(view: View, top: int | None, console: Console, verbose: bool) -> Iterator[RenderableType]:
    from rich.rule import Rule
    from rich.text import Text

    yield from _pieces(view, top, console, verbose)
    if view.parts and not verbose and len(view.choices) > 1:
        yield Text("")
        yield from map(_line, view.choices[:_POINTS])
        if len(view.choices) > _POINTS:
            yield Text(f"{len(view.choices) - _POINTS} more", "dim")
        return
    for choice in view.choices:
        yield Text("")
        yield Rule(Text(choice.name))
        if choice.picture is not None:
            yield half_blocks(choice.picture, colour=has_colour(console))
        yield from _pieces(choice, top, console, verbose, headed=False)


def _pieces(
    view: View, top: int | None, console: Console, verbose: bool, *, headed: bool = True
) -> Iterator[RenderableType]:
    from rich.text import Text

    head: list[RenderableType] = [Text(view.question, "bold")] if headed else []
    head.append(Text(view.answer))
    quality = view.part(Quality)
    if quality is not None:
        head += ["", *_quality(quality, verbose)]
    if headed and view.cost:
        head.append(Text(view.cost, "dim"))
    notes = [*view.notes, *(view.asides if verbose else ())]
    foot: list[RenderableType] = ["", *(Text.assemble(("Note  ", "bold"), note) for note in notes)] if notes else []
    ranking = view.part(Ranking)
    keyed = ranking is not None and ranking.numbered  # the key shows the text's parts
    shown = [part for part in view.parts if not (keyed and isinstance(part, ShadedText))]
    placed = [piece for part in shown for piece in _placed(part, top or _MOST, console)]
    yield from head
    if ranking is not None:
        taken = _height([*head, *placed, *foot], console)
        yield from _ranking(ranking, view, top, LINES - taken, console.width)
    yield from placed
    yield from foot


def _quality(quality: Quality, verbose: bool) -> Iterator[RenderableType]:
    from rich.text import Text

    if not quality.known:
        yield Text(f"R² is undefined: {quality.how}")
        return
    interval = f" [{quality.low:.3f}, {quality.high:.3f}]" if np.isfinite(quality.low) else ""
    first = "" if quality.first_order is None else f"; first order alone {quality.first_order:.3f}"
    what = "" if first or quality.interactions else ", single features only"
    where = "R² on all ablations " if quality.exact else "R² on unseen ablations "
    yield Text.assemble((where, "bold"), f"{quality.r2:.3f}{interval}{what}{first}")
    if verbose:
        yield Text(quality.how, "dim")


def _ranking(ranking: Ranking, view: View, top: int | None, room: int, width: int) -> Iterator[RenderableType]:
    """Sets of several features, then single ones; of a grid, sets within a row apart from those across."""
    from rich.text import Text

    names = Names.of(ranking)
    single = ranking.certain(1, 1)
    grid = view.part(ShadedGrid)
    groups = _together(ranking, grid) if ranking.combines else []
    heads = 2 * (1 + len(groups)) + 2  # what the numbers mean may take two lines
    measured = bool(ranking.removals) and room - heads - 2 >= _MOST * (1 + len(groups))  # where there is room to spare
    heads += 2 * measured
    each = max(_FEWEST, min(_MOST, (room - heads) // (1 + len(groups)))) if top is None else top
    scale = max((abs(effect.value) for effect in ranking.certain()), default=0.0)
    shown: list[Effect] = []
    for name, group in groups:
        yield ""
        if not group:
            faint = ranking.faint(2)
            more = f" that differs from zero ({faint} do not)" if faint else ""
            yield Text.assemble((name, "bold"), f"  no interaction was found{more}")
            continue
        count = (
            counted(min(each, len(group)), ranking, 2, None)
            if len(groups) == 1
            else f"{min(each, len(group))} of {len(group)}"
        )
        yield title(name, count)
        shown += group[:each]
        yield effect_rows(
            group[:each], [names.short(effect.features) for effect in group[:each]], scale=scale, width=width
        )
    if view.part(Row) is None:  # which has a line for each
        yield from _alone(ranking, single[:each], shown, names, scale, width)
    if measured:
        yield ""
        yield title("Measured", _measured(ranking, names))
    known = any(effect.reach is not None for effect in (*shown, *single[:each]))
    yield Text(f"{ranking.meaning}{'; ± is half of a 90% credible interval' if known else ''}", "dim")


def _measured(ranking: Ranking, names: Names) -> str:
    """What the strongest removals did to the real input, in a line."""
    told = (
        f"{one.before:.3g} → {one.after:.3g} without {names.short(one.features)}" for one in ranking.removals[:_REMOVED]
    )
    return "; ".join(told)


def _alone(
    ranking: Ranking, single: Sequence[Effect], shown: Sequence[Effect], names: Names, scale: float, width: int
) -> Iterator[RenderableType]:
    """Single features; where parts are numbered, the key of the sets ``shown`` above as well."""
    from rich.text import Text

    yield ""
    alone = list(single)
    if names.numbered:
        known = {effect.features: effect for effect in ranking.effects if len(effect.features) == 1}
        mentioned = {(i,) for effect in shown for i in effect.features} - {effect.features for effect in alone}
        alone += [known.get(key, Effect(key, 0.0, None, True)) for key in sorted(mentioned)]
    if alone:
        yield title("Alone", counted(len(single), ranking, 1, 1))
        yield effect_rows(alone, [names.long(effect.features[0]) for effect in alone], scale=scale, width=width)
    else:
        yield Text.assemble(("Alone", "bold"), "  no single effect was found")


def _together(ranking: Ranking, grid: ShadedGrid | None) -> list[tuple[str, tuple[Effect, ...]]]:
    sets = ranking.certain(2)
    if grid is None or len(grid.layout.rows) < 2 or not sets:
        return [("Together", sets)]
    inside = tuple(effect for effect in sets if in_one_row(effect.features, grid.layout))
    within = {effect.features for effect in inside}
    outside = tuple(effect for effect in sets if effect.features not in within)
    groups = [("Together within a layer", inside), ("Together across layers", outside)]
    return [(name, group) for name, group in groups if group]


def _placed(part: Part, top: int, console: Console) -> Iterator[RenderableType]:
    """What is shown where it lies: text, grid, picture, row; and examples and tables."""
    from rich.text import Text

    colour, width = has_colour(console), console.width
    how = "green raises the output, red lowers it" if colour else "+ raises the output, - lowers it"
    if isinstance(part, ShadedText):
        yield ""
        marks = how if colour else "[+raises+] the output, [-lowers-] it; at least a quarter of the strongest"
        yield title("Text", marks)
        yield shaded_text(part.layout, _values(part.effects), colour=colour, width=width)
    elif isinstance(part, ShadedGrid):
        if part.energy:
            yield ""
            yield title("Energy", ", ".join(f"{share:.1%} {name}" for name, share in part.energy))
        yield ""
        yield title("Layers", f"{part.meaning} in % of the strongest: {how}")
        yield shaded_grid(part.layout, _values(part.effects), width=width, colour=colour)
    elif isinstance(part, ShadedPicture):
        yield ""
        yield from image_parts(part, _values(part.effects), width=width, colour=colour)
    elif isinstance(part, Row):
        yield ""
        yield title("Row", f"{part.meaning}; in brackets what is typical of the background")
        yield column_rows(part, top, width=width)
    elif isinstance(part, Unfolding):
        yield ""
        yield title("Opened", "")
        yield opened_rows(part, top)
    elif isinstance(part, Cards):
        yield ""
        shown = min(top, 5)
        left = part.left + max(0, len(part.items) - shown)
        yield title(part.title, f"{left} more" if left else "")
        yield from card_rows(part, shown, colour=colour, width=width)
    elif isinstance(part, Table):
        yield ""
        yield title(part.title, "")
        yield plain_rows(part, top)
    elif isinstance(part, Facts):
        yield ""
        yield title(part.title, "")
        for name, words in part.items:
            yield Text(f"{name:<9} {(words)}", no_wrap=True, overflow="ellipsis")
    else:
        assert isinstance(part, (Quality, Ranking, Matrix))  # drawn elsewhere, or too wide for a terminal


def _line(choice: View) -> RenderableType:
    """A choice in a line: its name and its answer."""
    from rich.text import Text

    name = f"{choice.name[:_NAMED]:<{_NAMED}}"
    return Text.assemble((name, "bold"), "  ", choice.answer, no_wrap=True, overflow="ellipsis")


def _values(effects: Sequence[Effect]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The effect of each feature (n,), zero where it cannot be told from zero."""
    return np.array([0.0 if effect.faint else effect.value for effect in effects])


def _height(pieces: Sequence[RenderableType], console: Console) -> int:
    return sum(len(console.render_lines(piece, pad=False)) for piece in pieces)


def has_colour(console: Console) -> bool:
    """Whether what is printed there may have colours."""
    return console.is_terminal and not console.no_color and console.color_system is not None
