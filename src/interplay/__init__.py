"""Find which combinations of inputs, training examples or components drive a model's output, from few ablations."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from interplay._demo import demo_model
from interplay._errors import (
    AblationError,
    InputError,
    InterplayError,
    InterruptionError,
    MissingExtraError,
    StoreError,
)
from interplay._explain.explain import design, explain, fit
from interplay._explain.explanation import Explanation, Fit, Point, Removal, load
from interplay._explain.faithfulness import Faithfulness
from interplay._game.cost import Cost
from interplay._game.game import Game
from interplay._game.layout import (
    Gallery,
    GridLayout,
    IllustratedLayout,
    ImageLayout,
    TableLayout,
    TextLayout,
    TrainingLayout,
)
from interplay._game.outline import Branch
from interplay._game.partial import Partial
from interplay._game.tree import Part, Tree
from interplay._public import publish as _publish
from interplay._spectrum.indices import INDICES
from interplay._spectrum.interactions import Interactions
from interplay._spectrum.spectrum import Spectrum
from interplay._spectrum.uncertainty import Uncertainty
from interplay.ablate import Progress, Store

if TYPE_CHECKING:
    from interplay import actions, estimators, executors, lenses, models, plots, report

__version__ = "0.1.0.dev0"

__all__ = [
    "INDICES",
    "AblationError",
    "Branch",
    "Cost",
    "Explanation",
    "Faithfulness",
    "Fit",
    "Gallery",
    "Game",
    "GridLayout",
    "IllustratedLayout",
    "ImageLayout",
    "InputError",
    "Interactions",
    "InterplayError",
    "InterruptionError",
    "MissingExtraError",
    "Part",
    "Partial",
    "Point",
    "Progress",
    "Removal",
    "Spectrum",
    "Store",
    "StoreError",
    "TableLayout",
    "TextLayout",
    "TrainingLayout",
    "Tree",
    "Uncertainty",
    "actions",
    "demo_model",
    "design",
    "estimators",
    "executors",
    "explain",
    "fit",
    "lenses",
    "load",
    "models",
    "plots",
    "report",
]

_publish(__name__)

_ROOMS = ("actions", "estimators", "executors", "lenses", "models", "plots", "report")

if not TYPE_CHECKING:  # a type checker reads the imports above instead: it would take any name from a __getattr__

    def __getattr__(name):  # rooms load when they are first asked for; importing costs little beyond NumPy
        if name in _ROOMS:
            return _import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})
