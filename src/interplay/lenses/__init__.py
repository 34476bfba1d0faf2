"""What can be ablated: each lens turns something of the user's into a `Game`."""

from typing import Any

from interplay._game.layout import Gallery
from interplay._plugins import plugin_attribute
from interplay._public import publish
from interplay.lenses._components import metrics
from interplay.lenses._components.components import components, heads
from interplay.lenses._components.select import Part, Select
from interplay.lenses._features.chat import chat
from interplay.lenses._features.documents import documents
from interplay.lenses._features.image import image
from interplay.lenses._features.tabular import tabular
from interplay.lenses._features.text import text
from interplay.lenses._training.doors import Evaluator, Trainer
from interplay.lenses._training.groups import groups_of, near_duplicates
from interplay.lenses._training.sklearn import sklearn_training
from interplay.lenses._training.torch import torch_training
from interplay.lenses._training.training import training

__all__ = [
    "Evaluator",
    "Gallery",
    "Part",
    "Select",
    "Trainer",
    "chat",
    "components",
    "documents",
    "groups_of",
    "heads",
    "image",
    "metrics",
    "near_duplicates",
    "sklearn_training",
    "tabular",
    "text",
    "torch_training",
    "training",
]


def __getattr__(name: str) -> Any:  # lenses of other packages
    return plugin_attribute(__name__, name)


publish(__name__)
