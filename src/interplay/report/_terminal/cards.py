"""Training examples in the terminal: a line each, with their pictures below where they have some."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from interplay._findings.views import Cards
from interplay.report._terminal.pictures import half_blocks

if TYPE_CHECKING:
    from rich.console import RenderableType

_PICTURES = 3  # sets shown as pictures, in one row


def card_rows(cards: Cards, top: int, *, colour: bool) -> Iterator[RenderableType]:
    """The sets of ``cards``, ``top`` of them, with the pictures of the first."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for effect, word in cards.items[:top]:
        name = " + ".join(cards.cards[i].name for i in effect.features)
        table.add_row(Text(str(effect), "green" if effect.value > 0 else "red"), word, Text(name))
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
    left = cards.left + max(0, len(cards.items) - top)
    if left:
        yield Text(f"{left} more", "dim")
