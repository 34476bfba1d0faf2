"""Slopes of scikit-learn's training: what each example does to a fitted linear model or to nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay.lenses._training.examples import Indices
from interplay.lenses._training.jumps import (
    Floats,
    Linear,
    Moved,
    MovedChances,
    jumps_by_step,
    moved_predictors,
    with_constant,
)

Step: TypeAlias = Callable[[Any, Any, npt.NDArray[Any], Any, npt.NDArray[np.bool_]], list[Any] | None]
"""(model, X, y, X_test, kept) to what the model becomes by a step for every example, and last as it is."""


def sklearn_jumps(
    estimator: Any, X: Any, y: npt.NDArray[Any], X_test: Any, score: Callable[[Any], Any]
) -> SklearnJumps | None:
    """The jumps of an estimator that has them; None for all others, trees and ensembles among them.

    Linear models take a Newton step, with the transforms of a pipeline before them as they were fitted; nearest
    neighbours are looked up anew, exactly.
    """
    last = estimator[-1] if type(estimator).__name__ == "Pipeline" else estimator
    read = _readers().get(f"{type(last).__module__.partition('.')[0]}.{type(last).__name__}")
    if read is None:
        return None
    covers, step = read
    return SklearnJumps(step, X, y, X_test, score) if covers(last.get_params()) else None


@dataclass(frozen=True, eq=False)
class SklearnJumps:
    """A fitted model and the indices it was trained on to the jumps of all examples, (T, N) or (N,); None without."""

    step: Step
    X: Any = field(repr=False)
    y: npt.NDArray[Any] = field(repr=False)
    X_test: Any = field(repr=False)
    score: Callable[[Any], Any]

    def __call__(self, model: Any, indices: Indices) -> Floats | None:
        if not hasattr(model, "get_params"):  # a constant: it learned nothing
            return None
        rows, test = self.X, self.X_test
        if type(model).__name__ == "Pipeline":
            before, model = model[:-1], model[-1]
            rows, test = before.transform(rows), before.transform(test)
        kept = np.zeros(len(self.y), dtype=np.bool_)
        kept[indices] = True
        moved = self.step(model, rows, self.y, test, kept)
        return None if moved is None else np.asarray(jumps_by_step(kept, self.score, moved[-1], moved[:-1]))


def _readers() -> dict[str, tuple[Callable[[dict[str, Any]], bool], Step]]:
    """By estimator whether its settings are covered, and its step.

    The model as it is is told in the same way as what it becomes, so that rounding does not count as a jump.
    """
    return {
        "sklearn.LogisticRegression": (_is_smooth_logistic, _logistic),
        "sklearn.Ridge": (lambda told: not told["positive"], _ridge),
        "sklearn.LinearRegression": (lambda told: not told["positive"], _ridge),
        "sklearn.RidgeClassifier": (lambda told: told["class_weight"] is None, _ridge),
        "sklearn.LinearSVC": (_is_smooth_svm, _svm),
        "sklearn.KNeighborsClassifier": (_is_plain_vote, _neighbours),
        "sklearn.KNeighborsRegressor": (_is_plain_vote, _neighbours),
    }


def _is_smooth_logistic(told: dict[str, Any]) -> bool:
    return (
        told.get("penalty") in ("l2", None, "deprecated")
        and told.get("l1_ratio") in (None, 0, 0.0)
        and told["class_weight"] is None
    )


def _is_smooth_svm(told: dict[str, Any]) -> bool:
    plain = told["loss"] == "squared_hinge" and told["penalty"] == "l2" and told["class_weight"] is None
    return plain and told["multi_class"] == "ovr"


def _is_plain_vote(told: dict[str, Any]) -> bool:
    return bool(told["weights"] == "uniform")


def _logistic(model: Any, X: Any, y: npt.NDArray[Any], X_test: Any, kept: npt.NDArray[np.bool_]) -> list[Any] | None:
    known = np.isin(y, model.classes_)
    mark = np.searchsorted(model.classes_, np.where(known, y, model.classes_[0]))
    unpenalised = model.penalty is None or np.isinf(model.C)
    penalty = 0.0 if unpenalised else 1.0 / model.C
    constant = penalty if model.solver == "liblinear" else 0.0
    binary = len(model.coef_) == 1
    design, test = (with_constant(rows, intercept=model.fit_intercept) for rows in (X, X_test))
    theta = np.column_stack([model.coef_, np.broadcast_to(model.intercept_, len(model.coef_))])

    def two(eta: Floats) -> tuple[Floats, Floats]:
        p = 1.0 / (1.0 + np.exp(-eta))
        return np.where(known[:, None], p - mark[:, None], 0.0), (p * (1.0 - p))[:, :, None] * known[:, None, None]

    def several(eta: Floats) -> tuple[Floats, Floats]:
        p = _softmax(eta)
        second = p[:, :, None] * (np.eye(p.shape[1]) - p[:, None, :])
        return (p - np.eye(p.shape[1])[mark]) * known[:, None], second * known[:, None, None]

    linear = Linear(design @ theta.T, penalty, constant, two if binary else several)
    steps = moved_predictors(design, test, linear, kept)
    if steps is None:
        return None
    now = test @ theta.T

    def told(eta: Floats) -> MovedChances:
        p = 1.0 / (1.0 + np.exp(-eta))
        return MovedChances(model.classes_, np.concatenate([1.0 - p, p], axis=1) if binary else _softmax(eta))

    return [told(now + step) for step in steps] + [told(now)]


def _ridge(model: Any, X: Any, y: npt.NDArray[Any], X_test: Any, kept: npt.NDArray[np.bool_]) -> list[Any] | None:
    classes = getattr(model, "classes_", None)
    coefficients = np.atleast_2d(model.coef_)
    targets = y[:, None].astype(np.float64) if classes is None else _targets(y, classes, len(coefficients))
    alpha = float(np.max(getattr(model, "alpha", 0.0)))
    design, test = (with_constant(rows, intercept=model.fit_intercept) for rows in (X, X_test))
    theta = np.column_stack([coefficients, np.broadcast_to(model.intercept_, len(coefficients))])
    outputs = len(coefficients)

    def squares(eta: Floats) -> tuple[Floats, Floats]:
        return eta - targets, np.broadcast_to(np.eye(outputs), (len(eta), outputs, outputs))

    steps = moved_predictors(design, test, Linear(design @ theta.T, alpha, 0.0, squares), kept)
    return None if steps is None else _decisions(classes, test @ theta.T, steps)


def _svm(model: Any, X: Any, y: npt.NDArray[Any], X_test: Any, kept: npt.NDArray[np.bool_]) -> list[Any] | None:
    targets = _targets(y, model.classes_, len(model.coef_))
    scaling = model.intercept_scaling if model.fit_intercept else 1.0
    design, test = (with_constant(rows, intercept=model.fit_intercept) for rows in (X, X_test))
    theta = np.column_stack([model.coef_, np.broadcast_to(model.intercept_, len(model.coef_))])

    def hinges(eta: Floats) -> tuple[Floats, Floats]:
        short = np.maximum(0.0, 1.0 - targets * eta)
        return -2.0 * targets * short, 2.0 * (short > 0)[:, :, None] * np.eye(eta.shape[1])

    linear = Linear(design @ theta.T, 1.0 / model.C, 1.0 / (model.C * scaling**2), hinges)
    steps = moved_predictors(design, test, linear, kept)
    return None if steps is None else _decisions(model.classes_, test @ theta.T, steps)


def _neighbours(model: Any, X: Any, y: npt.NDArray[Any], X_test: Any, kept: npt.NDArray[np.bool_]) -> list[Any] | None:
    """Every test point's neighbours with one example more or less, looked up in one order of all examples."""
    from sklearn.metrics import pairwise_distances

    k = model.n_neighbors
    if kept.sum() <= k:  # without one of them there would not be k
        return None
    distance = pairwise_distances(X_test, X, metric=model.effective_metric_, **model.effective_metric_params_)
    classes = getattr(model, "classes_", None)
    votes = y[:, None].astype(np.float64) if classes is None else (y[:, None] == classes).astype(np.float64)
    rank = np.argsort(distance + np.where(kept, 0.0, np.inf), axis=1, kind="stable")
    near, following = rank[:, :k], rank[:, k]
    total = votes[near].sum(axis=1)  # (T, C)
    last = near[:, -1]
    inside = np.zeros(distance.shape, dtype=np.bool_)
    np.put_along_axis(inside, near, values=True, axis=1)
    farthest = np.take_along_axis(distance, last[:, None], axis=1)
    enters = ~kept & (distance < farthest)
    gone = votes[following][:, None] - votes[None]  # the example leaves, the next one comes in
    come = votes[None] - votes[last][:, None]
    change = np.where(inside[..., None], gone, np.where(enters[..., None], come, 0.0))  # (T, N, C)
    said = (total[:, None] + change) / k
    if classes is None:
        return [Moved(None, column) for column in said[..., 0].T] + [Moved(None, total[:, 0] / k)]
    return [MovedChances(classes, said[:, i]) for i in range(len(y))] + [MovedChances(classes, total / k)]


def _softmax(eta: Floats) -> Floats:
    raised = np.exp(eta - eta.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _targets(y: npt.NDArray[Any], classes: npt.NDArray[Any], outputs: int) -> Floats:
    """+1 for an example's own class and -1 for others: one column for two classes, else one for each."""
    columns = classes[1:] if outputs == 1 else classes
    return np.where(y[:, None] == columns, 1.0, -1.0)


def _decisions(classes: Any, now: Floats, steps: Floats) -> list[Any]:
    single = now.shape[1] == 1
    return [Moved(classes, (now + step)[:, 0] if single else now + step) for step in [*steps, np.zeros_like(now)]]
