"""What the command line writes: safe to print, whoever wrote the words."""

from __future__ import annotations

import json
import sys
from typing import Any

from interplay._visible import visible, visible_json


def say(words: str) -> None:
    """A line, or several, on standard error."""
    print(visible(words), file=sys.stderr)


def print_json(parts: dict[str, Any]) -> None:
    """One line of JSON on standard output."""
    print(visible_json(json.dumps(parts, ensure_ascii=False, allow_nan=False)))


def prepare() -> None:
    """Let both streams write any character: what their encoding lacks is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
