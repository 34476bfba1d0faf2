"""What a result can do to be seen. How it is drawn is the business of `interplay.report`, which lies above every result
and hands its functions down here when it is loaded, with the first result that is shown.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Page(Protocol):
    """Writes a result to an HTML file."""

    def __call__(self, result: Any, /, path: str | os.PathLike[str], *, title: str, index: str | None) -> None: ...


class Show(Protocol):
    """Shows a result where the user is: in the terminal, or in a notebook."""

    def __call__(self, result: Any, /, *, index: str | None, top: int | None, verbose: bool) -> None: ...


class Fragment(Protocol):
    """The static HTML of a result."""

    def __call__(self, result: Any, /) -> str: ...


@dataclass
class Ink:
    """The functions that draw."""

    show: Show
    page: Page
    fragment: Fragment


_inks: list[Ink] = []


def draw_with(ink: Ink) -> None:
    """Let every result be drawn by these functions from now on."""
    _inks[:] = [ink]


def _ink() -> Ink:
    if not _inks:
        importlib.import_module("interplay.report")
    return _inks[0]


def page(results: Sequence[Any], path: str | os.PathLike[str], *, title: str, index: str | None) -> None:
    """Write several results to one page."""
    _ink().page(results, path, title=title, index=index)


class Displayed:
    """A result that shows itself in the terminal, in a notebook and as a page."""

    __slots__ = ()

    def show(self, *, index: str | None = None, top: int | None = None, verbose: bool = False) -> None:
        """Print it, at most 40 lines for one output; in a notebook, show the page.

        Parameters
        ----------
        index
            The interaction index of an explanation's lists; its own when left out.
        top
            Rows in each list; as many as fit when left out.
        verbose
            Also how the fit was made, and every output in full.
        """
        _ink().show(self, index=index, top=top, verbose=verbose)

    def to_html(self, path: str | os.PathLike[str], *, title: str = "interplay", index: str | None = None) -> None:
        """Write it to ``path`` as a self-contained page: see `interplay.report.html`."""
        _ink().page(self, path, title=title, index=index)

    def _repr_html_(self) -> str:
        return _ink().fragment(self)
