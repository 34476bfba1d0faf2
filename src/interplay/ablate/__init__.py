"""Measure a game's ablations once each: deduplicated, batched, checked, retried, stored as they come."""

from interplay._public import publish
from interplay.ablate._progress import format_seconds, progress_bar
from interplay.ablate._runner import Measurement, Progress, measure
from interplay.ablate._sending import is_measuring
from interplay.ablate._slopes import SlopeMeasurement, measure_slopes
from interplay.ablate._store import Store
from interplay.ablate._upkeep import Verified, compact, export_values, import_values, merge, verify

__all__ = [
    "Measurement",
    "Progress",
    "SlopeMeasurement",
    "Store",
    "Verified",
    "compact",
    "export_values",
    "format_seconds",
    "import_values",
    "is_measuring",
    "measure",
    "measure_slopes",
    "merge",
    "progress_bar",
    "verify",
]

publish(__name__)
