"""One model on several devices: whoever asks is answered by a copy that is free."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from typing import Any

from interplay._game import Values
from interplay.models._continuation import Ask
from interplay.models._likelihood import Likelihood


class Copies:
    """As many askers as there are copies are answered side by side, others wait; values are those of any copy."""

    def __init__(self, each: Sequence[Likelihood]) -> None:
        self.each = tuple(each)
        self._free: queue.SimpleQueue[Likelihood] = queue.SimpleQueue()
        for likelihood in self.each:
            self._free.put(likelihood)

    def __getstate__(self) -> dict[str, Any]:
        return {"each": self.each}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Copies.__init__(self, **state)

    def __call__(self, asks: Sequence[Ask]) -> list[Values]:
        """As `Likelihood`."""
        likelihood = self._free.get()
        try:
            return likelihood(asks)
        finally:
            self._free.put(likelihood)
