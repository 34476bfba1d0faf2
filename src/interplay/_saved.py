"""Read what was saved as JSON: every part by its name and type, whoever wrote the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from interplay._errors import InputError

T = TypeVar("T")

_LARGEST = 1e150  # numbers past it cannot be squared; no game with such values is ever explained
_DEEPEST = 8  # lists and objects within one another


def damaged(what: str) -> InputError:
    """The error for a saved file that was not written by this library, or not all of it."""
    return InputError(f"this saved explanation is damaged: {what}.")


def text(value: object, where: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise damaged(f"{where} is {_seen(value)}, not a text")
    return value


def whole(value: object, where: str, least: int | None = 0, most: int | None = None) -> int:
    """A whole number between two others."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise damaged(f"{where} is {_seen(value)}, not a whole number")
    if (least is not None and value < least) or (most is not None and value > most):
        raise damaged(f"{where} is {_seen(value)}, which it cannot be")
    return value


def number(value: object, where: str, largest: float = _LARGEST) -> float:
    """A finite number; one that can be squared, if nothing else is said."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise damaged(f"{where} is {_seen(value)}, not a number")
    if not -largest <= value <= largest:  # NaN, too
        raise damaged(f"{where} is {_seen(value)}, which it cannot be")
    return float(value)


def number_or_nan(value: object, where: str) -> float:
    """A number, or NaN where null was written."""
    return math.nan if value is None else number(value, where)


def boolean(value: object, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise damaged(f"{where} is {_seen(value)}, not true or false")
    return value


def listed(value: object, where: str, count: int | None = None) -> list[Any]:
    """A list, of so many items where the ``count`` is known."""
    if not isinstance(value, (list, tuple)):
        raise damaged(f"{where} is {_seen(value)}, not a list")
    if count is not None and len(value) != count:
        raise damaged(f"{where} has {len(value)} items, not {count}")
    return list(value)


def each(value: object, where: str, read: Callable[[object, str], T], count: int | None = None) -> tuple[T, ...]:
    """A list whose items ``read`` reads."""
    return tuple(read(item, f"an item of {where}") for item in listed(value, where, count))


def feature_ids(value: object, where: str, n: int) -> tuple[int, ...]:
    """Ascending feature ids below ``n``."""
    found = each(value, where, lambda item, at: whole(item, at, 0, n - 1))
    if any(a >= b for a, b in pairwise(found)):
        raise damaged(f"{where} is {_seen(list(found))}, not ascending")
    return found


def facts(value: object, where: str) -> dict[str, Any]:
    """An object of anything that JSON has, not too deep."""
    found = Saved.of(value, where)
    if _is_deeper(found.parts, _DEEPEST):
        raise damaged(f"{where} holds objects more than {_DEEPEST} deep")
    return found.parts


def _is_deeper(value: object, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth < 0 or any(_is_deeper(item, depth - 1) for item in inner)


@dataclass(frozen=True)
class Saved:
    """A JSON object, its fields asked for by name."""

    parts: dict[str, Any]
    where: str

    @classmethod
    def of(cls, value: object, where: str) -> Saved:
        """An object; an error for anything else."""
        if not isinstance(value, dict):
            raise damaged(f"{where} is {_seen(value)}, not an object")
        return cls(value, where)

    def __call__(self, name: str, read: Callable[..., T], *arguments: Any) -> T:
        """The field ``name``, as ``read(value, where, *arguments)`` reads it."""
        if name not in self.parts:
            raise damaged(f"{self.where} lacks the field {name!r}")
        return read(self.parts[name], f"{name!r} of {self.where}", *arguments)

    def maybe(self, name: str, read: Callable[..., T], *arguments: Any) -> T | None:
        """The same where the field may be null, or missing."""
        return None if self.parts.get(name) is None else self(name, read, *arguments)

    def inner(self, name: str) -> Saved:
        """A field that is an object itself."""
        return self(name, Saved.of)


def rectangle(rows: Sequence[Sequence[object]], where: str) -> tuple[int, int]:
    """The height and width of rows of equally many items, at least one."""
    widths = {len(row) for row in rows}
    if len(widths) != 1 or not min(widths):
        raise damaged(f"{where} has rows of {sorted(widths)[:3]} items")
    return len(rows), widths.pop()


def _seen(value: object) -> str:
    words = "".join(_pieces(value))
    return words if len(words) <= 60 else f"{words[:59]}…"


def _pieces(value: object) -> Iterator[str]:
    """The value in words, without spelling out what is deep or endless."""
    if isinstance(value, (dict, list)):
        yield f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**50:
        yield f"a number of {len(str(abs(value)))} digits"
    else:
        yield repr(value)
