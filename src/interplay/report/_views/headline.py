"""What stands above every result: what was asked, what it took, and how far to trust it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interplay._findings.views import Quality

if TYPE_CHECKING:
    from interplay._explain.explanation import Explanation

_BRIEF = 28  # characters of a label in a sentence


def question_of(explanation: Explanation) -> str:
    """What was asked, as the game said it or in general."""
    return explanation.question or f"Which of the {explanation.n} features drive the output, alone and together?"


def cost_of(explanation: Explanation) -> str:
    """What it took: "1000 ablations, method gp"."""
    stored = f", {explanation.from_store} of them from the store" if explanation.from_store else ""
    methods = ", ".join(dict.fromkeys(fit.method for fit in explanation.fits))
    return f"{explanation.n} features, {explanation.used} ablations{stored}, method {methods}"


def quality_of(explanation: Explanation) -> Quality:
    """How far to trust the explanation of one output."""
    found = explanation.faithfulness
    first = None if explanation.method == "lasso" else found.first_order
    return Quality(
        found.r2, found.low, found.high, first, explanation.spectrum.order > 1, found.how, explanation.method == "exact"
    )


def brief(label: str) -> str:
    """A label inside a sentence: long ones are cut, and those of several words quoted."""
    short = label if len(label) <= _BRIEF else f"{label[: _BRIEF - 1].rstrip()}…"
    return f"“{short}”" if " " in short else short
