"""What can go wrong, each as one sentence that names the value seen and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interplay._game import Masks, Values


class InterplayError(Exception):
    """Base of every error that interplay raises on purpose."""


class InputError(InterplayError, ValueError):
    """An argument that cannot be used; the message names the value seen and what to do."""


class AblationError(InterplayError, RuntimeError):
    """A game that failed, or returned something that is not a finite real number per mask."""


class StoreError(InterplayError):
    """A store file that cannot be read, is not a store, or holds another game under the same name."""


class MissingExtraError(InterplayError, ImportError):
    """An optional dependency is missing; the message is the exact pip line."""

    @classmethod
    def of(cls, package: str, extra: str) -> MissingExtraError:
        """The error for a missing ``package`` that the extra ``extra`` would install."""
        return cls(f"this needs {package}, which is not installed: pip install 'interplay[{extra}]'")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during measurement, carrying what had been measured.

    ``masks`` (M, n) and ``values`` (M,) or (M, T) are ready for `interplay.fit`.
    """

    def __init__(self, message: str, masks: Masks, values: Values) -> None:
        super().__init__(message)
        self.masks = masks
        self.values = values


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
