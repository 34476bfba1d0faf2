"""Find which combinations of inputs, training examples or components drive a model's output, from few ablations."""

from interplay import estimators, lenses, models
from interplay._errors import (
    AblationError,
    InputError,
    InterplayError,
    Interrupted,
    MissingExtraError,
    StoreError,
)
from interplay._explain import design, explain, fit
from interplay._explanation import Explanation, load
from interplay._faithfulness import Faithfulness
from interplay._game import Game
from interplay._indices import INDICES
from interplay._interactions import Interactions
from interplay._layout import GridLayout, ImageLayout, TableLayout, TextLayout
from interplay._spectrum import Spectrum
from interplay.ablate import Progress, Store

__version__ = "0.1.0.dev0"

__all__ = [
    "INDICES",
    "AblationError",
    "Explanation",
    "Faithfulness",
    "Game",
    "GridLayout",
    "ImageLayout",
    "InputError",
    "Interactions",
    "InterplayError",
    "Interrupted",
    "MissingExtraError",
    "Progress",
    "Spectrum",
    "Store",
    "StoreError",
    "TableLayout",
    "TextLayout",
    "design",
    "estimators",
    "explain",
    "fit",
    "lenses",
    "load",
    "models",
]
