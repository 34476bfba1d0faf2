"""What can be ablated: each lens turns something of the user's into a `Game`."""

from interplay._layout import Gallery
from interplay.lenses import _metrics as metrics
from interplay.lenses._components import components, heads
from interplay.lenses._image import image
from interplay.lenses._selection import Select
from interplay.lenses._sklearn_training import sklearn_training
from interplay.lenses._tabular import tabular
from interplay.lenses._text import text
from interplay.lenses._torch_training import torch_training
from interplay.lenses._training import training
from interplay.lenses._training_groups import groups_of, near_duplicates

__all__ = [
    "Gallery",
    "Select",
    "components",
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
