"""How an explanation is shown."""

from interplay.report._grid import EnergyShares, energy_shares
from interplay.report._influences import Influences, Pair, TrainingSummary, influences, training_summary, worst_examples
from interplay.report._terminal import show

__all__ = [
    "EnergyShares",
    "Influences",
    "Pair",
    "TrainingSummary",
    "energy_shares",
    "influences",
    "show",
    "training_summary",
    "worst_examples",
]
