"""Boosted trees whose every index is known exactly, however many features there are: up to a hundred here.

A game keeps the features of one row and takes the others from another row. A node's test comes out one way for both
rows, or hangs on whether its feature is kept; so a tree of the features is one of the mask, and each leaf has a
spectrum in closed form.

    python benchmarks/trees.py --out GAMES
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

import interplay as ip


def spectrum_of(trees: list[Any], rate: float, row: np.ndarray, other: np.ndarray, constant: float) -> ip.Spectrum:
    """``constant`` plus ``rate`` times the sum of scikit-learn's ``trees``, by what of ``row`` is kept."""
    found: dict[tuple[int, ...], float] = defaultdict(float, {(): constant})

    def descend(tree: Any, node: int, path: dict[int, float]) -> None:
        """``path`` has +1 for each feature that is ablated on the way to the node, -1 for each that is kept."""
        left, right, feature = tree.children_left[node], tree.children_right[node], int(tree.feature[node])
        if left < 0:
            leaf = rate * float(tree.value[node].ravel()[0]) / 2 ** len(path)
            for size in range(len(path) + 1):
                for key in combinations(sorted(path), size):
                    found[key] += leaf * float(np.prod([path[i] for i in key]))
            return
        threshold = tree.threshold[node]
        sides = {-1.0: np.float32(row[feature]) <= threshold, 1.0: np.float32(other[feature]) <= threshold}
        if feature in path:
            descend(tree, left if sides[path[feature]] else right, path)
        elif sides[-1.0] == sides[1.0]:
            descend(tree, left if sides[1.0] else right, path)
        else:
            for side, is_left in sides.items():
                descend(tree, left if is_left else right, path | {feature: side})

    for tree in trees:
        descend(tree.tree_, 0, {})
    return ip.Spectrum(len(row), {key: value for key, value in found.items() if value})


def boosted(X: np.ndarray, y: np.ndarray, depth: int, rows: tuple[int, int]) -> tuple[ip.Spectrum, Any]:
    """The game of two rows that boosted trees did not see, and the model with both rows."""
    from sklearn.ensemble import GradientBoostingRegressor

    unseen = np.isin(np.arange(len(y)), rows)
    model = GradientBoostingRegressor(n_estimators=80, max_depth=depth, random_state=0).fit(X[~unseen], y[~unseen])
    row, other = X[rows[0]], X[rows[1]]
    start = float(model.init_.predict(row[None])[0])
    trees = [tree for step in model.estimators_ for tree in step]
    return spectrum_of(trees, model.learning_rate, row, other, start), (model, row, other)


def cancer() -> tuple[ip.Spectrum, Any]:
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    return boosted(X, y.astype(float), 4, (0, 40))


def digit() -> tuple[ip.Spectrum, Any]:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return boosted(X, (y == y[3]).astype(float), 4, (3, 20))


def products() -> tuple[ip.Spectrum, Any]:
    """A hundred columns; the target sums up products of neighbouring ones."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 100))
    y = (X[:, 0:60:2] * X[:, 1:60:2]).sum(axis=1) + X[:, 40:80].sum(axis=1)
    return boosted(X, y, 5, (0, 1))


GAMES: dict[str, Callable[[], tuple[ip.Spectrum, Any]]] = {
    "trees_cancer_30": cancer,
    "trees_digit_64": digit,
    "trees_products_100": products,
}


def save(name: str, folder: Path) -> None:
    """Write a game to ``folder``, unless it is there: its number of features, supports and coefficients."""
    path = folder / f"{name}.npz"
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    spectrum, (model, row, other) = GAMES[name]()
    masks = np.random.default_rng(1).random((500, spectrum.n)) < 0.5
    off = np.abs(spectrum.predict(masks) - model.predict(np.where(masks, row, other))).max()
    assert off < 1e-6, f"the spectrum of {name} is off by {off}"
    supports = np.zeros((len(spectrum), spectrum.n), dtype=bool)
    for place, key in enumerate(spectrum.coefficients):
        supports[place, list(key)] = True
    coefficients = np.array(list(spectrum.coefficients.values()))
    np.savez_compressed(path, n=spectrum.n, supports=np.packbits(supports, axis=1), coefficients=coefficients)
    print(f"{name}: {len(spectrum)} coefficients, sets of up to {spectrum.order} features", flush=True)


def read(path: Path) -> ip.Spectrum:
    """The spectrum of a saved game."""
    data = np.load(path)
    supports = np.unpackbits(data["supports"], axis=1)[:, : int(data["n"])]
    keys = (tuple(np.flatnonzero(support).tolist()) for support in supports)
    return ip.Spectrum(int(data["n"]), dict(zip(keys, data["coefficients"].tolist(), strict=True)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the games")
    target = parser.parse_args().out
    for each in GAMES:
        save(each, target)
