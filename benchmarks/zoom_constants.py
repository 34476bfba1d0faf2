"""What two constants of a zoom rest on: ablations for each that a perfect code would take, and what more of them gain.

    python benchmarks/zoom_constants.py                      # tables on standard output; a minute
    python benchmarks/zoom_constants.py settings --seeds 4   # what hangs on the numbers that are set; half an hour

A part of m inner ones holds an effect of energy e, beside u that nothing explains. Told right is which one holds it, by
the largest correlation with the values: by how many random ablations, in 95 of 100 cases, over the log2(m) bits by half
the logarithm of 1 + e / u that `interplay._explain.gain` counts? For two parts that matter together (both needed), the
pair of inner ones that explains most. And by which power of the ablations does what a Gaussian process leaves
unexplained fall?

With "settings", what else is set by hand is halved and doubled, one at a time, and planted rules are looked for.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

import interplay as ip
from zoom import Planted, zoom

TRIES = 400
SETTINGS = {  # module and name: smaller and larger than they are
    "zooming._GUARD": (0.05, 0.2),
    "zooming._UNSURE": (0.25, 1.0),
    "zooming._LEAST": (16, 64),
    "zoom_masks._WHOLE": (1 / 6, 2 / 3),
    "gain._FLOOR": (0.01, 0.04),
    "gain._SPREAD": (4.0, 16.0),
    "gain._SLOPE": (0.25, 1.0),
}
CASES = [("pair", 0.1, 80), ("either", 0.3, 120), ("cancel beside", 0.1, 150)]


def alone(count: int, parts: int, ratio: float, rng: np.random.Generator) -> float:
    """How often the inner part that holds an effect is told by so many ablations."""
    signs = rng.choice([-1.0, 1.0], (TRIES, count, parts))
    values = np.sqrt(ratio) * signs[:, :, 0] + rng.normal(size=(TRIES, count))
    values -= values.mean(axis=1, keepdims=True)
    return float((np.abs(np.einsum("tc,tcp->tp", values, signs)).argmax(axis=1) == 0).mean())


def together(count: int, parts: int, ratio: float, rng: np.random.Generator) -> float:
    """The same of two parts, one inner part of each being needed: the best of all pairs by least squares."""
    hits = 0
    for _ in range(TRIES // 4):
        first, second = rng.random((2, count, parts)) < 0.5
        both = (first[:, :, None] & second[:, None, :]).reshape(count, -1).astype(float)
        values = both[:, 0] / np.sqrt(3 / 16) * np.sqrt(ratio) + rng.normal(size=count)
        spread = both.std(axis=0)
        scores = np.abs((values - values.mean()) @ (both - both.mean(axis=0))) / np.where(spread > 0, spread, np.inf)
        hits += int(scores.argmax() == 0)
    return hits / (TRIES // 4)


def needed(told: object, parts: int, ratio: float) -> int:
    """The fewest ablations, each step an eighth more, that tell right in 95 of 100 cases."""
    rng, count = np.random.default_rng([parts, int(100 * ratio)]), 4
    while told(count, parts, ratio, rng) < 0.95:  # type: ignore[operator]
        count = max(count + 1, count * 9 // 8)
    return count


def slope(noise: float, seed: int) -> list[float]:
    """What a Gaussian process leaves unexplained of a pair and two single effects beside noise, on fresh ablations."""
    rng = np.random.default_rng(seed)
    fresh = rng.random((2000, 24)) < 0.5

    def value(masks: np.ndarray) -> np.ndarray:
        return 1.0 * (masks[:, 0] & masks[:, 1]) + 0.4 * masks[:, 2] - 0.3 * masks[:, 3]

    truth, left = value(fresh), []
    for count in (32, 64, 128, 256):
        masks = rng.random((count, 24)) < 0.5
        found = ip.fit(masks, value(masks) + noise * rng.normal(size=count), method=ip.estimators.GP(effort=0.0))
        left.append(float(((found.spectrum.predict(fresh) - truth) ** 2).mean() / truth.var()))
    return left


@dataclass(frozen=True)
class Trial:
    """A planted rule looked for with one number changed."""

    name: str
    value: float
    sentences: int
    rule: str
    noise: float
    budget: int
    seed: int

    def done(self, until: float) -> dict | None:
        """The trial and what came of it; None where there is no time left."""
        if time.time() > until:
            return None
        planted = Planted.drawn(self.sentences, self.rule, self.noise, self.seed)
        if not self.name:
            return asdict(self) | zoom(planted, self.budget, self.seed)
        module, _, constant = self.name.partition(".")
        room = importlib.import_module(f"interplay._explain.{module}")
        usual = getattr(room, constant)
        setattr(room, constant, type(usual)(self.value))
        try:
            return asdict(self) | zoom(planted, self.budget, self.seed)
        finally:
            setattr(room, constant, usual)


def settings(seeds: int, sentences: int, workers: int, seconds: float, out: Path | None) -> None:
    """How often what matters of so many sentences is found, and R², with one number at a time halved or doubled."""
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out and out.exists() else []
    known = {Trial(**{name: row[name] for name in Trial.__dataclass_fields__}) for row in rows}
    changes = [("", 0.0), *((name, value) for name, values in SETTINGS.items() for value in values)]
    trials = [Trial(*one, sentences, *case, seed) for seed in range(seeds) for one in changes for case in CASES]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        todo = [trial for trial in trials if trial not in known]
        for row in pool.imap_unordered(partial(Trial.done, until=time.time() + seconds), todo):
            if row is not None:
                rows.append(row)
                if out is not None:
                    with out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
    print("| | " + " | ".join(f"{rule}, noise {noise}, {budget}" for rule, noise, budget in CASES) + " |")
    print("|---" * (1 + len(CASES)) + "|")
    for name, value in changes:
        cells = []
        for rule, _, _ in CASES:
            these = [row for row in rows if (row["name"], row["value"], row["rule"]) == (name, value, rule)]
            hits = sum(row["found"] for row in these)
            cells.append(f"{hits}/{len(these)} {np.median([row['r2'] for row in these]):.2f}" if these else "")
        label = f"{name.partition('.')[2]} = {value:.2g}" if name else "as it is"
        print(f"| {label} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="codes", choices=["codes", "settings"])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no trial later than that")
    parser.add_argument(
        "--out", type=Path, help="a file of runs with other settings, one JSON line each, taken up again"
    )
    options = parser.parse_args()
    if options.part == "settings":
        settings(options.seeds, options.sentences, options.workers, options.seconds, options.out)
        return
    print("| inner parts | e / u | one part | by the code | ratio | two parts | by the code | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for parts in (4, 8, 16):
        for ratio in (0.3, 1.0, 3.0, 10.0):
            bits, each = np.log2(parts), 0.5 * np.log2(1 + ratio)
            one, two = needed(alone, parts, ratio), needed(together, parts, ratio)
            row = [one, bits / each, one * each / bits, two, 2 * bits / each, two * each / bits / 2]
            print(f"| {parts} | {ratio} | " + " | ".join(f"{cell:.1f}" for cell in row) + " |", flush=True)
    print("\n| noise | 32 | 64 | 128 | 256 ablations | power |\n|---|---|---|---|---|---|")
    for noise in (0.05, 0.2):
        left = np.median([slope(noise, seed) for seed in range(5)], axis=0)
        power = np.polyfit(np.log([32, 64, 128, 256]), np.log(left), 1)[0]
        print(f"| {noise} | " + " | ".join(f"{cell:.3f}" for cell in left) + f" | {power:.2f} |", flush=True)


if __name__ == "__main__":
    main()
