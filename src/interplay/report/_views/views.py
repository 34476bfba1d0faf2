"""`view`: what there is to show of any result."""

from __future__ import annotations

from typing import TypeAlias

from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._findings.grid import EnergyShares
from interplay._findings.influences import Influences, TrainingSummary
from interplay._findings.views import View, Viewable
from interplay._game.layout import TrainingLayout
from interplay._spectrum.interactions import Interactions
from interplay._spectrum.spectrum import Spectrum
from interplay.report._views.explained import explanation_view
from interplay.report._views.found import energy_view, influences_view, interactions_view, spectrum_view, summary_view
from interplay.report._views.training import training_view

Shown: TypeAlias = Explanation | Interactions | Spectrum | Influences | TrainingSummary | EnergyShares | Viewable | View


def view(result: Shown, *, index: str | None = None) -> View:
    """The view of an explanation, of interactions, a spectrum or a finding, or of anything with a ``view()``.

    Parameters
    ----------
    result
        What to show.
    index
        The interaction index of an explanation; its own when left out.
    """
    if isinstance(result, View):
        return result
    if isinstance(result, Explanation) and isinstance(result.layout, TrainingLayout):
        return training_view(result)
    if isinstance(result, Explanation):
        return explanation_view(result, index)
    if isinstance(result, Interactions):
        return interactions_view(result)
    if isinstance(result, Spectrum):
        return spectrum_view(result)
    if isinstance(result, Influences):
        return influences_view(result)
    if isinstance(result, TrainingSummary):
        return summary_view(result)
    if isinstance(result, EnergyShares):
        return energy_view(result)
    if isinstance(result, Viewable):
        return result.view()
    raise InputError(f"{type(result).__name__} has nothing to show: pass an explanation, or anything with a view().")
