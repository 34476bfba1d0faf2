"""What scores an input: each model makes scorers, functions from texts to floats."""

from interplay.models._encoder import Encoder
from interplay.models._scorer import Scorer, TextScorer

__all__ = ["Encoder", "Scorer", "TextScorer"]
