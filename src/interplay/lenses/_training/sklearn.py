"""Training data of scikit-learn estimators: any estimator and a metric make a fit and a score."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._checks import array_of, unknown
from interplay._errors import InputError
from interplay._game.identity import libraries_of
from interplay._game.layout import Gallery
from interplay.lenses._training.doors import Evaluator, Trainer
from interplay.lenses._training.examples import Indices
from interplay.lenses._training.quiet import quiet, unconverged
from interplay.lenses._training.sklearn_slopes import SklearnJumps, sklearn_jumps

Floats: TypeAlias = npt.NDArray[np.float64]
OUTPUTS = ("margin", "probability", "loss", "accuracy", "prediction")


def sklearn_training(
    estimator: Any,
    X: Any,
    y: Any,
    X_test: Any,
    y_test: Any,
    *,
    output: str | None = None,
    average: bool = False,
    clip: float = 1e-4,
) -> tuple[Trainer, Evaluator]:
    """The ``fit`` and ``score`` of `training` for a scikit-learn estimator; both can be sent to other processes.

    >>> import numpy as np, interplay as ip
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    >>> fit, score = sklearn_training(LogisticRegression(), X, y, [[1.4], [1.6]], [0, 1], output="probability")
    >>> ip.lenses.training(fit, score, examples=4)(np.ones((1, 4), dtype=bool)).round(2)
    array([[0.52, 0.52]])

    A classifier that is left with a single class predicts it with probability ``(k + 1) / (k + C)`` from its k
    examples, Laplace's rule, and 1 / C for each of C classes from none: finite, and no retraining is lost for it.
    A regressor left with nothing predicts the mean of ``y``.

    Parameters
    ----------
    estimator
        Any classifier or regressor, pipelines included; it is cloned, and every ``random_state`` in it is set to
        the retraining's seed.
    X, y
        The training examples: anything that can be indexed by rows (arrays, sparse matrices, data frames).
    X_test, y_test
        T test points.
    output
        For a classifier, per test point: "margin", log-odds of the true class, or where an estimator gives no
        probabilities its decision value less the largest other (the default); "probability" of the true class;
        "loss", minus its logarithm. "accuracy": one number for all points. For a regressor: "prediction" (the
        default) or "loss", the squared error.
    average
        One number, the mean over the test points, instead of T.
    clip
        Probabilities are kept this far from 0 and 1 before a logarithm is taken.

    Raises
    ------
    InputError
        For an output that the estimator cannot give, data of unequal lengths, several targets at once, or a ``y``
        with gaps.
    """
    from sklearn.base import is_classifier

    if isinstance(estimator, type) or not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise InputError(f"estimator must be one of scikit-learn, such as LogisticRegression(), not {estimator!r}.")
    classifier = is_classifier(estimator)
    chosen = output or ("margin" if classifier else "prediction")
    if chosen not in OUTPUTS:
        raise unknown("output", chosen, OUTPUTS)
    if classifier and chosen == "prediction":
        raise InputError("output='prediction' is for regressors: choose margin, probability, loss or accuracy.")
    if not classifier and chosen not in ("prediction", "loss"):
        raise InputError(f"output={chosen!r} needs a classifier: choose prediction or loss for a regressor.")
    if chosen in ("probability", "loss") and classifier and not hasattr(estimator, "predict_proba"):
        raise InputError(
            f"output={chosen!r} needs predict_proba, which {type(estimator).__name__} lacks: choose margin or accuracy."
        )
    if not 0 < clip < 0.5:
        raise InputError(f"clip must lie between 0 and 0.5, not {clip}.")
    labels, truth = _marks(y, "y"), _marks(y_test, "y_test")
    X, X_test = (rows.tocsr() if hasattr(rows, "tocsr") else rows for rows in (X, X_test))
    for what, rows, marks in (("X and y", X, labels), ("X_test and y_test", X_test, truth)):
        if _rows(rows) != len(marks):
            raise InputError(f"{what} differ in length: {_rows(rows)} and {len(marks)}.")
    if not len(labels) or not len(truth):
        raise InputError("there must be at least one training example and one test point.")
    if not hasattr(X_test, "shape"):
        X_test = np.asarray(X_test)
    classes = np.unique(np.concatenate([labels, truth])) if classifier else None
    parts = [name for name in estimator.get_params() if name == "random_state" or name.endswith("__random_state")]
    fit = SklearnFit(estimator, X if hasattr(X, "shape") else np.asarray(X), labels, classes, tuple(parts))
    score = SklearnScore(X_test, truth, classes, chosen, average or chosen == "accuracy", clip)
    return Trainer.of(fit), Evaluator.of(score)


@dataclass(frozen=True, eq=False)
class SklearnFit:
    """``fit(indices, seed)``: a clone of the estimator, trained on some of the examples."""

    estimator: Any
    X: Any = field(repr=False)
    y: npt.NDArray[Any] = field(repr=False)
    classes: npt.NDArray[Any] | None
    random_states: tuple[str, ...]

    def __call__(self, indices: Indices, seed: int) -> Any:
        """A fitted estimator, or a `Constant` where there is nothing to tell apart."""
        y = self.y[indices]
        if self.classes is None:
            if not len(y):
                return Constant(np.array([float(self.y.mean())]))
        elif len(present := np.unique(y)) < 2:
            counts = (self.classes == present[0]) * len(y) if len(present) else np.zeros(len(self.classes))
            return Constant((counts + 1.0) / (len(y) + len(self.classes)))
        from sklearn.base import clone

        model = clone(self.estimator)
        if self.random_states:
            model.set_params(**dict.fromkeys(self.random_states, seed))
        with quiet():
            return model.fit(_take(self.X, indices), y)

    def jumps(self, measure: Any) -> SklearnJumps | None:
        """What each example does to what `SklearnScore` measures, where the estimator's last step has that."""
        if not isinstance(measure, SklearnScore):
            return None
        return sklearn_jumps(self.estimator, self.X, self.y, measure.X, measure)

    def remark(self, model: Any) -> str | None:
        """What a reader should know of a trained model."""
        name = unconverged(model)
        if name is None:
            return None
        return (
            f"{name} stopped before it converged, in one retraining or more: a higher max_iter, or scaled inputs, help"
        )

    def identity(self) -> dict[str, Any] | None:
        """What identifies it in a store: the estimator with its parameters, its libraries, and a digest of the data.

        None for classes of the user's own, which may be edited, and for parameters that only show where they are in
        memory, such as functions: another one may come to lie there.
        """
        told, libraries = _describe(self.estimator), libraries_of(self.estimator)
        if libraries is None or " at 0x" in told:
            return None
        data = {"X": _digest(self.X), "y": _digest(self.y)}
        return data | {"estimator": told, "libraries": sorted(libraries)}


@dataclass(frozen=True, eq=False)
class Constant:
    """A model that learned nothing but shares: the probability of each class (C,), or one mean."""

    shares: Floats


@dataclass(frozen=True, eq=False)
class SklearnScore:
    """``score(model)``: T floats, one per test point, or one for all."""

    X: Any = field(repr=False)
    y: npt.NDArray[Any] = field(repr=False)
    classes: npt.NDArray[Any] | None
    output: str
    average: bool
    clip: float

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
        if self.average:
            return None
        if self.classes is None:
            return Gallery(tuple(f"test {i}" for i in range(len(self.y))))
        return Gallery(tuple(f"test {i} ({c})" for i, c in enumerate(self.y)), tuple(map(str, self.y)))

    def __call__(self, model: Any) -> Any:
        values = self._values(model)
        return values.mean() if self.average else values

    def _values(self, model: Any) -> Floats:
        if self.classes is None:
            constant = isinstance(model, Constant)
            predicted = np.full(len(self.y), model.shares[0]) if constant else np.asarray(model.predict(self.X), float)
            return predicted if self.output == "prediction" else (self.y - predicted) ** 2
        true = np.searchsorted(self.classes, self.y)
        if self.output == "accuracy":
            guess = self.classes[np.argmax(model.shares)] if isinstance(model, Constant) else model.predict(self.X)
            return np.asarray(guess == self.y, dtype=np.float64)
        if not isinstance(model, Constant) and not hasattr(model, "predict_proba"):
            return self._decision_margin(model, true)
        if isinstance(model, Constant):
            p = model.shares[true]
        else:
            shares = np.zeros((len(self.y), len(self.classes)))
            shares[:, np.searchsorted(self.classes, model.classes_)] = model.predict_proba(self.X)
            p = shares[np.arange(len(true)), true]
        if self.output == "probability":
            return p
        p = np.clip(p, self.clip, 1 - self.clip)
        return -np.log(p) if self.output == "loss" else np.log(p) - np.log1p(-p)

    def _decision_margin(self, model: Any, true: Indices) -> Floats:
        """The decision value of the true class less the largest other; a class never seen stands below all others."""
        assert self.classes is not None
        decision = np.asarray(model.decision_function(self.X), dtype=np.float64)
        if decision.ndim == 1:
            decision = np.stack([-decision, decision], axis=1) / 2
        lowest = decision.min(axis=1, keepdims=True) - 1.0
        values = np.repeat(lowest, len(self.classes), axis=1)
        values[:, np.searchsorted(self.classes, model.classes_)] = decision
        own = values[np.arange(len(true)), true]
        values[np.arange(len(true)), true] = -np.inf
        return np.asarray(own - values.max(axis=1), dtype=np.float64)

    def identity(self) -> dict[str, Any]:
        """What identifies it in a store."""
        data = {"X": _digest(self.X), "y": _digest(self.y)}
        return data | {"output": self.output, "average": self.average, "clip": self.clip}


def _rows(data: Any) -> int:
    return int(data.shape[0]) if hasattr(data, "shape") else len(data)


def _take(data: Any, indices: Indices) -> Any:
    return data.iloc[indices] if hasattr(data, "iloc") else data[indices]


def _describe(estimator: Any) -> str:
    kind = type(estimator)
    params = {name: _told(value) for name, value in sorted(estimator.get_params(deep=True).items())}
    return f"{kind.__module__}.{kind.__qualname__}({params})"


def _told(value: Any) -> str:
    """A parameter in words, arrays by their content: printed, they are shortened and rounded."""
    return f"array {_digest(value)}" if isinstance(value, np.ndarray) else repr(value)


def _marks(given: Any, what: str) -> npt.NDArray[Any]:
    """One class or number per row, (N,)."""
    marks = array_of(given, what)
    if marks.ndim == 2 and marks.shape[1] == 1:
        marks = marks[:, 0]
    if marks.ndim != 1:
        raise InputError(f"{what} must hold one class or number per row, not an array of shape {marks.shape}.")
    if marks.dtype.kind == "f" and not np.isfinite(marks).all():
        raise InputError(f"{what} has {int((~np.isfinite(marks)).sum())} gaps (NaN or infinite): drop those rows.")
    if marks.dtype.kind == "O":
        _check_objects(marks, what)
    return marks


def _check_objects(marks: npt.NDArray[Any], what: str) -> None:
    """An `InputError` for gaps among classes, and for classes of several types, which have no order."""
    gaps = sum(mark is None or type(mark).__name__ in ("NAType", "NaTType") or mark != mark for mark in marks)
    if gaps:
        raise InputError(f"{what} has {gaps} gaps (None or NaN): drop those rows.")
    kinds = sorted({type(mark).__name__ for mark in marks})
    if len(kinds) > 1:
        raise InputError(f"{what} holds classes of several types, {' and '.join(kinds)}: make them all texts.")


def _digest(data: Any) -> str:
    """SHA-256 of the content of an array, a data frame or a sparse matrix."""
    if hasattr(data, "iloc"):
        data = data.to_numpy()
    if hasattr(data, "tocsr"):
        rows = data.tocsr()
        parts = [np.asarray(part) for part in (rows.data, rows.indices, rows.indptr)]
    else:
        parts = [np.asarray(data)]
    total = hashlib.sha256()
    for part in parts:
        total.update(f"{part.dtype.str} {part.shape} ".encode())
        total.update(repr(part.tolist()).encode() if part.dtype.hasobject else np.ascontiguousarray(part).tobytes())
    return total.hexdigest()
