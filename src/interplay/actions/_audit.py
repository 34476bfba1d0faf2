"""Which parts, alone and together, recur over many prompts, with the false-discovery rate controlled."""

from __future__ import annotations

import concurrent.futures as futures
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from interplay._checks import check_whole, is_between
from interplay._display import Displayed, page
from interplay._errors import InputError
from interplay._explain.explain import design, explain
from interplay._explain.explanation import Explanation
from interplay._findings.views import Table, View
from interplay._game.game import Game
from interplay._game.masks import Values, averaged
from interplay._spectrum.indices import canonical_index
from interplay.ablate import Progress, Store
from interplay.actions._contrasts import Contrast, check_counterfactuals, contrasts
from interplay.actions._matching import By, check_matched, namer
from interplay.actions._parts import one_output, output_at
from interplay.actions._repeats import Prompts
from interplay.actions._tables import table

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
_SHOWN = 20  # findings in a list
_LEAST = 8  # ablations of a case before any is worth more
_WORST = 0.01  # R² as which a lower one counts


@dataclass(frozen=True)
class Finding:
    """What a set of matched parts does over the prompts that hold all of them.

    Attributes
    ----------
    parts
        The names under which they were matched, in alphabetical order.
    cases
        How many prompts hold all of them.
    mean, low, high
        The mean effect over these prompts and its 95% interval (Student's t).
    consistency
        The share of those prompts with any effect in which it has the mean's sign.
    p, q
        The p-value of the hypothesis that the mean effect is no further from zero than ``least``; q is p adjusted over
        all that was looked at (Benjamini and Hochberg).
    """

    parts: tuple[str, ...]
    cases: int
    mean: float
    low: float
    high: float
    consistency: float
    p: float
    q: float


@dataclass(frozen=True)
class Slice:
    """The mean effect of one set in the prompts of one group."""

    group: str
    cases: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Audit(Displayed):
    """Parts and combinations that recur over many prompts.

    Attributes
    ----------
    findings
        Every set that was looked at, the surest first.
    level
        The false-discovery rate among those `found`.
    cases, explanations
        The prompts, each once, and the explanation of each.
    effects
        By set, the effect in each prompt that holds it, by the prompt's number.
    contrasts
        Paired differences of the untouched output between fillings of a slot, where counterfactuals were asked for.
    budget, used, from_store
        Ablations allowed and used over all prompts, and those known before.
    notes
        What a reader should know, such as how many prompts were left out because they repeat others.
    """

    findings: tuple[Finding, ...] = field(repr=False)
    level: float
    cases: tuple[Any, ...] = field(repr=False)
    explanations: tuple[Explanation, ...] = field(repr=False)
    effects: Mapping[tuple[str, ...], Mapping[int, float]] = field(repr=False)
    contrasts: tuple[Contrast, ...]
    budget: int
    used: int
    from_store: int
    notes: tuple[str, ...] = ()

    @property
    def found(self) -> tuple[Finding, ...]:
        """The findings whose expected share of false ones is at most ``level``."""
        return tuple(finding for finding in self.findings if finding.q <= self.level)

    def worst(self, count: int = 3, *parts: str) -> tuple[tuple[int, Explanation], ...]:
        """The prompts, by number, in which what was found (or the set ``parts``) does most, with their explanations."""
        keys = [_key(parts)] if parts else [finding.parts for finding in self.found]
        total = {i: sum(abs(self.effects.get(key, {}).get(i, 0.0)) for key in keys) for i in range(len(self.cases))}
        ranked = sorted((i for i, size in total.items() if size), key=lambda i: (-total[i], i))[:count]
        return tuple((i, self.explanations[i]) for i in ranked)

    def slices(self, *parts: str, over: str | Callable[[Any], object]) -> tuple[Slice, ...]:
        """The effect of a set by group of prompts: ``over`` names a slot of the cases, or makes a group of a case."""
        effects = self.effects.get(_key(parts))
        if effects is None:
            raise InputError(f"no prompt holds {' + '.join(parts)}: the names are those of `findings`.")
        groups: dict[str, list[float]] = defaultdict(list)
        for i, effect in effects.items():
            groups[str(self.cases[i][over] if isinstance(over, str) else over(self.cases[i]))].append(effect)
        return tuple(
            Slice(group, len(values), *_interval(np.array(values))) for group, values in sorted(groups.items())
        )

    def view(self) -> View:
        """What there is to show: what was found, the contrasts, and the worst prompts, each with its own view."""
        found = self.found
        rows = tuple(
            (" + ".join(one.parts), one.mean, one.low, one.high, one.cases, one.consistency, one.q)
            for one in found[:_SHOWN]
        )
        pairs = tuple(
            (one.slot, one.first, one.second, one.mean, *((one.low, one.high) if one.cases > 1 else ("", "")), one.q)
            for one in self.contrasts
        )
        worst = self.worst()
        listed = tuple((number, str(self.cases[number])) for number, _ in worst)
        parts = (
            Table("Found", ("parts", "mean", "from", "to", "prompts", "same sign", "q"), rows, len(found) - len(rows)),
            Table("Fillings in pairs", ("slot", "first", "second", "difference", "from", "to", "q"), pairs),
            Table("Prompts in which it does most", ("number", "prompt"), listed),
        )
        return View(
            f"Which parts, alone and together, do the same in {len(self.cases)} prompts?",
            f"{len(found)} of {len(self.findings)} sets, at a false-discovery rate of {self.level:g}.",
            tuple(part for part in parts if part.rows),
            notes=self.notes,
            cost=f"{self.used} ablations, {self.from_store} of them known before",
        )

    def to_html(self, path: str | os.PathLike[str], *, title: str = "interplay", index: str | None = None) -> None:
        """Write it to ``path`` as a page, the prompts in which it does most below it, each with its explanation."""
        shown = [
            replace(explanation, question=f"Prompt {number}: {explanation.question or 'what drives its output?'}")
            for number, explanation in self.worst()
        ]
        page([self, *shown], path, title=title, index=index)

    def __str__(self) -> str:
        found = self.found
        rows = [
            f"{len(self.cases)} prompts, {self.used} ablations; {len(found)} of {len(self.findings)} sets found at a "
            f"false-discovery rate of {self.level:g}:"
        ]
        rows += [
            f"  {one.mean:>+9.4g} [{one.low:+.3g}, {one.high:+.3g}]  in {one.cases:>3} prompts, same sign in "
            f"{one.consistency:.0%}, q {one.q:.2g}  {' + '.join(one.parts)}"
            for one in found[:_SHOWN]
        ]
        rows += [f"  and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        return "\n".join([*rows, *map(str, self.contrasts), *(f"note: {note}" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts: findings, contrasts, effects by prompt, and what it cost."""
        return {
            "findings": [asdict(finding) | {"parts": list(finding.parts)} for finding in self.findings],
            "found": len(self.found),
            "contrasts": [
                asdict(contrast) | {"low": _number(contrast.low), "high": _number(contrast.high)}
                for contrast in self.contrasts
            ],
            "cases": [case if isinstance(case, (str, dict)) else repr(case) for case in self.cases],
            "r2": [_number(explanation.faithfulness.r2) for explanation in self.explanations],
            **{name: getattr(self, name) for name in ("level", "budget", "used", "from_store")},
            "notes": list(self.notes),
        }

    def to_frame(self) -> pd.DataFrame:
        """A pandas table of all findings, the surest first."""
        return table(
            (*Finding.__dataclass_fields__, "found"),
            [asdict(finding) | {"found": finding.q <= self.level} for finding in self.findings],
        )


def audit(
    make_game: Callable[[Any], Game],
    cases: Sequence[Any],
    *,
    budget: int,
    by: By = "label",
    order: int = 2,
    least: float = 0.0,
    level: float = 0.1,
    at_least: int = 5,
    output: str | int | None = None,
    counterfactuals: Mapping[str, Sequence[str]] | None = None,
    method: str = "auto",
    index: str = "bii",
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    executor: futures.Executor | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Audit:
    """Explain many prompts within one budget, and test which parts and combinations do the same in all of them.

    A prompt that occurs again is left out, as it is no further evidence; `Audit.notes` tells how many are.
    Every prompt gets half of an even share first, or all its ablations where these are no more than an even share; the
    rest goes where most is unexplained. A set's effect is measured
    in every prompt that holds it, zero included, and tested by Student's t over prompts.

    >>> import interplay as ip
    >>> def rude(texts):                        # only together do the two words matter
    ...     return [float("nurse" in text and "he" in text.split()) for text in texts]
    >>> cases = [f"{day} {who} said that {what} left" for day in ("today", "then", "once") for who in
    ...          ("the nurse", "a nurse", "the guard") for what in ("he", "she")]
    >>> done = ip.actions.audit(lambda text: ip.lenses.text(rude, text, ablate="_"), cases, budget=18 * 64, at_least=3)
    >>> [(finding.parts, round(finding.mean, 3), finding.cases) for finding in done.found if len(finding.parts) == 2]
    [(('he', 'nurse'), 1.0, 6)]

    Parameters
    ----------
    make_game
        Makes the game of a case. Of one that is zoomed, parts that stay closed count as without an effect.
    cases
        The prompts, or whatever ``make_game`` takes; mappings of slots to texts for slots and counterfactuals.
    budget
        The most ablations over all cases.
    by
        How parts of different prompts are matched: "label", "slot", "lemma", or a function of a part's label, or of
        its label and its case, that gives a name, or None for parts to leave out.
    order
        The largest sets to test, up to 3.
    least
        An effect no larger than this is of no interest: what is tested is whether the mean effect is larger.
    level
        The false-discovery rate.
    at_least
        In how many prompts a set must occur to be tested.
    output
        Which output to audit, where games have several.
    counterfactuals
        By slot, what else could stand there: each case is measured untouched with every filling, and the fillings are
        compared in pairs; cases that differ in this slot alone give the same pairs, and count once. Counts in ``used``,
        beyond the budget.
    method, index, seed
        As in `interplay.explain` and `Explanation.interactions`.
    store, executor, progress
        As in `interplay.explain`; with a store the same call goes on where it was stopped.

    Raises
    ------
    InputError
        For too small a budget, or cases that cannot be matched as asked.
    """
    cases = _listed(cases)
    check_whole("budget", budget, _LEAST * len(cases))
    check_whole("order", order, 1)
    check_whole("at_least", at_least, 2)
    check_whole("seed", seed, 0)
    if order > 3:
        raise InputError(f"order must be at most 3, not {order}: larger sets are too many to be tested.")
    if not is_between(level, 0, 1):
        raise InputError(f"level must be a rate between 0 and 1, not {level!r}.")
    if least != 0 and not is_between(least, 0, np.inf):
        raise InputError(f"least must be an effect of at least 0, not {least!r}.")
    index = canonical_index(index)
    name = namer(by)
    check_matched(by, cases)
    counterfactuals = {} if counterfactuals is None else counterfactuals
    check_counterfactuals(cases, counterfactuals)
    cases, games, notes = _distinct(cases, [make_game(case) for case in cases])
    for game in games:
        if game.outputs is not None:
            output_at(game.outputs, output)
    how = {"method": method, "seed": seed, "executor": executor}
    with Store.at(store) as held:
        explanations = tuple(_explained(games, budget, output, held, progress, how))
        paired, spent = contrasts(make_game, cases, counterfactuals, output, store=held, executor=executor)
    finest = [game.finest.labels if game.tree is not None else () for game in games]
    effects = _effects(explanations, finest, cases, name, index, order, at_least)
    return Audit(
        findings=_tested(effects, least),
        level=float(level),
        cases=cases,
        explanations=explanations,
        effects=effects,
        contrasts=paired,
        budget=budget,
        used=sum(explanation.used for explanation in explanations) + spent,
        from_store=sum(explanation.from_store for explanation in explanations) if store is not None else 0,
        notes=notes,
    )


def _listed(cases: Sequence[Any]) -> tuple[Any, ...]:
    if isinstance(cases, (str, bytes, Mapping)) or not isinstance(cases, Iterable):
        raise InputError(f"cases must be a list of prompts, not {cases!r}: pass [{cases!r}].")
    listed = tuple(cases)
    if not listed:
        raise InputError("there are no cases to audit: pass at least one.")
    return listed


def _distinct(cases: Sequence[Any], games: Sequence[Game]) -> tuple[tuple[Any, ...], tuple[Game, ...], tuple[str, ...]]:
    """The first case of every prompt, and its game; and a note where others were left out."""
    prompts = Prompts()
    first: dict[int, int] = {}
    for place, game in enumerate(games):
        first.setdefault(prompts.number(game), place)
    left = len(cases) - len(first)
    repeated = f"each prompt counts once: {left} of {len(cases)} repeat one before them and were left out"
    places = first.values()
    return tuple(cases[i] for i in places), tuple(games[i] for i in places), (repeated,) if left else ()


def _explained(
    games: Sequence[Game],
    budget: int,
    output: str | int | None,
    store: Store,
    progress: Callable[[Progress], None] | None,
    options: Mapping[str, Any],
) -> Iterator[Explanation]:
    """An explanation of each game: half the budget evenly, the rest in proportion to what is left unexplained.

    A game whose every ablation costs no more than an even share is measured whole at once: nothing is left to fit.
    """
    began, done = time.perf_counter(), 0

    def one(game: Game, allowed: int, known: int = 0) -> Explanation:
        nonlocal done
        found = explain(game, budget=allowed, store=store, progress=False, **options)
        done += found.used - known
        if progress is not None:
            passed = time.perf_counter() - began
            progress(Progress(done, budget, 0, passed, passed / done * (budget - done)))
        if output is None:
            output_at(found.outputs or (), None)  # an error where a game turns out to have several
            return found
        return found.for_output(output)

    even = budget // len(games)
    share = max(_LEAST, even // 2)
    sizes = [game.finest.n for game in games]
    first = [one(game, 2**n if n <= np.log2(even) else share) for game, n in zip(games, sizes, strict=True)]
    rest = budget - sum(explanation.used for explanation in first)
    wanted = np.array(
        [
            _unexplained(game, found, store, options["method"], options["seed"])
            for game, found in zip(games, first, strict=True)
        ]
    )
    room = np.array([2.0 ** min(n, 40) for n in sizes]) - [explanation.used for explanation in first]
    extra = _shared(rest, np.where(room > 0, wanted, 0.0), room)
    for game, explanation, more in zip(games, first, extra, strict=True):
        if more < _LEAST / 2:
            yield explanation
            continue
        again = one(game, explanation.used + more, explanation.used)
        own = explanation.used - explanation.from_store  # in the store by now, but paid for in this audit
        yield replace(again, from_store=max(0, again.from_store - own))


def _unexplained(game: Game, explanation: Explanation, store: Store, method: str, seed: int) -> float:
    """The standard deviation that the fit leaves unexplained, of ablations that are in the store."""
    r2 = explanation.fit.faithfulness.r2
    if game.tree is not None:  # its ablations are not those of a design
        explained = explanation.fit.spectrum.variance
        return 0.0 if np.isnan(r2) else float(np.sqrt(explained * (1 - min(r2, 1.0)) / max(r2, _WORST)))
    masks = design(game.n, max(1, explanation.used - 2), method=method, seed=seed, keep=game.keep)
    _, known = store.of(game).read(masks)
    if np.isnan(r2) or known is None:
        return 0.0
    column = averaged(known, game.repeats).reshape(len(known), -1)[:, one_output(game, explanation)]
    return float(column.std() * np.sqrt(1 - max(r2, 0.0)))


def _shared(rest: int, wanted: Values, room: Values) -> list[int]:
    """``rest`` shared out in proportion to what is ``wanted``, no share beyond its ``room``."""
    shares = np.zeros(len(wanted))
    for _ in range(len(wanted)):
        open_ = (wanted > 0) & (shares < room)
        left = rest - shares.sum()
        if not open_.any() or left < 1:
            break
        shares[open_] += left * wanted[open_] / wanted[open_].sum()
        shares = np.minimum(shares, room)
    return [int(share) for share in shares]


def _effects(
    explanations: Sequence[Explanation],
    finest: Sequence[Sequence[str]],
    cases: Sequence[Any],
    name: Callable[[str, Any], str | None],
    index: str,
    order: int,
    at_least: int,
) -> dict[tuple[str, ...], dict[int, float]]:
    """By set of names, its effect in each case that holds all of them; sets of parts of the same names are summed.

    Of ``finest`` parts that a zoom did not open, the effect is zero.
    """
    effects: dict[tuple[str, ...], dict[int, float]] = defaultdict(dict)
    for number, (explanation, inner, case) in enumerate(zip(explanations, finest, cases, strict=True)):
        names = [name(label, case) for label in explanation.labels]
        present = sorted({one for one in (*names, *(name(label, case) for label in inner)) if one is not None})
        for size in range(1, order + 1):
            for key in combinations(present, size):
                effects[key][number] = 0.0
        nothing = 1e-9 * np.sqrt(explanation.spectrum.variance)  # what rounding leaves of no effect is no effect
        for features, value in explanation.interactions(index, order=order).items():
            matched = {names[i] for i in features}
            if abs(value) > nothing and None not in matched and len(matched) == len(features):
                effects[_key([one for one in matched if one is not None])][number] += value
    return {key: values for key, values in effects.items() if len(values) >= at_least}


def _key(parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(parts))


def _tested(effects: Mapping[tuple[str, ...], Mapping[int, float]], least: float) -> tuple[Finding, ...]:
    from scipy.stats import false_discovery_control, t

    rows = []
    for key, by_case in effects.items():
        values = np.array(list(by_case.values()))
        mean, low, high = _interval(values)
        error = float(values.std(ddof=1)) / np.sqrt(len(values))
        ahead = abs(mean) - least
        p = float(ahead <= 0)  # where there is no spread
        if error > 0:
            p = float(min(1.0, 2 * t.sf(ahead / error, len(values) - 1)))
        moved = values[values != 0]
        consistency = float((np.sign(moved) == np.sign(mean)).mean()) if len(moved) else 0.0
        rows.append((key, len(values), mean, low, high, consistency, p))
    if not rows:
        return ()
    adjusted = false_discovery_control([row[-1] for row in rows])
    found = [Finding(*row, float(q)) for row, q in zip(rows, adjusted, strict=True)]
    return tuple(sorted(found, key=lambda one: (one.q, one.p, -abs(one.mean), one.parts)))


def _interval(values: Values) -> tuple[float, float, float]:
    """The mean and its interval by Student's t; NaN bounds for a single value."""
    from scipy.stats import t

    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    reach = float(t.ppf(0.5 + LEVEL / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - reach, mean + reach


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
