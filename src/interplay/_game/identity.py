"""What makes two games the same: a digest of content, and of code by the library that it comes from."""

from __future__ import annotations

import hashlib
import json
import sys
import sysconfig
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

Identity: TypeAlias = Callable[[], dict[str, Any] | None] | dict[str, Any] | None


def digest(**parts: Any) -> str:
    """A SHA-256 over JSON-able ``parts``: equal parts, equal digest, on every machine."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def library_of(kind: type) -> str | None:
    """The installed library, with its version, that defines a class; None for one of the user's own.

    A name says nothing of a class whose code its user may edit at any time: only the user can say when it has changed.

    >>> library_of(dict)
    'builtins'
    """
    top = kind.__module__.partition(".")[0]
    if top in sys.stdlib_module_names or top == "builtins":
        return top if top != "__main__" else None
    if not _is_installed(top):
        return None
    version = getattr(sys.modules.get(top), "__version__", None)
    return top if version is None else f"{top} {version}"


def libraries_of(value: Any) -> frozenset[str] | None:
    """The libraries of all that ``value``, an estimator say, is made of; None where one part is the user's own."""
    parts = [value]
    if isinstance(value, Mapping):
        parts += [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts += value
    elif hasattr(value, "get_params") and not isinstance(value, type):
        parts += value.get_params(deep=False).values()
    found = [library_of(value if isinstance(value, type) else type(value))]
    for part in parts[1:]:
        within = libraries_of(part)
        found += [None] if within is None else within
    known = [library for library in found if library is not None]
    return frozenset(known) if len(known) == len(found) else None


@cache
def _is_installed(top: str) -> bool:
    """Whether a package lies where packages are installed to, and not where its user writes."""
    if top == __name__.partition(".")[0]:
        return True
    module = sys.modules.get(top)
    path = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if path is None:
        return module is not None and top != "__main__"  # built in
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return any(Path(place).resolve() in Path(path).resolve().parents for place in places)
