"""Propose from the spectrum, measure on the game, return what held."""

from interplay.actions._curate import worst_examples
from interplay.actions._flips import Flips, flip, suffice
from interplay.actions._replace import Replacement, replace
from interplay.actions._search import Flip

__all__ = ["Flip", "Flips", "Replacement", "flip", "replace", "suffice", "worst_examples"]
