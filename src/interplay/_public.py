"""Public names say where users find them: `interplay.Game` in tracebacks, reprs and documentation, no private file."""

from __future__ import annotations

import sys
from types import FunctionType


def publish(room: str) -> None:
    """Let all that the module ``room`` lists in ``__all__`` name it as its module; what is loaded later is left out.

    Pickles hold the public name then, and stay readable when a file is moved.
    """
    module = sys.modules[room]
    for name in module.__all__:
        thing = vars(module).get(name)
        if isinstance(thing, (type, FunctionType)) and thing.__module__.startswith("interplay."):
            thing.__module__ = room
