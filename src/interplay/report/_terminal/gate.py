"""The one gate to the terminal: nothing of a label, note or name steers it or is read as markup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interplay._visible import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult


@dataclass(frozen=True)
class Gate:
    """A part of a report as it may be printed."""

    part: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment

        for segment in console.render(self.part, options.update(markup=False)):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
