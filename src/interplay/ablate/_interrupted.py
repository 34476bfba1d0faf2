"""Ctrl-C with nothing lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interplay._game.masks import Masks, Values


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during measurement, carrying what had been measured.

    ``masks`` (M, n) and ``values`` (M,) or (M, T) are ready for `interplay.fit`.
    """

    def __init__(self, message: str, masks: Masks, values: Values) -> None:
        super().__init__(message)
        self.masks = masks
        self.values = values
