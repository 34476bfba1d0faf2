"""Few sentences of many matter: how often are they found, with their interaction, and from how many ablations?

    python benchmarks/zoom.py --seeds 5                   # a table on standard output; minutes

A planted rule over n sentences: a pair (both needed), alternatives (either suffices), a negation (one unless the
other), three of four. Noise is a share of the values' own spread. Methods, at the same budget:

* zoom: `ip.explain` of sentences in blocks, opened where they matter;
* flat auto, flat lasso (ContextCite's): `ip.explain` of all sentences as features;
* leave-one-out: the untouched text without each sentence, as far as the budget goes, in random order;
* hierarchical leave-one-out (AttriBoT, arXiv 2411.15102): blocks first, then inside the strongest block by block.

Found: the sentences that matter are the k strongest, alone or (zoom, flat auto) in the strongest interactions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import interplay as ip

RULES: dict[str, tuple[int, Callable]] = {
    "pair": (2, lambda x: x.all(axis=1)),
    "either": (2, lambda x: x.any(axis=1)),
    "unless": (2, lambda x: x[:, 0] & ~x[:, 1]),
    "three": (3, lambda x: x.all(axis=1)),
    "three of four": (4, lambda x: x.sum(axis=1) >= 3),
}


@dataclass(frozen=True)
class Planted:
    """A rule over n sentences, with noise that is the same whenever a mask is measured again."""

    n: int
    rule: str
    ids: tuple[int, ...]
    noise: float

    @classmethod
    def drawn(cls, n: int, rule: str, noise: float, seed: int) -> Planted:
        rng = np.random.default_rng([seed, n])
        return cls(n, rule, tuple(sorted(rng.choice(n, RULES[rule][0], replace=False).tolist())), noise)

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        values = RULES[self.rule][1](masks[:, list(self.ids)]).astype(float)
        seeds = (np.random.default_rng(np.packbits(mask)[:4096]) for mask in masks)
        return values + self.noise * 0.5 * np.array([rng.normal() for rng in seeds])

    @property
    def game(self) -> ip.Game:
        return ip.Game(self, [f"s{i}" for i in range(self.n)])

    def zoomed(self) -> ip.Game:
        return self.game.zoomed()


def found_by(explanation: ip.Explanation, planted: Planted) -> bool:
    """Whether the strongest sets of the right size hold the planted sentences."""
    wanted = {f"s{i}" for i in planted.ids}
    strongest: list[str] = []
    for names, _ in explanation.interactions(top=2 * len(wanted) + 4).named():
        strongest += [name for name in names if name not in strongest]
    return wanted <= set(strongest[: len(wanted)])


def zoom(planted: Planted, budget: int, seed: int) -> bool:
    return found_by(ip.explain(planted.zoomed(), budget=budget, seed=seed), planted)


def flat(method: str) -> Callable[[Planted, int, int], bool]:
    def run(planted: Planted, budget: int, seed: int) -> bool:
        return found_by(ip.explain(planted.game, budget=budget, method=method, seed=seed), planted)

    return run


def leave_one_out(planted: Planted, budget: int, seed: int) -> bool:
    tried = np.random.default_rng(seed).permutation(planted.n)[: budget - 1]
    effects = _without(planted, [[i] for i in tried])
    return set(planted.ids) <= set(tried[np.argsort(-np.abs(effects))[: len(planted.ids)]].tolist())


def hierarchical(planted: Planted, budget: int, seed: int) -> bool:  # noqa: ARG001
    """Blocks of 16 down to sentences: at every level, inside the strongest blocks that the budget allows."""
    blocks = [np.arange(planted.n)]
    left = budget - 1
    while True:
        blocks = [part for block in blocks for part in np.array_split(block, min(16, len(block)))][: max(left, 1)]
        effects = np.abs(_without(planted, blocks))
        left -= len(blocks)
        order = np.argsort(-effects)
        if all(len(block) == 1 for block in blocks) or left < 16:
            top = [int(blocks[i][0]) for i in order[: len(planted.ids)] if len(blocks[i]) == 1]
            return set(planted.ids) == set(top)
        blocks = [blocks[i] for i in order[: len(planted.ids)]]


def _without(planted: Planted, sets: list) -> np.ndarray:
    masks = np.ones((len(sets) + 1, planted.n), dtype=bool)
    for row, ids in zip(masks, sets):
        row[ids] = False
    values = planted(masks)
    return values[-1] - values[:-1]


METHODS = {
    "zoom": zoom,
    "flat auto": flat("auto"),
    "flat lasso": flat("lasso"),
    "leave-one-out": leave_one_out,
    "hierarchical l.o.o.": hierarchical,
}
CASES = [
    (200, "pair", 0.1, 100),
    (2000, "pair", 0.0, 200),
    (2000, "pair", 0.1, 200),
    (2000, "pair", 0.1, 400),
    (2000, "pair", 0.3, 400),
    (2000, "either", 0.1, 400),
    (2000, "unless", 0.1, 400),
    (2000, "three of four", 0.1, 400),
    (20000, "pair", 0.1, 600),
    (20000, "three", 0.1, 1000),
]
LARGEST_FLAT = 2000  # features beyond which the flat fits are not run: their masks do not tell the features apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    arguments = parser.parse_args()
    print("| sentences | rule | noise | budget | " + " | ".join(arguments.methods) + " |")
    print("|---|---|---|---|" + "---|" * len(arguments.methods))
    for n, rule, noise, budget in CASES:
        cells = []
        for name in arguments.methods:
            if name.startswith("flat") and n > LARGEST_FLAT:
                cells.append("not run")
                continue
            began = time.perf_counter()
            hits = [METHODS[name](Planted.drawn(n, rule, noise, seed), budget, seed) for seed in range(arguments.seeds)]
            cells.append(f"{sum(hits)}/{len(hits)} ({(time.perf_counter() - began) / len(hits):.1f} s)")
        print(f"| {n} | {rule} | {noise} | {budget} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
