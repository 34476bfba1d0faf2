"""Every approximator of shapiq 1.8 that takes a budget, on games of known truth; for an environment that has it.

    python shapiq_indices.py GAMES_FOLDER OUT.jsonl --games A B --index sv --budgets 10 20 40 --seeds 5

Games are ``.npz`` files with ``values`` (2^n,) at every mask, or with ``n``, ``supports`` and ``coefficients`` of a
spectrum. The index "r2" stands for whole models: FBII of order 5, or 2 where that is all there is, as a polynomial.
Budgets are multiples of n. One line a case: the game, index, method, budget, seed, distinct evaluations used, seconds,
and the estimates of all sets of the index's order (singles for sv, pairs otherwise) in lexicographic order; or why it
failed.
Cases that OUT holds are not run again. Options are those that their authors recommend: pairs of complements wherever
an approximator can take them; only ProxySPEX goes without its search of 90 fits, which takes minutes a case. Two are
left out: SPEX, which refuses such budgets ("Insufficient budget to compute the transform"), and ShaplEIG, which needs
PyTorch and BoTorch.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import shapiq.approximator as sq

warnings.filterwarnings("ignore")

Make = Callable[[int, int], object]
PAIRS = {"sii": "SII", "k-sii": "k-SII", "stii": "STII", "fsii": "FSII", "fbii": "FBII"}
FRESH = 4000  # masks that judge whole models, where not all are known


def shapley_values() -> dict[str, Make]:
    """Approximators of Shapley values: (n, seed) to one of them."""
    return {
        "KernelSHAP": lambda n, seed: sq.KernelSHAP(n, pairing_trick=True, random_state=seed),
        "LeverageSHAP": lambda n, seed: sq.LeverageSHAP(n, random_state=seed),
        "OddSHAP": lambda n, seed: sq.OddSHAP(n, random_state=seed),
        "PolySHAP": lambda n, seed: sq.PolySHAP(n, pairing_trick=True, random_state=seed),
        "kADDSHAP": lambda n, seed: sq.kADDSHAP(n, max_order=2, pairing_trick=True, random_state=seed),
        "RegressionMSR": lambda n, seed: sq.RegressionMSR(n, index="SV", random_state=seed),
        "RegressionMSR linear": lambda n, seed: sq.RegressionMSR(
            n, index="SV", proxy_model="linear", random_state=seed
        ),
        "ProxySHAP": lambda n, seed: sq.ProxySHAP(n, max_order=1, index="SV", random_state=seed),
        "ProxySHAP adjusted": lambda n, seed: sq.ProxySHAP(
            n, max_order=1, index="SV", adjustment=True, random_state=seed
        ),
        "ProxySPEX": lambda n, seed: sq.ProxySPEX(n=n, max_order=1, index="SV", hpo=False, random_state=seed),
        "UnbiasedKernelSHAP": lambda n, seed: sq.UnbiasedKernelSHAP(n, pairing_trick=True, random_state=seed),
        "SVARM": lambda n, seed: sq.SVARM(n, pairing_trick=True, random_state=seed),
        "Permutation": lambda n, seed: sq.PermutationSamplingSV(n, random_state=seed),
        "Stratified": lambda n, seed: sq.StratifiedSamplingSV(n, random_state=seed),
        "Owen": lambda n, seed: sq.OwenSamplingSV(n, random_state=seed),
    }


def pairs(index: str) -> dict[str, Make]:
    """Approximators of the pairs of an interaction index."""
    name, plain = PAIRS[index], {"max_order": 2, "index": PAIRS[index]}
    if name == "FBII":
        return uniform(2) | {
            "SVARMIQ": lambda n, seed: sq.SVARMIQ(n, **plain, sampling_weights=evenly(n), random_state=seed),
            "SHAPIQ": lambda n, seed: sq.SHAPIQ(n, **plain, sampling_weights=evenly(n), random_state=seed),
        }
    found: dict[str, Make] = {
        "SVARMIQ": lambda n, seed: sq.SVARMIQ(n, **plain, pairing_trick=True, random_state=seed),
        "SHAPIQ": lambda n, seed: sq.SHAPIQ(n, **plain, pairing_trick=True, random_state=seed),
        "ProxySPEX": lambda n, seed: sq.ProxySPEX(n=n, **plain, hpo=False, random_state=seed),
    }
    if name in ("SII", "k-SII"):
        found["KernelSHAPIQ"] = lambda n, seed: sq.KernelSHAPIQ(n, **plain, pairing_trick=True, random_state=seed)
        found["InconsistentKernelSHAPIQ"] = lambda n, seed: sq.InconsistentKernelSHAPIQ(
            n, **plain, pairing_trick=True, random_state=seed
        )
        found["Permutation"] = lambda n, seed: sq.PermutationSamplingSII(n, **plain, random_state=seed)
    if name == "STII":
        found["Permutation"] = lambda n, seed: sq.PermutationSamplingSTII(n, **plain, random_state=seed)
    else:
        found["ProxySHAP"] = lambda n, seed: sq.ProxySHAP(n, **plain, random_state=seed)
        found["ProxySHAP adjusted"] = lambda n, seed: sq.ProxySHAP(n, **plain, adjustment=True, random_state=seed)
    if name == "FSII":
        found["RegressionFSII"] = lambda n, seed: sq.RegressionFSII(
            n, max_order=2, pairing_trick=True, random_state=seed
        )
    return found


def evenly(n: int) -> np.ndarray:
    """Sampling weights of sizes under which all masks are equally likely, as FBII weighs them."""
    return np.array([comb(n, size) for size in range(n + 1)], dtype=float)


def uniform(order: int) -> dict[str, Make]:
    """Approximators of FBII that can stand for the whole game, on masks at random."""
    plain = {"max_order": order, "index": "FBII"}
    return {
        "ProxySPEX": lambda n, seed: sq.ProxySPEX(
            n=n, **plain, hpo=False, sampling_weights=evenly(n), random_state=seed
        ),
        "ProxySHAP": lambda n, seed: sq.ProxySHAP(n, **plain, sampling_weights=evenly(n), random_state=seed),
        "ProxySHAP adjusted": lambda n, seed: sq.ProxySHAP(
            n, **plain, adjustment=True, sampling_weights=evenly(n), random_state=seed
        ),
        "RegressionFBII": lambda n, seed: sq.RegressionFBII(
            n, max_order=2, sampling_weights=evenly(n), random_state=seed
        ),
    }


class Known:
    """A game whose truth is known: every value, or a spectrum."""

    def __init__(self, path: Path) -> None:
        data = np.load(path)
        self.values = data.get("values")
        if self.values is not None:
            self.n = int(np.log2(len(self.values)))
        else:
            self.n = int(data["n"])
            self.supports = np.unpackbits(data["supports"], axis=1)[:, : self.n].astype(np.float32)
            self.coefficients = data["coefficients"]

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        if self.values is not None:
            return self.values[masks @ (1 << np.arange(self.n))]
        kept = masks.astype(np.float32) @ self.supports.T
        return (1.0 - 2.0 * (kept % 2)) @ self.coefficients


class Counted:
    """A game that counts the distinct masks that were asked for, shifted so that nothing kept is worth 0."""

    def __init__(self, known: Known) -> None:
        self.known, self.n = known, known.n
        self.empty = float(known(np.zeros((1, known.n), dtype=bool))[0])
        self.seen: set[bytes] = set()

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        rows = np.atleast_2d(masks).astype(bool)
        self.seen.update(np.packbits(row).tobytes() for row in rows)
        return self.known(rows) - self.empty


def run(known: Known, make: Make, size: int, budget: int, seed: int) -> dict:
    """One estimate of all sets of ``size`` features; of size 0, the R² of the whole model on masks it did not see."""
    game = Counted(known)
    np.random.seed(seed)  # noqa: NPY002 - some draw from the global state
    began = time.perf_counter()
    try:
        found = make(game.n, seed).approximate(budget=budget, game=game)
    except Exception as error:  # whatever it says is the cell's reason
        return {"failed": f"{type(error).__name__}: {error}".split("\n")[0][:200]}
    done = {"used": len(game.seen), "seconds": round(time.perf_counter() - began, 3)}
    by_set = {tuple(sorted(map(int, key))): float(value) for key, value in found.dict_values.items()}
    if not size:
        return done | {"r2": whole(game, by_set, float(found.baseline_value), seed)}
    return done | {"estimates": [by_set.get(key, 0.0) for key in combinations(range(game.n), size)]}


def whole(game: Counted, by_set: dict[tuple[int, ...], float], baseline: float, seed: int) -> float:
    """R² on unseen masks of the polynomial of products of kept features."""
    if game.known.values is not None:
        masks = (np.arange(1 << game.n)[:, None] >> np.arange(game.n) & 1).astype(bool)
    else:
        masks = np.random.default_rng([seed, 0xF5]).random((FRESH, game.n)) < 0.5
    masks = masks[[np.packbits(row).tobytes() not in game.seen for row in masks]]
    true, predicted = game.known(masks) - game.empty, np.full(len(masks), baseline)
    for key, value in by_set.items():
        if key:
            predicted += value * masks[:, list(key)].all(axis=1)
    return float(1.0 - ((true - predicted) ** 2).mean() / true.var())


def main() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # LightGBM speaks to standard output from C
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--games", nargs="+", required=True)
    parser.add_argument("--index", required=True)
    parser.add_argument("--budgets", nargs="+", type=int, required=True)
    parser.add_argument("--seeds", type=int, required=True)
    options = parser.parse_args()
    size = {"sv": 1, "r2": 0}.get(options.index, 2)
    methods = {"sv": shapley_values, "r2": lambda: uniform(5)}.get(options.index, lambda: pairs(options.index))()
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    names = ("game", "index", "method", "multiple", "seed")
    done = {tuple(case[name] for name in names) for case in map(json.loads, lines)}
    with options.out.open("a") as out:
        for game in options.games:
            known = Known(options.folder / f"{game}.npz")
            for method, make in methods.items():
                for multiple in options.budgets:
                    for seed in range(options.seeds):
                        case = (game, options.index, method, multiple, seed)
                        if case not in done:
                            found = run(known, make, size, multiple * known.n, seed)
                            out.write(json.dumps(dict(zip(names, case)) | found) + "\n")
                            out.flush()


if __name__ == "__main__":
    main()
