"""A found set replaced rather than removed, over many variants, beside other sets replaced in the same way."""

from __future__ import annotations

import concurrent.futures as futures
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from interplay._checks import check_whole, unknown
from interplay._display import Displayed
from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._findings.views import Table, View
from interplay._game.game import Game
from interplay._game.masks import Masks, Values, averaged
from interplay._spectrum.characters import Features
from interplay._spectrum.interactions import distinct_labels
from interplay.ablate import Progress, Store, measure
from interplay.actions._flips import Line, flip
from interplay.actions._parts import as_explained, one_output, set_of_parts
from interplay.actions._tables import table

if TYPE_CHECKING:
    import pandas as pd

Replacements: TypeAlias = str | Sequence[str] | Mapping[str, Sequence[str]] | Callable[[str], str | Sequence[str]]

NEUTRAL = ("it", "this", "that", "one", "something", "thing", "some", "here")
"""What parts become where ``replacements`` is "neutral"."""
LEVEL = 0.95


@dataclass(frozen=True)
class Arm:
    """One set of parts, replaced in every variant: the texts that stood there, the outputs, and how many fail.

    ``failures`` of ``len(outputs)`` stayed on the untouched input's side of the line; ``low`` and ``high`` are the
    Wilson interval of that rate.
    """

    name: str
    features: tuple[Features, ...]
    texts: tuple[tuple[str, ...], ...] = field(repr=False)
    outputs: tuple[float, ...] = field(repr=False)
    failures: int
    low: float
    high: float

    @classmethod
    def of(
        cls, name: str, rows: Sequence[tuple[Features, tuple[str, ...]]], values: Values, sign: float, line: float
    ) -> Arm:
        """The arm whose variants ``rows``, sets and their texts, gave ``values``."""
        from scipy.stats import binomtest

        failures = int((sign * (values - line) <= 0).sum())
        interval = binomtest(failures, len(values)).proportion_ci(LEVEL, method="wilson")
        return cls(
            name,
            tuple(key for key, _ in rows),
            tuple(texts for _, texts in rows),
            tuple(values.tolist()),
            failures,
            float(interval.low),
            float(interval.high),
        )

    @property
    def rate(self) -> float:
        """The share of variants that fail."""
        return self.failures / len(self.outputs)


@dataclass(frozen=True)
class Replacement(Displayed):
    """What replacing a set does to a failure, beside what replacing others does.

    Attributes
    ----------
    found
        The set in question, replaced in every variant.
    first_order
        As many parts, those whose single effects push the output furthest beyond the line.
    others
        As many parts at random outside the set, drawn anew for every variant: the failure rate *before*, among
        inputs reworded elsewhere.
    untouched
        The output of the untouched input.
    measured, from_store
        The measurements made, and how many of those were known.
    """

    found: Arm
    first_order: Arm
    others: Arm
    untouched: float
    below: float | None
    above: float | None
    labels: tuple[str, ...] = field(repr=False)
    measured: int
    from_store: int

    def view(self) -> View:
        """What there is to show: the failure rate by what was replaced."""
        line = f"below {self.below:g}" if self.below is not None else f"above {self.above:g}"
        arms = (self.others, self.first_order, self.found)
        rows = tuple((arm.name, self._where(arm), arm.failures, len(arm.outputs), arm.low, arm.high) for arm in arms)
        ours, before = self.found, self.others
        return View(
            f"How often does the output stay not {line} when a set is put in other words?",
            f"In {ours.failures} of {len(ours.outputs)} variants with {self._where(ours)} replaced, in "
            f"{before.failures} of {len(before.outputs)} with others replaced.",
            (Table("Failures", ("replaced", "parts", "fail", "of", "rate from", "to"), rows),),
            cost=f"{self.measured} measured, {self.from_store} of them known before",
        )

    def _where(self, arm: Arm) -> str:
        names = distinct_labels(self.labels)
        return " + ".join(names[i] for i in arm.features[0]) if len(set(arm.features)) == 1 else "at random"

    def __str__(self) -> str:
        line = f"below {self.below:g}" if self.below is not None else f"above {self.above:g}"
        rows = [f"not {line}, of the variants in which these were replaced (untouched: {self.untouched:.4g}):"]
        for arm in (self.others, self.first_order, self.found):
            share = f"{arm.failures} of {len(arm.outputs)}"
            rows.append(f"  {arm.name:<12} {share:>9}  [{arm.low:.2f}, {arm.high:.2f}]  {self._where(arm)}")
        return "\n".join(rows)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts."""
        arms = {
            arm.name: {name: getattr(arm, name) for name in arm.__dataclass_fields__} | {"rate": arm.rate}
            for arm in (self.found, self.first_order, self.others)
        }
        names = ("untouched", "below", "above", "labels", "measured", "from_store")
        return {"arms": arms, **{name: getattr(self, name) for name in names}}

    def to_frame(self) -> pd.DataFrame:
        """A pandas table with a row a variant: arm, features, texts, output, fails.

        Raises
        ------
        MissingExtraError
            Without pandas.
        """
        columns = ("arm", "features", "texts", "output", "fails")
        return table(
            columns,
            [
                dict(zip(columns, (arm.name, features, texts, output, not self._crosses(output)), strict=True))
                for arm in (self.found, self.first_order, self.others)
                for features, texts, output in zip(arm.features, arm.texts, arm.outputs, strict=True)
            ],
        )

    def _crosses(self, output: float) -> bool:
        return output < self.below if self.below is not None else output > self.above  # type: ignore[operator]


def replace(
    game: Game,
    explanation: Explanation,
    replacements: Replacements,
    *,
    features: Iterable[int | str] | None = None,
    below: Line | None = None,
    above: Line | None = None,
    variants: int = 20,
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    executor: futures.Executor | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Replacement:
    """Replace a set of a text's parts by other words, over many variants, and measure how often the failure stays.

    A variant fails where its output stays on the untouched input's side of the line. Two further sets of as many
    parts are replaced in the same way: those that single effects name, and parts at random outside the set.

    >>> import interplay as ip
    >>> def alarm(texts):                       # rings when "pull" and "lever" meet
    ...     return [float("pull" in text and "lever" in text) for text in texts]
    >>> game = ip.lenses.text(alarm, "shall I pull the red lever now")
    >>> found = ip.actions.replace(game, ip.explain(game, budget=128), ["touch", "see"], below=0.5)
    >>> found.found.features[0], found.found.rate, found.others.rate
    ((2,), 0.0, 1.0)

    Parameters
    ----------
    game, explanation
        A game of a text's parts, and what `interplay.explain` says of it.
    replacements
        What a part may become: a list of texts; a list for each label; a function from the part's text to a text or
        a list; or "neutral" for words that say little.
    features
        Ids or labels of the set to replace, each once; the first set that `flip` finds when left out.
    below, above
        The line, as in `flip`.
    variants
        How many ways of replacing; fewer where there are no more.
    seed
        Seed of the choice of variants and of the parts at random.

    Raises
    ------
    InputError
        For a game whose parts cannot be replaced, or where no set flips the output.
    """
    check_whole("variants", variants, 1)
    check_whole("seed", seed, 0)
    game = as_explained(game, explanation)
    output = one_output(game, explanation)
    if not hasattr(game.value, "replaced"):
        raise InputError("only parts of a text can be replaced, and this game is none: make it with lenses.text.")
    words = {part: _words(label, replacements) for part, label in enumerate(game.labels)}
    named = None if features is None else set_of_parts(game, "features", features)
    if named is not None:
        _check_rest(game, named)
    watched: dict[str, Any] = {"store": store, "executor": executor, "progress": progress}
    flips = flip(game, explanation, below=below, above=above, checks=50 if named is None else 2, **watched)
    if named is None and not flips.found:
        raise InputError(f"there is no set to replace: {flips.ending} Name one with features=.")
    chosen = flips.found[0].features if named is None else named
    _check_rest(game, chosen)
    sign, line = (-1.0, flips.below) if flips.below is not None else (1.0, flips.above)
    assert line is not None
    rng = np.random.default_rng(seed)
    ours = _variants([words[part] for part in chosen], variants, rng)
    alone = _first_order(explanation, len(chosen), sign)
    others = _others(game.n, chosen, len(ours), rng)
    asked = [
        ("found", [(chosen, texts) for texts in ours]),
        ("first order", [(alone, texts) for texts in _variants([words[part] for part in alone], variants, rng)]),
        ("others", [(key, _variants([words[part] for part in key], 1, rng)[0]) for key in others]),
    ]
    whole = [game.value.replaced(dict(zip(key, texts, strict=True))) for _, rows in asked for key, texts in rows]
    reading = _Texts(game.value.scorer, tuple(whole), game.name)  # type: ignore[attr-defined]
    variant_game = Game(
        reading, len(whole), outputs=game.outputs, identity=reading.identity, batch_size=game.batch_size,
        repeats=game.repeats,
    )  # fmt: skip
    found = measure(variant_game, np.eye(len(whole), dtype=np.bool_), **watched)
    values = averaged(found.values, game.repeats).reshape(len(whole), -1)[:, output]
    arms: dict[str, Arm] = {}
    for name, rows in asked:
        arms[name], values = Arm.of(name, rows, values[: len(rows)], sign, line), values[len(rows) :]
    return Replacement(
        found=arms["found"],
        first_order=arms["first order"],
        others=arms["others"],
        untouched=flips.start,
        below=flips.below,
        above=flips.above,
        labels=game.labels,
        measured=flips.measured + found.distinct,
        from_store=flips.from_store + found.from_store,
    )


@dataclass(frozen=True, eq=False)
class _Texts:
    """Masks that keep one text each, to the scores of those texts."""

    scorer: Any = field(repr=False)
    texts: tuple[str, ...]
    name: str | None  # the game's, which in a store stands before what its scorer knows of itself

    def __call__(self, masks: Masks) -> Any:
        return self.scorer([self.texts[at] for at in masks.argmax(axis=1)])

    def identity(self) -> dict[str, Any] | None:
        known = self.scorer.identity() if self.name is None else self.name
        return None if known is None else {"action": "replace", "texts": self.texts, "scorer": known}


def _words(label: str, replacements: Replacements) -> tuple[str, ...]:
    """What a part may become."""
    if isinstance(replacements, str):
        if replacements != "neutral":
            raise unknown("replacements", replacements, ["neutral"])
        given: Any = NEUTRAL
    elif isinstance(replacements, Mapping):
        given = replacements.get(label, NEUTRAL)
    elif callable(replacements):
        given = replacements(label)
    else:
        given = replacements
    words = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not words or not all(isinstance(word, str) for word in words):
        raise InputError(f"replacements must give at least one text for {label!r}, not {given!r}.")
    different = tuple(dict.fromkeys(word for word in words if word.lower() != label.lower()))
    if not different:
        raise InputError(f"the only replacement given for {label!r} is the same word: give another.")
    return different


def _check_rest(game: Game, chosen: Features) -> None:
    if len(chosen) == game.n:
        raise InputError("the set holds every part, so no other parts can be replaced beside it: name a smaller one.")


def _variants(words: Sequence[tuple[str, ...]], most: int, rng: np.random.Generator) -> list[tuple[str, ...]]:
    """One word for each part: every way, or ``most`` different ones at random."""
    if prod(map(len, words)) <= most:
        return list(product(*words))
    drawn: dict[tuple[str, ...], None] = {}
    while len(drawn) < most:
        drawn[tuple(choices[rng.integers(len(choices))] for choices in words)] = None
    return list(drawn)


def _first_order(explanation: Explanation, size: int, sign: float) -> Features:
    """The parts whose single effects, taken away, push the output furthest beyond the line."""
    effects = explanation.interactions("bv")
    ranked = sorted(range(explanation.n), key=lambda part: (sign * effects.get((part,), 0.0), part))
    return tuple(sorted(ranked[:size]))


def _others(n: int, chosen: Features, count: int, rng: np.random.Generator) -> list[Features]:
    """Sets of as many parts outside the chosen one, where there are so many."""
    outside = [part for part in range(n) if part not in chosen]
    size = min(len(chosen), len(outside))
    return [tuple(sorted(rng.choice(outside, size, replace=False).tolist())) for _ in range(count)]
