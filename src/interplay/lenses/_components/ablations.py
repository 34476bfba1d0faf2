"""The value of a components game: masks to forward passes to metrics."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from interplay._errors import InputError, InterplayError
from interplay._game.masks import Masks, Values
from interplay._networks.batching import BatchSize, is_out_of_memory
from interplay._networks.behaviour import is_encoder_decoder, plain_options
from interplay._networks.head import only
from interplay._networks.readout import logits_of
from interplay._networks.state import State, adapters, weights_of, worn
from interplay.lenses._components.hooks import Hooks, sole_use
from interplay.lenses._components.inputs import Bound
from interplay.lenses._components.reuse import Reuse
from interplay.lenses._components.sites import Ablator, Pass

FEW_ROWS = 8  # logits of fewer positions than this are computed with all others


@dataclass(frozen=True, eq=False)
class Ablations:
    """Masks (N, n) to values: (N,) or (N, T), the mean over the inputs, or (N, inputs) with ``each``.

    ``weights`` are the model's when the game was made. Where something of the model is remembered, what early layers
    return or what replaces parts, ``seen`` are the hooks and adapters that it had then, and ``alone`` the metric of
    the first input with nothing ablated.
    """

    ablator: Ablator
    bound: Bound
    rescale: bool
    each: bool
    batch: BatchSize = field(repr=False)
    weights: State = field(repr=False)
    reuse: Reuse | None = field(default=None, repr=False)
    seen: State = field(default=(), repr=False)
    alone: Values | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In another process the copy of the model is the one that the game is for."""
        for name, value in state.items():
            object.__setattr__(self, name, value)
        model = self.ablator.model
        object.__setattr__(self, "weights", weights_of(model))
        object.__setattr__(self, "seen", (worn(model), adapters(model)) if self.seen else ())

    @property
    def inputs(self) -> int:
        """How many inputs each ablation is measured on."""
        return len(self.bound.rows) // self.bound.rows.per_input

    def __call__(self, masks: Masks) -> Values:
        with sole_use(self.ablator.model):
            self.check()
            values = self.by_input(masks)
        return values if self.each else np.asarray(values.mean(axis=1))

    def check(self) -> None:
        """Refuse a model that is no longer the one the game was made for."""
        model = self.ablator.model
        if weights_of(model) != self.weights:
            raise InputError("the model's weights have changed since this game was made: make the game anew.")
        if not self.seen:
            return
        if (worn(model), adapters(model)) != self.seen:
            raise InputError(
                "hooks or adapters of the model have changed since this game was made, which remembers what early "
                "layers return or what replaces parts: make the game anew."
            )
        if self.alone is None:
            return
        now = self._untouched()
        if not np.array_equal(now, self.alone):
            # Some models differ by rounding from run to run: what this one differs by now is allowed.
            allowed = 4 * np.abs(self._untouched() - now) + 1e-6 * np.maximum(1.0, np.abs(self.alone))
            if (np.abs(now - self.alone) > allowed).any():
                raise InputError(
                    f"with nothing ablated the metric of the first input is {now[0]} now, but was {self.alone[0]} "
                    "when this game was made: the model has changed, make the game anew."
                )

    def _untouched(self) -> Values:
        per_input = self.bound.rows.per_input
        values = self.batch.run(per_input, partial(untouched, self.bound), per_input)
        assert values is not None  # fewer rows there are not: it would have been an error
        return values

    def by_input(self, masks: Masks) -> Values:
        """The metric of every input under every mask, (N, inputs) or (N, inputs, T)."""
        return self.measured(masks, self.scores, self.batch)

    def measured(self, masks: Masks, scores: Callable[[Any, Any], Values], batch: BatchSize) -> Values:
        """What ``scores`` says of every input under every mask, (N, inputs, ...), in batches.

        It takes the masks (B, n) and the sources (B,) of B rows, and returns one number or row for each input.
        """
        import torch

        rows, per_input = self.bound.rows, self.bound.rows.per_input
        device = next(iter(rows.tensors.values())).device
        # A unit is one ablation of one input: per_input rows, scored together.
        units = len(masks) * self.inputs
        keep = torch.from_numpy(np.array(masks)).to(device)
        found: list[Values] = []
        begin = 0
        while begin < units:
            count = min(units - begin, max(1, batch.rows // per_input))
            unit = torch.arange(begin, begin + count, device=device).repeat_interleave(per_input)
            within = torch.arange(per_input, device=device).repeat(count)
            sources = unit % self.inputs * per_input + within
            kept = keep[unit // self.inputs]
            values = batch.run(len(unit), partial(scores, kept, sources), per_input)
            if values is not None:  # else it did not fit, and the same units are tried again in smaller batches
                found.append(values)
                begin += count
        together = np.concatenate(found)
        return together.reshape(len(masks), self.inputs, *together.shape[1:])

    def scores(self, keep: Any, sources: Any) -> Values:
        """The metric of the rows ``sources`` (B,), each under its row of ``keep`` (B, n), in one forward pass."""
        return as_values(self.outputs(keep, sources))

    def outputs(self, keep: Any, sources: Any) -> Any:
        """As `scores`, a tensor; ``keep`` may be gates, in which it can be differentiated."""
        scale = None
        if self.rescale:
            scale = keep.shape[1] / keep.sum(1).clamp(min=1)  # where nothing is kept, there is nothing to scale
        hooks = self.ablator.hooks(Pass(keep, sources, scale))
        if self.reuse is not None:
            self.reuse.add_to(hooks, sources)
        return forward(self.bound, hooks, sources)


def untouched(bound: Bound) -> Values:
    """The metric of the first input by itself, with nothing ablated."""
    import torch

    sources = torch.arange(bound.rows.per_input, device=next(iter(bound.rows.tensors.values())).device)
    return run(replace(bound, narrow=False), Hooks(bound.entry), sources)


def run(bound: Bound, hooks: Hooks, sources: Any, *, first: bool = False) -> Values:
    """The metric of the rows ``sources`` (B,) in one forward pass under ``hooks``; ``first`` as in `forward`."""
    return as_values(forward(bound, hooks, sources, first=first))


def as_values(outputs: Any) -> Values:
    """A tensor's numbers."""
    return np.asarray(outputs.detach().double().cpu().numpy(), dtype=np.float64)


def forward(bound: Bound, hooks: Hooks, sources: Any, *, first: bool = False) -> Any:
    """The metric of the rows ``sources`` (B,) in one forward pass under ``hooks``: a tensor, one row per input.

    What goes wrong in the model the ``first`` time is the inputs' fault, and said so.
    """
    batch = bound.rows.take(sources)
    narrowed = _narrowed(bound, sources)
    with hooks.on(), narrowed or nullcontext():
        try:
            output = batch.feed(bound.entry, **plain_options(bound.entry))
        except InterplayError:
            raise
        except Exception as error:
            if not first or is_out_of_memory(error):
                raise
            words = " ".join(str(error).split())[:300]
            raise InputError(
                f"{type(bound.entry).__name__} cannot take these inputs ({type(error).__name__}: {words}): check their "
                "names and types, and that token ids lie in the vocabulary and inputs in the model's window."
            ) from error
    if narrowed is None or bound.read is None:
        values = bound.score(output, sources)
    else:
        logits = narrowed.of(logits_of(output))
        values = bound.read(logits.reshape(len(sources), -1, logits.shape[-1]), sources)
    return _checked(values, len(sources) // bound.rows.per_input)


def _narrowed(bound: Bound, sources: Any) -> only | None:
    """The model's head, kept to the positions that are looked at; None where all are computed.

    A few rows are multiplied in another way than many, and round differently: they are computed in full.
    """
    if not bound.narrow or bound.places[sources].numel() < FEW_ROWS:
        return None
    import torch

    places = bound.places[sources]
    rows = torch.arange(len(sources), device=places.device).repeat_interleave(places.shape[1])
    width = bound.rows.length(decoder=is_encoder_decoder(bound.entry))
    return None if width is None else only(bound.entry, rows, places.reshape(-1), width)


def _checked(values: Any, inputs: int) -> Any:
    import torch

    if not isinstance(values, torch.Tensor) or values.ndim not in (1, 2) or len(values) != inputs:
        shown = f"shape {tuple(values.shape)}" if isinstance(values, torch.Tensor) else type(values).__name__
        raise InputError(
            f"the metric gave {shown} for {inputs} inputs: return a tensor of shape ({inputs},), one number for each, "
            f"or ({inputs}, T)."
        )
    return values
