"""Do nominal 90% intervals hold the truth 90% of the time, and nominal 95% intervals of R² the true R²?

    python benchmarks/exhaustive.py --out GAMES
    python benchmarks/calibration.py --games GAMES --methods auto gp proxyspex

GAMES holds ``.npz`` files of two kinds: ``values`` (2^n,) of a game whose every mask was run, row r keeping feature i
where bit i of r is set; and spectra of ``games.py``. The truth of an index comes from all 2^n masks, or from the
spectrum; of R², from masks that the fit did not see. A set without an interval counts as missed.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

import games
import interplay as ip
from interplay._spectrum.indices import compute_index
from interplay.estimators import GP, Lasso, ProxySPEX

INDICES = ("bii", "fourier", "sii", "sv", "fbii", "mobius")
SIZES = (("1", 1, 1), ("2", 2, 2), ("3+", 3, 99))
SHOWN = ("all", "1", "2", "3+")
MOST = 20  # strongest sets that are judged
LEVEL = 0.9

Shares = dict[tuple[str, ...], list[float]]


@dataclass(frozen=True)
class Case:
    """A game to explain, and how to judge it: ``judge(explanation)`` gives the true R² of its fit."""

    name: str
    game: ip.Game
    values: np.ndarray | None = None
    fresh: tuple[np.ndarray, np.ndarray] | None = None
    spectrum: ip.Spectrum | None = None

    @cached_property
    def truth(self) -> ip.Explanation:
        """Every index of a game whose every mask was run, exactly."""
        assert self.values is not None
        return ip.explain(self.game, budget=len(self.values), method="exact", order=self.game.n)

    def true(self, index: str, order: int) -> ip.Interactions:
        """An index, exactly."""
        if self.spectrum is None:
            return self.truth.interactions(index, order)
        values, baseline = compute_index(self.spectrum, index, order)
        labels = [str(feature) for feature in range(self.spectrum.n)]
        return ip.Interactions(index, order, values, labels=labels, baseline=baseline)

    def true_r2(self, found: ip.Explanation) -> float:
        """On masks that nobody fitted; where all are few, on all those outside the design."""
        if self.fresh is not None:
            masks, values = self.fresh
        else:
            assert self.values is not None
            masks, values = every_mask(self.game.n), self.values
            seen = rows_of(ip.design(self.game.n, found.used, seed=found.seed))
            masks, values = np.delete(masks, seen, axis=0), np.delete(values, seen)
        return 1.0 - float(((found.spectrum.predict(masks) - values) ** 2).mean() / values.var())


def every_mask(n: int) -> np.ndarray:
    """All 2^n masks, (2^n, n)."""
    return (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(bool)


def rows_of(masks: np.ndarray) -> np.ndarray:
    """Where masks (N, n) stand among all 2^n, (N,)."""
    return masks.astype(np.int64) @ (1 << np.arange(masks.shape[1]))


def cases(folder: Path, noise: float, seed: int) -> Iterator[Case]:
    """The games of a folder; with ``noise``, in shares of the standard deviation, on all values."""
    rng = np.random.default_rng([seed, 0xCA])
    for path in sorted(folder.glob("*.npz")):
        data = np.load(path)
        if "n" not in data:
            values = data["values"].astype(float)
            values = values + noise * values.std() * rng.standard_normal(len(values))
            n = int(np.log2(len(values)))
            yield Case(path.stem, ip.Game(lambda masks, table=values: table[rows_of(masks)], n), values)
        elif "supports" in data:
            spectrum = games.read(path, seed=seed, most=1).spectrum
            assert spectrum is not None
            spread = noise * np.sqrt(spectrum.variance)

            def value(masks: np.ndarray, spectrum: ip.Spectrum = spectrum, spread: float = spread) -> np.ndarray:
                drawn = np.random.default_rng(int(rows_of(masks[:, :40])[0]))
                return np.asarray(spectrum.predict(masks) + spread * drawn.standard_normal(len(masks)))

            fresh = rng.random((games.UNSEEN, spectrum.n)) < 0.5
            yield Case(path.stem, ip.Game(value, spectrum.n), fresh=(fresh, value(fresh)), spectrum=spectrum)


def judge_intervals(
    found: ip.Explanation, true_at: Callable[[str, int], ip.Interactions], method: str, shares: Shares
) -> None:
    """Add for every index and size the share of intervals that hold the truth."""
    for index in INDICES:
        if index in ("fbii", "mobius") and found.n > MOST:  # sums over all subsets of large sets
            continue
        reported = found.interactions(index)
        true = true_at(index, reported.order)
        intervals = reported.intervals(LEVEL)
        least = 1e-9 * max(map(abs, true.values()), default=0.0)
        for who, ranked in (("reported", reported), ("true", true)):
            keys = [key for key, value in ranked.top(MOST).items() if abs(value) > least]
            held = {}
            for key in keys:
                low, high = intervals.get(key, (np.nan, np.nan))
                held[key] = bool(low - least <= true.get(key, 0.0) <= high + least)
            if keys:
                shares[method, index, who, "all"].append(float(np.mean(list(held.values()))))
            for label, smallest, largest in SIZES:
                shares[method, index, who, label] += [
                    float(one) for key, one in held.items() if smallest <= len(key) <= largest
                ]


def once() -> None:
    """Let `auto` take the fits that its candidates made of the same ablations by themselves: half of the time."""
    for kind in (GP, Lasso, ProxySPEX):
        known: dict[tuple, Any] = {}

        def recover(
            self: Any, prepared: Any, values: np.ndarray, *, order: int, seed: int, known=known, slow=kind.recover
        ) -> Any:
            key = (repr(self), values.tobytes(), order, seed)
            if key not in known:
                known[key] = slow(self, prepared, values, order=order, seed=seed)
            return known[key]

        kind.recover = recover  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=Path, required=True)
    parser.add_argument("--methods", nargs="*", default=["auto"])
    parser.add_argument("--multiples", nargs="*", type=float, default=[0.25, 0.5, 1, 2, 4], help="of n log2 n masks")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--noise", type=float, default=0.0, help="in standard deviations of the values")
    parser.add_argument("--most", type=int, default=2000, help="masks")
    parser.add_argument("--until", type=float, help="a goal of R²: how often it is said to be reached and is not")
    parser.add_argument("--work", type=Path, help="keep every case in this file, and go on where it ends")
    options = parser.parse_args()
    once()
    known = [] if options.work is None or not options.work.exists() else options.work.read_text().splitlines()
    found = {tuple(one["case"]): one for one in map(json.loads, known)}
    for one in measured(options, set(found)):
        found[tuple(one["case"])] = one
        if options.work is not None:
            with options.work.open("a") as out:
                out.write(json.dumps(one) + "\n")
    report(options.methods, [one for one in found.values() if one["case"][1] in options.methods])


def measured(options: argparse.Namespace, done: set[tuple]) -> Iterator[dict[str, Any]]:
    """Every case that is not done yet: its shares of intervals that hold, and its R²; of `until`, whether it was so."""
    for seed in options.seeds:
        for case in cases(options.games, options.noise, seed):
            n = case.game.n
            exact = cache(case.true)
            for multiple in options.multiples:
                budget = max(16, int(multiple * n * np.log2(n)))
                if budget > options.most or (case.values is not None and budget > len(case.values) // 2):
                    continue
                for method in options.methods:
                    key = (case.name, method, multiple, seed, options.noise)
                    if key in done:
                        continue
                    shares: Shares = defaultdict(list)
                    try:
                        found = ip.explain(case.game, budget=budget, method=method, seed=seed)
                    except ip.InputError:  # spex needs so many ablations, or all of them
                        continue
                    judge_intervals(found, exact, method, shares)
                    said = found.faithfulness
                    r2 = [case.true_r2(found), said.r2, said.low, said.high] if np.isfinite(said.r2) else None
                    yield {"case": key, "shares": [[*what, held] for what, held in shares.items()], "r2": r2}
            for method in options.methods if options.until is not None else ():
                key = (case.name, method, f"until {options.until:g}", seed, options.noise)
                if key in done:
                    continue
                budget = int(4 * n * np.log2(n))
                found = ip.explain(case.game, budget=budget, method=method, seed=seed, until=options.until)
                stopped = found.faithfulness.low >= options.until
                wrongly = [bool(case.true_r2(found) < options.until)] if stopped else []
                yield {"case": key, "shares": [], "r2": None, "stops": wrongly}


def report(methods: list[str], found: list[dict[str, Any]]) -> None:
    """Print both tables."""
    shares: Shares = defaultdict(list)
    r2: dict[tuple[str, float], list[list[float]]] = defaultdict(list)
    stops: dict[str, list[bool]] = defaultdict(list)
    for one in found:
        _, method, multiple, *_ = one["case"]
        for *what, held in one["shares"]:
            shares[tuple(what)] += held
        if one["r2"] is not None:
            r2[method, multiple].append(one["r2"])
            r2[method, np.inf].append(one["r2"])  # all of them, printed last
        if "stops" in one:
            stops[method] += one["stops"]

    def mean(key: tuple[str, ...]) -> str:
        return f"{np.mean(shares[key]):7.2f}" if shares.get(key) else "      -"

    for method in methods:
        print(f"\n{method}: share of nominal {LEVEL:.0%} intervals that hold the truth, by size of the set")
        print("          of the 20 strongest reported      of the 20 truly strongest")
        print("index      all      1      2     3+           all      1      2     3+")
        for index in INDICES:
            reported, true = (
                "".join(mean((method, index, who, size)) for size in SHOWN) for who in ("reported", "true")
            )
            print(f"{index:8}{reported}       {true}", flush=True)
    print("\nR²: true against reported     masks / n log2 n   cases   bias (median)   interval holds   above   below")
    for (method, multiple), cases_of in sorted(r2.items()):
        true, said, low, high = np.array(cases_of).T
        bias = np.clip(said, -1, 1) - np.clip(true, -1, 1)
        held = (low <= true) & (true <= high)
        print(
            f"{method:30}{multiple:10g}{len(cases_of):14}{bias.mean():+10.3f} ({np.median(bias):+.3f})"
            f"{held.mean():12.2f}{(true > high).mean():12.2f}{(true < low).mean():8.2f}"
        )
    for method, wrong in stops.items():
        print(f"{method}: {len(wrong)} said to have reached the goal, {sum(wrong)} of them wrongly")


if __name__ == "__main__":
    main()
