"""`html`: results as one self-contained page; and the static part of it that notebooks show."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any

from interplay._errors import InputError
from interplay._findings.views import Effect, Part, View
from interplay._visible import visible
from interplay.report._html.drawing import grey
from interplay.report._html.explorer import Explorer
from interplay.report._views.views import Shown, view

_LEVELS = 6


@dataclass(frozen=True)
class _Item:
    """A result in a page."""

    id: str
    view: View
    explorer: Explorer | None


def html(
    results: Shown | Sequence[Shown],
    path: str | os.PathLike[str],
    *,
    title: str = "interplay",
    index: str | None = None,
) -> None:
    """Write results into one HTML file that needs nothing else: no network, no other file.

    Every string in it is inert, whoever wrote it: the template escapes, and a Content-Security-Policy allows the
    page's own style and script by their hashes and nothing more.

    >>> import interplay as ip, tempfile, pathlib
    >>> found = ip.explain(lambda masks: 1.0 * masks.all(axis=1), labels=["never", "fails"], budget=4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = pathlib.Path(folder) / "page.html"
    ...     ip.report.html([found, found.spectrum], page, title="Never fails")
    ...     page.read_text().count("<section")
    2

    Parameters
    ----------
    results
        Explanations, interactions, findings, results of actions: anything with a ``view()``; one, or a list of them.
    path
        The file to write.
    title
        Title of the page.
    index
        The interaction index of explanations; their own when left out.

    Raises
    ------
    InputError
        For a result that has nothing to show, none at all, or a file that cannot be written.
    """
    several: Sequence[Shown] = results if isinstance(results, (list, tuple)) else [results]  # type: ignore[list-item]
    if not several:
        raise InputError("there is nothing to show: pass at least one explanation or finding.")
    page = render([view(result, index=index) for result in several], title=title)
    target = Path(path).expanduser()
    try:
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}.") from error


def render(views: Sequence[View], *, title: str) -> str:
    """Views as a page."""
    from interplay import __version__

    style, script = _read("page.css"), _read("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    shown = _environment().get_template("page.html")
    texts = {"title": title, "version": __version__, "policy": policy}
    return str(shown.render(items=_items(views), **texts, **_trusted(style=style, script=script)))


def fragment(result: Shown) -> str:
    """The static part of a page, for notebooks: no script, and no id that could meet another's."""
    shown = _environment().get_template("fragment.html")
    return str(shown.render(items=_items([view(result)]), **_trusted(style=_read("page.css"))))


def _items(views: Sequence[View]) -> list[_Item]:
    return [_Item(f"result-{number}", one, Explorer.of(one)) for number, one in enumerate(views, start=1)]


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@cache
def _read(name: str) -> str:
    return resources.files("interplay.report._html").joinpath(name).read_text(encoding="utf-8")


def _trusted(**texts: str) -> dict[str, Any]:
    """The package's own style and script, which are not to be escaped."""
    from markupsafe import Markup

    return {name: Markup(text) for name, text in texts.items()}


@cache
def _environment() -> Any:
    import jinja2
    from markupsafe import Markup

    def finalize(value: Any) -> Any:
        return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "kind": _kind,
        "level": level,
        "shade": _shade,
        "known_reach": lambda ranking: any(effect.reach is not None for effect in ranking.effects),
        "largest": lambda rows: max((abs(x) for row in rows for x in row), default=0.0),
        "finite": isfinite,
        "grey": grey,
    }
    return environment


def _kind(part: Part) -> str:
    return type(part).__name__.lower()


def _shade(value: float, most: float) -> str:
    step = min(_LEVELS, round(_LEVELS * abs(value) / most)) if most else 0
    return f"{'p' if value > 0 else 'n'}{step}" if step else ""


def level(effect: Effect, most: float, shape: str) -> str:
    """The class that shades a part: by its effect relative to the strongest, none where it may be zero."""
    shaded = "" if effect.faint else _shade(effect.value, most)
    if shape != "svg" or not shaded:
        return shaded
    return f"{'pos' if effect.value > 0 else 'neg'} l{shaded[1:]}"
