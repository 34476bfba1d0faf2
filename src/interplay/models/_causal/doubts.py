"""What should make a reader doubt that a language model would say a text at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from interplay._networks.behaviour import is_encoder_decoder
from interplay._networks.continuation import Ask, Reader
from interplay._networks.evaluation import evaluating
from interplay._networks.head import only
from interplay._networks.readout import distributions

_NEVER = 1e-3  # a token, geometric mean: an answer below is nothing that the model would say
_RANK = 1000  # of all tokens: the same for a single one
_LOOP = 3  # times that a stretch of tokens stands one after the other before it is a loop
_SHORTEST = 6  # tokens of a response that can repeat itself


def notes_on_target(model: Any, reader: Reader, asks: Sequence[Ask]) -> Iterator[str]:
    """How probable the model finds each target after the whole prompt, where it would never say it, and loops."""
    for ask in asks:
        ids = list(ask.ids[ask.start :])
        shown = repr(_short(reader.decoded(ids)))
        logs, ranks = _said(model, ask)
        if np.isfinite(logs).all() and len(logs):
            mean, worst = float(np.exp(logs.mean())), int(ranks.max())
            yield (
                f"after the whole prompt the model gives {shown} a probability of {mean:.2g} a token (geometric mean "
                f"of {len(ids)}); its first token is number {ranks[0]} of those it would say, its unlikeliest {worst}"
            )
            if mean < _NEVER or worst > _RANK:
                yield f"the model would hardly ever say {shown}: what drives its probability may drive nothing it does"
        if repeats_itself(ids):
            yield f"{shown} repeats itself: a model that is in a loop is explained, not an answer"


def repeats_itself(ids: Sequence[int]) -> bool:
    """Whether most of the tokens are one stretch, of a few tokens, again and again."""
    ids = list(ids)
    if len(ids) < _SHORTEST:
        return False
    for period in range(1, len(ids) // _LOOP + 1):
        again = sum(a == b for a, b in zip(ids, ids[period:], strict=False))
        if again >= 0.8 * (len(ids) - period):
            return True
    return False


def _said(model: Any, ask: Ask) -> tuple[Any, Any]:
    """The log-probabilities (K,) of the target's tokens and their ranks (K,), 1 for the likeliest.

    None of either for an encoder-decoder, nor of what the model cannot read: measuring will say so, in a sentence.
    """
    import torch

    nothing = np.empty(0), np.empty(0, dtype=np.intp)
    if is_encoder_decoder(model) or max(ask.ids) >= model.get_input_embeddings().weight.shape[0]:
        return nothing
    places = list(range(ask.start - 1, len(ask.ids) - 1))
    read, width = torch.tensor([ask.ids[:-1]], device=model.device), len(ask.ids) - 1
    try:
        with evaluating(model), torch.inference_mode(), only(model, [0] * len(places), places, width) as head:
            said = distributions(head.of(model(input_ids=read, use_cache=False).logits))
    except (RuntimeError, ValueError, TypeError, IndexError):
        return nothing
    tokens = torch.tensor(ask.ids[ask.start :], device=said.device)[:, None]
    own = said.gather(1, tokens)
    return own[:, 0].double().cpu().numpy(), ((said > own).sum(dim=1) + 1).cpu().numpy()


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
