"""Training data from a CSV file: numbers and categories, a scikit-learn model, some rows held out as test points."""

from __future__ import annotations

import csv
import os
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._game.game import Game
from interplay._game.layout import Gallery
from interplay.cli.csv_columns import Column, remark, without_counter
from interplay.lenses import groups_of, sklearn_training, training

CLASSIFIERS = ("logistic", "forest", "boosting", "knn", "svm")
REGRESSORS = ("linear", "forest", "boosting", "knn")
_CATEGORIES = 30  # a text column with more different values is a name or free text: it is refused, not encoded
_CLASSES = 20  # a column of at most so many different whole numbers holds classes
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}  # what stands for a missing number, in any case


class NearestClasses(KNeighborsClassifier):  # type: ignore[misc]
    """The three nearest neighbours, or all examples where fewer are left."""

    def fit(self, X: Any, y: Any) -> Any:
        """Remember the examples."""
        self.set_params(n_neighbors=min(3, len(y)))
        return super().fit(X, y)


class NearestNumbers(KNeighborsRegressor):  # type: ignore[misc]
    """The three nearest neighbours, or all examples where fewer are left."""

    def fit(self, X: Any, y: Any) -> Any:
        """Remember the examples."""
        self.set_params(n_neighbors=min(3, len(y)))
        return super().fit(X, y)


def csv_training(
    path: str | os.PathLike[str],
    target: str,
    *,
    model: str | None = None,
    output: str | None = None,
    tests: int = 20,
    examples: int | None = None,
    group: str | None = None,
    ignore: tuple[str, ...] = (),
    keep: float = 0.5,
    seeds: int = 1,
    seed: int = 0,
    zoom: bool = False,
) -> Game:
    """A game whose features are rows of a CSV file with a header, and whose outputs are held-out rows.

    Numbers are used as they are and scaled; missing ones (empty, NA, NaN, null, none or ?) become the median of the
    rows kept. Texts of at most 30 different values become one column per value.

    Parameters
    ----------
    path, target
        The file, and the column to predict: texts, or at most 20 different whole numbers, are classes.
    model
        "logistic" (the default for classes), "linear" (the default for numbers), "forest", "boosting", "knn", "svm".
    output
        As in `sklearn_training`.
    tests
        So many rows, drawn at random, are the test points.
    examples
        At most so many of the other rows are training examples, drawn at random; all when left out.
    group
        A column whose values are the features: all rows that share one are kept or left out together.
    ignore
        Columns to leave out.
    keep, seeds, seed, zoom
        As in `training`.

    Raises
    ------
    InputError
        For a file that cannot be read, columns that are missing or cannot be used, or too few rows.
    """
    if tests < 1:
        raise InputError(f"there must be at least one test point, not {tests}.")
    if examples is not None and examples < 2:
        raise InputError(f"there must be at least 2 training examples, not {examples}.")
    if seed < 0:
        raise InputError(f"seed must be at least 0, not {seed}.")
    columns, lines = _read(path)
    for name in (target, *([group] if group else []), *ignore):
        if name not in columns:
            raise unknown("column", name, columns)
    inputs = [name for name in columns if name not in {target, group, *ignore}]
    inputs, notes = without_counter(inputs, columns)
    if not inputs:
        raise InputError(f"{path} has no column besides {target!r} to predict from.")
    X = np.concatenate([_encode(name, columns[name]) for name in inputs], axis=1)
    notes += [note for name in inputs if (note := remark(name, columns[name], _numbers(columns[name]) is None))]
    y, classes = _targets(target, columns[target])
    rows = np.random.default_rng(seed).permutation(len(y))
    if tests > len(y) - 4:
        raise InputError(
            f"{path} has {len(y)} rows: {tests} test points leave {max(0, len(y) - tests)} to train on, and at least "
            "4 are needed: ask for fewer test points or add rows."
        )
    test, train = np.sort(rows[:tests]), np.sort(rows[tests:][:examples])
    if len(np.unique(y[train])) < 2:
        raise InputError(f"all training examples have {target} {y[train[0]]}: there is nothing to tell apart.")
    estimator = _estimator(model, classes)
    if np.isnan(X).any():
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline

        estimator = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), estimator)
    fit, score = sklearn_training(estimator, X[train], y[train], X[test], y[test], output=output)
    marks = tuple(map(str, y)) if classes else None
    features: Any = len(train)
    if group is not None:
        groups = groups_of(columns[group][row] for row in train)
        features = {f"{group}={value} ({len(members)} rows)": members for value, members in groups.items()}
    if group is None or zoom:
        shown_rows = train if group is None else [train[i] for members in features.values() for i in members]
        names = tuple(_describe(columns, inputs, target, int(row), lines) for row in shown_rows)
        show = Gallery(names, None if marks is None else tuple(marks[row] for row in shown_rows))
    else:
        show = Gallery(tuple(features))
    targets = None
    if score.targets is not None:
        shown = tuple(_describe(columns, inputs, target, int(row), lines) for row in test)
        targets = Gallery(shown, None if marks is None else tuple(marks[row] for row in test))
    game = training(fit, score, features, show=show, targets=targets, keep=keep, seeds=seeds, seed=seed, zoom=zoom)
    return game.noted(*notes)


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Column], list[int]]:
    """The columns by name, and the line of the file at which each row ends."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            numbered = [(reader.line_num, line) for line in reader if line]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}).") from error
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file: {error}.") from error
    if len(numbered) < 2:
        raise InputError(f"{path} has no rows below its header.")
    numbers, lines = [number for number, _ in numbered[1:]], [line for _, line in numbered]
    header = [name.strip() for name in lines[0]]
    for mark in (";", "\t", "|"):
        if len(header) == 1 and mark in header[0]:
            raise InputError(f"{path} separates its columns with {mark!r}: save it with commas.")
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise InputError(f"{path} has two columns called {repeated[0]!r}: rename one.")
    for number, line in numbered[1:]:
        if len(line) != len(header):
            raise InputError(f"{path} has {len(line)} fields in line {number}, but {len(header)} column names.")
    return {name: [line[i].strip() for line in lines[1:]] for i, name in enumerate(header)}, numbers


def _numbers(column: Column) -> npt.NDArray[np.float64] | None:
    """The column as numbers, NaN where one is missing; None where anything else is in it."""
    try:
        return np.array([np.nan if cell.lower() in _MISSING else float(cell) for cell in column])
    except ValueError:
        return None


def _encode(name: str, column: Column) -> npt.NDArray[np.float64]:
    numbers = _numbers(column)
    if numbers is not None:
        if np.isinf(numbers).any():
            raise InputError(f"the column {name!r} holds infinite numbers: correct or ignore it.")
        return numbers[:, None]
    values = sorted(set(column))
    if len(values) > _CATEGORIES:
        raise InputError(
            f"the column {name!r} holds {len(values)} different texts, such as {_odd(column)!r}, too many for "
            f"categories: leave it out with --ignore {name!r}, make it the --group, or write plain numbers."
        )
    return np.array([[cell == value for value in values] for cell in column], dtype=np.float64)


def _odd(column: Column) -> str:
    """The first cell that is no number: in a column of numbers, what is wrong with it."""
    return next(cell for cell in column if _numbers([cell]) is None)


def _targets(name: str, column: Column) -> tuple[npt.NDArray[Any], bool]:
    numbers = _numbers(column)
    gaps = sum(not cell for cell in column) if numbers is None else int((~np.isfinite(numbers)).sum())
    if gaps:
        raise InputError(f"the column {name!r} holds nothing to predict in {gaps} rows: fill or drop them.")
    if numbers is None:
        return np.array(column), True
    whole = bool((numbers == np.round(numbers)).all())
    if whole and len(np.unique(numbers)) <= _CLASSES:
        return numbers.astype(np.int64), True
    return numbers, False


def _estimator(model: str | None, classes: bool) -> Any:
    known = CLASSIFIERS if classes else REGRESSORS
    chosen = model or known[0]
    if chosen not in known:
        raise unknown("model", chosen, known)
    from sklearn import ensemble, linear_model, svm
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if chosen == "forest":
        forest = ensemble.RandomForestClassifier if classes else ensemble.RandomForestRegressor
        return forest(n_estimators=50, n_jobs=1)
    if chosen == "boosting":
        boosting = ensemble.GradientBoostingClassifier if classes else ensemble.GradientBoostingRegressor
        return boosting(n_estimators=50)
    scaled = {
        "logistic": lambda: linear_model.LogisticRegression(max_iter=1000),
        "linear": lambda: linear_model.Ridge(),
        "knn": NearestClasses if classes else NearestNumbers,
        "svm": lambda: svm.SVC(),
    }
    return make_pipeline(StandardScaler(), scaled[chosen]())


def _describe(columns: dict[str, Column], inputs: list[str], target: str, row: int, lines: list[int]) -> str:
    """A row as a reader knows it: its line in the file and the first of its cells."""
    cells = ", ".join(f"{name} {columns[name][row]}" for name in inputs[:4])
    return f"line {lines[row]}: {columns[target][row]} ({cells}{', …' if len(inputs) > 4 else ''})"
