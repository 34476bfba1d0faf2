"""How an explanation is shown, and what is read out of it."""

from interplay._display import Ink, draw_with
from interplay._findings.citations import Citation, citations
from interplay._findings.grid import EnergyShares, energy_shares
from interplay._findings.influences import Influences, Pair, TrainingSummary, influences, training_summary
from interplay._findings.views import Card, Cards, Effect, Facts, Matrix, Table, View, Viewable
from interplay._public import publish
from interplay.report._html.page import fragment, html
from interplay.report._show import show
from interplay.report._views.views import view

draw_with(Ink(show, html, fragment))

__all__ = [
    "Card",
    "Cards",
    "Citation",
    "Effect",
    "EnergyShares",
    "Facts",
    "Influences",
    "Matrix",
    "Pair",
    "Table",
    "TrainingSummary",
    "View",
    "Viewable",
    "citations",
    "energy_shares",
    "html",
    "influences",
    "show",
    "training_summary",
    "view",
]

publish(__name__)
