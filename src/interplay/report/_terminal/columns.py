"""A row of a table: what each column is, what it typically is, and what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interplay._findings.views import Row, signed

if TYPE_CHECKING:
    from rich.table import Table

_BAR = 12  # characters of the longest bar
_NARROW = 60  # columns below which there is no room for bars


def column_rows(row: Row, top: int, *, width: int) -> Table:
    """The ``top`` columns by the magnitude of their effects, strongest first, and the sum of the others."""
    from rich.table import Table
    from rich.text import Text

    order = sorted(range(len(row.effects)), key=lambda i: (-abs(row.effects[i].value), i))
    scale = max((abs(effect.value) for effect in row.effects), default=0.0) or 1.0
    table = Table.grid(padding=(0, 2))
    least = max((len(str(row.effects[i])) for i in order[:top]), default=0)
    table.add_column(justify="right", no_wrap=True, min_width=least)
    if width >= _NARROW:
        table.add_column(width=_BAR, no_wrap=True)
    table.add_column()
    for i in order[:top]:
        effect = row.effects[i]
        ink = "dim" if effect.faint else "green" if effect.value > 0 else "red"
        bar = [] if width < _NARROW else ["" if effect.faint else "█" * max(1, round(_BAR * abs(effect.value) / scale))]
        named = f"{row.names[i]} = {row.values[i]}"
        words = Text.assemble(named, (f"  ({row.typical[i]})", "dim"), no_wrap=True, overflow="ellipsis")
        table.add_row(Text(str(effect), ink), *bar, words)
    if len(order) > top:
        rest = sum(row.effects[i].value for i in order[top:])
        blank = [""] * (width >= _NARROW)
        table.add_row(signed(rest), *blank, Text(f"{len(order) - top} more together"))
    return table
