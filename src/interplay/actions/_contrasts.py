"""Paired differences between fillings of a slot: the same prompt with another name, pronoun or dialect."""

from __future__ import annotations

import concurrent.futures as futures
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from interplay._errors import InputError
from interplay._game.game import Game
from interplay._game.masks import averaged
from interplay.ablate import Store, measure


@dataclass(frozen=True)
class Contrast:
    """The mean difference of the output, ``first`` minus ``second`` filling of a slot, over the same prompts.

    ``low`` and ``high`` are its 95% interval; ``p`` is the paired t-test's, ``q`` adjusted over all contrasts.
    """

    slot: str
    first: str
    second: str
    cases: int
    mean: float
    low: float
    high: float
    p: float
    q: float

    def __str__(self) -> str:
        return (
            f"  {self.mean:>+9.4g} [{self.low:+.3g}, {self.high:+.3g}]  {self.slot}: {self.first} rather than "
            f"{self.second}, {self.cases} pairs, q {self.q:.2g}"
        )


def contrasts(
    make_game: Callable[[Any], Game],
    cases: Sequence[Any],
    counterfactuals: Mapping[str, Sequence[str]],
    output: str | int | None,
    *,
    store: Store,
    executor: futures.Executor | None,
) -> tuple[tuple[Contrast, ...], int]:
    """Every pair of fillings of every slot compared over all cases, and how many measurements that took."""
    from scipy.stats import false_discovery_control, ttest_rel

    found, spent = [], 0
    for slot, fillings in counterfactuals.items():
        if len(set(fillings)) < 2:
            raise InputError(f"the slot {slot!r} needs at least two different fillings, not {list(fillings)!r}.")
        outputs: dict[str, list[float]] = {filling: [] for filling in fillings}
        for case in cases:
            if not isinstance(case, Mapping) or slot not in case:
                raise InputError(f"counterfactuals need cases with a slot {slot!r}, but one is {case!r}.")
            for filling in outputs:
                game = make_game({**case, slot: filling})
                measured = measure(game, np.ones((1, game.n), dtype=np.bool_), store=store, executor=executor)
                spent += 1
                outputs[filling].append(_read(game, measured.values, output))
        for first, second in combinations(outputs, 2):
            difference = np.array(outputs[first]) - np.array(outputs[second])
            mean = float(difference.mean())
            if np.ptp(difference) <= 1e-9 * abs(mean):  # a test of no spread is none
                found.append(Contrast(slot, first, second, len(cases), mean, mean, mean, float(mean == 0), 1.0))
                continue
            test = ttest_rel(outputs[first], outputs[second])
            interval = test.confidence_interval(0.95)
            low, high = float(interval.low), float(interval.high)
            found.append(Contrast(slot, first, second, len(cases), mean, low, high, float(test.pvalue), 1.0))
    if not found:
        return (), spent
    adjusted = false_discovery_control([contrast.p for contrast in found])
    ranked = [replace(contrast, q=float(q)) for contrast, q in zip(found, adjusted, strict=True)]
    return tuple(sorted(ranked, key=lambda one: (one.q, -abs(one.mean)))), spent


def _read(game: Game, values: Any, output: str | int | None) -> float:
    row = np.atleast_1d(averaged(values, game.repeats)[0])
    if output is None:
        if len(row) > 1:
            raise InputError(f"the games have {len(row)} outputs: choose one with output=.")
        return float(row[0])
    return float(row[output if isinstance(output, int) else (game.outputs or ()).index(output)])
