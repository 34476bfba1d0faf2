"""Features of mixed size in the terminal: the branches that were opened, as far as something in them matters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from interplay._findings.views import Unfolding
from interplay._game.outline import Branch

if TYPE_CHECKING:
    from rich.text import Text


def opened_rows(part: Unfolding, top: int) -> Text:
    """One line a branch that was opened, indented by what it came out of, and one a feature in it that matters."""
    from rich.text import Text

    rows = list(_rows(part, part.branches, 0))
    more = [f"{len(rows) - 2 * top} more lines"] if len(rows) > 2 * top else []
    return Text("\n".join([*rows[: 2 * top], *more]), no_wrap=True, overflow="ellipsis")


def _rows(part: Unfolding, branches: tuple[Branch, ...], depth: int) -> Iterator[str]:
    closed = 0
    for branch in branches:
        if branch.parts and (part.matters(branch) or not part.effects):
            yield f"{'  ' * depth}{branch.level} {branch.label!r}: {part.inside(branch)}"
            yield from _rows(part, branch.parts, depth + 1)
        elif branch.feature is not None and part.matters(branch):
            yield f"{'  ' * depth}{branch.level} {branch.label!r} {part.effects[branch.feature]}"
        else:
            closed += 1
    if closed and depth:
        yield f"{'  ' * depth}{closed} other{'s' * (closed != 1)}"
