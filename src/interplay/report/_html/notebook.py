"""Results in a notebook: the page itself, in a frame that may run the page's script and nothing else."""

from __future__ import annotations

import importlib
import sys
from html import escape
from typing import Any

_HEIGHT = 640  # pixels


def in_notebook() -> bool:
    """Whether the user sits at a notebook, whose outputs may be HTML."""
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def framed(page: str) -> str:
    """A page in a frame; IPython would advise against HTML that begins with one."""
    return (
        f'<div><iframe title="interplay" sandbox="allow-scripts" width="100%" height="{_HEIGHT}" frameborder="0" '
        f'srcdoc="{escape(page, quote=True)}"></iframe></div>'
    )


def display_page(page: str) -> None:
    """Show a page as the output of a notebook's cell."""
    display: Any = importlib.import_module("IPython.display")
    display.display(display.HTML(framed(page)))
