"""Units of a text as a command takes them."""

from __future__ import annotations


def units(given: str) -> str | tuple[str, ...]:
    """One unit; or several, from coarse to fine, of a text that is zoomed."""
    names = tuple(name.strip() for name in given.split(","))
    return names if len(names) > 1 else names[0]
