"""`show`: any result where the user is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interplay.report._html.notebook import display_page, in_notebook
from interplay.report._html.page import render
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
    """Print a result: at most 40 lines for one output, the outputs one after the other; in a notebook, its page.

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
        Where to print: rich's, on standard output, when left out. With one, a notebook gets the text, too.
    verbose
        Also the notes on how the fit was made, and every output in full.
    """
    shown = view(result, index=index)
    if console is None and in_notebook():
        display_page(render([shown], title="interplay"))
        return
    from rich.console import Console

    print_view(shown, top=top, console=console or Console(highlight=False), verbose=verbose)
