"""ProxySPEX: boosted trees predict the ablations, and their interactions are read out exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from interplay._game import Masks, Values
from interplay.estimators._base import Estimator, Recovery


@dataclass(frozen=True)
class ProxySPEX(Estimator):
    """To be written."""

    name: ClassVar[str] = "proxyspex"

    def fit(self, masks: Masks, values: Values, *, order: int, seed: int) -> Recovery:
        raise NotImplementedError
