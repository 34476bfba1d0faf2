"""`show`: any result in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interplay.report._terminal.terminal import print_view
from interplay.report._views.views import Shown, view

if TYPE_CHECKING:
    from rich.console import Console


def show(
    result: Shown,
    *,
    index: str | None = None,
    top: int | None = None,
    console: Console | None = None,
    verbose: bool = False,
) -> None:
    """Print a result: at most 40 lines for one output, the outputs one after the other.

    Of training examples: what to look at first over all outputs, then a line for each.

    Parameters
    ----------
    result
        An explanation, or anything with a ``view()``.
    index
        The interaction index of an explanation's lists; its own when left out.
    top
        Rows in each list; as many as fit when left out.
    console
        Where to print: rich's, on standard output, when left out.
    verbose
        Also the notes on how the fit was made, and every output in full.
    """
    from rich.console import Console

    target = console or Console(highlight=False)
    print_view(view(result, index=index), top=top, console=target, verbose=verbose)
