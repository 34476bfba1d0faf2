"""Slopes of a metric in the gates of a network's parts: one backward pass after an ablation's forward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from interplay._errors import InputError
from interplay._game.masks import Masks, Values
from interplay._networks.batching import BatchSize
from interplay.lenses._components.ablations import Ablations, as_values
from interplay.lenses._components.hooks import sole_use


@dataclass(frozen=True, eq=False)
class Gradients:
    """Masks (N, n) to values, as `Ablations` gives them, and their slopes (N, n) or (N, T, n).

    Between each part and what replaces it lies a gate; the slopes are the metric's derivatives in these gates, where
    they are 0 or 1. Layers before the first ablated part are reused and take no backward pass.

    Parameters
    ----------
    ablations
        How values are measured.
    batch
        Rows at once: fewer than without slopes, as the activations are kept for the backward pass.
    """

    ablations: Ablations
    batch: BatchSize = field(repr=False)

    def __call__(self, masks: Masks) -> tuple[Values, Values]:
        model = self.ablations.ablator.model
        with sole_use(model):
            self.ablations.check()
            with _constant_weights(model):
                found = self.ablations.measured(masks, self.scores, self.batch)
        if not self.ablations.each:
            found = found.mean(axis=1)
        values, slopes = found[..., 0], found[..., 1:]
        return values, slopes

    def scores(self, keep: Any, sources: Any) -> Values:
        """Value and slopes of every input, side by side: (inputs, 1 + n), or (inputs, T, 1 + n) for T outputs."""
        import torch

        with torch.enable_grad():
            gates = keep.to(torch.float32).requires_grad_()
            outputs = self.ablations.outputs(gates, sources)
            columns = outputs.unsqueeze(1) if outputs.ndim == 1 else outputs
            slopes = []
            for position, column in enumerate(columns.T):  # rows are apart: the sum's gradient is every row's own
                more = position + 1 < columns.shape[1]
                (slope,) = torch.autograd.grad(column.sum(), gates, retain_graph=more)
                slopes.append(slope.reshape(len(columns), -1, gates.shape[1]).sum(1))
        side = np.concatenate([as_values(columns)[..., None], as_values(torch.stack(slopes, dim=1))], axis=2)
        return side[:, 0] if outputs.ndim == 1 else side


def gradients_of(ablations: Ablations, rows: int | None) -> tuple[Gradients, int] | None:
    """The slopes of what ``ablations`` measure and how many outputs each backward pass is needed for.

    None where the metric or the model cannot be differentiated: that is tried out, on one input with everything kept.
    """
    found = Gradients(ablations, BatchSize(rows))
    model, per_input = ablations.ablator.model, ablations.bound.rows.per_input
    with sole_use(model), _constant_weights(model):
        import torch

        device = next(iter(ablations.bound.rows.tensors.values())).device
        sources = torch.arange(per_input, device=device)
        keep = torch.ones((per_input, ablations.ablator.n), dtype=torch.bool, device=device)
        try:
            side = found.scores(keep, sources)
        except (RuntimeError, MemoryError):  # no graph, an operation that has no derivative, or no room
            return None
        except InputError:  # a metric that needs all inputs at once; what is wrong with one is said when it is measured
            return None
    if not np.isfinite(side).all() or not side[..., 1:].any():
        return None
    return found, side.shape[1] if side.ndim == 3 else 1


@contextlib.contextmanager
def _constant_weights(model: Any) -> Iterator[None]:
    """No slopes of weights, so that nothing is kept for them; afterwards as it was."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    try:
        for weight in trained:
            weight.requires_grad_(False)
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)
