"""The PyTorch pair: seeded, the same together as alone, the outputs those of the model."""

from __future__ import annotations

import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import interplay as ip
from interplay.ablate import measure

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
X, y = RNG.normal(size=(40, 5)).astype(np.float32), RNG.integers(0, 3, 40)
X_TEST, Y_TEST = RNG.normal(size=(6, 5)).astype(np.float32), RNG.integers(0, 3, 6)


def mlp() -> object:
    return torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def line() -> object:
    return torch.nn.Linear(5, 1)


def pair(**options: object) -> tuple:
    return ip.lenses.torch_training(mlp, X, y, X_TEST, Y_TEST, steps=30, batch=8, **options)


def test_models_trained_together_are_those_trained_alone() -> None:
    masks = np.concatenate([ip.design(40, 9, method="lasso"), np.zeros((1, 40), bool)])
    games = [ip.lenses.training(*pair(together=together), examples=40, seeds=2) for together in (True, False)]
    together, alone = (game.value(masks) for game in games)
    assert together.shape == (10, 12)
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-4)
    for decay in (0.0, 0.1):
        fits = [pair(together=together, decay=decay)[0] for together in (True, False)]
        a, b = (fit(np.arange(20), 3) for fit in fits)
        np.testing.assert_allclose(a[0].weight.detach(), b[0].weight.detach(), rtol=1e-3, atol=1e-5)


def test_the_seed_decides_everything_and_disturbs_nobody() -> None:
    fit, score = pair()
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    values = [score(fit(np.arange(20), seed)) for seed in (1, 1, 2)]
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(values[0], values[1])
    assert (values[0] != values[2]).all()


def test_a_subset_is_all_that_a_model_sees() -> None:
    changed = X.copy()
    changed[20:] = 100.0
    other, score = ip.lenses.torch_training(mlp, changed, y, X_TEST, Y_TEST, steps=30, batch=8)
    fit, _ = pair()
    np.testing.assert_array_equal(score(fit(np.arange(20), 1)), score(other(np.arange(20), 1)))
    untrained = fit(np.empty(0, int), 5)
    torch.manual_seed(5)
    assert torch.equal(untrained[0].weight, mlp()[0].weight)


def test_outputs_are_those_of_the_model() -> None:
    fit, score = pair()
    model = fit(np.arange(40), 0)
    p = torch.softmax(model(torch.as_tensor(X_TEST)).double(), 1).detach().numpy()[np.arange(6), Y_TEST]
    expected = {"margin": np.log(p / (1 - p)), "probability": p, "loss": -np.log(p)}
    for output, values in expected.items():
        np.testing.assert_allclose(pair(output=output)[1](model), values, rtol=1e-6)
    accuracy = (model(torch.as_tensor(X_TEST)).argmax(1).numpy() == Y_TEST).mean()
    assert pair(output="accuracy")[1](model) == pytest.approx(accuracy)
    assert score.targets.names[0] == f"test 0 ({Y_TEST[0]})"


def test_a_linear_model_reaches_least_squares() -> None:
    target = X @ np.arange(5.0) + 1.0
    fit, score = ip.lenses.torch_training(line, X, target, X_TEST, X_TEST @ np.arange(5.0) + 1.0, steps=400)
    np.testing.assert_allclose(score(fit(np.arange(40), 0)), X_TEST @ np.arange(5.0) + 1.0, atol=1e-2)
    _, loss = ip.lenses.torch_training(line, X, target, X_TEST, np.ones(6), steps=400, output="loss")
    assert loss.lower_is_better


def test_it_travels_and_is_recognised() -> None:
    fit, score = pickle.loads(pickle.dumps(pair()))
    np.testing.assert_array_equal(score(fit(np.arange(9), 0)), pair()[1](pair()[0](np.arange(9), 0)))
    prints = [
        ip.lenses.training(*pair(**options), examples=40).fingerprint
        for options in ({}, {}, {"rate": 0.2}, {"output": "loss"})
    ]
    assert prints[0] == prints[1] is not None
    assert len(set(prints)) == 3


class Counted(torch.nn.Module):
    """A small model that counts how often it runs."""

    runs = 0

    def __init__(self, act: object = torch.tanh) -> None:
        super().__init__()
        self.inner, self.outer, self.act = torch.nn.Linear(5, 8), torch.nn.Linear(8, 3), act

    def forward(self, rows: object) -> object:
        Counted.runs += 1
        return self.outer(self.act(self.inner(rows)))


def test_models_trained_together_run_once_per_step_however_many_they_are() -> None:
    fit, _ = ip.lenses.torch_training(Counted, X, y, X_TEST, Y_TEST, steps=30)
    Counted.runs = 0
    fit.together([(np.arange(20), seed) for seed in range(16)])
    assert Counted.runs == 30


@pytest.mark.parametrize("size", [1, 3, 7])
def test_no_value_depends_on_what_is_trained_beside_it(size: int) -> None:
    masks = ip.design(40, 14, method="lasso")
    values = ip.lenses.training(*pair(), examples=40).value(masks)
    game = ip.lenses.training(*pair(), examples=40)
    parts = [game.value(masks[start : start + size]) for start in range(0, 14, size)]
    np.testing.assert_allclose(np.concatenate(parts), values, rtol=1e-4, atol=1e-5)


def test_models_that_differ_only_in_what_they_compute_are_told_apart() -> None:
    prints = [
        ip.lenses.training(*ip.lenses.torch_training(make, X, y, X_TEST, Y_TEST), examples=40).fingerprint
        for make in (Counted, Counted, lambda: Counted(torch.relu))
    ]
    assert prints[0] == prints[1] != prints[2]


def test_tensors_are_taken_as_they_are() -> None:
    tensors = [torch.as_tensor(X).requires_grad_(), *(torch.as_tensor(part) for part in (y, X_TEST, Y_TEST))]
    fit, score = ip.lenses.torch_training(mlp, *tensors, steps=30, batch=8)
    np.testing.assert_array_equal(score(fit(np.arange(9), 0)), pair()[1](pair()[0](np.arange(9), 0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "prediction"}, "output='prediction' does not fit y, which holds classes"),
        ({"output": "margn"}, "unknown output 'margn'"),
        ({"rate": 0.1, "momentum": 0.9, "device": None, "output": "margin", "X": X[:3]}, "X and y differ in length"),
        ({"make": lambda: torch.nn.BatchNorm1d(5)}, "the model has buffers"),
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"make": lambda: torch.nn.Sequential(torch.nn.Dropout(), mlp())}, "the same examples different outputs"),
        ({"make": lambda: torch.nn.Linear(5, 2)}, r"classes from 0 to 2, but the model gives outputs of shape \(2,\)"),
        ({"make": lambda: torch.nn.Linear(7, 3)}, r"the model does not take examples of shape \(5,\)"),
        ({"y": y.astype(str)}, "y must be one class number from 0, or one real number, per example, not <U"),
        ({"y": y.astype(float)}, r"the model gives outputs of shape \(3,\) for real y: it must give one"),
        ({"device": "cudaa"}, "cannot train on device='cudaa'"),
    ],
)
def test_a_mistake_is_one_sentence(options: dict, message: str) -> None:
    given = dict(options)
    with pytest.raises(ip.InputError, match=message):
        ip.lenses.torch_training(given.pop("make", mlp), given.pop("X", X), given.pop("y", y), X_TEST, Y_TEST, **given)


@pytest.mark.parametrize("together", [True, False])
def test_threads_train_what_one_worker_trains(together: bool) -> None:
    def make() -> torch.nn.Module:
        first = torch.nn.Linear(2, 8)
        time.sleep(0.003)  # so that threads meet between the layers
        return torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Linear(8, 2))

    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 2))
    y = (X[:, 0] > 0).astype(int)
    fit, score = ip.lenses.torch_training(make, X, y, X[:3], y[:3], steps=3, together=together)
    game = ip.lenses.training(fit, score, 12, batch_size=2)
    masks = ip.design(12, 16, seed=1)
    alone = measure(game, masks).values
    with ThreadPoolExecutor(6) as threads:
        np.testing.assert_allclose(measure(game, masks, executor=threads).values, alone, atol=1e-5)


def test_a_model_whose_weights_the_seed_does_not_decide_is_refused() -> None:
    rng = np.random.default_rng()

    def make() -> torch.nn.Module:
        model = torch.nn.Linear(2, 2)
        with torch.no_grad():
            model.weight.copy_(torch.from_numpy(rng.normal(size=(2, 2))))
        return model

    rows, marks = np.ones((4, 2)), np.array([0, 1, 0, 1])
    with pytest.raises(ip.InputError, match="make_model gives other weights each time, whatever the seed"):
        ip.lenses.torch_training(make, rows, marks, rows, marks)


def test_data_frames_and_what_is_no_number() -> None:
    pd = pytest.importorskip("pandas")
    marks = np.array([0, 1, 0, 1])
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": 1.0})
    fit, score = ip.lenses.torch_training(lambda: torch.nn.Linear(2, 2), frame, marks, frame, marks, steps=2)
    assert score(fit(np.arange(4), 0)).shape == (4,)
    texts = pd.DataFrame({"a": ["x", "y", "x", "y"]})
    with pytest.raises(ip.InputError, match="X must hold numbers, not object"):
        ip.lenses.torch_training(lambda: torch.nn.Linear(1, 2), texts, marks, texts, marks)
