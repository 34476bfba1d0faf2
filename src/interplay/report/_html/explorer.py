"""What the page's script and its map of parts are made of: features where they lie, and every output's sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from interplay._findings.views import (
    Effect,
    Ranking,
    Row,
    ShadedGrid,
    ShadedPicture,
    ShadedText,
    Unfolding,
    View,
    alone_effects,
)
from interplay._game.layout import GridLayout
from interplay._visible import visible
from interplay.report._html.drawing import png, segment_paths

_SETS = 6000  # of all outputs together, so that a page stays small
_LONGEST = 240  # characters of a part that stayed closed and does nothing; of a longer one both ends are shown


@dataclass(frozen=True)
class _Map:
    """Features where they lie, each with its effect (n,)."""

    effects: tuple[Effect, ...]
    meaning: str

    @property
    def most(self) -> float:
        """The strongest effect that differs from zero."""
        return max((abs(effect.value) for effect in self.effects if not effect.faint), default=0.0)


@dataclass(frozen=True)
class TextMap(_Map):
    """A text in pieces: its features, and what stands between them; ``cut`` where of some only both ends are shown."""

    pieces: tuple[tuple[str, int | None], ...]
    numbered: bool
    cut: bool = False
    kind: str = "text"


@dataclass(frozen=True)
class ChipMap(_Map):
    """Features that lie nowhere, side by side."""

    labels: tuple[str, ...]
    kind: str = "chips"


@dataclass(frozen=True)
class GridMap(_Map):
    """A grid of components, and the shares of their energy as (name, share, start)."""

    layout: GridLayout
    labels: tuple[str, ...]
    cells: tuple[tuple[int | None, ...], ...]
    energy: tuple[tuple[str, float, float], ...]
    kind: str = "grid"

    def percent(self, i: int) -> str:
        """A cell's words: its effect in per cent of the strongest."""
        effect = self.effects[i]
        share = 0 if effect.faint or not self.most else round(100 * effect.value / self.most)
        return f"{share:+d}" if share else "·"


@dataclass(frozen=True)
class PictureMap(_Map):
    """A picture and the path of each segment: filled, and its edge."""

    png: str
    width: int
    height: int
    paths: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]
    kind: str = "picture"
    beside: float | None = None  # the strongest effect, where other features lie beside the picture

    @property
    def most(self) -> float:
        """The strongest effect that differs from zero."""
        return super().most if self.beside is None else self.beside


@dataclass(frozen=True)
class RowMap(_Map):
    """A row of a table, its columns strongest first."""

    names: tuple[str, ...]
    values: tuple[str, ...]
    typical: tuple[str, ...]
    kind: str = "row"

    @property
    def ordered(self) -> list[int]:
        """The columns, strongest first."""
        return sorted(range(len(self.effects)), key=lambda i: (-abs(self.effects[i].value), i))


Map = TextMap | ChipMap | GridMap | PictureMap | RowMap


@dataclass(frozen=True)
class Explorer:
    """The outputs of one explanation over the same features, the first one's map, and the data of all."""

    outs: tuple[View, ...]
    map: Map
    effects: tuple[tuple[Effect, ...], ...] = field(repr=False)
    picture: PictureMap | None = None  # beside a text

    @classmethod
    def of(cls, view: View) -> Explorer | None:
        """The explorer of a view that has a ranking, or whose choices have; None of any other."""
        outs = view.choices or (view,)
        rankings = [out.part(Ranking) for out in outs]
        if not all(rankings):
            return None
        first = _map(outs[0])
        beside = outs[0].part(ShadedPicture) if isinstance(first, TextMap) else None
        effects = tuple(_effects(out) for out in outs)
        return cls(outs, first, effects, None if beside is None else _picture(beside))

    @property
    def ranking(self) -> Ranking:
        """That of the first output."""
        return _ranking(self.outs[0])

    @cached_property
    def payload(self) -> dict[str, Any]:
        """JSON-able: labels, and each output's effects and sets, strongest first."""
        each = max(50, _SETS // (2 * len(self.outs))) if len(self.outs) > 1 else _SETS // 2
        first = self.ranking
        return {
            "labels": [visible(label) for label in first.labels],
            "numbered": first.numbered and self.map.kind == "text",
            "outs": [_out(_ranking(out), effects, each) for out, effects in zip(self.outs, self.effects, strict=True)],
        }


def _out(ranking: Ranking, effects: Sequence[Effect], each: int) -> dict[str, Any]:
    certain = ranking.certain()
    return {
        "sets": [[_round(one.value), _round(one.reach), list(one.features)] for one in certain[:each]],
        "effects": [[_round(one.value), _round(one.reach), one.faint] for one in effects],
        "faint": ranking.faint(),
        "left": ranking.left + max(0, len(certain) - each),
    }


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _ranking(view: View) -> Ranking:
    ranking = view.part(Ranking)
    assert ranking is not None
    return ranking


def _effects(view: View) -> tuple[Effect, ...]:
    """The effect of each feature, as it is shown where it lies."""
    for part in view.parts:
        if isinstance(part, (ShadedText, ShadedGrid, ShadedPicture, Row)):
            return part.effects
    ranking = _ranking(view)
    return alone_effects(ranking.effects, len(ranking.labels))


def _map(view: View) -> Map:
    ranking, effects = _ranking(view), _effects(view)
    for part in view.parts:
        if isinstance(part, ShadedText):
            pieces, cut = _pieces(part, _closed(view))
            return TextMap(effects, part.meaning, pieces, ranking.numbered, cut)
        if isinstance(part, ShadedGrid):
            return _grid(part, ranking.labels)
        if isinstance(part, ShadedPicture):
            return _picture(part)
        if isinstance(part, Row):
            return RowMap(effects, part.meaning, part.names, part.values, part.typical)
    return ChipMap(effects, "effect by itself", ranking.labels)


def _picture(part: ShadedPicture) -> PictureMap:
    height, width = len(part.layout.segments), len(part.layout.segments[0])
    paths = segment_paths(part.layout.segments, len(part.effects))
    shown = png(part.layout.picture)
    return PictureMap(part.effects, part.meaning, shown, width, height, paths, part.labels, beside=part.most)


def _closed(view: View) -> frozenset[int]:
    """Features that could have been opened, and that nothing is known to hang on: of a book, nearly all of it."""
    unfolding = view.part(Unfolding)
    if unfolding is None:
        return frozenset()
    found, stack = set(), list(unfolding.branches)
    while stack:
        branch = stack.pop()
        stack += branch.parts
        if branch.feature is not None and branch.leaves > 1 and not unfolding.matters(branch):
            found.add(branch.feature)
    return frozenset(found)


def _pieces(part: ShadedText, closed: frozenset[int]) -> tuple[tuple[tuple[str, int | None], ...], bool]:
    """The text's features and what stands between, in order; of long ``closed`` ones both ends, and whether so."""
    text, position, cut = visible(part.layout.text), 0, False
    pieces: list[tuple[str, int | None]] = []
    for feature in sorted(range(len(part.layout.spans)), key=lambda i: part.layout.spans[i]):
        start, end = part.layout.spans[feature]
        if start == end:  # a segment of a picture beside the text
            continue
        if start > position:
            pieces.append((text[position:start], None))
        shown = text[start:end]
        if feature in closed and len(shown) > _LONGEST:
            shown = f"{shown[: _LONGEST // 2].rstrip()} … {shown[-_LONGEST // 2 :].lstrip()}"
            cut = True
        pieces.append((shown, feature))
        position = end
    rest = [(text[position:], None)] if position < len(text) else []
    return (*pieces, *rest), cut


def _grid(part: ShadedGrid, labels: tuple[str, ...]) -> GridMap:
    at = {cell: i for i, cell in enumerate(part.layout.cells)}
    rows, columns = range(len(part.layout.rows)), range(len(part.layout.columns))
    cells = tuple(tuple(at.get((row, column)) for column in columns) for row in rows)
    energy, start = [], 0.0
    for name, share in part.energy:
        energy.append((name, share, start))
        start += share
    return GridMap(part.effects, part.meaning, part.layout, labels, cells, tuple(energy))
