"""The one readout: what a model's output comes to as a number, the same for prompts and for components.

A target's log-probability is the sum over its tokens of the log-softmax of the logits that predict each; its loss is
minus that, a sum as well, so that the losses of a target's parts add up to its own; a margin is the difference of two
targets' log-probabilities. A similarity is the cosine of two texts' vectors, each pooled from their tokens' states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from interplay._checks import unknown
from interplay._errors import InputError


@dataclass(frozen=True)
class Readout:
    """The signed sum of the log-probabilities (nats) of as many targets as there are ``signs``."""

    signs: tuple[float, ...]

    def combined(self, totals: Any) -> Any:
        """The readout of totals (..., K), an array or a tensor, one number (...) each."""
        return sum(sign * totals[..., target] for target, sign in enumerate(self.signs))


LOGPROB = Readout((1.0,))
LOSS = Readout((-1.0,))
MARGIN = Readout((1.0, -1.0))


def distributions(logits: Any) -> Any:
    """The log-probability (nats) of every token by logits (..., V)."""
    return widened(logits).log_softmax(-1)


def logprobs(logits: Any, tokens: Any) -> Any:
    """The log-probability (nats) of ``tokens`` (..., K), each by its own logits (..., K, V)."""
    return distributions(logits).gather(-1, tokens.unsqueeze(-1))[..., 0]


def widened(values: Any) -> Any:
    """Numbers of half precision as those of single precision: sums would round."""
    import torch

    return values.to(torch.promote_types(values.dtype, torch.float32))


POOLINGS = ("mean", "cls", "last", "max", "weighted", "mean_sqrt")


def check_pooling(pooling: str) -> str:
    """The pooling as given: one of `POOLINGS`, or several joined by ``+``.

    Raises
    ------
    InputError
        For another word.
    """
    for name in pooling.split("+") if isinstance(pooling, str) else [pooling]:
        if name not in POOLINGS:
            raise unknown("pooling", name, POOLINGS)
    return pooling


def pooled(states: Any, mask: Any, pooling: str) -> Any:
    """The vectors (B, d) of texts whose tokens have ``states`` (B, L, d), as sentence-transformers pools them.

    ``mask`` (B, L) says which tokens are no padding, None for all. Vectors of several poolings joined by ``+`` are
    put one behind the other. States that are vectors already (B, d) are returned as they are.
    """
    import torch

    states = widened(states)
    if states.ndim != 3:
        return states
    mask = torch.ones(states.shape[:2], device=states.device) if mask is None else mask.to(states.device)
    return torch.cat([_pooled(states, mask.to(states.dtype), name) for name in pooling.split("+")], dim=-1)


def _pooled(states: Any, mask: Any, pooling: str) -> Any:
    import torch

    rows = torch.arange(len(states), device=states.device)
    places = torch.arange(states.shape[1], device=states.device)
    if pooling == "cls":
        return states[rows, mask.argmax(-1)]  # the first token, wherever the padding is
    if pooling == "last":
        return states[rows, (mask * places).argmax(-1)]
    weight = mask.unsqueeze(-1)
    if pooling == "max":
        return states.masked_fill(weight == 0, float("-inf")).amax(1)
    if pooling == "weighted":
        weight = weight * mask.cumsum(-1).unsqueeze(-1)  # the first token counts once, the second twice, ...
    total = weight.sum(1).clamp(min=1e-9)
    return (states * weight).sum(1) / (total.sqrt() if pooling == "mean_sqrt" else total)


def similarity(one: Any, other: Any) -> Any:
    """The cosine (B,) of vectors (B, d)."""
    import torch

    return torch.nn.functional.cosine_similarity(one.double(), other.double(), dim=-1)


def logits_of(output: Any) -> Any:
    """The logits in what a model returned.

    Raises
    ------
    InputError
        Where there are none.
    """
    import torch

    logits = output if isinstance(output, torch.Tensor) else getattr(output, "logits", None)
    if logits is None:
        raise InputError(
            f"{type(output).__name__} has no logits: load the model with a language-model or classification head, "
            "or choose another metric."
        )
    return logits
