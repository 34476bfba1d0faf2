"""`html`: results as one self-contained page; and the static part of it that notebooks show."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any

from interplay._errors import InputError
from interplay._findings.views import Effect, Part, View, signed
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


def html(results: Shown | Iterable[Shown], path: str | os.PathLike[str], *, title: str = "interplay") -> None:
    """Write results into one HTML file that needs nothing else: no network, no other file.

    Every string in it is inert, whoever wrote it: the template escapes, and a Content-Security-Policy allows the
    page's own style and script by their hashes and nothing more.

    Parameters
    ----------
    results
        Explanations, interactions, findings, results of actions: anything with a ``view()``; one or several.
    path
        The file to write.
    title
        Of the page.

    Raises
    ------
    InputError
        For a result that has nothing to show, none at all, or a file that cannot be written.
    """
    from interplay import __version__

    items = _items(_several(results))
    if not items:
        raise InputError("there is nothing to show: pass at least one explanation or finding.")
    style, script = _read("page.css"), _read("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = (
        _environment()
        .get_template("page.html")
        .render(items=items, title=title, version=__version__, policy=policy, **_trusted(style=style, script=script))
    )
    target = Path(path).expanduser()
    try:
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}.") from error


def fragment(result: Shown) -> str:
    """The static part of a page, for notebooks: no script, and no id that could meet another's."""
    shown = _environment().get_template("fragment.html")
    return shown.render(items=_items([result]), **_trusted(style=_read("page.css")))


def _several(results: Shown | Iterable[Shown]) -> Sequence[Shown]:
    """Results as a list; some of them are themselves iterable."""
    if isinstance(results, (list, tuple)):
        return results
    return [results]  # type: ignore[list-item]


def _items(results: Sequence[Shown]) -> list[_Item]:
    views = [view(result) for result in results]
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
        "signed": signed,
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
