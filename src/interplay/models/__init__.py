"""What scores an input: each model makes scorers, functions from texts to floats."""

from typing import Any

from interplay._networks.conversation import Conversation
from interplay._plugins import plugin_attribute
from interplay._public import publish
from interplay.models._answer_book import Answer
from interplay.models._answers import Answers
from interplay.models._causal.causal import CausalLM
from interplay.models._encoder import Encoder
from interplay.models._masked import MaskedLM
from interplay.models._network import Network, load_network
from interplay.models._scorer import Infill, Scorer, TextScorer
from interplay.models._scripted import Scripted
from interplay.models._server.capabilities import Capabilities
from interplay.models._server.scoring import ServerScorer
from interplay.models._server.server import Server
from interplay.models._server.spending import Spent
from interplay.models._vision import VisionLM
from interplay.models._vllm import VLLM

__all__ = [
    "VLLM",
    "Answer",
    "Answers",
    "Capabilities",
    "CausalLM",
    "Conversation",
    "Encoder",
    "Infill",
    "MaskedLM",
    "Network",
    "Scorer",
    "Scripted",
    "Server",
    "ServerScorer",
    "Spent",
    "TextScorer",
    "VisionLM",
    "load_network",
]


def __getattr__(name: str) -> Any:  # models of other packages
    return plugin_attribute(__name__, name)


publish(__name__)
