"""Which background for tables: how near each comes to the exact interventional values for the same predictions.

    python benchmarks/tables.py

Truth: all 2^n ablations, each averaged over every background row, so exact Shapley values and Banzhaf interactions of
pairs of the interventional game. Every way then gets the same number of predictions. Errors are relative: the L2 norm
of the difference over that of the truth, median over explained rows that the model was not trained on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

import interplay as ip

WAYS = [{"ablate": "rows", "rows": rows} for rows in (100, 25, 10)] + [{"ablate": "sample"}, {"ablate": "mean"}]


def tasks() -> Iterator[tuple[str, Any, np.ndarray, np.ndarray]]:
    """``(name, function, background, rows to explain)``; log-odds of boosted trees, or of a network's first class."""
    from lightgbm import LGBMClassifier
    from sklearn.datasets import load_breast_cancer, load_wine
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for name, load, columns in (
        ("breast cancer", load_breast_cancer, slice(20, 32)),
        ("wine", load_wine, slice(0, 12)),
    ):
        X, y = load(return_X_y=True)
        X, y = X[:, columns], (y == 0).astype(int)
        order = np.random.default_rng(0).permutation(len(X))
        X, y = X[order], y[order]
        trees = LGBMClassifier(n_estimators=60, num_leaves=8, n_jobs=1, verbose=-1, random_state=0)
        trees.fit(X[:120], y[:120])
        yield f"{name}, boosted trees", lambda rows, m=trees: m.predict(rows, raw_score=True), X[:100], X[120:]
        network = make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=400, random_state=0))
        network.fit(X[:120], y[:120])
        yield f"{name}, network", lambda rows, m=network: m.predict_proba(rows)[:, 1], X[:100], X[120:]


def indices(explanation: ip.Explanation) -> tuple[np.ndarray, np.ndarray]:
    n = explanation.n
    shapley, pairs = explanation.interactions("sv"), explanation.interactions("bii", order=2)
    both = [(i, j) for i in range(n) for j in range(i + 1, n)]
    return np.array([shapley.get((i,), 0.0) for i in range(n)]), np.array([pairs.get(key, 0.0) for key in both])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=int, default=10_000)
    parser.add_argument("--explained", type=int, default=5)
    parser.add_argument("--method", default="auto")
    options = parser.parse_args()
    print(f"{options.predictions} predictions each; relative errors of Shapley values, of pairs")
    for name, predict, background, rows in tasks():
        errors: dict[str, list[tuple[float, ...]]] = {}
        for x in rows[: options.explained]:
            game = ip.lenses.tabular(predict, x, background)
            truth = indices(ip.explain(game, budget=1 << game.n, method="exact", progress=False))
            for way in WAYS:
                each = way.get("rows", 1)
                budget = min(options.predictions // int(each), 1 << game.n)
                found = ip.explain(
                    ip.lenses.tabular(predict, x, background, **way),
                    budget=budget,
                    method=options.method,
                    progress=False,
                )
                pairs = zip(indices(found), truth, strict=True)
                errors.setdefault(f"{way['ablate']} {each} x {budget} ablations", []).append(
                    tuple(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)
                )
        print(name)
        for words, seen in errors.items():
            shapley, both = np.median(seen, axis=0)
            print(f"  {words:32s} {shapley:.3f}  {both:.3f}")


if __name__ == "__main__":
    main()
