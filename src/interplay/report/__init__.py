"""How an explanation is shown."""

from interplay.report._grid import EnergyShares, energy_shares
from interplay.report._terminal import show

__all__ = ["EnergyShares", "energy_shares", "show"]
