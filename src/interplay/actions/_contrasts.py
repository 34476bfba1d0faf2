"""Paired differences between fillings of a slot: the same prompt with another name, pronoun or dialect."""

from __future__ import annotations

import concurrent.futures as futures
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from interplay._errors import InputError
from interplay._game.game import Game
from interplay._game.masks import Values, averaged
from interplay.ablate import Store, measure
from interplay.actions._parts import output_at
from interplay.actions._repeats import Prompts


@dataclass(frozen=True)
class Contrast:
    """The mean difference of the output, ``first`` minus ``second`` filling of a slot, over the same prompts.

    ``cases`` counts the pairs: prompts that differ in nothing but this slot give one and the same. ``low`` and ``high``
    are the 95% interval, NaN of a single pair; ``p`` is the paired t-test's, ``q`` adjusted over all contrasts.
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
        reach = f"[{self.low:+.3g}, {self.high:+.3g}]  " if self.cases > 1 else ""
        pairs = f"{self.cases} pairs" if self.cases > 1 else "a single pair"
        return (
            f"  {self.mean:>+9.4g} {reach}{self.slot}: {self.first} rather than {self.second}, {pairs}, q {self.q:.2g}"
        )


def check_counterfactuals(cases: Sequence[Any], counterfactuals: Mapping[str, Sequence[str]]) -> None:
    """An `InputError` for fillings that cannot be compared, or cases without their slot."""
    if not isinstance(counterfactuals, Mapping):
        raise InputError(
            "counterfactuals must map a slot to its fillings, such as {'who': ['he', 'she']}, not "
            f"{counterfactuals!r}."
        )
    for slot, fillings in counterfactuals.items():
        listed = isinstance(fillings, Iterable) and not isinstance(fillings, (str, bytes, Mapping))
        if not listed or not all(isinstance(filling, Hashable) for filling in fillings):
            raise InputError(f"the slot {slot!r} needs a list of fillings, such as ['he', 'she'], not {fillings!r}.")
        if len(set(fillings)) < 2:
            raise InputError(f"the slot {slot!r} needs at least two different fillings, not {list(fillings)!r}.")
        for case in cases:
            if not isinstance(case, Mapping) or slot not in case:
                raise InputError(f"counterfactuals need cases with a slot {slot!r}, but one is {case!r}.")


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
    from scipy.stats import false_discovery_control

    found, spent = [], 0
    for slot, fillings in counterfactuals.items():
        outputs: dict[str, list[float]] = {filling: [] for filling in fillings}
        for filled in _filled(make_game, cases, slot, list(outputs)):
            for filling, game in filled.items():
                measured = measure(game, np.ones((1, game.n), dtype=np.bool_), store=store, executor=executor)
                spent += 1
                outputs[filling].append(_read(game, measured.values, output))
        found += [
            _compared(slot, first, second, np.array(outputs[first]), np.array(outputs[second]))
            for first, second in combinations(outputs, 2)
        ]
    if not found:
        return (), spent
    adjusted = false_discovery_control([contrast.p for contrast in found])
    ranked = [replace(contrast, q=float(q)) for contrast, q in zip(found, adjusted, strict=True)]
    return tuple(sorted(ranked, key=lambda one: (one.q, -abs(one.mean)))), spent


def _filled(
    make_game: Callable[[Any], Game], cases: Sequence[Any], slot: str, fillings: Sequence[str]
) -> Iterator[dict[str, Game]]:
    """By filling, the game of a case that is filled so; cases whose prompts are those of one before are passed over."""
    prompts, seen = Prompts(), set()
    rests: set[frozenset[tuple[str, object]]] = set()
    for case in cases:
        rest = [(name, value) for name, value in case.items() if name != slot]
        if all(isinstance(value, (str, int, float)) for _, value in rest):
            if frozenset(rest) in rests:
                continue
            rests.add(frozenset(rest))
        games = {filling: make_game({**case, slot: filling}) for filling in fillings}
        numbers = tuple(map(prompts.number, games.values()))
        if numbers not in seen:
            seen.add(numbers)
            yield games


def _compared(slot: str, first: str, second: str, ours: Values, theirs: Values) -> Contrast:
    """The contrast of two fillings by their outputs in the same prompts, ``q`` left open."""
    from scipy.stats import ttest_rel

    difference = ours - theirs
    mean, count = float(difference.mean()), len(difference)
    if count < 2:  # a single pair tells nothing of what others would do
        return Contrast(slot, first, second, count, mean, float("nan"), float("nan"), 1.0, 1.0)
    if np.ptp(difference) <= 1e-9 * abs(mean):  # a test of no spread is none
        return Contrast(slot, first, second, count, mean, mean, mean, float(mean == 0), 1.0)
    test = ttest_rel(ours, theirs)
    interval = test.confidence_interval(0.95)
    return Contrast(
        slot, first, second, count, mean, float(interval.low), float(interval.high), float(test.pvalue), 1.0
    )


def _read(game: Game, values: Any, output: str | int | None) -> float:
    row = np.atleast_1d(averaged(values, game.repeats)[0])
    names = game.outputs or tuple(f"output {number}" for number in range(len(row)))
    return float(row[output_at(names, output)])
