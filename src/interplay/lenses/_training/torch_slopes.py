"""Slopes of PyTorch training: what each example does to a network trained by gradient descent, without retraining.

Near some weights the network is taken as linear in them, with Jacobian J of its outputs, and its loss as quadratic:
Gauss-Newton. Gradient descent for a time ``t = steps * rate / (1 - momentum)`` then answers a push by an example's loss
gradient g not by ``H^-1 g`` but by ``m(H) g``, ``m(x) = (1 - exp(-t (x + decay))) / (x + decay)``: what training had no
time for is not learned (Bae et al. 2024, arXiv 2405.12186). All that is needed of J are its products, the neural
tangent kernel.

Networks change their features as they train, and in the end know every example by heart, so that the trained weights
alone tell little of what would have been learned without it. Two moments of training are therefore asked, an early and
a late one, and what they say of the outputs is averaged; networks that are linear in their weights are asked where
training ends.

An example that is left out takes one Newton step with its leverage, as in `jumps`. One that is taken in is often far
from what the network says, and its residual shrinks as it is learned: there the step is implicit, the residual is that
*after* the step. On the networks it was tried on that doubles the correlation with true jumps of ablated examples.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay.lenses._training.doors import Trainer
from interplay.lenses._training.examples import Indices

if TYPE_CHECKING:
    import torch

Weights: TypeAlias = "dict[str, torch.Tensor]"

MOMENTS = (0.1, 0.6)  # of training, at which the network is asked
_LARGEST = 3000  # outputs of all examples and test points: kernels of so many rows are decomposed
_ENTRIES = 1 << 27  # of one parameter's Jacobian, 512 MiB
_TURNS = 20  # of Newton's method for the implicit step, at most
_CLOSE = 1e-4  # logits by which the last turn may move
_STRIDE = 2.0  # logits that one turn may move
# Seconds, and operations a second, of one core: what training and slopes take beside one another hardly depends on it.
_STEP, _TRAINED = 130e-6, 20e9  # of a training step of one among several small networks
_CALL, _SOLVED = 5e-3, 110e9  # of the slopes at one moment
_TINY = 1e-9  # eigenvalues below this share of the largest are rounding


@dataclass(frozen=True, eq=False)
class TorchJumps:
    """A trained network and the indices it was trained on to the jumps of all examples, (T, N) or (N,).

    Parameters
    ----------
    fit
        The `TorchFit` that trains it, with its weights at the moments to ask.
    score
        The `TorchScore` whose outputs jump.
    cost
        What a training with jumps takes, in trainings without: by counting operations, so that it is the same on every
        machine; within a quarter of what was measured on one core.
    """

    fit: Any = field(repr=False)
    score: Any = field(repr=False)
    cost: float = 2.0

    @classmethod
    def of(cls, fit: Any, score: Any) -> TorchJumps | None:
        """None for networks or data that are too large, and for networks that cannot be differentiated by example."""
        import torch

        model = fit._initial(0)
        with torch.no_grad():
            width = model(fit.X[:1]).reshape(1, -1).shape[1]
        rows = (len(fit.X) + len(score.X)) * width
        if rows > _LARGEST or rows * max(one.numel() for one in model.parameters()) > _ENTRIES:
            return None
        try:
            moments = (1.0,) if _is_linear(model, fit.X[:2]) else MOMENTS
        except (RuntimeError, ValueError, NotImplementedError):  # operations that vmap does not know
            return None
        steps, batch, *_ = fit.options
        size, inside = sum(one.numel() for one in model.parameters()), len(fit.X) * width / 2
        training = steps * (_STEP + 6 * batch * size / _TRAINED)
        told = _CALL + (2 * rows**2 * (size + inside) + 10 * inside**3) / _SOLVED
        return cls(replace(fit, moments=moments), score, 1.0 + len(moments) * told / training)

    @property
    def trainer(self) -> Trainer:
        """What trains networks that remember their weights at those moments, and the same otherwise."""
        return Trainer.of(self.fit)

    def __call__(self, model: Any, indices: Indices) -> npt.NDArray[np.float64] | None:
        """f(with) - f(without) of every example; None for a network that was trained on none."""
        import torch

        if not len(indices):
            return None
        count = len(self.fit.X)
        kept = torch.zeros(count, dtype=torch.bool, device=self.fit.X.device)
        kept[torch.as_tensor(indices, device=kept.device)] = True
        with torch.no_grad():
            tests = model(self.score.X).double()
        tests = tests.reshape(len(tests), -1)
        path = self.fit.path_of(model)
        moves = sum(self._moves(model, weights, kept) for weights in path) / len(path)
        sign = torch.where(kept, 1.0, -1.0)
        moved = tests + sign[:, None, None] * moves
        change = np.asarray(self.score.read(tests)) - np.asarray(self.score.read(moved))  # (N, T) or (N,)
        return np.asarray(change.T * sign.cpu().numpy())

    def _moves(self, model: Any, weights: Weights, kept: torch.Tensor) -> torch.Tensor:
        """By how much the test points' outputs move when an example's push is taken away, (N, T, C)."""
        import torch
        from torch.func import functional_call

        rows = torch.cat([self.fit.X, self.score.X])
        with torch.no_grad():
            said = functional_call(model, weights, (rows[: len(kept)],)).double()
        ours, y = said.reshape(len(said), -1), self.fit.y
        own, across = _responses(_kernel(model, weights, rows), _curvature(ours, y), kept, self._filter)
        step = torch.empty_like(ours)
        step[kept] = _left_out(ours[kept], y[kept], own[kept])
        step[~kept] = _taken_in(ours[~kept], y[~kept], own[~kept])
        return torch.einsum("tcnd,nd->ntc", across, step)

    def _filter(self, curvature: torch.Tensor) -> torch.Tensor:
        """What of a push along a direction of so much curvature training has time for."""
        import torch

        steps, _, rate, momentum, decay = self.fit.options
        time = steps * rate / (1.0 - momentum)
        rise = (curvature + decay) * time
        share = torch.where(rise > _TINY, -torch.expm1(-rise) / rise.clamp(min=_TINY), 1.0)
        found: torch.Tensor = time * share
        return found


def weights_of(model: Any) -> Weights:
    """The weights as they are, by name."""
    return {name: one.detach() for name, one in model.named_parameters()}


def _is_linear(model: Any, X: torch.Tensor) -> bool:
    """Whether the outputs are linear in the weights: then their derivatives do not depend on these."""
    import torch

    here = weights_of(model)
    there = {name: 2.0 * weight + 1.0 for name, weight in here.items()}
    pairs = zip(_jacobian(model, here, X).values(), _jacobian(model, there, X).values(), strict=True)
    return all(torch.allclose(one, other) for one, other in pairs)


def _jacobian(model: Any, weights: Weights, X: torch.Tensor) -> Weights:
    """Derivatives of the C outputs for every row in every parameter, (N, C, its shape)."""
    from torch.func import functional_call, jacrev, vmap

    def outputs(weights: dict[str, Any], x: Any) -> Any:
        return functional_call(model, weights, (x[None],)).reshape(-1)

    return dict(vmap(jacrev(outputs), (None, 0))(weights, X))


def _kernel(model: Any, weights: Weights, X: torch.Tensor) -> torch.Tensor:
    """The neural tangent kernel of all rows, (N, C, N, C)."""
    parts = [part.flatten(2) for part in _jacobian(model, weights, X).values()]
    rows, width = parts[0].shape[:2]
    total = parts[0].new_zeros(rows * width, rows * width)
    for part in parts:
        flat = part.flatten(0, 1)
        total += flat @ flat.T
    return total.double().reshape(rows, width, rows, width)


def _curvature(said: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The second derivative of every row's loss in its outputs, (N, C, C)."""
    import torch

    if y.is_floating_point():
        return torch.full((len(said), 1, 1), 2.0, dtype=said.dtype, device=said.device)
    p = torch.softmax(said, dim=1)
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


def _residual(said: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The first derivative of every row's loss in its outputs, (N, C)."""
    import torch

    if y.is_floating_point():
        return 2.0 * (said - y[:, None])
    return torch.softmax(said, dim=1) - torch.nn.functional.one_hot(y, said.shape[1])


def _responses(
    kernel: torch.Tensor, curvature: torch.Tensor, kept: torch.Tensor, trained: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """How outputs answer to a push on an example's own: its own (N, C, C), and all test points' (T, C, N, C).

    Training weighs each of the s kept examples by 1 / s.
    """
    import torch

    width, count, size = kernel.shape[1], len(kept), int(kept.sum())
    inside = torch.nonzero(kept)[:, 0]
    values, vectors = torch.linalg.eigh(curvature[inside] / size)
    root = vectors * values.clamp(min=0.0).sqrt()[:, None, :]  # a square root of each curvature, (s, C, C)
    # The Gauss-Newton matrix is A'A with A = root' J; A A' has the same eigenvalues.
    half = torch.einsum("acid,idk->acik", kernel[:, :, inside], root).reshape(-1, size * width)  # J A', all rows
    inner = torch.einsum("icd,icb->idb", root, half.reshape(len(kernel), width, -1)[inside]).reshape(size * width, -1)
    found, basis = torch.linalg.eigh((inner + inner.T) / 2.0)
    seen = found > _TINY * found.max().clamp(min=1e-300)
    found, along = found[seen], half @ basis[:, seen]
    none = trained(torch.zeros((), dtype=kernel.dtype, device=kernel.device))
    along = along.reshape(*kernel.shape[:2], -1)
    change = (trained(found) - none) / found
    ours, tests = along[:count], along[count:]
    own = torch.einsum("icid->icd", kernel[:count, :, :count]) * none
    own = own + torch.einsum("ick,k,idk->icd", ours, change, ours)
    across = kernel[count:, :, :count] * none + torch.einsum("tck,k,idk->tcid", tests, change, ours)
    return own / size, across / size


def _left_out(said: torch.Tensor, y: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """The push (N, C) of leaving an example out: its residual, with leverage."""
    import torch

    left = torch.eye(said.shape[1], dtype=said.dtype, device=said.device) * (1.0 + 1e-6) - _curvature(said, y) @ own
    push: torch.Tensor = torch.linalg.solve(left, _residual(said, y)[..., None])[..., 0]
    return push


def _taken_in(said: torch.Tensor, y: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """The push (N, C) of taking an example in: its residual r after the step, ``said' = said - own r(said')``."""
    import torch

    eye = torch.eye(said.shape[1], dtype=said.dtype, device=said.device)
    after = said
    for _ in range(_TURNS):
        error = after - said + torch.einsum("ncd,nd->nc", own, _residual(after, y))
        turn = torch.linalg.solve(eye + own @ _curvature(after, y), error[..., None])[..., 0]
        after = after - turn * (_STRIDE / turn.abs().amax(dim=1, keepdim=True).clamp(min=_STRIDE))
        if not turn.numel() or float(turn.abs().max()) < _CLOSE:
            break
    return _residual(after, y)
