"""Load whatever network a folder holds, with its tokenizer, for ablating its parts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from interplay._errors import InputError
from interplay.models._encoder import Encoder
from interplay.models._hub import find_model, load_pretrained, require_torch

_SPEAKS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForSeq2SeqLM")


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
    torch = require_torch()
    import transformers

    found = find_model(path)
    config = load_pretrained(transformers.AutoConfig, found)
    if not any(name.endswith(_SPEAKS) for name in config.architectures or ()):
        return Encoder.load(found, device=device)
    loader = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = load_pretrained(loader, found, dtype="auto")
    tokenizer = load_pretrained(transformers.AutoTokenizer, found)
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        model = model.to(place).eval()
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"cannot use the device {place!r}: {' '.join(str(error).split())}") from error
    return Network(model, tokenizer, getattr(config, "max_position_embeddings", None))
