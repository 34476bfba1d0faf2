"""Load whatever network a folder holds, with its tokenizer, for ablating its parts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from interplay._networks.behaviour import window_of
from interplay._networks.hub import Source
from interplay.models._encoder import Encoder

SPEAKS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForSeq2SeqLM")
"""How the names of architectures with a language-modelling head end."""


@dataclass(frozen=True, eq=False)
class Network:
    """A language model with its tokenizer; ``window`` is how many tokens it takes, None if not known."""

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    window: int | None = None


def load_network(
    path: str | os.PathLike[str], *, device: str | None = None, trust_remote_code: bool = False
) -> Encoder | Network:
    """The language model (decoder or encoder-decoder) or encoder in the folder ``path``, or of that hub name.

    Raises
    ------
    InputError
        Where there is no such model or device.
    MissingExtraError
        Without torch and transformers.
    """
    source = Source.find(path, trust_remote_code=trust_remote_code)
    with source.opened():
        return _loaded(source, path, device)


def _loaded(source: Source, path: str | os.PathLike[str], device: str | None) -> Encoder | Network:
    import transformers

    config = source.config()
    if source.gguf is None and not any(name.endswith(SPEAKS) for name in config.architectures or ()):
        return Encoder.load(path, device=device, trust_remote_code=source.trusted)
    loader = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = source.model(loader, config=config, device=device)
    return Network(model, source.tokenizer(), window_of(model))
