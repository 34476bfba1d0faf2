"""Indices and whole models from few ablations, ours and shapiq's, where the truth is known to the last digit.

    python benchmarks/indices.py --work /tmp/indices --peer-python PYTHON --out docs/comparison.md

Runs every mask of every game of ``exhaustive.py`` once, makes those of ``trees.py``, then estimates each index from 10
n, 20 n and 40 n evaluations, both ends included: `ip.fit` of `ip.design(n, budget, index=...)`, and every approximator
of shapiq 1.8 in an environment of its own (``python3.12 -m venv E; E/bin/pip install shapiq==1.8.0 scikit-learn
lightgbm xgboost``). The error is the squared error over all sets of the index's order, divided by the squared norm of
the truth; its median over seeds is held against that of the best peer *of that game and budget*, chosen with the truth
in hand. Every finished case is kept in ``--work``: a run that stops goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import exhaustive
import interplay as ip
import trees
from interplay._spectrum.indices import compute_index
from interplay.estimators import Auto, Estimator, Recovery

HERE = Path(__file__).parent
EXACT = 1e-12
INDICES = ("sv", "sii", "k-sii", "stii", "fsii", "fbii")
R2 = "r2"  # stands for whole models among the indices
FRESH = 4000  # masks that judge whole models, where not all are known
TOP = 10
_WHOLE = "R² of whole models on masks that they did not see, medians over games:\n"
FIELDS = ("game", "index", "method", "multiple", "seed")


def order_of(index: str) -> int:
    return 1 if index == "sv" else 2


@dataclass(frozen=True)
class Known:
    """A game of n features whose truth is known: the ``values`` at every mask, or the ``spectrum``."""

    n: int
    values: np.ndarray | None
    spectrum: ip.Spectrum | None

    @classmethod
    def load(cls, name: str, folder: Path) -> Known:
        """Made where it is not there yet."""
        if name in trees.GAMES:
            trees.save(name, folder)
            spectrum = trees.read(folder / f"{name}.npz")
            return cls(spectrum.n, None, spectrum)
        values = exhaustive.load(name, folder)
        return cls(int(np.log2(len(values))), values, None)

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        if self.values is not None:
            return self.values[exhaustive.rows_of(masks)]
        assert self.spectrum is not None
        return self.spectrum.predict(masks)

    def unseen(self, seen: np.ndarray, seed: int) -> np.ndarray:
        """Masks that are not among the ``seen`` ones: all, or some at random."""
        everything = np.random.default_rng([seed, 0xF5]).random((FRESH, self.n)) < 0.5
        if self.values is not None:
            everything = exhaustive.every_mask(self.n)
        known = {row.tobytes() for row in np.packbits(seen, axis=1)}
        return everything[[row.tobytes() not in known for row in np.packbits(everything, axis=1)]]


@cache
def truth(game: str, index: str, folder: Path) -> np.ndarray:
    """The index of every set of its order: sv and sii by their definition, the others from the exact spectrum."""
    known, size = Known.load(game, folder), order_of(index)
    if known.values is not None and index in ("sv", "sii"):
        found = exhaustive.shapley_interactions(known.values, size)
    else:
        spectrum = known.spectrum
        if spectrum is None:
            spectrum = ip.fit(exhaustive.every_mask(known.n), known.values, method="exact").spectrum
        found = compute_index(spectrum, index, size)[0]
    return np.array([found.get(key, 0.0) for key in combinations(range(known.n), size)])


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(frozen=True)
class Once(Estimator):
    """`auto`, fitted once to the same ablations: the indices differ only in what is done with the fit."""

    name: ClassVar[str] = "auto"
    known: dict[tuple[bytes, bytes, int, int], Recovery] = field(default_factory=dict)

    def recover(self, prepared: Any, values: np.ndarray, *, order: int, seed: int) -> Recovery:
        key = (prepared.tobytes(), values.tobytes(), order, seed)
        if key not in self.known:
            self.known[key] = Auto().fit(prepared, values, order=order, seed=seed)
        return self.known[key]


def run_ours(names: list[str], indices: list[str], multiples: list[int], seeds: int, work: Path) -> None:
    """One design for all indices; sv, sii and k-sii have one fit as well."""
    path = work / "ours.jsonl"
    done = {(case["game"], case["index"], case["multiple"], case["seed"]) for case in read(path)}
    for seed in range(seeds):
        for multiple in multiples:
            for name in names:
                left = [index for index in indices if (name, index, multiple, seed) not in done]
                if not left:
                    continue
                known = Known.load(name, work / "games")
                began, once = time.perf_counter(), Once()
                masks = ip.design(known.n, multiple * known.n, index="sii", seed=seed)
                measured, uniform = known(masks), None
                with path.open("a") as out:
                    for index in left:
                        case = dict(zip(FIELDS, (name, index, "interplay", multiple, seed)))
                        if index in (R2, "fbii"):
                            if uniform is None:
                                uniform = uniformly(known, multiple * known.n, seed)
                            found, r2 = uniform
                        else:
                            found = ip.fit(masks, measured, method=once, index=index, seed=seed)
                        if index == R2:
                            case["r2"] = r2
                        else:
                            read_out = found.interactions(index, order=order_of(index))
                            sets = combinations(range(known.n), order_of(index))
                            case["estimates"] = [read_out.get(key, 0.0) for key in sets]
                        case |= {"used": found.used, "seconds": round(time.perf_counter() - began, 3)}
                        out.write(json.dumps(case | {"chosen": found.method}) + "\n")
                        out.flush()
                print(f"{name} {multiple} n, seed {seed}: {time.perf_counter() - began:.1f} s", flush=True)


def uniformly(known: Known, budget: int, seed: int) -> tuple[ip.Explanation, float]:
    """The explanation as it is by default, and the R² of its spectrum on masks that it did not see."""
    seen: list[np.ndarray] = []

    def value(masks: np.ndarray) -> np.ndarray:
        seen.append(masks)
        return known(masks)

    found = ip.explain(ip.Game(value, known.n), budget=budget, seed=seed)
    masks = known.unseen(np.concatenate(seen), seed)
    true = known(masks)
    return found, float(1.0 - ((found.spectrum.predict(masks) - true) ** 2).mean() / true.var())


def run_peers(python: Path, names: list[str], indices: list[str], multiples: list[int], seeds: int, work: Path) -> None:
    for index in indices:
        command = [
            python,
            HERE / "peers" / "shapiq_indices.py",
            work / "games",
            work / "peers.jsonl",
            "--games",
            *names,
        ]
        command += ["--index", index, "--budgets", *multiples, "--seeds", seeds]
        subprocess.run(list(map(str, command)), check=True)


class Errors:
    """Medians over seeds, by index, multiple, game and method; how many seeds; and why others have none.

    ``median`` has squared errors, ``top`` the share of the true strongest among the strongest estimates, ``r2`` R² of
    whole models by multiple, game and method.
    """

    def __init__(self, cases: list[dict], folder: Path) -> None:
        errors: dict[tuple, list[float]] = defaultdict(list)
        tops: dict[tuple, list[float]] = defaultdict(list)
        r2: dict[tuple, list[float]] = defaultdict(list)
        self.failed: dict[tuple[str, str], str] = {}
        for case in cases:
            if "failed" in case:
                self.failed[case["index"], case["method"]] = case["failed"]
            elif case["index"] == R2:
                r2[case["multiple"], case["game"], case["method"]].append(case["r2"])
            else:
                true, found = truth(case["game"], case["index"], folder), np.array(case["estimates"])
                key = (case["index"], case["multiple"], case["game"], case["method"])
                errors[key].append(float(((found - true) ** 2).sum() / (true**2).sum()))
                tops[key].append(len(strongest(found) & strongest(true)) / len(strongest(true)))
        self.median = {key: float(np.median(found)) for key, found in errors.items()}
        self.top = {key: float(np.mean(found)) for key, found in tops.items()}
        self.r2 = {key: float(np.median(found)) for key, found in r2.items()}
        self.seeds = {key: len(found) for key, found in errors.items()}
        self.indices = [index for index in INDICES if any(key[0] == index for key in self.median)]
        self.multiples = sorted({key[1] for key in self.median})
        names = [*exhaustive.GAMES, *trees.GAMES]
        self.games = [name for name in names if any(key[2] == name for key in self.median)]

    def methods(self, index: str) -> list[str]:
        return sorted({key[3] for key in self.median if key[0] == index} - {"interplay"})

    def best(self, index: str, multiple: int, game: str) -> tuple[float, str]:
        """The least error of a peer, and whose it is."""
        found = {
            m: self.median[index, multiple, game, m] for m in self.methods(index) if self.has(index, multiple, game, m)
        }
        name = min(found, key=found.__getitem__, default="")
        return found.get(name, np.nan), name

    def has(self, *key: object) -> bool:
        return key in self.median

    def ratio(self, index: str, multiple: int, game: str) -> float:
        """Our error over the best peer's; below 1e-12 of the truth both count as exact."""
        ours = self.median.get((index, multiple, game, "interplay"), np.nan)
        return (ours + EXACT) / (self.best(index, multiple, game)[0] + EXACT)


def strongest(values: np.ndarray) -> set[int]:
    """Where the strongest estimates stand; none of those that are 0."""
    ranked = np.argsort(-np.abs(values), kind="stable")[:TOP]
    return {int(place) for place in ranked if abs(values[place]) > 1e-9 * np.abs(values).max()}


def geometric(values: list[float]) -> float:
    there = [value for value in values if np.isfinite(value)]
    return float(np.exp(np.mean(np.log(there)))) if there else float("nan")


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def summary(errors: Errors) -> str:
    """Our error over the best peer's: geometric means over the games whose every mask was run, and the worst of all."""
    hidden = [game for game in errors.games if game.startswith("hidden")]
    grown = [game for game in errors.games if game in trees.GAMES]
    every = [game for game in errors.games if game not in trees.GAMES]
    rows = []
    for index in errors.indices:
        row = [f"`{index}`"]
        for multiple in errors.multiples:
            by_game = {game: errors.ratio(index, multiple, game) for game in errors.games}
            there = [ratio for ratio in by_game.values() if np.isfinite(ratio)]
            if not there:
                row.append("not run: time")
                continue
            parts = {"hidden": hidden, "trees": grown}
            told = [
                f"{name} {geometric([by_game[game] for game in games]):.2f}"
                for name, games in parts.items()
                if any(np.isfinite(by_game[game]) for game in games)
            ]
            told.append(f"worst {max(there):.2f}; {len(there)} games")
            row.append(f"**{geometric([by_game[game] for game in every]):.2f}** ({', '.join(told)})")
        rows.append(row)
    return table(["index", *[f"{m} n evaluations" for m in errors.multiples]], rows)


def precision(errors: Errors) -> str:
    """The share of the true strongest among the strongest estimates: ours, and the best peer's by its mean."""
    rows = []
    for index in errors.indices:
        row = [f"`{index}`"]
        for multiple in errors.multiples:
            games = [game for game in errors.games if np.isfinite(errors.ratio(index, multiple, game))]
            means = {}
            for method in ["interplay", *errors.methods(index)]:
                found = [errors.top.get((index, multiple, game, method), np.nan) for game in games]
                means[method] = float(np.mean(found)) if found else np.nan
            ours = means.pop("interplay")
            there = {method: mean for method, mean in means.items() if np.isfinite(mean)}
            name = max(there, key=there.__getitem__, default="")
            row.append(f"{ours:.2f} / {there[name]:.2f} {name}" if name else "not run: time")
        rows.append(row)
    return table(["index", *[f"{m} n evaluations" for m in errors.multiples]], rows)


def whole_models(errors: Errors) -> str:
    """R² on unseen masks: medians over the games of every method that gives a whole model."""
    multiples = sorted({key[0] for key in errors.r2})
    rows = []
    for method in sorted({key[2] for key in errors.r2}):
        row = [f"**{method}**" if method == "interplay" else method]
        for multiple in multiples:
            found = [value for (m, _, name), value in errors.r2.items() if (m, name) == (multiple, method)]
            row.append(
                f"{np.median(found):.3f} (worst {min(found):.2f}; {len(found)} games)" if found else "did not run"
            )
        rows.append(row)
    return table(["method", *[f"{m} n evaluations" for m in multiples]], rows)


def by_game(errors: Errors, index: str) -> str:
    rows = []
    for game in errors.games:
        row = [game]
        for multiple in errors.multiples:
            best, name = errors.best(index, multiple, game)
            ours = errors.median.get((index, multiple, game, "interplay"), np.nan)
            there = np.isfinite(ours) and np.isfinite(best)
            cell = f"{ours:.1e} / {best:.1e} {name} = {errors.ratio(index, multiple, game):.2f}"
            row.append(cell if there else "not run: time")
        rows.append(row)
    return table(["game", *[f"{m} n" for m in errors.multiples]], rows)


def by_method(errors: Errors, index: str) -> str:
    """Every method's error over ours, geometric means over the games."""
    rows = []
    for method in errors.methods(index):
        row = [method]
        for multiple in errors.multiples:
            ratios = [
                (errors.median[index, multiple, game, method] + EXACT)
                / (errors.median[index, multiple, game, "interplay"] + EXACT)
                for game in errors.games
                if errors.has(index, multiple, game, method) and errors.has(index, multiple, game, "interplay")
            ]
            of_all = "" if len(ratios) == len(errors.games) else f" ({len(ratios)} games)"
            row.append(f"{geometric(ratios):.1f}{of_all}" if ratios else "not run: time")
        rows.append(row)
    return table(["shapiq", *[f"{m} n" for m in errors.multiples]], sorted(rows, key=lambda row: row[-1]))


def report(errors: Errors, picture: str | None = None) -> str:
    ours = [count for key, count in errors.seeds.items() if key[3] == "interplay"]
    theirs = [count for key, count in errors.seeds.items() if key[3] != "interplay"]
    parts = [
        "# Comparison with the peers\n",
        "Ours and shapiq 1.8.0's approximators on the same games and budgets, where the truth is known. Our squared "
        "error over that of the best peer *of each game and budget*, geometric means over games whose every mask was "
        "run; below 1 we are closer:\n",
        summary(errors),
        *([f"![Our error over the best peer's, by game]({picture})\n"] if picture else []),
        *([_WHOLE, whole_models(errors)] if errors.r2 else []),
        f"Of the true {TOP} strongest the share among the {TOP} strongest estimates, means over games: ours / the best "
        "peer's by its mean:\n",
        precision(errors),
        "Written by `python benchmarks/indices.py`; its head has the rules. Squared errors are relative to the squared "
        f"norm of the truth, medians over {spread(ours)} seeds of ours and {spread(theirs)} of shapiq's, on "
        f"{len(errors.games)} games: of 10 to 14 features whose every mask was run (tables, texts, heads, "
        "retrainings), and boosted trees of 30 to 100 features whose spectrum is known exactly (`trees_*`). What is "
        "done with misses and sizes was chosen on nine other games ([Indices](indices.md)); earlier choices on those "
        "not named `hidden_*` or `trees_*`. `fbii` and whole models are from uniform masks, `ip.explain` as it is by "
        "default.\n",
        "A cell without a figure is there for want of time; where a peer did not finish a game, the best of the others "
        "counts, and its row says on how many games it stands.\n",
        'Left out: SPEX, which refuses such budgets ("Insufficient budget to compute the transform"), and ShaplEIG, '
        "which needs PyTorch and BoTorch for Python 3.12. ProxySPEX runs without its search of 90 fits, which takes "
        "minutes a case. Everything else that shapiq lists for an index is here, with the options that its authors "
        "recommend. [Earlier, with shapiq 1.4.1](comparison-r2.md): more games and budgets, ContextCite, LIME and the "
        "authors' own ProxySPEX and SPEX.\n",
    ]
    for index in errors.indices:
        parts += [f"## `{index}`\n", "Ours / the best peer's, and the ratio:\n", by_game(errors, index)]
        parts += ["Errors of every approximator as multiples of ours, geometric means over games:\n"]
        parts += [by_method(errors, index)]
    failed = [
        f"- {method} of {'whole models' if index == R2 else index}: {why}"
        for (index, method), why in errors.failed.items()
    ]
    return "\n".join([*parts, *(["## What failed\n", *failed, ""] if failed else [])])


def plot(errors: Errors, target: Path) -> None:
    """Our error over the best peer's, one dot a game and budget."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [index for index in ("sv", "sii") if index in errors.indices]
    figure, axes = plt.subplots(1, len(shown), figsize=(4.5 * len(shown), 4), sharey=True, squeeze=False)
    for axis, index in zip(axes[0], shown):
        for multiple, colour in zip(errors.multiples, ("#9ecae1", "#4292c6", "#08519c")):
            ratios = [errors.ratio(index, multiple, game) for game in errors.games]
            axis.plot(ratios, range(len(errors.games)), "o", color=colour, label=f"{multiple} n evaluations")
        axis.axvline(1, color="black", linewidth=1)
        axis.set(xscale="log", title=f"{index}: our error / the best peer's")
        axis.set_xlabel("left of the line: we are closer")
        axis.set_yticks(range(len(errors.games)), errors.games)
    axes[0, 0].invert_yaxis()
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=len(names), fontsize="small")
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(target, dpi=80)
    plt.close(figure)


def spread(counts: list[int]) -> str:
    low, high = min(counts, default=0), max(counts, default=0)
    return str(low) if low == high else f"{low} to {high}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for games and results")
    parser.add_argument("--games", nargs="*", default=[*exhaustive.GAMES, *trees.GAMES])
    parser.add_argument("--indices", nargs="*", default=[*INDICES, R2])
    parser.add_argument("--multiples", nargs="*", type=int, default=[10, 20, 40])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--peer-python", type=Path, help="a Python that has shapiq; without it peers are not run")
    parser.add_argument("--out", type=Path, help="write the report to this Markdown file")
    options = parser.parse_args()
    for name in options.games:
        Known.load(name, options.work / "games")
    run_ours(options.games, options.indices, options.multiples, options.seeds, options.work)
    if options.peer_python is not None:
        run_peers(options.peer_python, options.games, options.indices, options.multiples, options.seeds, options.work)
    cases = [case for name in ("ours", "peers") for case in read(options.work / f"{name}.jsonl")]
    chosen = [case for case in cases if case["game"] in options.games and case["index"] in options.indices]
    errors = Errors(chosen, options.work / "games")
    if options.out is None:
        print(report(errors))
    else:
        picture = options.out.with_suffix(".png")
        plot(errors, picture)
        options.out.write_text(report(errors, picture.name), encoding="utf-8")


if __name__ == "__main__":
    main()
