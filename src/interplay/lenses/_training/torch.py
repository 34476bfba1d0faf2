"""Training data of PyTorch models: a seeded training loop, several small models trained at once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from interplay._checks import array_of, unknown
from interplay._errors import InputError, MissingExtraError
from interplay._game.layout import Gallery
from interplay.lenses._training.doors import Evaluator, Trainer
from interplay.lenses._training.examples import Indices
from interplay.lenses._training.torch_slopes import TorchJumps, Weights, weights_of

if TYPE_CHECKING:
    import torch

# PyTorch's random numbers belong to the whole process: models are made one at a time, whatever thread asks for them.
_SEEDING = threading.RLock()
_PATH = "_interplay_path"  # where a network keeps its weights at some moments of its training
OUTPUTS = ("margin", "probability", "loss", "accuracy", "prediction")


def torch_training(
    make_model: Callable[[], Any],
    X: Any,
    y: Any,
    X_test: Any,
    y_test: Any,
    *,
    steps: int = 200,
    batch: int = 32,
    rate: float = 0.1,
    momentum: float = 0.9,
    decay: float = 0.0,
    output: str | None = None,
    device: str | None = None,
    together: bool = True,
) -> tuple[Trainer, Evaluator]:
    """The ``fit`` and ``score`` of `training` for a PyTorch model trained by stochastic gradient descent.

    The seed decides the initial weights and the batches, whatever else uses PyTorch's random numbers. Each step
    draws the next ``batch`` of the kept examples, which are shuffled anew whenever they are used up, so that every
    subset is trained for as many steps; a subset without examples leaves the model as it was initialised. Integer
    ``y`` means classes and cross-entropy, real ``y`` one output and squared error.

    Parameters
    ----------
    make_model
        Makes an untrained ``torch.nn.Module``, with C outputs for C classes, or one. It must have no state that
        training changes besides its parameters (no batch normalisation), nor randomness (no dropout).
    X, y, X_test, y_test
        Training examples and T test points; arrays or tensors.
    steps, batch, rate, momentum, decay
        Steps of gradient descent, examples in each, learning rate, momentum and L2 penalty.
    output
        As in `sklearn_training`: "margin" (the default), "probability", "loss" or "accuracy" for classes,
        "prediction" (the default) or "loss" for one output.
    device
        Where to train; the CPU when left out.
    together
        Train the subsets of a batch at once by ``torch.func.vmap``: faster for small models. Values then agree with
        those of models trained one by one up to rounding of 32-bit floats.

    Raises
    ------
    MissingExtraError
        Without PyTorch.
    InputError
        For an unknown output, a model with buffers that training changes, with randomness of its own or with outputs
        that do not fit ``y``, a device that is not there, or data of unequal lengths.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError.of("PyTorch", "hf") from error
    place = _place(device)
    data = [_tensor(part, what) for part, what in ((X, "X"), (X_test, "X_test"))]
    targets, truth = (array_of(part, what) for part, what in ((y, "y"), (y_test, "y_test")))
    if targets.dtype.kind not in "iubf" or targets.ndim != 1 or not len(targets):
        raise InputError(
            f"y must be one class number from 0, or one real number, per example, not {targets.dtype} of shape "
            f"{targets.shape}."
        )
    classes = targets.dtype.kind in "iub"
    chosen = output or ("margin" if classes else "prediction")
    if chosen not in OUTPUTS:
        raise unknown("output", chosen, OUTPUTS)
    if (chosen == "prediction") if classes else (chosen not in ("prediction", "loss")):
        kind = "classes" if classes else "real values"
        raise InputError(f"output={chosen!r} does not fit y, which holds {kind}: choose another output.")
    for what, number in (("steps", steps), ("batch", batch)):
        if number < 1:
            raise InputError(f"{what} must be at least 1, not {number}.")
    for names, a, b in (("X and y", data[0], targets), ("X_test and y_test", data[1], truth)):
        if len(a) != len(b):
            raise InputError(f"{names} differ in length: {len(a)} and {len(b)}.")
    form = torch.int64 if classes else torch.float32
    marks = [torch.as_tensor(part, dtype=form) for part in (targets, truth)]
    options = (steps, batch, rate, momentum, decay)
    maker = TorchFit if not together else TorchFitTogether
    fit = maker(make_model, data[0].to(place), marks[0].to(place), options, str(place))
    _check_model(fit, [targets, truth])
    return Trainer.of(fit), Evaluator.of(TorchScore(data[1].to(place), marks[1].to(place), chosen))


@dataclass(frozen=True, eq=False)
class TorchFit:
    """``fit(indices, seed)``: a model trained on some of the examples.

    It remembers its weights at ``moments`` of its training, shares of the steps, which `path_of` tells.
    """

    make_model: Callable[[], Any]
    X: torch.Tensor = field(repr=False)
    y: torch.Tensor = field(repr=False)
    options: tuple[int, int, float, float, float]
    device: str
    moments: tuple[float, ...] = ()

    def __call__(self, indices: Indices, seed: int) -> Any:
        """A trained model."""
        import torch

        steps, _, rate, momentum, decay = self.options
        model = self._initial(seed)
        if not len(indices):
            return model
        optimiser = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum, weight_decay=decay)
        plan = self._plan(indices, seed)
        for step in range(steps):
            optimiser.zero_grad()
            _loss(model(self.X[plan[step]]), self.y[plan[step]]).backward()
            optimiser.step()
            if step + 1 in self._stops:
                path = [*vars(model).get(_PATH, ()), {name: one.clone() for name, one in weights_of(model).items()}]
                setattr(model, _PATH, path)
        return model.eval()

    @property
    def _stops(self) -> set[int]:
        steps = self.options[0]
        return {max(1, round(share * steps)) for share in self.moments}

    def path_of(self, model: Any) -> Sequence[Weights]:
        """The weights that a trained ``model`` remembers, or those that it has."""
        return vars(model).get(_PATH) or [weights_of(model)]

    def _initial(self, seed: int) -> Any:
        import torch

        place = torch.device(self.device)
        with _SEEDING:
            return self._made(seed, place)

    def _made(self, seed: int, place: torch.device) -> Any:
        import torch

        devices = [torch.cuda.current_device() if place.index is None else place.index] if place.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):  # whoever else draws random numbers is not disturbed
            torch.manual_seed(seed)
            return self.make_model().to(place)

    def _plan(self, indices: Indices, seed: int) -> torch.Tensor:
        """Which examples each step sees, (steps, batch): the kept ones, shuffled anew whenever they are used up."""
        import torch

        steps, batch = self.options[:2]
        rng = np.random.default_rng(seed)
        rounds = -(-steps * batch // len(indices))
        order = np.concatenate([rng.permutation(indices) for _ in range(rounds)])[: steps * batch]
        return torch.as_tensor(order.reshape(steps, batch), device=self.device)

    def jumps(self, measure: Any) -> TorchJumps | None:
        """What each example does to what a `TorchScore` measures, for networks that are small enough."""
        return TorchJumps.of(self, measure) if isinstance(measure, TorchScore) else None

    def identity(self) -> dict[str, Any] | None:
        """What identifies it in a store: the initial model, the data, the options, the device."""
        import torch

        model = self._initial(0)
        weights = [parameter.detach().cpu().numpy().tobytes() for parameter in model.parameters()]
        parts = [*weights, *(part.cpu().numpy().tobytes() for part in (self.X, self.y))]
        digest = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
        with torch.no_grad():  # neither its description nor its weights show what its forward does with them
            shown = [f"{value:.3g}" for value in model(self.X[:8]).cpu().flatten().tolist()]
        told = {"model": repr(model), "shown": shown, "digest": digest, "options": list(self.options)}
        return told | {"kind": type(self).__name__, "device": self.device}


@dataclass(frozen=True, eq=False)
class TorchFitTogether(TorchFit):
    """A `TorchFit` that trains all models of a batch at once."""

    def __call__(self, indices: Indices, seed: int) -> Any:
        """A trained model; the same arithmetic as among others."""
        return self.together([(indices, seed)])[0]

    def together(self, jobs: Sequence[tuple[Indices, int]]) -> list[Any]:
        """One trained model per ``(indices, seed)``."""
        import torch
        from torch.func import functional_call, grad, stack_module_state, vmap

        steps, batch, rate, momentum, decay = self.options
        models = [self._initial(seed) for _, seed in jobs]
        if not models:
            return []
        weights, _ = stack_module_state(models)
        weights = {name: weight.detach() for name, weight in weights.items()}
        nothing = torch.zeros((steps, batch), dtype=torch.int64, device=self.device)
        plans = torch.stack([self._plan(indices, seed) if len(indices) else nothing for indices, seed in jobs])
        trained = torch.tensor([float(len(indices) > 0) for indices, _ in jobs], device=self.device)
        base = models[0]

        def loss(weights: dict[str, Any], X: Any, y: Any) -> Any:
            return _loss(functional_call(base, weights, (X,)), y)

        gradient = vmap(grad(loss))
        stops, path = self._stops, []
        velocity = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for step in range(steps):
            rows = plans[:, step]
            slopes = gradient(weights, self.X[rows], self.y[rows])
            for name, weight in weights.items():
                shape = (-1, *[1] * (weight.ndim - 1))
                slope = slopes[name] + decay * weight if decay else slopes[name]
                velocity[name] = momentum * velocity[name] + slope
                weights[name] = weight - rate * trained.view(shape) * velocity[name]
            if step + 1 in stops:
                path.append(dict(weights))
        with torch.no_grad():
            for position, model in enumerate(models):
                for name, parameter in model.named_parameters():
                    parameter.copy_(weights[name][position])
                if path:
                    setattr(model, _PATH, [{name: one[position] for name, one in moment.items()} for moment in path])
        return [model.eval() for model in models]


@dataclass(frozen=True, eq=False)
class TorchScore:
    """``score(model)``: T floats, one per test point, or one for all."""

    X: torch.Tensor = field(repr=False)
    y: torch.Tensor = field(repr=False)
    output: str

    @property
    def lower_is_better(self) -> bool:
        """Whether the outputs are losses."""
        return self.output == "loss"

    @property
    def neutral(self) -> bool:
        """Whether a higher output is neither better nor worse."""
        return self.output == "prediction"

    @property
    def targets(self) -> Gallery | None:
        """The test points by position and class."""
        if self.output == "accuracy":
            return None
        if self.y.is_floating_point():
            return Gallery(tuple(f"test {i}" for i in range(len(self.y))))
        marks = self.y.tolist()
        return Gallery(tuple(f"test {i} ({c})" for i, c in enumerate(marks)), tuple(map(str, marks)))

    def __call__(self, model: Any) -> Any:
        import torch

        with torch.no_grad():
            found = model(self.X).double()
            return self.read(found.reshape(len(found), -1))

    def read(self, found: torch.Tensor) -> Any:
        """T floats, or one, of a model's outputs for the test points (T, C); of several models' (..., T, C) at once."""
        import torch

        if self.y.is_floating_point():
            found = found[..., 0]
            return (found if self.output == "prediction" else (found - self.y.double()) ** 2).cpu().numpy()
        if self.output == "accuracy":
            return (found.argmax(dim=-1) == self.y).double().mean(dim=-1).cpu().numpy()
        marks = self.y.expand(found.shape[:-1])[..., None]
        own = found.gather(-1, marks)[..., 0]
        # Log-odds against all other classes, from the logits themselves: nothing saturates.
        others = torch.logsumexp(found.scatter(-1, marks, -torch.inf), dim=-1)
        margin = own - others
        if self.output == "probability":
            return torch.sigmoid(margin).cpu().numpy()
        return (margin if self.output == "margin" else torch.nn.functional.softplus(-margin)).cpu().numpy()

    def identity(self) -> dict[str, Any]:
        """What identifies it in a store."""
        parts = b"".join(part.cpu().numpy().tobytes() for part in (self.X, self.y))
        return {"data": hashlib.sha256(parts).hexdigest(), "output": self.output}


def _tensor(given: Any, what: str) -> torch.Tensor:
    import torch

    array = array_of(given, what)
    if array.dtype.kind not in "iubf":
        raise InputError(f"{what} must hold numbers, not {array.dtype}: encode what is not.")
    return torch.tensor(array, dtype=torch.float32)


def _place(device: str | None) -> Any:
    import torch

    try:
        place = torch.device(device or "cpu")
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"cannot train on device={device!r}: {str(error).splitlines()[0].rstrip('.')}.") from error
    return place


def _check_model(fit: TorchFit, marks: Sequence[Any]) -> None:
    """Refuse a model that cannot be trained, or not twice alike, on these classes or numbers."""
    import torch

    model = fit._initial(0)
    if any(True for _ in model.buffers()):
        raise InputError("the model has buffers (batch normalisation?), which models trained at once cannot share.")
    twins = zip(model.parameters(), fit._initial(0).parameters(), strict=True)
    if not all(torch.equal(one, other) for one, other in twins):
        raise InputError(
            "make_model gives other weights each time, whatever the seed: draw them by PyTorch's random numbers alone."
        )
    with _SEEDING, torch.random.fork_rng(devices=[fit.X.device] if fit.X.is_cuda else []), torch.no_grad():
        try:
            found, again = (model(fit.X[:2]) for _ in range(2))
        except RuntimeError as error:
            raise InputError(
                f"the model does not take examples of shape {tuple(fit.X.shape[1:])}: {' '.join(str(error).split())}."
            ) from error
    if not torch.equal(found, again):
        raise InputError("the model gives the same examples different outputs (dropout?): take what is random out.")
    rows = len(fit.X[:2])
    if fit.y.is_floating_point():
        if found.numel() != rows:
            raise InputError(f"the model gives outputs of shape {tuple(found.shape[1:])} for real y: it must give one.")
        return
    every = np.concatenate(marks)
    low, high = int(every.min()), int(every.max())
    if found.ndim != 2 or low < 0 or high >= found.shape[1]:
        raise InputError(
            f"y holds classes from {low} to {high}, but the model gives outputs of shape {tuple(found.shape[1:])}: "
            "number the classes from 0 and give the model one output for each."
        )


def _loss(found: Any, y: Any) -> Any:
    from torch.nn import functional

    if y.is_floating_point():
        return functional.mse_loss(found.reshape(y.shape), y)
    return functional.cross_entropy(found, y)
