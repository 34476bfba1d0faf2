"""Propose from the spectrum, measure on the game, return what held."""

from interplay.actions._curate import worst_examples

__all__ = ["worst_examples"]
