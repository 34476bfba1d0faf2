"""Checks of arguments that many doors share, each ending in one sentence."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError

Attributes: TypeAlias = Mapping[str, tuple[Callable[[Any], bool], str]]
"""What a thing of the user's may tell of itself: by name, whether a value will do, and in words what would."""


def is_whole(seen: object, least: int = 1) -> bool:
    """Whether ``seen`` is a whole number of at least ``least``; no truth value."""
    return isinstance(seen, Integral) and not isinstance(seen, bool) and int(seen) >= least


@contextlib.contextmanager
def within(place: str) -> Iterator[None]:
    """Let an `InputError` raised inside say where: ``place`` is put before its sentence."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def check_unicode(texts: Iterable[str]) -> None:
    """An `InputError` for a text that holds half a character, which no tokenizer reads."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"a text holds half a character ({text[error.start]!a} at place {error.start}), which no tokenizer "
                "reads: read its file with the right encoding, or leave it out."
            ) from None


def check_whole(what: str, seen: object, least: int) -> None:
    """An `InputError` where ``seen``, called ``what``, is no whole number of at least ``least``."""
    if not is_whole(seen, least):
        raise InputError(f"{what} must be a whole number of at least {least}, not {seen!r}.")


def as_path(given: str | os.PathLike[str]) -> Path:
    """A path from its root on, ``~`` resolved; an `InputError` that begins with the path where it cannot be one."""
    try:
        path = Path(given).expanduser().absolute()
        path.exists()
    except (ValueError, RuntimeError, OSError) as error:  # a NUL in it, an unknown user's home, a name too long
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{_shortened(os.fsdecode(given))}: {str(reason).rstrip('.').lower()}.") from error
    if "\0" in str(path):
        raise InputError(f"{_shortened(os.fsdecode(given))}: a path cannot hold the character NUL.")
    return path


def _shortened(words: str) -> str:
    return words if len(words) <= 100 else f"{words[:60]}…{words[-39:]}"


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


def output_position(output: str | int, names: Sequence[str], count: int) -> int:
    """Where the output asked for, by name or position, stands among ``count``, which need not have names."""
    if isinstance(output, str):
        if output not in names:
            raise unknown("output", output, names or [str(i) for i in range(count)])
        return names.index(output)
    if not -count <= int(output) < count:
        raise InputError(f"there is no output {output}: there are {count}, counted from 0.")
    return int(output) % count


def array_of(given: object, what: str) -> npt.NDArray[Any]:
    """``given`` as an array, tensors with gradients included; an `InputError` for what NumPy cannot read as one."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
    if hasattr(given, "toarray"):
        raise InputError(f"the {what} is a sparse matrix: pass {what}.toarray().")
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        words = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"{what} cannot be read as an array of numbers ({words}).") from error


def is_boolean(seen: object) -> bool:
    """Whether ``seen`` is True or False."""
    return isinstance(seen, bool)


def are_names(seen: object) -> bool:
    """Whether ``seen`` is a list of names, and not one text."""
    return isinstance(seen, (list, tuple)) and bool(seen) and all(isinstance(name, str) for name in seen)


def told_by(thing: object, what: str, known: Attributes) -> dict[str, Any]:
    """The attributes among ``known`` that a ``thing`` of the user's has; one that is None counts as not there.

    Raises
    ------
    InputError
        For a value that will not do, and for an attribute that would do but is misspelt: it would be passed over
        without a word.
    """
    kind = type(thing).__name__
    told = {name: value for name in known if (value := getattr(thing, name, None)) is not None}
    for name, value in told.items():
        check_told(name, value, f"{what} {kind}", known)
    for name in dir(thing):
        if name.startswith("_") or name in known:
            continue
        near = difflib.get_close_matches(name, [other for other in known if other not in told], n=1, cutoff=0.85)
        if near and known[near[0]][0](getattr(thing, name, None)):
            raise InputError(f"the {what} {kind} has {name!r}, which nothing reads: did you mean {near[0]!r}?")
    return told


def check_told(name: str, value: object, whose: str, known: Attributes) -> None:
    """An `InputError` where ``value`` will not do for the attribute ``name``."""
    fits, words = known[name]
    if not fits(value):
        raise InputError(f"{name} of the {whose} must be {words}, not {value!r}.")
