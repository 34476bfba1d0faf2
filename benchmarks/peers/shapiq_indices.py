"""Every approximator of shapiq 1.8 that takes a budget, on games known at every mask; for an environment that has it.

    python shapiq_indices.py GAMES_FOLDER OUT.jsonl --games A B --index sv --budgets 10 20 40 --seeds 5

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
from pathlib import Path

import numpy as np
import shapiq.approximator as sq

warnings.filterwarnings("ignore")

Make = Callable[[int, int], object]
PAIRS = {"sii": "SII", "k-sii": "k-SII", "stii": "STII", "fsii": "FSII"}


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


class Counted:
    """A game read off its table; counts the distinct masks that were asked for."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.n = values, int(np.log2(len(values)))
        self.seen: set[int] = set()

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        rows = np.atleast_2d(masks).astype(bool) @ (1 << np.arange(self.n))
        self.seen.update(rows.tolist())
        return self.values[rows]


def run(values: np.ndarray, make: Make, size: int, budget: int, seed: int) -> dict:
    """One estimate; the game is shifted so that nothing kept is worth 0, as some approximators assume."""
    game = Counted(values - values[0])
    np.random.seed(seed)  # noqa: NPY002 - some draw from the global state
    began = time.perf_counter()
    try:
        found = make(game.n, seed).approximate(budget=budget, game=game)
    except Exception as error:  # whatever it says is the cell's reason
        return {"failed": f"{type(error).__name__}: {error}".split("\n")[0][:200]}
    seconds = time.perf_counter() - began
    by_set = {tuple(sorted(map(int, key))): float(value) for key, value in found.dict_values.items()}
    estimates = [by_set.get(key, 0.0) for key in combinations(range(game.n), size)]
    return {"used": len(game.seen), "seconds": round(seconds, 3), "estimates": estimates}


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
    methods = shapley_values() if options.index == "sv" else pairs(options.index)
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    names = ("game", "index", "method", "multiple", "seed")
    done = {tuple(case[name] for name in names) for case in map(json.loads, lines)}
    with options.out.open("a") as out:
        for game in options.games:
            values = np.load(options.folder / f"{game}.npz")["values"]
            n = int(np.log2(len(values)))
            for method, make in methods.items():
                for multiple in options.budgets:
                    for seed in range(options.seeds):
                        case = (game, options.index, method, multiple, seed)
                        if case not in done:
                            found = run(values, make, 1 if options.index == "sv" else 2, multiple * n, seed)
                            out.write(json.dumps(dict(zip(names, case)) | found) + "\n")
                            out.flush()


if __name__ == "__main__":
    main()
