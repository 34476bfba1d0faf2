"""Propose from the spectrum, measure on the game, return what held."""

from interplay._public import publish
from interplay.actions._audit import Audit, Finding, Slice, audit
from interplay.actions._contrasts import Contrast
from interplay.actions._curate import Cull, Curation, curate, worst_examples
from interplay.actions._flips import Flips, flip, suffice
from interplay.actions._prune import Choice, Pruning, prune
from interplay.actions._replace import Arm, Replacement, replace
from interplay.actions._search import Flip

__all__ = [
    "Arm",
    "Audit",
    "Choice",
    "Contrast",
    "Cull",
    "Curation",
    "Finding",
    "Flip",
    "Flips",
    "Pruning",
    "Replacement",
    "Slice",
    "audit",
    "curate",
    "flip",
    "prune",
    "replace",
    "suffice",
    "worst_examples",
]

publish(__name__)
