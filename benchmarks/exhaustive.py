"""Small real games whose every mask was run, so that every index is known to the last digit.

All of it comes from wheels: scikit-learn's tables and models, retrainings, MiniLM's texts and heads. A game is cached
as an ``.npz`` with ``values`` (2^n,), row r of which keeps feature i where bit i of r is set. Those named ``hidden_*``
are for judging: no choice was made on them.

    python benchmarks/exhaustive.py --out GAMES
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np

import interplay as ip

Value = Callable[[np.ndarray], np.ndarray]
BATCH = 256


def every_mask(n: int) -> np.ndarray:
    """All 2^n masks, (2^n, n)."""
    return (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(bool)


def rows_of(masks: np.ndarray) -> np.ndarray:
    """Where masks (N, n) stand among all 2^n, (N,)."""
    return masks.astype(np.int64) @ (1 << np.arange(masks.shape[1]))


def columns(predict: Callable[[np.ndarray], np.ndarray], row: np.ndarray, background: np.ndarray) -> tuple[int, Value]:
    """The columns of one row; ablated ones take their values from each background row, predictions averaged."""

    def value(masks: np.ndarray) -> np.ndarray:
        return np.mean([predict(np.where(masks, row, other)) for other in background], axis=0)

    return len(row), value


def cancer_network() -> tuple[int, Value]:
    from sklearn.datasets import load_breast_cancer
    from sklearn.neural_network import MLPClassifier

    X, y = load_breast_cancer(return_X_y=True)
    X = ((X - X.mean(0)) / X.std(0))[:, :14]
    model = MLPClassifier((32,), random_state=0, max_iter=400).fit(X[5:], y[5:])
    return columns(lambda rows: model.predict_proba(rows)[:, 1], X[0], X[5:15])


def friedman_forest() -> tuple[int, Value]:
    from sklearn.datasets import make_friedman1
    from sklearn.ensemble import RandomForestRegressor

    X, y = make_friedman1(600, 10, noise=0.5, random_state=0)
    model = RandomForestRegressor(100, random_state=0).fit(X[5:], y[5:])
    return columns(model.predict, X[1], X[5:15])


def wine_network() -> tuple[int, Value]:
    from sklearn.datasets import load_wine
    from sklearn.neural_network import MLPClassifier

    X, y = load_wine(return_X_y=True)
    X = (X - X.mean(0)) / X.std(0)
    model = MLPClassifier((32,), random_state=0, max_iter=800).fit(X, y)
    return columns(lambda rows: model.predict_proba(rows)[:, y[20]], X[20], X.mean(0)[None])


def diabetes_boosted() -> tuple[int, Value]:
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import GradientBoostingRegressor

    X, y = load_diabetes(return_X_y=True)
    model = GradientBoostingRegressor(random_state=0).fit(X[5:], y[5:])
    return columns(model.predict, X[2], X[5:15])


def cancer_forest() -> tuple[int, Value]:
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    X, y = load_breast_cancer(return_X_y=True)
    X = X[:, 16:]
    model = RandomForestClassifier(60, random_state=1).fit(X[5:], y[5:])
    return columns(lambda rows: model.predict_proba(rows)[:, 1], X[3], X[40:44])


def digits_network() -> tuple[int, Value]:
    """Twelve blocks of a digit, blanked; the log-probability of its class."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    X, y = load_digits(return_X_y=True)
    X = X / 16
    model = MLPClassifier((48,), random_state=0, max_iter=150).fit(X[100:], y[100:])
    grid = np.arange(64).reshape(8, 8)
    block = (grid // 8 // 2 * 3 + np.minimum(grid % 8 // 3, 2)).ravel()
    return 12, lambda masks: np.log(model.predict_proba(np.where(masks[:, block], X[17], 0.0))[:, y[17]] + 1e-4)


def words(text: str, reference: str, unit: str, ablate: str) -> tuple[int, Value]:
    encoder = ip.models.Encoder.load(ip.demo_model())
    game = ip.lenses.text(encoder.similarity(reference), text, unit=unit, ablate=ablate)
    return game.n, game


def layer_heads(layers: list[int], first: str, second: str) -> tuple[int, Value]:
    """The heads of some layers of MiniLM, six a layer; the cosine of two sentences."""
    from games import heads

    whole = heads(first, second)
    chosen = [12 * layer + head for layer in layers for head in range(0, 12, 2)]

    def value(masks: np.ndarray) -> np.ndarray:
        every = np.ones((len(masks), whole.n), dtype=bool)
        every[:, chosen] = masks
        return np.asarray(whole(every))

    return len(chosen), value


def retrained_logistic() -> tuple[int, Value]:
    """Twelve groups of five training tumours; the log-odds of one test tumour after retraining."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression

    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(0)) / X.std(0)
    groups = np.random.default_rng(0).permutation(60) % 12

    def odds(mask: np.ndarray) -> float:
        kept = mask[groups]
        if len(set(y[:60][kept])) < 2:
            return 0.0
        model = LogisticRegression(C=0.3, tol=1e-6).fit(X[:60][kept], y[:60][kept])
        return float(model.decision_function(X[101:102])[0])

    return 12, lambda masks: np.array([odds(mask) for mask in masks])


def retrained_bayes() -> tuple[int, Value]:
    """Thirteen training wines one by one; the probability of one test wine's class after retraining naive Bayes."""
    from sklearn.datasets import load_wine
    from sklearn.naive_bayes import GaussianNB

    X, y = load_wine(return_X_y=True)
    mixed = np.random.default_rng(5).permutation(len(y))
    X, y = (X[mixed] - X.mean(0)) / X.std(0), y[mixed]

    def chance(mask: np.ndarray) -> float:
        kept, test = np.flatnonzero(mask), 40
        if len(set(y[kept])) < 2:  # no model: the one class there is, or no idea
            return float(y[kept[0]] == y[test]) if len(kept) else 1 / 3
        model = GaussianNB(var_smoothing=1.0).fit(X[kept], y[kept])
        found = np.flatnonzero(model.classes_ == y[test])
        return float(model.predict_proba(X[test : test + 1])[0, found[0]]) if len(found) else 0.0

    return 13, lambda masks: np.array([chance(mask) for mask in masks])


def retrained_neighbours() -> tuple[int, Value]:
    """Fourteen training flowers one by one; the share of the three nearest of a test flower's class."""
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True)
    mixed = np.random.default_rng(2).permutation(len(y))
    X, y = X[mixed], y[mixed]
    test = next(row for row in range(20, 60) if y[row] == 1)
    order = np.argsort(np.linalg.norm(X[:14] - X[test], axis=1))
    same = (y[:14] == y[test])[order]

    def share(mask: np.ndarray) -> float:
        return float(same[np.flatnonzero(mask[order])[:3]].sum() / 3)

    return 14, lambda masks: np.array([share(mask) for mask in masks])


GAMES: dict[str, Callable[[], tuple[int, Value]]] = {
    "cancer_network": cancer_network,
    "friedman_forest": friedman_forest,
    "wine_network": wine_network,
    "words_review": lambda: words(
        "The plot is thin, the jokes never land, but I loved every minute.", "a great film", "word", "[UNK]"
    ),
    "heads_late": lambda: layer_heads([4, 5], "The bank raised its rates.", "Borrowing became more expensive."),
    "retrained_logistic": retrained_logistic,
    "diabetes_boosted": diabetes_boosted,
    "hidden_cancer_forest": cancer_forest,
    "hidden_digits_network": digits_network,
    "hidden_words_letter": lambda: words(
        "The lamp is fine but it does not work so I returned it.", "a complaint about a product", "word", "delete"
    ),
    "hidden_heads_early": lambda: layer_heads([0, 2], "The trial was postponed.", "Judges moved the hearing."),
    "hidden_retrained_bayes": retrained_bayes,
    "hidden_retrained_neighbours": retrained_neighbours,
}


def load(name: str, folder: Path) -> np.ndarray:
    """The values (2^n,) of a game at every mask; run once and kept in ``folder``."""
    path = folder / f"{name}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        n, value = GAMES[name]()
        masks = every_mask(n)
        values = np.concatenate([np.asarray(value(masks[i : i + BATCH]), float) for i in range(0, len(masks), BATCH)])
        np.savez_compressed(path, values=values)
        print(f"{name}: {n} features, {len(masks)} masks, {time.perf_counter() - began:.0f} s", flush=True)
    return np.asarray(np.load(path)["values"])


def shapley_interactions(values: np.ndarray, size: int) -> dict[tuple[int, ...], float]:
    """SII of every set of ``size`` features by its definition, Shapley values for size 1: a mean of joint effects.

    The mean over sizes t of the other features, and over their subsets of that size, of the set's joint effect.
    """
    n = int(np.log2(len(values)))
    everything = np.arange(len(values))
    sizes = np.bitwise_count(everything) if hasattr(np, "bitwise_count") else every_mask(n).sum(axis=1)
    weights = np.array([1.0 / ((n - size + 1) * comb(n - size, t)) for t in range(n - size + 1)])
    found = {}
    for features in combinations(range(n), size):
        bits = [1 << i for i in features]
        outside = everything[(everything & sum(bits)) == 0]
        joint = np.zeros(len(outside))
        for kept in range(1 << size):
            chosen = [bits[i] for i in range(size) if kept >> i & 1]
            joint += (-1) ** (size - len(chosen)) * values[outside + sum(chosen)]
        found[features] = float(weights[sizes[outside]] @ joint)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the games")
    folder = parser.parse_args().out
    for each in GAMES:
        load(each, folder)
