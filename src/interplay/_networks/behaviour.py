"""What a network does, asked of itself: by what it returns, not by what its class is called."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

from interplay._errors import InputError
from interplay._networks.readout import logits_of

Kind: TypeAlias = Literal["labels", "next", "mask"]
"""What a model's logits are of: labels, or tokens, the next one of each place or the one that a mask stands for."""

_PROBED = 6  # tokens: enough to see whether an early one hears of a late one


def unwrapped(model: Any) -> Any:
    """The model in ``torch.compile``, DataParallel and the like, which compute what it computes."""
    while True:
        inner = vars(model).get("_modules", {}) if hasattr(model, "_modules") else {}
        if "_orig_mod" in inner:  # torch.compile
            model = inner["_orig_mod"]
        elif hasattr(model, "device_ids") and "module" in inner:  # DataParallel, DistributedDataParallel
            model = inner["module"]
        else:
            return model


def network_in(given: Any) -> Any:
    """The PyTorch module in ``given``, bare or in a wrapper, or held with its tokenizer by a model of interplay's.

    Raises
    ------
    InputError
        Where there is none.
    """
    import torch

    model = unwrapped(getattr(given, "model", None) if hasattr(given, "tokenizer") else given)
    if not isinstance(model, torch.nn.Module):
        raise InputError(
            f"the model must be a PyTorch module or a model with a tokenizer such as ip.models.Encoder, not "
            f"{type(given).__name__}."
        )
    return model


def config_of(model: Any) -> Any:
    """The configuration of a Hugging Face model, in a wrapper or not; None of other modules."""
    return getattr(unwrapped(model), "config", None)


def head_of(model: Any) -> Any:
    """The language-modelling head; None where there is none."""
    return getattr(model, "get_output_embeddings", lambda: None)()


def is_encoder_decoder(model: Any) -> bool:
    """Whether a decoder answers what an encoder has read."""
    return bool(getattr(config_of(model), "is_encoder_decoder", False))


def embedder_of(model: Any) -> Any:
    """The part of a model whose output are the states of a text's tokens.

    Raises
    ------
    InputError
        For a tuned prompt (PEFT), which has states of its own.
    """
    if is_encoder_decoder(model):
        return model.get_encoder()
    adapters = getattr(model, "peft_config", None)
    if isinstance(adapters, Mapping):
        if any(getattr(adapter, "is_prompt_learning", False) for adapter in adapters.values()):
            raise InputError("a tuned prompt (PEFT) has states of its own beside a text's: embed with another model.")
        model = model.get_base_model() if hasattr(model, "get_base_model") else model
    return getattr(model, "base_model", model)


def padding_of(model: Any) -> int | None:
    """The token id that a model itself takes for padding; None where it knows none."""
    config = config_of(model)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    pad = getattr(text, "pad_token_id", None)
    return pad if isinstance(pad, int) and pad >= 0 else None


def opening_of(model: Any) -> tuple[int, ...] | None:
    """What an encoder-decoder's decoder begins with, a forced first token included; None for a decoder alone."""
    if not is_encoder_decoder(model):
        return None
    config = config_of(model)
    settings = getattr(unwrapped(model), "generation_config", None)
    first = next(
        (
            token
            for name in ("decoder_start_token_id", "bos_token_id")
            for owner in (settings, config, getattr(config, "decoder", None))
            if (token := getattr(owner, name, None)) is not None
        ),
        config.pad_token_id,
    )
    forced = getattr(settings, "forced_bos_token_id", None)
    return tuple(int(token) for token in [first, *([] if forced is None else [forced])])


def window_of(model: Any) -> int | None:
    """How many tokens a model reads; None where nothing limits them, or it is not known."""
    config = config_of(model)
    if config is None:
        return None
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    for name in ("max_position_embeddings", "max_seq_len"):
        positions = getattr(text, name, None)
        if isinstance(positions, int) and positions > 0:  # XLNet says -1
            return positions
    return None


def plain_options(model: Any) -> dict[str, Any]:
    """No cache of keys and values: one pass's would be read by another's."""
    takes = inspect.signature(type(model).forward).parameters
    speaks = getattr(model, "can_generate", bool)()
    passes_on = speaks and any(one.kind is one.VAR_KEYWORD for one in takes.values())  # to the model inside
    return {"use_cache": False} if "use_cache" in takes or passes_on else {}


def kind_of(model: Any, row: Mapping[str, Any]) -> Kind | None:
    """What a model's logits are of, found by feeding it one ``row`` of inputs; None where it cannot be told."""
    import torch

    if is_encoder_decoder(model) and head_of(model) is not None:
        return "next"
    logits = logits_of(_fed(model, row))
    if not isinstance(logits, torch.Tensor) or logits.ndim == 2:
        return "labels"
    if logits.ndim != 3 or "input_ids" not in row or (hasattr(model, "get_output_embeddings") and not head_of(model)):
        return None
    return "next" if is_causal(model, row["input_ids"][0].tolist()) else "mask"


def is_causal(model: Any, ids: list[int]) -> bool:
    """Whether what a language model says after a token is the same whatever comes later.

    Two texts of the tokens ``ids``, whose second halves differ, are read side by side.
    """
    import torch

    window, device = window_of(model) or _PROBED, next(model.parameters()).device
    text = (ids * _PROBED)[: max(2, min(_PROBED, window))]
    known = model.get_input_embeddings().weight.shape[0] if hasattr(model, "get_input_embeddings") else max(ids) + 1
    early = len(text) // 2
    both = torch.tensor([text, [*text[:early], *((token + 1) % known for token in text[early:])]], device=device)
    logits = logits_of(_fed(model, {"input_ids": both, "attention_mask": torch.ones_like(both)}))
    # Counted from the end: a tuned prompt (PEFT) puts positions of its own before the text's.
    one, two = logits[:, logits.shape[1] - len(text) :][:, :early].double().cpu().numpy()
    # Side by side a causal model gives the same bits; little more is allowed, as untrained models differ by little.
    allowed = 16 * torch.finfo(logits.dtype).eps * max(1.0, float(np.abs(one).max()))
    # What is no number says nothing: whoever reads the values will meet it.
    return not (np.abs(one - two) > allowed).any()


def _fed(model: Any, row: Mapping[str, Any]) -> Any:
    if "" in row:
        return model(row[""])
    takes = inspect.signature(type(model).forward).parameters
    named = not any(one.kind is one.VAR_KEYWORD for one in takes.values())
    given = {name: value for name, value in row.items() if not named or name in takes}
    return model(**given, **plain_options(model))
