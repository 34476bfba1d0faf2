"""Rankings and tables as rows of one line each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from interplay._findings.views import Effect, Ranking, Table

if TYPE_CHECKING:
    from rich.table import Table as RichTable
    from rich.text import Text

_BAR = 12  # characters of the longest bar
_NARROW = 60  # columns below which there is no room for bars


@dataclass(frozen=True)
class Names:
    """What parts are called in a row: by their labels or, where those are long, by numbers with a key."""

    labels: tuple[str, ...]
    numbered: bool

    @classmethod
    def of(cls, ranking: Ranking) -> Names:
        """Numbers where any label is long."""
        return cls(ranking.labels, ranking.numbered)

    def short(self, features: Sequence[int]) -> str:
        """A set in a row: "never + fails", or "S1 + S4"."""
        return " + ".join(f"S{i + 1}" if self.numbered else self.labels[i] for i in features)

    def long(self, feature: int) -> str:
        """A single part in a row: "never", or "S1  It never fails to charm."."""
        label = self.labels[feature]
        return f"S{feature + 1}  {label}" if self.numbered else label


def effect_rows(effects: Sequence[Effect], words: Sequence[str], *, scale: float, width: int) -> RichTable:
    """Numbers, bars where there is room, and words; a row is a line."""
    from rich.text import Text

    table = _grid()
    table.add_column(justify="right", no_wrap=True, min_width=max((len(str(effect)) for effect in effects), default=0))
    if width >= _NARROW:
        table.add_column(width=_BAR, no_wrap=True)
    table.add_column()
    for effect, name in zip(effects, words, strict=True):
        ink = "dim" if effect.faint else "green" if effect.value > 0 else "red"
        length = 0 if effect.faint or not scale else max(1, round(_BAR * abs(effect.value) / scale))
        bar = [Text("█" * length)] if width >= _NARROW else []
        table.add_row(Text(str(effect), ink), *bar, one_line(name, "dim" if effect.faint else ""))
    return table


def title(words: str, more: str) -> Text:
    """A section's head, or a line below one."""
    from rich.text import Text

    if not words:
        return Text(more, "dim", no_wrap=True, overflow="ellipsis")
    return Text.assemble((words, "bold"), f"  {more}", no_wrap=True, overflow="ellipsis")


def counted(shown: int, ranking: Ranking, low: int, high: int | None) -> str:
    """ "8 of 41, 3101 more cannot be told from zero"."""
    certain, faint = len(ranking.certain(low, high)) + (ranking.left if high != 1 else 0), ranking.faint(low, high)
    rest = f"; and {faint:,} that these ablations cannot tell from zero" if faint else ""
    return f"{shown} of {certain}{rest}"


def plain_rows(table: Table, top: int) -> RichTable:
    """Any table, its first ``top`` rows, a line each; a count of the others below."""
    from rich.text import Text

    drawn = _grid()
    for column, _ in enumerate(table.columns):
        least = 0 if column == 0 else max(len(_cell(row[column])) for row in (table.columns, *table.rows[:top]))
        justify: Literal["left", "right"] = "left" if column == 0 else "right"
        drawn.add_column(no_wrap=column > 0, justify=justify, min_width=least)
    drawn.add_row(*(Text(name, "dim") for name in table.columns))
    for row in table.rows[:top]:
        drawn.add_row(*map(_cell, row))
    left = table.left + max(0, len(table.rows) - top)
    if left:
        drawn.add_row(Text(f"{left} more", "dim"), *[""] * (len(table.columns) - 1))
    return drawn


def _cell(value: str | float | int | Effect) -> Text:
    from rich.text import Text

    if isinstance(value, Effect):
        return Text(str(value), "dim" if value.faint else "green" if value.value > 0 else "red")
    if isinstance(value, float):
        return Text(f"{value:.4g}")
    return one_line(str(value))


def one_line(words: str, style: str = "") -> Text:
    """Words that are cut rather than wrapped; alone in its column, which makes room for the others."""
    from rich.text import Text

    return Text(words, style, no_wrap=True, overflow="ellipsis")


def _grid() -> RichTable:
    from rich.table import Table as RichTable

    return RichTable.grid(padding=(0, 2))
