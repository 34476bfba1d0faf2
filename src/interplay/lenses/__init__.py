"""What can be ablated: each lens turns something of the user's into a `Game`."""

from interplay.lenses import _metrics as metrics
from interplay.lenses._components import components, heads
from interplay.lenses._selection import Select
from interplay.lenses._text import text

__all__ = ["Select", "components", "heads", "metrics", "text"]
