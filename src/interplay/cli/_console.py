"""What the command line writes: safe to print, whoever wrote the words."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from interplay._errors import InputError
from interplay._visible import visible, visible_json

if TYPE_CHECKING:
    from rich.console import Console


def say(words: str) -> None:
    """A line, or several, on standard error."""
    print(visible(words), file=sys.stderr)


def print_json(parts: dict[str, Any]) -> None:
    """One line of JSON on standard output."""
    print(visible_json(json.dumps(parts, ensure_ascii=False, allow_nan=False)))


def standard_output() -> Console:
    """Rich's console, which would end the process itself when nobody reads on, and leave files unwritten."""
    from rich.console import Console

    class Standard(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Standard(highlight=False)


@contextlib.contextmanager
def written_out() -> Iterator[None]:
    """All that is printed inside reaches standard output, or one sentence says why not.

    A reader that has seen enough, such as head, is no such failure: BrokenPipeError goes through.
    """
    try:
        yield
        if sys.stdout is None:  # closed before the start
            raise InputError("cannot write the result to standard output: it is closed.")
        sys.stdout.flush()
    except OSError as error:
        silence()
        if isinstance(error, BrokenPipeError):
            raise
        raise InputError(f"cannot write the result to standard output: {error.strerror or error}.") from error


def silence() -> None:
    """Let nothing more be written to standard output, which Python would try again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def prepare() -> None:
    """Let both streams write any character: what their encoding lacks is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
