"""Load whatever network a folder holds, with its tokenizer, for ablating its parts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from interplay._networks.hub import find_model, load_placed, load_pretrained, require_torch
from interplay.models._encoder import Encoder

SPEAKS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForSeq2SeqLM")
"""How the names of architectures with a language-modelling head end."""


@dataclass(frozen=True, eq=False)
class Network:
    """A language model with its tokenizer; ``window`` is how many tokens it takes, None if not known."""

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    window: int | None = None


def load_network(path: str | os.PathLike[str], *, device: str | None = None) -> Encoder | Network:
    """The language model (decoder or encoder-decoder) or encoder in the folder ``path``, or of that hub name.

    Raises
    ------
    InputError
        Where there is no such model or device.
    MissingExtraError
        Without torch and transformers.
    """
    require_torch()
    import transformers

    found = find_model(path)
    config = load_pretrained(transformers.AutoConfig, found)
    if not any(name.endswith(SPEAKS) for name in config.architectures or ()):
        return Encoder.load(found, device=device)
    loader = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model, _ = load_placed(loader, found, device=device)
    tokenizer = load_pretrained(transformers.AutoTokenizer, found)
    return Network(model, tokenizer, getattr(config, "max_position_embeddings", None))
