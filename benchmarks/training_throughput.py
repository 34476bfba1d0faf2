"""How busy the parallel runner keeps the cores on short retrainings, and what it adds to a bare loop on one core.

Usage: python benchmarks/training_throughput.py [--milliseconds 10] [--budget 400]

Retrainings are real (ridge regressions repeated until the asked processor time is spent), so that what is measured
is work and not sleep. Utilisation is the processor time of the workers' retrainings over the wall-clock time of all
workers, start-up of the processes excluded (a first, small run warms them up). On a machine shared with others the
wall clock counts their work, too: the ratio to the machine's own limit (two bare processes side by side) is shown
beside it.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

import interplay as ip
from interplay.ablate import measure
from interplay.executors import processes
from interplay.lenses._training.training import training


class Spend:
    """A fit that solves ridge regressions for a while, on data that has to travel."""

    def __init__(self, seconds: float) -> None:
        rng = np.random.default_rng(0)
        self.X, self.seconds = rng.normal(size=(1797, 64)), seconds
        self.y = self.X[:, 0] + rng.normal(size=1797)

    def __call__(self, indices: np.ndarray) -> float:
        """Processor seconds spent."""
        began = time.thread_time()
        while time.thread_time() - began < self.seconds:
            X = self.X[indices % 1797]
            weights = np.linalg.solve(X.T @ X + np.eye(64), X.T @ self.y[indices % 1797])
        return float(time.thread_time() - began) + 0.0 * float(weights[0])


def same(model: float) -> float:
    return model


def bare(fit: Spend, masks: np.ndarray) -> float:
    began = time.perf_counter()
    for mask in masks:
        fit(np.flatnonzero(mask))
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--milliseconds", type=float, default=10.0)
    parser.add_argument("--budget", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    fit = Spend(options.milliseconds / 1000)
    game = training(fit, same, 100)
    masks = ip.design(100, options.budget, method="lasso")

    overheads = []
    for _ in range(options.rounds):  # side by side, in turn, so that a loaded machine slows both
        spent = time.process_time()
        seconds_bare = bare(fit, masks[: options.budget // 2])
        spent_bare = time.process_time() - spent
        spent = time.process_time()
        began = time.perf_counter()
        measure(game, masks[: options.budget // 2])
        overheads.append(
            ((time.process_time() - spent) / spent_bare - 1, (time.perf_counter() - began) / seconds_bare - 1)
        )
    processor, wall = (statistics.median(column) for column in zip(*overheads, strict=True))
    print(f"one core: the runner adds {processor:+.1%} processor time, {wall:+.1%} wall time over a bare loop")

    with processes(options.workers) as executor:
        measure(game, masks[:: max(1, options.budget // 32)], executor=executor)  # start-up and first imports
        for _ in range(options.rounds):
            began = time.perf_counter()
            result = measure(game, masks, executor=executor)
            wall = time.perf_counter() - began
            halves = np.array_split(masks, options.workers)
            began = time.perf_counter()
            list(executor.map(bare, [fit] * options.workers, halves))
            limit = time.perf_counter() - began
            busy = result.values.sum() / (wall * options.workers)
            print(
                f"{options.workers} workers: busy {busy:.1%}; bare processes {limit:.2f} s, runner {wall:.2f} s"
                f" ({limit / wall:.1%} of the machine's limit)"
            )


if __name__ == "__main__":
    main()
