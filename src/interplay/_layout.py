"""Where a game's features lie in what the user gave, so that a report can show them in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from interplay._errors import InputError


@dataclass(frozen=True)
class TextLayout:
    """Features that are character ranges of one text: ``spans[i] = (start, end)`` is feature i."""

    text: str
    spans: tuple[tuple[int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts."""
        return {"kind": "text", "text": self.text, "spans": [list(span) for span in self.spans]}


Layout: TypeAlias = TextLayout


def layout_from_dict(parts: dict[str, Any] | None) -> Layout | None:
    """The layout that ``to_dict`` wrote."""
    if parts is None:
        return None
    if parts.get("kind") == "text":
        return TextLayout(parts["text"], tuple((int(a), int(b)) for a, b in parts["spans"]))
    raise InputError(
        f"unknown layout {parts.get('kind')!r} in a saved explanation: it was not written by this version."
    )
