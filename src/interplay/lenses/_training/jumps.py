"""What leaving one training example out, or taking it in, does to a model: one Newton step, without retraining.

At the fitted parameters with Hessian H, example i has gradient ``g_i = a_i (x) r_i`` and Hessian ``a_i a_i' (x) W_i``,
r_i and W_i the first and second derivatives of its loss in its linear predictors. With ``V = H^-1 (a_i (x) I)`` and
``L = (a_i (x) I)' V``, a Newton step from here on the objective with or without it moves the parameters by

    V (I - W L)^-1 r    where it is left out,        -V (I + W L)^-1 r    where it is taken in:

exact for squared losses, approximate leave-one-out for others (Rad & Maleki 2020). An example that is taken in is often
far from what the model says, where its loss is no parabola: there the step is implicit, ``-V r'`` with the residual r'
*after* it, which is the same for squared losses. The outputs are measured anew at the moved parameters, so a jump is
exact in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
_LARGEST = 3000  # parameters; the Hessian is solved densely
_TURNS = 20  # of Newton's method for the implicit step, at most
_CLOSE = 1e-6  # predictors by which the last turn may move
_STRIDE = 2.0  # and by which one may: a loss that flattens out sends Newton's method too far
_NONE = 1e-9  # of the largest second derivative, is none
_RIDGE = 1e-9  # of the Hessian's mean diagonal, for directions that no loss and no penalty sees


@dataclass(frozen=True)
class Linear:
    """A fitted linear model: predictors ``A @ theta`` (N, C) of rows A with a constant column, and its penalty.

    ``penalty`` and ``constant`` are the second derivatives of the penalty in weights and in the intercept;
    ``derivatives(eta)`` gives the first (N, C) and second (N, C, C) derivatives of every example's loss.
    """

    eta: Floats
    penalty: float
    constant: float
    derivatives: Callable[[Floats], tuple[Floats, Floats]]


def moved_predictors(
    design: Floats,
    design_test: Floats,
    model: Linear,
    kept: npt.NDArray[np.bool_],
) -> Floats | None:
    """By how much the test points' predictors move with one step for every example, (N, T, C).

    An example that is ``kept`` (N,) is left out, another one taken in. None for too many parameters.
    """
    outputs, around = model.eta.shape[1], 0.0
    full, full_test = design, design_test
    if design.shape[1] - 1 > int(kept.sum()) and model.penalty > 0:
        design, design_test = _within(design, design_test, kept)
        around = 1.0 / model.penalty
    width = design.shape[1]
    if width * outputs > _LARGEST:
        return None
    first, second = model.derivatives(model.eta)
    inverse = _inverse_hessian(design[kept], second[kept], model)
    each = (design @ inverse.reshape(width, -1)).reshape(len(design), outputs, width, outputs)
    own = (design[:, None, None, :] @ each)[:, :, 0]
    own += around * ((full**2).sum(1) - (design**2).sum(1))[:, None, None] * np.eye(outputs)
    step = np.empty_like(first)
    step[kept] = np.linalg.solve(np.eye(outputs) - second[kept] @ own[kept], first[kept][..., None])[..., 0]
    step[~kept] = -_taken_in(model, ~kept, own[~kept])
    pushed = (inverse.reshape(width * outputs, -1) @ _outer(design, step).T).reshape(width, -1)
    moved = (design_test @ pushed).reshape(len(design_test), outputs, -1).transpose(2, 0, 1)
    if around:
        moved = moved + around * (full @ full_test.T - design @ design_test.T)[..., None] * step[:, None]
    return np.asarray(moved)


def _within(design: Floats, design_test: Floats, kept: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Rows by their coordinates in the span of the kept ones' features, the constant column last.

    Where there are more features than kept examples, the penalty alone curves the objective in all other directions.
    """
    basis, _ = np.linalg.qr(design[kept, :-1].T)
    inside, test = (np.column_stack([rows[:, :-1] @ basis, rows[:, -1]]) for rows in (design, design_test))
    return inside, test


def _inverse_hessian(design: Floats, second: Floats, model: Linear) -> Floats:
    """Of the objective in all parameters, (P C, P C): rows ``design`` (N, P) with second derivatives (N, C, C)."""
    width, outputs = design.shape[1], second.shape[1]
    ridge = np.append(np.full(width - 1, model.penalty), model.constant)
    if outputs > 1 and not (second * (1.0 - np.eye(outputs))).any():  # as many models that know nothing of one another
        apart = np.zeros((width, outputs, width, outputs))
        for c in range(outputs):
            apart[:, c, :, c] = _inverse_hessian(design, second[:, c : c + 1, c : c + 1], model)
        return apart.reshape(width * outputs, width * outputs)
    hessian = np.stack([design.T @ _outer(design, second[:, c]) for c in range(outputs)], axis=1)
    hessian = hessian.reshape(width * outputs, width * outputs)
    hessian.flat[:: len(hessian) + 1] += np.repeat(ridge, outputs)
    size = max(float(np.trace(hessian)) / len(hessian), 1e-12)
    if outputs > 1 and np.abs(second.sum(axis=2)).max(initial=0.0) < _NONE * np.abs(second).max(initial=0.0):
        # Softmax does not see what all outputs share: no step goes there, so any curvature will do.
        table = hessian.reshape(width, outputs, width, outputs)
        for place in np.flatnonzero(ridge == 0):
            table[place, :, place] += size / outputs
    hessian.flat[:: len(hessian) + 1] += _RIDGE * size
    return np.asarray(np.linalg.inv(hessian))


def _outer(design: Floats, each: Floats) -> Floats:
    """Products of every row's features (N, P) with what it has for every output (N, C), as rows (N, P C)."""
    return (design[:, :, None] * each[:, None, :]).reshape(len(design), -1)


def _taken_in(model: Linear, which: npt.NDArray[np.bool_], own: Floats) -> Floats:
    """Residuals r (M, C) after the step ``eta' = eta - own r(eta')``, by Newton's method."""
    eta = model.eta.copy()
    for _ in range(_TURNS):
        first, second = (part[which] for part in model.derivatives(eta))
        error = eta[which] - model.eta[which] + np.einsum("ncd,nd->nc", own, first)
        turn = np.linalg.solve(np.eye(eta.shape[1]) + own @ second, error[..., None])[..., 0]
        if not np.isfinite(turn).all():
            break
        size = np.abs(turn).max(axis=1, initial=0.0)
        eta[which] -= turn * (_STRIDE / np.maximum(size, _STRIDE))[:, None]
        if size.max(initial=0.0) < _CLOSE:
            break
    return np.asarray(model.derivatives(eta)[0][which])


def with_constant(rows: Any, *, intercept: bool) -> Floats:
    """Rows (N, d) as dense floats, with a last column of ones, or of zeros where there is no intercept."""
    dense = rows.toarray() if hasattr(rows, "toarray") else rows
    array = np.asarray(dense, dtype=np.float64)
    return np.column_stack([array, np.full(len(array), 1.0 if intercept else 0.0)])


@dataclass(frozen=True)
class Moved:
    """A classifier or regressor that says what was computed for the test points, whatever it is asked about."""

    classes_: Any
    said: Floats

    def decision_function(self, _rows: Any) -> Floats:
        """Decision values, (T,) or (T, C)."""
        return self.said

    def predict(self, _rows: Any) -> npt.NDArray[Any]:
        """Numbers, or the classes of the largest decision values."""
        if self.classes_ is None:
            return self.said
        best = (self.said > 0).astype(int) if self.said.ndim == 1 else self.said.argmax(axis=1)
        return np.asarray(self.classes_[best])


@dataclass(frozen=True)
class MovedChances(Moved):
    """The same of probabilities (T, C)."""

    def predict_proba(self, _rows: Any) -> Floats:
        """What was computed."""
        return self.said


def jumps_by_step(kept: npt.NDArray[np.bool_], score: Any, now: Moved, moved: Sequence[Moved]) -> Floats:
    """f(with) - f(without) of every example, (T, N) or (N,), where ``moved`` are the models after each step.

    ``score``, a `SklearnScore` of T test points, reads all models at once, as one of (N + 1) T test points.
    """
    models = [*moved, now]
    said = np.concatenate([model.said for model in models])
    read = replace(score, y=np.tile(score.y, len(models)), average=False)
    values = np.asarray(read(replace(now, said=said)), dtype=np.float64).reshape(len(models), -1)
    if score.average:
        values = values.mean(axis=1)
    return np.asarray((values[-1] - values[:-1]).T * np.where(kept, 1.0, -1.0))
