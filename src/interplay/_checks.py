"""Checks of arguments that many doors share, each ending in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING

from interplay._errors import InputError

if TYPE_CHECKING:
    pass


def check_whole(what: str, seen: object, least: int) -> None:
    """An `InputError` where ``seen``, called ``what``, is no whole number of at least ``least``."""
    if isinstance(seen, bool) or not isinstance(seen, Integral) or int(seen) < least:
        raise InputError(f"{what} must be a whole number of at least {least}, not {seen!r}.")


def is_between(seen: object, low: float, high: float) -> bool:
    """Whether ``seen`` is a number strictly between two others; no text, no truth value, no NaN."""
    return isinstance(seen, Real) and not isinstance(seen, bool) and low < float(seen) < high


def unknown(
    what: str, seen: object, known: Iterable[str], meanings: Mapping[str, str] = MappingProxyType({})
) -> InputError:
    """The error for a name that is not one of ``known``, with the nearest valid one.

    ``meanings`` maps other words that people use to the names they stand for.
    """
    names = list(known)
    near = difflib.get_close_matches(str(seen).lower(), [*names, *meanings], n=1, cutoff=0.4)
    hint = f" Did you mean {meanings.get(near[0], near[0])!r}?" if near else ""
    return InputError(f"unknown {what} {seen!r}.{hint} Choose one of: {', '.join(names)}.")
