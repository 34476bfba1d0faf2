"""Propose from the spectrum, measure on the game, return what held."""

from interplay._public import publish
from interplay.actions._curate import Cull, Curation, curate, worst_examples
from interplay.actions._flips import Flips, flip, suffice
from interplay.actions._prune import Choice, Pruning, prune
from interplay.actions._replace import Arm, Replacement, replace
from interplay.actions._search import Flip

__all__ = [
    "Arm",
    "Choice",
    "Cull",
    "Curation",
    "Flip",
    "Flips",
    "Pruning",
    "Replacement",
    "curate",
    "flip",
    "prune",
    "replace",
    "suffice",
    "worst_examples",
]

publish(__name__)
