"""A row of a table: what each column is, what it typically is, and what it contributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from interplay._game.layout import TableLayout

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_BAR = 12  # characters of the longest bar


def column_parts(layout: TableLayout, values: npt.NDArray[np.float64], top: int) -> Iterator[RenderableType]:
    """The ``top`` columns by the magnitude of their values (n,), strongest first, and the sum of the others."""
    from rich.table import Table
    from rich.text import Text

    yield Text.assemble(
        ("Row", "bold"), "  Shapley value of each column; in brackets what is typical of the background"
    )
    order = np.argsort(-np.abs(values), kind="stable")
    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(width=_BAR, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", style="dim")
    for feature in order[:top].tolist():
        value = float(values[feature])
        bar = "█" * max(1, round(_BAR * abs(value) / scale))
        words = (layout.names[feature], f"= {layout.values[feature]}", f"({layout.typical[feature]})")
        table.add_row(_signed(value), bar, *map(Text, words))
    rest = order[top:]
    if len(rest):
        table.add_row(_signed(float(values[rest].sum())), "", f"{len(rest)} more together")
    yield table


def _signed(value: float) -> Text:
    from rich.text import Text

    number = f"{value:+.4f}" if abs(value) < 1e4 else f"{value:+.3e}"
    return Text(number, "green" if value > 0 else "red")
