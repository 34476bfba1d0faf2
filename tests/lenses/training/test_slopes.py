"""Slopes of training games against true jumps, by retraining with and without every example."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.svm import SVC, LinearSVC

import interplay as ip
from interplay.lenses._training.jumps import Linear, moved_predictors

TRAIN, TEST = 40, 5


def digits(*classes: int) -> tuple[Any, ...]:
    data = load_digits()
    chosen = np.isin(data.target, classes)
    X, y = data.data[chosen] / 16.0, data.target[chosen]
    rows = np.random.default_rng(0).permutation(len(y))
    a, b = rows[:TRAIN], rows[TRAIN : TRAIN + TEST]
    return X[a], y[a], X[b], y[b]


def game_of(estimator: Any, *classes: int, examples: Any = TRAIN, **options: Any) -> ip.Game:
    fit, score = ip.lenses.sklearn_training(estimator, *digits(*classes))
    return ip.lenses.training(fit, score, examples, **options)


def slopes_and_jumps(game: ip.Game, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and f(with) - f(without), (N, T, n), at masks that keep 0.6."""
    masks = np.random.default_rng(1).random((count, game.n)) < 0.6
    values, slopes = game.slopes(masks)
    np.testing.assert_array_equal(values, game(masks))
    jumps = np.empty_like(slopes)
    for h in range(game.n):
        other = masks.copy()
        other[:, h] ^= True
        jumps[:, :, h] = (values - game(other)) * np.where(masks[:, h], 1, -1)[:, None]
    return slopes, jumps


@pytest.mark.parametrize(
    "estimator",
    [
        Ridge(alpha=0.5),
        Ridge(alpha=2.0, fit_intercept=False),
        LinearRegression(),
        KNeighborsRegressor(4),
    ],
)
def test_jumps_of_regressions_are_exact(estimator: Any) -> None:
    X, _, X_test, _ = digits(3, 8)
    fit, score = ip.lenses.sklearn_training(estimator, X[:, 18:22], X[:, 30], X_test[:, 18:22], X_test[:, 30])
    slopes, jumps = slopes_and_jumps(ip.lenses.training(fit, score, TRAIN))
    np.testing.assert_allclose(slopes, jumps, atol=1e-6 * np.abs(jumps).max())
    assert np.abs(jumps).max() > 1e-3


@pytest.mark.parametrize("estimator", [RidgeClassifier(), KNeighborsClassifier(3)])
def test_jumps_of_squares_and_of_votes_are_exact_for_classes(estimator: Any) -> None:
    slopes, jumps = slopes_and_jumps(game_of(estimator, 3, 5, 8))
    np.testing.assert_allclose(slopes, jumps, atol=1e-6 * np.abs(jumps).max())
    assert np.abs(jumps).max() > 1e-3


@pytest.mark.parametrize(
    ("estimator", "least"),
    [
        (LogisticRegression(C=0.1), 0.999),
        (LogisticRegression(C=10, max_iter=1000), 0.95),
        (LogisticRegression(C=1, fit_intercept=False, max_iter=1000), 0.99),
        (LogisticRegression(C=1, solver="liblinear"), 0.98),
        (LinearSVC(max_iter=10_000), 0.9),
        (make_pipeline(Normalizer(), LogisticRegression(max_iter=1000)), 0.98),
    ],
)
def test_jumps_of_smooth_losses_are_nearly_exact(estimator: Any, least: float) -> None:
    slopes, jumps = slopes_and_jumps(game_of(estimator, 3, 8))
    assert np.corrcoef(slopes.ravel(), jumps.ravel())[0, 1] > least


def test_several_classes_have_jumps_too() -> None:
    slopes, jumps = slopes_and_jumps(game_of(LogisticRegression(C=0.5, max_iter=1000), 3, 5, 8))
    assert np.corrcoef(slopes.ravel(), jumps.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(3),
        SVC(),
        LogisticRegression(class_weight="balanced"),
        LogisticRegression(l1_ratio=1.0, solver="saga"),
        KNeighborsClassifier(3, weights="distance"),
    ],
)
def test_what_has_no_smooth_loss_has_no_slopes(estimator: Any) -> None:
    assert game_of(estimator, 3, 8).slopes is None


def test_a_score_of_the_users_own_has_no_slopes() -> None:
    fit, _ = ip.lenses.sklearn_training(Ridge(), *digits(3, 8))
    assert ip.lenses.training(fit, lambda model: 0.0, TRAIN).slopes is None


def test_groups_have_the_sum_of_their_examples_and_subsets_without_a_model_none() -> None:
    estimator = RidgeClassifier()
    masks = np.ones((1, TRAIN), dtype=bool)
    _, single = game_of(estimator, 3, 8).slopes(masks)
    pairs = [[2 * i, 2 * i + 1] for i in range(TRAIN // 2)]
    grouped = game_of(estimator, 3, 8, examples=pairs)
    _, slopes = grouped.slopes(np.ones((1, TRAIN // 2), dtype=bool))
    np.testing.assert_allclose(slopes, single.reshape(1, TEST, -1, 2).sum(axis=3), atol=1e-12)
    _, none = grouped.slopes(np.zeros((1, TRAIN // 2), dtype=bool))
    assert np.isnan(none).all()


def test_few_retrainings_with_slopes_explain_what_many_without_do_in_other_processes_too() -> None:
    from interplay.estimators import r_squared

    game = game_of(LogisticRegression(C=1.0, max_iter=1000), 3, 8)
    fresh = np.random.default_rng(2).random((200, TRAIN)) < 0.5
    truth = game(fresh)[:, 0]
    one = game.slopes(fresh[:8])
    with ip.executors.processes(2) as executor:
        sloped = game.sloped
        from interplay.ablate import measure

        rows = measure(sloped, fresh[:8], executor=executor).values
    np.testing.assert_allclose(sloped.value.split(rows)[1], one[1], rtol=1e-5, atol=1e-6)
    masks = ip.design(TRAIN, 20, method="gp")
    values, slopes = game.slopes(masks)
    found = ip.fit(masks, values[:, 0], slopes=slopes[:, 0], method="gp")
    plain = ip.fit(masks, values[:, 0], method="gp")
    assert r_squared(truth, found.spectrum.predict(fresh)) > 0.85
    assert r_squared(truth, plain.spectrum.predict(fresh)) < 0.6


def torch_game(make_model: Any, X: Any, y: Any, X_test: Any, y_test: Any, **options: Any) -> ip.Game:
    """Every step sees all kept examples, or nearly so, and all start from the same weights: jumps without noise."""
    pytest.importorskip("torch")
    fit, score = ip.lenses.torch_training(make_model, X, y, X_test, y_test, batch=120, **options)
    return ip.lenses.training(fit, score, len(X))


def test_jumps_of_linear_networks_on_squares_are_those_of_gradient_descent() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    X, X_test = rng.normal(size=(24, 4)), rng.normal(size=(3, 4))
    y, y_test = X @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=24), rng.normal(size=3)

    def make_model() -> Any:
        torch.manual_seed(0)
        return torch.nn.Linear(4, 1)

    game = torch_game(make_model, X, y, X_test, y_test, steps=300, rate=0.05, decay=0.02)
    slopes, jumps = slopes_and_jumps(game)
    assert np.corrcoef(slopes.ravel(), jumps.ravel())[0, 1] > 0.99
    assert np.std(slopes) == pytest.approx(np.std(jumps), rel=0.1)


def test_jumps_of_small_networks_are_told_from_the_trained_weights() -> None:
    torch = pytest.importorskip("torch")

    def make_model() -> Any:
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))

    X, y, X_test, y_test = digits(3, 8)
    game = torch_game(make_model, X, y // 8, X_test, y_test // 8, steps=60, rate=0.05)
    slopes, jumps = slopes_and_jumps(game, 2)
    assert np.corrcoef(slopes.ravel(), jumps.ravel())[0, 1] > 0.55
    # An example that the network gets wrong is not multiplied by its own gradient, which would overshoot by far.
    assert np.abs(slopes).max() < 2 * np.abs(jumps).max()


def test_slopes_of_networks_cost_what_they_take_beside_the_training() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    rows, marks = rng.normal(size=(400, 4)), np.arange(400) % 3

    def cost(examples: int, steps: int) -> float:
        data = rows[:examples], marks[:examples], rows[:9], marks[:9]
        fit, score = ip.lenses.torch_training(lambda: torch.nn.Linear(4, 3), *data, steps=steps)
        return ip.lenses.training(fit, score, examples).slope_cost

    assert cost(20, 2000) == 2.0
    assert cost(400, 100) > cost(400, 1000) >= cost(20, 1000)
    assert cost(400, 100) > 3
    sklearn = game_of(LogisticRegression(), 3, 8)
    assert sklearn.slope_cost == 2.0


def test_networks_too_large_to_decompose_and_scores_of_the_users_own_have_no_slopes() -> None:
    torch = pytest.importorskip("torch")
    rows = np.zeros((1000, 2))
    fit, score = ip.lenses.torch_training(lambda: torch.nn.Linear(2, 3), rows, np.arange(1000) % 3, rows[:9], [0] * 9)
    assert ip.lenses.training(fit, score, 1000).slopes is None
    fit, _ = ip.lenses.torch_training(lambda: torch.nn.Linear(2, 3), rows[:9], np.arange(9) % 3, rows[:9], [0] * 9)
    assert ip.lenses.training(fit, lambda model: 0.0, 9).slopes is None


def test_examples_that_the_model_gets_wrong_do_not_overshoot_when_they_are_taken_in() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 4)), np.arange(30) % 2
    X[:, 0] += 3 * y
    X = np.column_stack(
        [X, 3 * np.repeat(np.eye(6), 5, axis=0)]
    )  # in a corner of their own, so that all depends on them
    fit, score = ip.lenses.sklearn_training(LogisticRegression(C=20, max_iter=1000), X, y, X[::5], y[::5])
    slopes, jumps = slopes_and_jumps(ip.lenses.training(fit, score, 30))
    ablated = ~np.broadcast_to((np.random.default_rng(1).random((3, 30)) < 0.6)[:, None], slopes.shape)
    assert np.corrcoef(slopes[ablated], jumps[ablated])[0, 1] > 0.9


@pytest.mark.parametrize("features", [5, 70])  # fewer than examples are kept, and more
@pytest.mark.parametrize("classes", [1, 3])
def test_a_step_without_an_example_is_newtons_with_few_features_and_many(features: int, classes: int) -> None:
    rng = np.random.default_rng(features)
    rows, test = (np.column_stack([rng.normal(size=(k, features)), np.ones(k)]) for k in (40, 6))
    y = rng.integers(max(classes, 2), size=40)
    kept = rng.random(40) < 0.6

    def derivatives(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if classes == 1:
            p = 1.0 / (1.0 + np.exp(-eta))
            return p - y[:, None], (p * (1.0 - p))[:, :, None]
        p = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
        return p - np.eye(classes)[y], p[:, :, None] * (np.eye(classes) - p[:, None, :])

    eta = rows @ rng.normal(scale=0.1, size=(features + 1, classes))
    moved = moved_predictors(rows, test, Linear(eta, 0.3, 0.0, derivatives), kept)
    first, second = derivatives(eta)
    ridge = np.diag(np.repeat(np.append(np.full(features, 0.3), 0.0), classes))
    for i in np.flatnonzero(kept)[:5]:
        others = kept & (np.arange(40) != i)
        hessian = np.einsum("np,ncd,nq->pcqd", rows[others], second[others], rows[others])
        hessian = hessian.reshape(len(ridge), -1) + ridge
        # The intercepts of all classes together are free: the smallest step is as good as any.
        step = np.linalg.pinv(hessian, rcond=1e-12) @ np.outer(rows[i], first[i]).ravel()
        np.testing.assert_allclose(moved[i], test @ step.reshape(-1, classes), rtol=1e-4, atol=1e-5)
