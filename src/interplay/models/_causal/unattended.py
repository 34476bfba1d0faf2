"""Log-probabilities while some tokens are hidden from attention: they keep their places, and nobody looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from interplay._errors import AblationError, InputError
from interplay._game.masks import Values
from interplay._networks.batching import BatchSize, is_out_of_memory
from interplay._networks.behaviour import config_of
from interplay._networks.continuation import Ask
from interplay._networks.head import only
from interplay._networks.readout import distributions

_MASKS = 1 << 28  # bytes of a batch's masks, which are as wide as they are long


def unattended(model: Any, asks: Sequence[Ask], size: BatchSize) -> list[Values]:
    """The log-probabilities (nats) of each ask's tokens, each (K,), with its hidden tokens out of everyone's sight.

    A hidden token attends to itself alone, so that its row of attention is not empty, and no other token to it.
    """
    order = sorted(range(len(asks)), key=lambda i: len(asks[i].ids), reverse=True)
    found: list[Values] = [np.empty(0)] * len(asks)
    while order:
        width = len(asks[order[0]].ids) - 1
        count = max(1, min(size.rows // width, _MASKS // (4 * width * width)))
        batch = [asks[i] for i in order[:count]]
        values = size.run(len(batch) * width, partial(_forward, model, batch), width)
        if values is None:  # out of memory: fewer at once
            continue
        for i, value in zip(order, values, strict=False):
            found[i] = value
        order = order[len(batch) :]
    return found


def _forward(model: Any, batch: Sequence[Ask]) -> list[Values]:
    import torch

    width = len(batch[0].ids) - 1
    device, dtype = model.device, next(model.parameters()).dtype
    ids = torch.tensor([[*ask.ids[:-1], *[ask.ids[-1]] * (width + 1 - len(ask.ids))] for ask in batch], device=device)
    seen = torch.ones((width, width), dtype=torch.bool, device=device).tril().repeat(len(batch), 1, 1)
    for row, ask in enumerate(batch):
        seen[row, :, list(ask.hidden)] = False
    seen |= torch.eye(width, dtype=torch.bool, device=device)
    mask = torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
    positions = torch.arange(width, device=device).expand(len(batch), -1)
    return _read(model, batch, {"input_ids": ids, "attention_mask": mask, "position_ids": positions}, width)


def _read(model: Any, batch: Sequence[Ask], inputs: dict[str, Any], width: int, gone: int = 0) -> list[Values]:
    """What the model says of each ask's tokens; ``gone`` tokens before them were taken out."""
    rows = [row for row, ask in enumerate(batch) for _ in range(ask.start, len(ask.ids))]
    places = [place - 1 - gone for ask in batch for place in range(ask.start, len(ask.ids))]
    try:
        with only(model, rows, places, width) as head:
            said = distributions(head.of(model(**inputs, use_cache=False).logits))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise _refusal(model, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from error
    import torch

    if not bool(torch.isfinite(said.amax(-1)).all()):
        raise AblationError("the model's logits are not finite numbers while tokens are hidden from its attention.")
    tokens = torch.tensor([token for ask in batch for token in ask.ids[ask.start :]], device=said.device)
    values = said.gather(1, tokens[:, None])[:, 0].double().cpu().numpy()
    return np.split(values, np.cumsum([len(ask.ids) - ask.start for ask in batch])[:-1])


def check_hiding(model: Any, ask: Ask, tolerance: float) -> None:
    """An `InputError` where hiding tokens is not what it should be: the text without them, positions kept.

    Not every model takes masks of its user's, or positions: one that counts positions by its mask, as ALiBi may, or
    whose layers look through a window of their own, is found out by reading one ask both ways.
    """
    import torch

    if getattr(config_of(model), "is_encoder_decoder", False):
        raise _refusal(model, "an encoder reads its prompt")
    hidden = set(ask.hidden)
    kept = [place for place in range(len(ask.ids) - 1) if place not in hidden]
    device = model.device
    inputs = {
        "input_ids": torch.tensor([[ask.ids[place] for place in kept]], device=device),
        # All ones, not left out: positions with gaps would be taken for several texts in one row.
        "attention_mask": torch.ones((1, len(kept)), dtype=torch.long, device=device),
        "position_ids": torch.tensor([kept], device=device),
    }
    (without,) = _read(model, [ask], inputs, len(kept), gone=len(hidden))
    (masked,) = _forward(model, [ask])
    if not (np.abs(without - masked) <= tolerance * np.maximum(1, np.abs(without))).all():
        raise _refusal(model, f"it says {masked.sum():.4g} where the text without them gives {without.sum():.4g}")


def _refusal(model: Any, why: str) -> InputError:
    return InputError(
        f"{type(model).__name__} cannot have words hidden from its attention ({why}): choose another ablate, such as "
        "'mend'."
    )
