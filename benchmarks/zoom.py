"""Few sentences of many matter: how often are they found, with their interaction, and from how many ablations?

    python benchmarks/zoom.py --seeds 5                                        # a table; an hour or so on one core
    python benchmarks/zoom.py --parts goals rules singles growth limits --seeds 40 --workers 14 --out zoom.jsonl

A planted rule over n sentences: a pair (both needed), alternatives (either suffices), a negation (one unless the
other), three of four. Noise is a share of the values' own spread. Methods, at the same budget:

* zoom: `ip.explain` of sentences in blocks, opened where they matter; "least": the first of growing budgets that finds;
* flat auto, flat lasso (ContextCite's): `ip.explain` of all sentences as features;
* leave-one-out: the untouched text without each sentence, as far as the budget goes, in random order;
* hierarchical leave-one-out (AttriBoT, arXiv 2411.15102): blocks first, then inside the strongest block by block.
* SPEX at its least budget, which is thousands of ablations whatever the case allows.

Found: the sentences that matter are the k strongest, alone or (zoom, flat auto) in the strongest interactions.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

import interplay as ip
from interplay.estimators import get_estimator

RULES: dict[str, tuple[int, Callable]] = {
    "pair": (2, lambda x: x.all(axis=1)),
    "either": (2, lambda x: x.any(axis=1)),
    "unless": (2, lambda x: x[:, 0] & ~x[:, 1]),
    "three": (3, lambda x: x.all(axis=1)),
    "three of four": (4, lambda x: x.sum(axis=1) >= 3),
}
OTHER: dict[str, tuple[int, Callable]] = {
    "even": (200, lambda x: x.sum(axis=1) / 50),  # so many sentences with the same effect
    "cancel": (2, lambda x: 1.0 * x[:, 0] - x[:, 1]),  # neighbours: no coarse mask shows them
    "cancel beside": (3, lambda x: 1.0 * x[:, 0] - x[:, 1] + 0.5 * x[:, 2]),
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
        ids = sorted(rng.choice(n, (RULES | OTHER)[rule][0], replace=False).tolist())
        if rule.startswith("cancel"):
            ids[1] = ids[0] ^ 1
        return cls(n, rule, tuple(ids), noise)

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        values = (RULES | OTHER)[self.rule][1](masks[:, list(self.ids)]).astype(float)
        seeds = (np.random.default_rng(np.packbits(mask)[:4096]) for mask in masks)
        return values + self.noise * 0.5 * np.array([rng.normal() for rng in seeds])

    @property
    def game(self) -> ip.Game:
        return ip.Game(self, [f"s{i}" for i in range(self.n)])

    def zoomed(self) -> ip.Game:
        return self.game.zoomed()


def found_by(explanation: ip.Explanation, planted: Planted) -> dict:
    """Whether the strongest sets of the right size hold the planted sentences, and what the result says of itself."""
    wanted = {f"s{i}" for i in planted.ids}
    strongest: list[str] = []
    for names, _ in explanation.interactions(top=2 * len(wanted) + 4).named():
        strongest += [name for name in names if name not in strongest]
    return {
        "found": wanted <= set(strongest[: len(wanted)]),
        "used": explanation.used,
        "features": explanation.n,
        "r2": None if np.isnan(explanation.faithfulness.r2) else round(explanation.faithfulness.r2, 4),
        "notes": [note for note in explanation.notes if "closed" in note],
    }


def zoom(planted: Planted, budget: int, seed: int) -> dict:
    return found_by(ip.explain(planted.zoomed(), budget=budget, seed=seed, progress=False), planted)


def least(planted: Planted, budget: int, seed: int) -> dict:  # noqa: ARG001
    """The first budget of a ladder, each half as large again, that finds them."""
    allowed = 32
    while not (result := zoom(planted, allowed, seed))["found"] and allowed < 1000:
        allowed = allowed * 5 // 4
    return result


def flat(method: str) -> Callable[[Planted, int, int], dict]:
    def run(planted: Planted, budget: int, seed: int) -> dict:
        return found_by(
            ip.explain(planted.game, budget=budget, method=method, seed=seed, removals=0, progress=False), planted
        )

    return run


def spex(planted: Planted, budget: int, seed: int) -> dict:
    return flat("spex")(planted, max(budget, get_estimator("spex").fewest(planted.n)), seed)


def leave_one_out(planted: Planted, budget: int, seed: int) -> dict:
    tried = np.random.default_rng(seed).permutation(planted.n)[: budget - 1]
    effects = _without(planted, [[i] for i in tried])
    named = set(tried[np.argsort(-np.abs(effects))[: len(planted.ids)]].tolist())
    return {"found": set(planted.ids) <= named, "used": len(tried) + 1}


def hierarchical(planted: Planted, budget: int, seed: int) -> dict:  # noqa: ARG001
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
            return {"found": set(planted.ids) == set(top), "used": budget - left}
        blocks = [blocks[i] for i in order[: len(planted.ids)]]


def _without(planted: Planted, sets: list) -> np.ndarray:
    masks = np.ones((len(sets) + 1, planted.n), dtype=bool)
    for row, ids in zip(masks, sets):
        row[ids] = False
    values = planted(masks)
    return values[-1] - values[:-1]


METHODS = {
    "zoom": zoom,
    "zoom, least": least,
    "flat auto": flat("auto"),
    "flat lasso": flat("lasso"),
    "SPEX, least": spex,
    "leave-one-out": leave_one_out,
    "hierarchical l.o.o.": hierarchical,
}
_SLOW = 5  # seeds of what takes minutes a run
LARGEST_FLAT = 2000  # features beyond which the flat fits are not run: their masks do not tell the features apart


@dataclass(frozen=True)
class Job:
    """One run of a method on one planted game."""

    part: str
    n: int
    rule: str
    noise: float
    budget: int
    method: str
    seed: int

    def done(self) -> dict:
        """The job and what came of it."""
        began, processor = time.perf_counter(), time.process_time()
        planted = Planted.drawn(self.n, self.rule, self.noise, self.seed)
        result = METHODS[self.method](planted, self.budget, self.seed)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        took = {"seconds": time.perf_counter() - began, "processor": time.process_time() - processor, "mib": memory}
        return asdict(self) | result | {name: round(value, 2) for name, value in took.items()}


GOALS = [(2000, "pair", 0.1, 400), (20000, "three", 0.1, 1000)]
CASES = [
    *[(2000, rule, noise, 400) for noise in (0.1, 0.3, 0.0) for rule in RULES],
    *[(200, "pair", 0.1, 100), (2000, "pair", 0.1, 200), (20000, "pair", 0.1, 600)],
    *[(2000, rule, 0.1, 100) for rule in ("pair", "either")],
]


def goals(seeds: int) -> Iterator[Job]:
    """Two sentences of 2,000, and three of 20,000 with half as many seeds."""
    yield from (Job("rates", *GOALS[0], "zoom", seed) for seed in range(seeds))
    yield from (Job("rates", *GOALS[1], "zoom", seed) for seed in range(seeds // 2))


def rules(seeds: int) -> Iterator[Job]:
    """Every rule and noise by zoom, with half as many seeds, and by flat fits and SPEX with few: seed by seed."""
    noisy = [case for case in CASES if case[2]]
    for seed in range(seeds // 2):
        cases = CASES if seed < _SLOW else noisy  # without noise all are found
        yield from (Job("rates", *case, "zoom", seed) for case in cases if case not in GOALS)
        if seed < _SLOW:
            yield from (Job("rates", *case, "flat lasso", seed) for case in noisy if case[0] <= LARGEST_FLAT)
            for n, rule, noise, budget in [(200, "pair", 0.1, 100), GOALS[0], (2000, "either", 0.1, 400)]:
                yield Job("rates", n, rule, noise, budget, "flat auto", seed)
                yield Job("rates", n, rule, noise, budget, "SPEX, least", seed)


def singles(seeds: int) -> Iterator[Job]:
    """What is left out one by one: seconds a run."""
    for case in dict.fromkeys([*GOALS, *CASES]):
        for method in ("leave-one-out", "hierarchical l.o.o."):
            yield from (Job("rates", *case, method, seed) for seed in range(seeds))


def growth(seeds: int) -> Iterator[Job]:
    """The smallest budget of a ladder that finds a pair at 10% noise, for more and more sentences."""
    for seed in range(seeds):
        for n in (128, 512, 2048, 8192, 32768, 100_000):
            yield Job("growth", n, "pair", 0.1, 0, "zoom, least", seed)


def limits(seeds: int) -> Iterator[Job]:
    """What it cannot do, and whether the result says so; and 100,000 leaves."""
    for seed in range(seeds):
        yield Job("limits", 100_000, "pair", 0.1, 600, "zoom", seed)
        for rule in ("even", "cancel", "cancel beside"):
            yield Job("limits", 2000, rule, 0.0, 400, "zoom", seed)
            yield Job("limits", 2000, rule, 0.1, 400, "zoom", seed)


PARTS = {"goals": goals, "rules": rules, "singles": singles, "growth": growth, "limits": limits}


def table(rows: list[dict]) -> str:
    """Cases by methods: how often found, and the median seconds of the processor."""
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    lines = ["| sentences | rule | noise | budget | " + " | ".join(methods) + " |", "|---" * (4 + len(methods)) + "|"]
    for case in dict.fromkeys((row["n"], row["rule"], row["noise"], row["budget"]) for row in rows):
        cells = []
        for name in methods:
            these = [
                row
                for row in rows
                if (row["n"], row["rule"], row["noise"], row["budget"], row["method"]) == (*case, name)
            ]
            hits = sum(row["found"] for row in these)
            cells.append(f"{hits}/{len(these)}" if these else "")
        lines.append("| " + " | ".join(map(str, case)) + " | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(rows: list[dict], path: Path) -> None:
    """Ablations until both sentences are found, by the number of sentences: growth with the logarithm is a line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sizes = sorted({row["n"] for row in rows})
    used = [sorted(row["used"] for row in rows if row["n"] == n and row["found"]) for n in sizes]
    _, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for n, counts in zip(sizes, used, strict=True):
        axes.plot([n] * len(counts), counts, "o", color="#0a5aa8", alpha=0.25, markersize=5)
    axes.plot(sizes, [np.median(counts) for counts in used], color="#0a5aa8", label="zoom: median, and each run")
    axes.set(
        xscale="log",
        xlabel="sentences",
        ylabel="ablations until the pair is found",
        ylim=(0, 1.15 * max(map(max, used))),
    )
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    plt.savefig(path, dpi=150)


def _in_time(job: Job, until: float | None) -> dict | None:
    return None if until is not None and time.time() > until else job.done()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["goals", "rules", "singles"], choices=list(PARTS))
    parser.add_argument("--methods", nargs="+", default=None, choices=list(METHODS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="begin no run later than that")
    parser.add_argument("--out", type=Path, help="a file of results, one JSON line each; those in it are not run again")
    parser.add_argument(
        "--draw", type=Path, help="write the figure of growth, from what --out holds, and do nothing else"
    )
    options = parser.parse_args()
    rows = (
        [json.loads(line) for line in options.out.read_text().splitlines()]
        if options.out and options.out.exists()
        else []
    )
    if options.draw is not None:
        draw([row for row in rows if row["part"] == "growth"], options.draw)
        return
    known = {Job(**{name: row[name] for name in Job.__dataclass_fields__}) for row in rows}
    jobs = [job for name in options.parts for job in PARTS[name](options.seeds)]
    jobs = [job for job in jobs if job not in known and (options.methods is None or job.method in options.methods)]
    until = None if options.seconds is None else time.time() + options.seconds
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        for row in pool.imap_unordered(partial(_in_time, until=until), jobs):
            if row is None:
                continue
            rows.append(row)
            if options.out is not None:
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            print(row, flush=True)
    for name in dict.fromkeys(row["part"] for row in rows):
        print(f"\n{name}\n\n{table([row for row in rows if row['part'] == name])}")


if __name__ == "__main__":
    main()
