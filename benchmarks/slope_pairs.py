"""Whose pairs of heads are real: the strongest pairs that each method names, measured.

    python benchmarks/slope_pairs.py --recorded DIR --pair 1          # a recording of slope_games.py, MiniLM at hand

Nobody can measure all 2,556 pairs of 72 heads. So each method names its ten strongest, all that were named are measured
(the mean of f(both) - f(one) - f(other) + f(none) over random masks, the Banzhaf interaction), and the ten largest of
these count as true. Methods: `auto` at a cost of 276 with and without slopes; one gradient (attribution patching) and
mean slopes, whose pairs are ranked by the weaker of their two effects; second order (how a slope changes when the
other head alone is ablated, 73 ablations with slopes).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import interplay as ip
from interplay.ablate import measure_slopes
from slope_games import Pair, Recorded, minilm

TOP = 10


def strongest(table: np.ndarray) -> list[tuple[int, int]]:
    """The pairs of the largest absolute entries above the diagonal of (n, n)."""
    upper = np.triu(np.abs(table), 1)
    order = np.argsort(-upper, axis=None)[:TOP]
    return [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, upper.shape), strict=True)]


def weaker(effects: np.ndarray) -> np.ndarray:
    """Pairs by the weaker of their single effects, (n, n)."""
    return np.minimum.outer(np.abs(effects), np.abs(effects))


def named(game: ip.Game, cost: int) -> dict[str, list[tuple[int, int]]]:
    """Every method's strongest pairs."""
    found = {}
    for name, slopes in (("auto", "auto"), ("auto, no slopes", False)):
        result = ip.explain(game, budget=cost, slopes=slopes, progress=False)
        table = np.zeros((game.n, game.n))
        for key, value in result.interactions("bii", order=2).items():
            if len(key) == 2:
                table[key] = value
        found[name] = strongest(table)
    with ip.Store(":memory:") as store:
        full = np.ones((1, game.n), dtype=bool)
        masks = np.concatenate([full, ~np.eye(game.n, dtype=bool), ip.design(game.n, cost // 2)])
        slopes = measure_slopes(game.named("pairs"), masks, store=store, progress=None).slopes[:, 0]
    change = slopes[0] - slopes[1 : game.n + 1]
    found["one gradient"] = strongest(weaker(slopes[0]))
    found["mean slope"] = strongest(weaker(slopes[game.n + 1 :].mean(axis=0)))
    found["second order"] = strongest(change + change.T)
    return found


def measured(game: ip.Game, pairs: list[tuple[int, int]], count: int) -> tuple[np.ndarray, np.ndarray]:
    """The interaction of each pair over ``count`` random masks, and its standard error."""
    masks = np.random.default_rng(7).random((count, game.n)) < 0.5
    means, errors = [], []
    for pair in pairs:
        total = np.zeros(count)
        for sign, states in ((1, (1, 1)), (-1, (1, 0)), (-1, (0, 1)), (1, (0, 0))):
            asked = masks.copy()
            asked[:, pair] = np.array(states, dtype=bool)
            total += sign * game(asked)
        means.append(total.mean())
        errors.append(total.std(ddof=1) / np.sqrt(count))
    return np.array(means), np.array(errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recorded", type=Path, required=True)
    parser.add_argument("--pair", type=int, default=0)
    parser.add_argument("--cost", type=int, default=276)
    parser.add_argument("--masks", type=int, default=60, help="for each pair that was named")
    options = parser.parse_args()
    played = Pair(options.pair)
    recorded = Recorded(played, options.recorded / played.file, minilm)
    methods = named(recorded.game(), options.cost)
    pool = sorted({pair for pairs in methods.values() for pair in pairs})
    values, errors = measured(recorded.live, pool, options.masks)
    true = {pool[k] for k in np.argsort(-np.abs(values))[:TOP]}
    print(f"{played.name}: {len(pool)} pairs measured, standard error {np.median(errors):.4f}")
    print(f"the ten largest: {np.sort(np.abs(values))[::-1][:TOP].round(4).tolist()}")
    for name, pairs in methods.items():
        size = np.mean([abs(values[pool.index(pair)]) for pair in pairs])
        print(f"| {name} | {len(true & set(pairs)) / TOP:.1f} | {size:.4f} |", flush=True)


if __name__ == "__main__":
    main()
