"""Training examples in the terminal: a line each, with their pictures below where they have some."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from interplay._findings.views import Cards
from interplay.report._terminal.pictures import half_blocks
from interplay.report._terminal.rows import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

_PICTURES = 3  # sets shown as pictures, in one row


def card_rows(cards: Cards, top: int, *, colour: bool, width: int) -> Iterator[RenderableType]:
    """The sets of ``cards``, ``top`` of them, with the pictures of the first."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    shown = cards.items[:top]
    numbers, words = (max((len(str(item[at])) for item in shown), default=0) for at in (0, 1))
    room = width - numbers - words - 4
    table.add_column(justify="right", no_wrap=True, min_width=numbers)
    if words:
        table.add_column(no_wrap=True, min_width=words)
    table.add_column()
    for effect, word in shown:
        each = max(8, room // len(effect.features) - 3)
        name = " + ".join(_cut(cards.cards[i].name, each) for i in effect.features)
        table.add_row(Text(str(effect), "green" if effect.value > 0 else "red"), *[word] * bool(words), one_line(name))
    yield table
    if any(card.picture for card in cards.cards.values()):
        drawn = Table.grid(padding=(0, 1))
        cells: list[RenderableType] = []
        for number, (effect, _) in enumerate(cards.items[:_PICTURES]):
            pictures = [cards.cards[i].picture for i in effect.features]
            for position, picture in enumerate(pictures):
                if number or position:
                    cells.append(Text("+" if position else "  "))
                if picture is not None:
                    cells.append(half_blocks(picture, colour=colour))
        drawn.add_row(*cells)
        yield drawn


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1].rstrip() + "…"
