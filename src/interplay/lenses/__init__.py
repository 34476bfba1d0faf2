"""What can be ablated: each lens turns something of the user's into a `Game`."""

from interplay.lenses._text import text

__all__ = ["text"]
