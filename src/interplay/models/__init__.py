"""What scores an input: each model makes scorers, functions from texts to floats."""

from interplay.models._causal import CausalLM
from interplay.models._encoder import Encoder
from interplay.models._scorer import Scorer, TextScorer
from interplay.models._server import Server
from interplay.models._server_limits import Spent

__all__ = ["CausalLM", "Encoder", "Scorer", "Server", "Spent", "TextScorer"]
