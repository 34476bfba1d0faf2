"""SPEX beside the authors' code: exactness without noise, R² under noise, decoding time, and cost against size.

    python benchmarks/spex.py --peer-python PEER/bin/python --games DIR --out spex.md

The authors' code (spectralexplain 0.0.4, hard and soft decoder) runs in its own environment. It draws its own design
and samples; our decoder is then given *those samples*, masks and values, so both decode the same ones ("same samples").
Beside it stands our own design for the same number of masks. R² is judged on 4,000 fresh uniform
masks without noise. Times are of decoding and regression alone; memory is our peak while decoding.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import interplay as ip
from interplay.estimators import SPEX
from interplay.estimators.spex._bch import Code
from interplay.estimators.spex._design import Design, Found
from interplay.estimators.spex._estimator import recover

NOISE = 0.3  # of the norm of the nonconstant spectrum
PEER = Path(__file__).parent / "peers" / "spectralexplain_spex.py"
PARTS = ("noiseless", "parities", "recorded", "noise", "time", "scaling")


@dataclass(frozen=True, eq=False)
class Given(Design):
    """A design with matrices and delays made elsewhere, whose delays are a systematic form of our BCH checks."""

    matrices: np.ndarray | None = None
    offsets: np.ndarray | None = None

    def matrix(self, group, bits):
        return self.matrices[group, :, :bits]

    @property
    def delays(self):
        return self.offsets

    @property
    def code(self):
        checks = len(self.offsets) - 1
        for m in range(2, 17):  # the field in which a code of this strength has these checks and enough features left
            full = Code((1 << m) - 1, self.strength)
            if len(full.checks) == checks and (1 << m) - 1 - checks >= self.n:
                return Code(self.n, self.strength, m, checks + self.n - 1 - np.arange(self.n))
        raise SystemExit("the peer's delays are no BCH checks that we know")


def random_game(n: int, count: int, seed: int, low: int = 1, high: int = 5) -> ip.Spectrum:
    rng = np.random.default_rng(seed)
    coefficients: dict[tuple[int, ...], float] = {}
    while len(coefficients) < count:
        size = int(rng.integers(low, high + 1))
        coefficients[tuple(sorted(rng.choice(n, size, replace=False).tolist()))] = float(rng.normal())
    return ip.Spectrum(n, coefficients)


def recorded_games(folder: Path) -> dict[str, ip.Spectrum]:
    found = {}
    for path in sorted(folder.glob("spectrum_*.npz")):
        data = np.load(path)
        n = int(data["n"])
        supports = np.unpackbits(data["supports"], axis=1)[:, :n]
        pairs = zip(supports, data["coefficients"], strict=True)
        found[path.stem[9:]] = ip.Spectrum(n, {tuple(np.flatnonzero(s).tolist()): float(c) for s, c in pairs})
    return found


def judge(truth: ip.Spectrum, found: ip.Spectrum) -> float:
    fresh = np.random.default_rng(987).random((4000, truth.n)) < 0.5
    target = truth.predict(fresh)
    return 1 - float(((target - found.predict(fresh)) ** 2).sum() / ((target - target.mean()) ** 2).sum())


def exact(truth: ip.Spectrum, found: ip.Spectrum) -> bool:
    keys = {*truth.coefficients, *found.coefficients}
    worst = max(abs(truth.coefficients.get(key, 0.0) - found.coefficients.get(key, 0.0)) for key in keys)
    return worst < 1e-8 * max(map(abs, truth.coefficients.values()))


def ours(truth: ip.Spectrum, estimator: SPEX, budget: int, noise: float = 0.0, seed: int = 0) -> dict:
    masks = estimator.design(truth.n, budget, seed)
    spread = noise * np.sqrt(truth.variance)
    values = truth.predict(masks) + spread * np.random.default_rng(seed + 1).normal(size=len(masks))
    start = time.perf_counter()
    recovery = estimator.fit(masks, values, order=5, seed=seed)
    seconds = time.perf_counter() - start
    rows = recovery.rows
    unseen = 1 - float(((values[rows] - recovery.unseen) ** 2).mean() / values[rows].var()) if rows is not None else 1.0
    return {
        "masks": len(masks),
        "r2": judge(truth, recovery.spectrum),
        "exact": exact(truth, recovery.spectrum),
        "seconds": seconds,
        "said": unseen,
    }


def beside(truth: ip.Spectrum, b: int, peer: Path, decoders: list[str], *, noise: float, seed: int, limit: int) -> dict:
    """The authors' decoders and ours on the authors' samples, and ours on our own design of as many masks."""
    keys = list(truth.coefficients)
    supports = np.zeros((len(keys), truth.n), dtype=np.uint8)
    for row, key in enumerate(keys):
        supports[row, list(key)] = 1
    with tempfile.TemporaryDirectory() as work:
        game, out = Path(work) / "game.npz", Path(work) / "out.npz"
        spread = noise * np.sqrt(truth.variance)
        strengths = np.array(list(truth.coefficients.values()))
        np.savez(game, supports=supports, coefficients=strengths, b=b, t=5, noise=spread, seed=seed)
        command = [str(peer), "-W", "ignore", str(PEER), str(game), str(out), *decoders]
        with contextlib.suppress(subprocess.TimeoutExpired):  # what it had finished is in the file
            subprocess.run(command, check=False, timeout=limit, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        data = dict(np.load(out))
    result: dict = {"n": truth.n, "b": b, "masks": len(data["values"])}
    for decoder in decoders:
        if f"{decoder}_seconds" not in data:  # it was stopped at the limit
            continue
        pairs = zip(data[f"{decoder}_supports"], data[f"{decoder}_coefficients"], strict=True)
        found = ip.Spectrum(truth.n, {tuple(np.flatnonzero(s).tolist()): float(c) for s, c in pairs})
        result[decoder] = {"r2": judge(truth, found), "seconds": float(data[f"{decoder}_seconds"])}
    result["ours"] = on_their_samples(truth, data, b, seed)
    result["own"] = ours(truth, SPEX(), result["masks"], noise, seed)
    return result


def on_their_samples(truth: ip.Spectrum, data: dict, b: int, seed: int) -> dict:
    """Our decoder on the masks and values that the authors' code drew."""
    matrices, offsets = data["Ms"], data["Ds"]
    design = Given(np.ones(truth.n, dtype=np.bool_), b, len(matrices), 5, matrices=matrices, offsets=offsets[0])
    assert (offsets == offsets[0]).all()
    # Their l has its first bit as the most significant one.
    order = np.array([int(f"{row:0{b}b}"[::-1], 2) for row in range(1 << b)])
    cells = np.arange(len(data["values"])).reshape(len(matrices), len(offsets[0]), 1 << b)[:, :, order]
    masks = data["queries"].astype(bool)
    span = np.arange(1 << b)[:, None] >> np.arange(b) & 1
    for c, matrix in enumerate(matrices):  # the cells are what we take them for
        assert (masks[cells[c, 1]] == ((span @ matrix.T + offsets[c, 1]) % 2).astype(bool)).all()
    found = Found(design, b, cells, np.empty(0, dtype=np.intp))
    start = time.perf_counter()
    recovery = recover(SPEX(b=b), found, masks, data["values"], order=5, seed=seed)
    seconds = time.perf_counter() - start
    tracemalloc.start()  # in a run of its own, which it slows down
    recover(SPEX(b=b), found, masks, data["values"], order=5, seed=seed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"r2": judge(truth, recovery.spectrum), "seconds": seconds, "mib": peak / 2**20}


def table(head: list[str], rows: list[list[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def write(results: dict[str, list[dict]], out: Path) -> None:
    pages = [f"# SPEX, measured\n\nBy `python benchmarks/spex.py`; NumPy {np.__version__}, one thread.\n"]
    for part, head in (
        ("noiseless", "Without noise: 100 random coefficients of order 1-5"),
        ("parities", "Ten order-5 parities without lower-order subsets, n = 100"),
        ("recorded", "Recorded spectra of real models, without noise"),
        ("scaling", "Cost: the fewest masks (whole b) that recover everything exactly, of three games"),
    ):
        if rows := results.get(part):
            names = list(rows[0])
            pages.append(f"## {head}\n\n" + table(names, [[shown(row[name]) for name in names] for row in rows]))
    for part, head in (("noise", "With 30% noise: R² on unseen masks"), ("time", "Decoding time, 30% noise")):
        if rows := results.get(part):
            pages.append(f"## {head}\n\n" + table(COLUMNS, [comparison(row) for row in rows]))
    if rows := results.get("scaling"):
        plot(rows, out.with_suffix(".png"))
        pages.append(f"![cost against features and against coefficients]({out.with_suffix('.png').name})\n")
    out.write_text("\n".join(pages), encoding="utf-8")
    out.with_suffix(".json").write_text(json.dumps(results, indent=1), encoding="utf-8")


def plot(rows: list[dict], target: Path) -> None:
    """The fewest masks that recover everything, against the number of features and against that of coefficients."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
    for axis, by, fixed, words in (
        (axes[0], "n", ("coefficients", 100), "features (100 coefficients)"),
        (axes[1], "coefficients", ("n", 1000), "coefficients (1,000 features)"),
    ):
        line = sorted((row[by], row["masks"]) for row in rows if row[fixed[0]] == fixed[1])
        axis.loglog(*zip(*line), marker="o")
        axis.set_xlabel(words)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("masks")
    figure.tight_layout()
    figure.savefig(target, dpi=90)
    plt.close(figure)


COLUMNS = ["game", "n", "b", "masks", "authors hard", "authors soft", "ours, same samples", "ours, own design (masks)",
           "hard s", "soft s", "ours s", "soft / ours", "MiB"]  # fmt: skip


def comparison(row: dict) -> list[object]:
    hard, soft, mine, own = (row.get(key, {}) for key in ("hard", "soft", "ours", "own"))
    ratio = soft["seconds"] / mine["seconds"] if soft else None
    return [
        *(row["game"], row["n"], row["b"], row["masks"]),
        *(shown(part.get("r2")) for part in (hard, soft, mine)),
        f"{shown(own['r2'])} ({own['masks']})",
        *(shown(part.get("seconds"), 1) for part in (hard, soft, mine)),
        *(shown(ratio, 0), shown(mine["mib"], 0)),
    ]


def shown(value: object, digits: int = 3) -> str:
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return "-" if value is None else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=Path, help="a Python that has spectralexplain; without it ours alone")
    parser.add_argument("--games", type=Path, help="folder of recorded spectra, spectrum_*.npz")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file; the numbers go beside it as JSON")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--only", nargs="*", help="recorded games by name")
    parser.add_argument("--bits", nargs="*", type=int, default=[4, 6, 8])
    parser.add_argument("--decoders", nargs="*", default=["hard", "soft"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--limit", type=int, default=7200, help="seconds that one run of the authors' code may take")
    options = parser.parse_args()
    results: dict[str, list[dict]] = {}
    ours(random_game(60, 5, 0), SPEX(), 1000)  # imports are outside the clock, as the authors' are

    def note(part: str, row: dict) -> None:
        results.setdefault(part, []).append(row)
        write(results, options.out)
        print(part, json.dumps(row), file=sys.stderr, flush=True)

    games = {} if options.games is None else recorded_games(options.games)
    games = {name: game for name, game in games.items() if not options.only or name in options.only}
    for part in options.parts:
        if part == "noiseless":
            for n in (100, 1000, 4000):
                for seed in range(3):
                    truth, estimator = random_game(n, 100, seed), SPEX(b=6)
                    budget = estimator.cost(n, 6)
                    note(part, {"n": n, "seed": seed, "budget": budget, **ours(truth, estimator, budget, seed=seed)})
        elif part == "parities":
            for budget in (2000, 4000, 8000):
                for seed in range(3):
                    truth = random_game(100, 10, seed, low=5)
                    note(part, {"budget": budget, "seed": seed, **ours(truth, SPEX(), budget, seed=seed)})
        elif part == "recorded":
            for name, truth in games.items():
                for budget in (2000, 4000, 8000):
                    note(part, {"game": name, "n": truth.n, "coefficients": len(truth), "budget": budget,
                                **ours(truth, SPEX(), budget)})  # fmt: skip
        elif part == "scaling":
            for n, count in [(100, 100), (300, 100), (1000, 100), (2000, 100), (4000, 100),
                             (1000, 10), (1000, 30), (1000, 300), (1000, 1000)]:  # fmt: skip
                for b in range(3, 11):
                    runs = [ours(random_game(n, count, seed), SPEX(b=b), 10**7, seed=seed) for seed in range(3)]
                    if all(run["exact"] for run in runs):
                        worst = max(run["seconds"] for run in runs)
                        masks = SPEX().cost(n, b)
                        note(part, {"n": n, "coefficients": count, "b": b, "masks": masks, "seconds": worst})
                        break
        elif options.peer_python is not None:
            pool = games if part == "noise" else {"random, 100 coefficients": random_game(1000, 100, 0)}
            for name, truth in pool.items():
                for b in options.bits:
                    for seed in options.seeds:
                        row = beside(truth, b, options.peer_python, options.decoders, noise=NOISE, seed=seed,
                                     limit=options.limit)  # fmt: skip
                        note(part, {"game": name, "seed": seed, **row})


if __name__ == "__main__":
    main()
