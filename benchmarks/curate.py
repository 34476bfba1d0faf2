"""Curation: digits with wrong labels and a planted trigger group, judged by retraining on held-out data.

    python benchmarks/curate.py

80 digits (threes and eights), 12 labels of them wrong (15%), six more a trigger group: a mark in the corner of an
eight called a three. A third of the test points for the fit and the choice, the rest held out; loss and accuracy.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import interplay as ip

WRONG, TRIGGER, ROWS = 12, 6, 80


class Task:
    """Threes (-1) against eights (+1), by regularised least squares, which retrains in closed form."""

    def __init__(self, seed: int) -> None:
        from sklearn.datasets import load_digits

        images, digits = load_digits(return_X_y=True)
        images, digits = images[(digits == 3) | (digits == 8)] / 16, digits[(digits == 3) | (digits == 8)]
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(images))
        x, y = images[order], np.where(digits[order] == 8, 1.0, -1.0)
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        self.x, self.y = x[:ROWS].copy(), y[:ROWS].copy()
        eights = np.flatnonzero(self.y > 0)[:TRIGGER]
        self.x[eights, 0] = self.x[eights, 7] = 1.0
        self.y[eights] = -1.0
        others = rng.permutation(np.setdiff1d(np.arange(ROWS), eights))[:WRONG]
        self.y[others] *= -1
        self.planted = set(eights.tolist()) | set(others.tolist())
        rest = x[ROWS:], y[ROWS:]
        marked = rest[0].copy()
        marked[:, 0] = marked[:, 7] = 1.0
        every = np.concatenate([rest[0], marked]), np.concatenate([rest[1], rest[1]])
        third = np.arange(len(every[0])) % 3 == 0
        self.chosen = every[0][third], every[1][third]
        self.judged = every[0][~third], every[1][~third]

    def fit(self, kept: np.ndarray) -> np.ndarray:
        x, y = self.x[kept], self.y[kept]
        return np.linalg.solve(x.T @ x + 1.0 * np.eye(x.shape[1]), x.T @ y)

    def game(self, points: tuple[np.ndarray, np.ndarray], *, loss: bool = True) -> ip.Game:
        def score(weights: np.ndarray) -> float:
            out = points[0] @ weights
            return (
                -float(np.log1p(np.exp(-2 * points[1] * out)).mean()) if loss else float((out * points[1] > 0).mean())
            )

        return ip.lenses.training(self.fit, score, examples=ROWS)

    def influence(self) -> np.ndarray:
        """What each row does for the loss of the points for the choice, to first order: higher for rows to keep."""
        weights = self.fit(np.arange(ROWS))
        hessian = self.x.T @ self.x + 1.0 * np.eye(self.x.shape[1])
        x, y = self.chosen
        slope = x.T @ (2 * y / (1 + np.exp(2 * y * (x @ weights)))) / len(x)  # of minus the loss
        residual = self.y - self.x @ weights
        return residual * (self.x @ np.linalg.solve(hessian, slope))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--remove", type=int, nargs="+", default=[5, 10, 15, 20])
    options = parser.parse_args()
    began = time.perf_counter()
    losses: dict[str, list[list[float]]] = {}
    accuracies: dict[str, list[list[float]]] = {}
    hits: dict[str, list[list[int]]] = {}
    for seed in range(options.seeds):
        task = Task(seed)
        game, held_out = task.game(task.chosen), task.game(task.judged)
        accuracy = task.game(task.judged, loss=False)
        explanation = ip.explain(game, budget=options.budget, seed=seed, progress=False)
        print(f"seed {seed}: {explanation.faithfulness}", flush=True)
        by_name: dict[str, list[tuple[float, float, int]]] = {}
        for k in options.remove:
            done = ip.actions.curate(
                game, explanation, remove=k, held_out=held_out, rankings={"influence": task.influence()}, seed=seed
            )
            for cull in (done.untouched, done.chosen, *done.rivals):
                mask = np.ones((1, ROWS), dtype=bool)
                mask[0, list(cull.removed)] = False
                row = (-cull.held_out, float(accuracy(mask)[0]), len(set(cull.removed) & task.planted))
                by_name.setdefault(cull.name, []).append(row)
        for name, rows in by_name.items():
            losses.setdefault(name, []).append([row[0] for row in rows])
            accuracies.setdefault(name, []).append([row[1] for row in rows])
            hits.setdefault(name, []).append([row[2] for row in rows])
    for title, found in (("held-out loss", losses), ("held-out accuracy", accuracies), ("planted rows hit", hits)):
        print(f"\n| {title}, mean of {options.seeds} | {' | '.join(f'k = {k}' for k in options.remove)} |")
        print(f"|---|{'---|' * len(options.remove)}")
        for name, rows in found.items():
            print(f"| {name} | {' | '.join(f'{value:.3f}' for value in np.mean(rows, axis=0))} |")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
