"""Measure a game's ablations once each: deduplicated, batched, checked, retried, stored as they come."""

from interplay.ablate._runner import Measurement, Progress, measure
from interplay.ablate._store import Store
from interplay.ablate._workers import processes

__all__ = ["Measurement", "Progress", "Store", "measure", "processes"]
