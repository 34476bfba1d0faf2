"""How an explanation is shown."""

from interplay.report._terminal import show

__all__ = ["show"]
