"""Features of mixed size by what they came out of, and the effect that each has by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interplay._findings.views import Effect, Unfolding, alone
from interplay._spectrum.indices import canonical_index

if TYPE_CHECKING:
    from interplay._explain.explanation import Explanation

_SHARES = ("sv", "sii", "k-sii", "stii", "fsii")  # those whose single features are Shapley values, or nearly


def effects_alone(explanation: Explanation, index: str) -> tuple[tuple[Effect, ...], str]:
    """The effect of each feature by itself, of the kind that suits an ``index``, and what it means."""
    share = "sv" if canonical_index(index) in _SHARES else "bv"
    return alone(explanation.interactions(share)), "Shapley value" if share == "sv" else "mean effect of keeping it"


def unfolding_of(explanation: Explanation, index: str | None = None) -> tuple[Unfolding, ...]:
    """What was opened, where something was; without effects where there are several outputs or no index."""
    if not explanation.outline:
        return ()
    if index is None or len(explanation.fits) > 1:
        return (Unfolding(explanation.outline, (), ""),)
    return (Unfolding(explanation.outline, *effects_alone(explanation, index)),)
