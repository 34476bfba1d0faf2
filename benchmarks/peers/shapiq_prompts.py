"""KernelSHAP and ProxySHAP of shapiq 1.8 on recorded prompts; for an environment that has it.

    python shapiq_prompts.py designs SIZES.json OUT.npz             # the coalitions that each asks for
    python shapiq_prompts.py fit METHOD IN.npz OUT.npz [IN.npz OUT.npz ...]    # its fit, given the values of those

Both choose coalitions by seed and size alone and ask for all of them at once, so that values can be recorded first; a
fit that asks for another fails.
KernelSHAP is a linear model with the Shapley values; ProxySHAP gives all pairs by faithful Banzhaf interactions, the
polynomial that is nearest on uniform masks, which is where it is judged.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import shapiq.approximator as sq
from pairs import each, save

warnings.filterwarnings("ignore")

MAKE = {
    "kernelshap": lambda n: sq.KernelSHAP(n, pairing_trick=True, random_state=0),
    "proxyshap": lambda n: sq.ProxySHAP(n, max_order=2, index="FBII", random_state=0),
}


class Asked(Exception):
    """What a method asked for, as soon as it did: its fit to values that nobody has is not waited for."""

    def __init__(self, rows: np.ndarray) -> None:
        super().__init__("asked")
        self.rows = rows


def ask(coalitions: np.ndarray) -> np.ndarray:
    rows = np.atleast_2d(coalitions).astype(bool)
    if len(rows) > 2:
        raise Asked(np.unique(rows, axis=0))
    return np.zeros(len(rows))


class Table:
    """A game read off what was recorded, shifted so that nothing kept is worth 0."""

    def __init__(self, masks: np.ndarray, values: np.ndarray) -> None:
        self.known = {row.tobytes(): value for row, value in zip(masks, values.tolist())}
        self.nothing = self.known[np.zeros(masks.shape[1], dtype=bool).tobytes()]

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        rows = np.atleast_2d(coalitions).astype(bool)
        return np.array([self.known[row.tobytes()] - self.nothing for row in rows])


def coalitions(method: str, n: int, budget: int) -> np.ndarray:
    """The distinct coalitions (N, n) that a method asks for."""
    try:
        MAKE[method](n).approximate(budget=budget, game=ask)
    except Asked as asked:
        return asked.rows
    raise SystemExit(f"{method} asked for nothing")


def designs(source: str, target: str) -> None:
    given = json.loads(Path(source).read_text())
    made = {
        f"{name}-{method}": np.packbits(coalitions(method, n, given["budget"]), axis=1)
        for name, n in given["sizes"].items()
        for method in MAKE
    }
    np.savez_compressed(target, **made)


def fit(method: str, source: str, target: str) -> None:
    given = np.load(source)
    n = given["masks"].shape[1]
    game = Table(given["masks"].astype(bool), given["values"])
    began = time.perf_counter()
    found = MAKE[method](n).approximate(budget=int(given["budget"]), game=game)
    seconds = time.perf_counter() - began
    sums = {tuple(sorted(map(int, key))): float(value) for key, value in found.dict_values.items()}
    sums[()] = sums.get((), 0.0) + game.nothing
    save(target, "mobius", sums, n, seconds, len(game.known))


if __name__ == "__main__":
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # LightGBM speaks to standard output from C
    step, *given = sys.argv[1:]
    if step == "designs":
        designs(*given)
    else:
        each(functools.partial(fit, given[0]), tuple(given[1:]))
