"""Zoom against other ways of naming what matters, each with the same budget, on one game: what the benchmarks share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import interplay as ip
from interplay.estimators import get_estimator

METHODS = ("zoom", "leave-one-out", "hierarchical", "flat lasso", "flat auto", "SPEX, least")
_AT_ONCE = 64  # ablations measured in one call


@dataclass(frozen=True)
class Row:
    """One method on one game: which of the leaves that matter it named, and how far the output falls without those.

    ``r2`` is what the explanation says of itself, ``fresh`` its R² on ablations of single leaves that nobody has seen.
    """

    part: str
    case: str
    seed: int
    method: str
    budget: int
    used: int
    leaves: int
    features: int
    named: list[str]
    found: int
    of: int
    r2: float
    fresh: float | None
    full: float
    falls: float
    seconds: float


@dataclass(frozen=True)
class Contest:
    """A game that can be zoomed, the labels of the leaves that matter, and how many leaves each method may name.

    ``fresh`` are masks (N, L) of the leaves and their values, to judge fits by.
    """

    part: str
    case: str
    seed: int
    game: ip.Game
    truth: tuple[str, ...]
    count: int
    fresh: tuple[np.ndarray, np.ndarray] | None = None

    def rows(self, budget: int, methods: list[str]) -> Iterator[Row]:
        """What each method makes of it; SPEX takes what it needs at least."""
        runs: dict[str, Callable[[], Row]] = {
            "zoom": lambda: self.explained(budget, "zoom"),
            "leave-one-out": lambda: self.one_out(budget),
            "hierarchical": lambda: self.coarse_out(budget),
            "flat lasso": lambda: self.explained(budget, "flat lasso"),
            "flat auto": lambda: self.explained(budget, "flat auto"),
            "SPEX, least": lambda: self.explained(get_estimator("spex").fewest(self.game.finest.n), "flat spex"),
        }
        for name in methods:
            yield runs[name]()

    def explained(self, budget: int, method: str) -> Row:
        """Explain the game as it is ("zoom"), or all of its leaves by another method ("flat ...")."""
        began, zoomed = time.perf_counter(), method == "zoom"
        found = ip.explain(
            self.game if zoomed else self.game.finest,
            budget=budget,
            method="auto" if zoomed else method.removeprefix("flat "),
            seed=self.seed,
            removals=0,
            progress=False,
        )
        names = named_by(found, self.game.finest.labels, self.count)
        return self._row(method, budget, found.used, names, began, found)

    def one_out(self, budget: int) -> Row:
        """Leave one out: the untouched input without each leaf, in random order, as far as the budget goes."""
        labels, began = self.game.finest.labels, time.perf_counter()
        tried = np.random.default_rng(self.seed).permutation(len(labels))[: budget - 1]
        effects = self._without_each([[i] for i in tried])
        names = [labels[i] for i in tried[np.argsort(-np.abs(effects))[: self.count]]]
        return self._row("leave-one-out", budget, len(tried) + 1, names, began)

    def coarse_out(self, budget: int) -> Row:
        """Hierarchical leave one out (AttriBoT): parts first, then what is inside the strongest, level by level."""
        labels, began = self.game.finest.labels, time.perf_counter()
        parts, used = list(self.game.tree.parts), 1
        scored: dict[int, float] = {}
        while parts:
            parts = parts[: budget - used]
            used += len(parts)
            effects = np.abs(self._without_each([range(one.start, one.end) for one in parts]))
            scored |= {one.start: effect for one, effect in zip(parts, effects, strict=True) if not one.parts}
            opened = [parts[i] for i in np.argsort(-effects) if parts[i].parts][: self.count]
            parts = [inner for one in opened for inner in one.parts]
        best = sorted(scored, key=lambda i: -scored[i])[: self.count]
        return self._row("hierarchical l.o.o.", budget, used, [labels[i] for i in best], began)

    def values(self, masks: np.ndarray) -> np.ndarray:
        """The values of masks of the leaves."""
        return np.concatenate([self.game.finest(masks[at : at + _AT_ONCE]) for at in range(0, len(masks), _AT_ONCE)])

    def _without_each(self, sets: list[Any]) -> np.ndarray:
        masks = np.ones((len(sets) + 1, self.game.finest.n), dtype=bool)
        for row, ids in zip(masks, sets, strict=False):
            row[list(ids)] = False
        values = self.values(masks)
        return values[-1] - values[:-1]

    def _row(
        self, method: str, budget: int, used: int, names: list[str], began: float, found: ip.Explanation | None = None
    ) -> Row:
        """What the named leaves are worth."""
        seconds = time.perf_counter() - began
        labels, fresh = self.game.finest.labels, None
        full, left = self.values(np.array([[True] * len(labels), [label not in names for label in labels]]))
        if found is not None and self.fresh is not None:
            masks, values = self.fresh
            fresh = round(float(1 - np.mean((values - at_leaves(found, masks)) ** 2) / values.var()), 4)
        return Row(
            self.part,
            self.case,
            self.seed,
            method,
            budget,
            used,
            len(labels),
            len(labels) if found is None else found.n,
            [" ".join(name.split())[:80] for name in names],
            len(set(self.truth) & set(names)),
            len(self.truth),
            float("nan") if found is None else round(found.faithfulness.r2, 4),
            fresh,
            round(float(full), 4),
            round(float(full - left), 4),
            round(seconds, 2),
        )


def named_by(explanation: ip.Explanation, leaves: tuple[str, ...], count: int) -> list[str]:
    """The leaves of the strongest sets, alone or together, that the explanation shows one by one."""
    names: list[str] = []
    known = set(leaves)
    for key in explanation.interactions(top=4 * count + 8):  # by number: long labels are shortened where they are shown
        names += [found for i in key if (found := explanation.labels[i]) not in names and found in known]
    return names[:count]


def at_leaves(found: ip.Explanation, leaves: np.ndarray) -> np.ndarray:
    """The fit at masks of the leaves (N, L): a part that stayed closed counts by the share of it that is kept."""
    sizes = np.ones(found.n, dtype=int)
    stack = list(found.outline)
    while stack:
        branch = stack.pop()
        stack += branch.parts
        if branch.feature is not None:
            sizes[branch.feature] = branch.leaves
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    signs = 1.0 - 2.0 * np.add.reduceat(leaves, starts, axis=1, dtype=float) / sizes
    total = np.zeros(len(leaves))
    for ids, value in found.spectrum.coefficients.items():
        total += value * signs[:, list(ids)].prod(axis=1)
    return total


def smollm(path: str | None, device: str, dtype: str | None = None) -> Any:
    """The model in a GGUF file."""
    if path is None:
        raise SystemExit("this part needs --model, the GGUF file of SmolLM2-135M-Instruct.")
    return ip.models.CausalLM.load(path, device=device, dtype=dtype)
