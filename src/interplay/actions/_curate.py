"""Which training examples to drop."""

from __future__ import annotations

import concurrent.futures as futures
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._checks import check_whole, is_whole, output_position
from interplay._display import Displayed
from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._findings.influences import Pair, training_summary
from interplay._findings.views import Facts, Table, View
from interplay._game.game import Game
from interplay._game.layout import TrainingLayout
from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features
from interplay._spectrum.interactions import distinct_labels
from interplay._spectrum.spectrum import Spectrum
from interplay.ablate import Progress, Store, measure
from interplay.actions._keeping import Keeping
from interplay.actions._parts import as_explained, rankings_of, stretches
from interplay.actions._tables import table

if TYPE_CHECKING:
    import pandas as pd

Counts: TypeAlias = npt.NDArray[np.intp]  # of each feature's rows

_SHOWN = 8  # pairs of rows in a view


@dataclass(frozen=True)
class Cull:
    """One way of choosing rows: its name, the rows it removes, and what the retrained model is worth without them.

    ``measured`` is on the game's own test points, ``held_out`` on those held out, the mean over outputs and seeds;
    ``deviation`` is the standard deviation over the held-out game's seeds, None where it has one.
    """

    name: str
    removed: Features
    measured: float
    held_out: float
    deviation: float | None


@dataclass(frozen=True)
class Curation(Displayed):
    """Which training examples to drop, verified by retraining on data held out from the fit and the choice.

    Attributes
    ----------
    removed, kept
        Ids of the rows, those removed in the order they were chosen.
    predicted, measured
        The mean output without them, as the spectrum predicts and as retraining gives it.
    chosen
        This choice on the held-out data.
    untouched
        Everything kept, on the held-out data.
    rivals
        As many rows by other ways of choosing.
    pairs
        Pairs of removed rows that act together: duplicates are "redundant", a trigger's rows "synergistic".
    lower_is_better
        Whether the outputs are losses.
    retrainings
        Models trained for it, on the game's and the held-out data.
    relabelled
        Whether the rows called removed keep their place with another label.
    sizes
        How many rows each feature holds: 1, but for groups that a zoom left closed.
    """

    removed: Features
    kept: Features
    labels: tuple[str, ...] = field(repr=False)
    predicted: float
    measured: float
    chosen: Cull
    untouched: Cull
    rivals: tuple[Cull, ...]
    pairs: tuple[Pair, ...] = field(repr=False)
    lower_is_better: bool
    retrainings: int
    relabelled: bool = False
    sizes: tuple[int, ...] = field(repr=False, default=())

    @property
    def _counted(self) -> str:
        """How many rows are removed, in words."""
        return f"{sum(self.sizes[i] for i in self.removed)} of {sum(self.sizes)} rows"

    @property
    def _done(self) -> str:
        return "relabelled" if self.relabelled else "removed"

    def view(self) -> View:
        """What there is to show: the held-out output by way of choosing, the rows removed, and which act together."""
        culls = (self.untouched, self.chosen, *self.rivals)
        rows = tuple((cull.name, cull.measured, cull.held_out) for cull in culls)
        names = distinct_labels(self.labels)
        pairs = tuple(
            (f"{names[a]} + {names[b]}", one.effect, one.kind) for one in self.pairs for a, b in [one.features]
        )
        better = "lower" if self.lower_is_better else "higher"
        return View(
            f"Which {self._counted} should {'get another label' if self.relabelled else 'go'}?",
            f"On held-out data the output is {self.chosen.held_out:.4g} with them {self._done}, "
            f"{self.untouched.held_out:.4g} with all as they are; {better} is better.",
            (
                Table("Ways of choosing", ("by", "output", "held out"), rows),
                Facts("", ((self._done, ", ".join(names[i] for i in self.removed)),)),
                *([Table(f"Rows {self._done} that act together", ("rows", "effect", "kind"), pairs)] if pairs else []),
            ),
            cost=f"{self.retrainings} retrainings",
        )

    def __str__(self) -> str:
        what = "lower" if self.lower_is_better else "higher"
        rows = [f"{self._counted} {self._done}; held-out output, {what} is better:"]
        for cull in (self.untouched, self.chosen, *self.rivals):
            doubt = "" if cull.deviation is None else f" ± {cull.deviation:.2g}"
            rows.append(f"  {cull.held_out:>10.4g}{doubt}  {cull.name}")
        return "\n".join([*rows, f"{self.retrainings} retrainings."])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts."""
        parts = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in parts.items()}

    def to_frame(self) -> pd.DataFrame:
        """A pandas table of this choice, its rivals and everything kept, a row each."""
        culls = (self.untouched, self.chosen, *self.rivals)
        return table(tuple(Cull.__dataclass_fields__), [asdict(cull) for cull in culls])


def curate(
    game: Game,
    explanation: Explanation,
    *,
    remove: int | None = None,
    keep: int | None = None,
    relabel: int | None = None,
    held_out: Game,
    outputs: Sequence[str | int] | None = None,
    rankings: Mapping[str, Sequence[float]] | None = None,
    random: int = 5,
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    executor: futures.Executor | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Curation:
    """Choose training examples to drop by the spectrum, retrain without them, and judge on held-out data.

    Three choices are retrained on the game's own test points, and the best of them is taken: greedy by effects and
    interactions at the rate the ablations kept, the same near the full training set, and single effects. For rows
    to relabel rather than remove, make both games with a ``fit`` that trains on all rows, those not kept with
    another label, and say ``relabel=`` how many.

    >>> import numpy as np, interplay as ip
    >>> heights, wrong = np.array([1.0, 1.1, 0.9, 5.0, 6.0]), np.array([3, 4])
    >>> def error_from(truth):
    ...     return lambda model: -abs(model - truth)
    >>> def mean(kept):
    ...     return heights[kept].mean() if len(kept) else 0.0
    >>> game, other = (ip.lenses.training(mean, error_from(truth), examples=5) for truth in (1.0, 1.02))
    >>> done = ip.actions.curate(game, ip.explain(game, budget=32), remove=2, held_out=other, random=2)
    >>> sorted(done.removed), done.chosen.held_out > done.untouched.held_out
    ([3, 4], True)

    Parameters
    ----------
    game, explanation
        A game of `interplay.lenses.training`, and what `interplay.explain` says of it. Higher outputs are better,
        unless the game's score says that they are losses. Of a zoom, groups that stayed closed go whole or not at all.
    remove, keep, relabel
        How many rows to remove, how many to keep, or how many to relabel; one of the three. Where groups stayed closed
        it is the most that go.
    held_out
        The same rows, scored on data that neither ``game`` nor the choice saw; with ``seeds`` of its own for the
        spread over retrainings.
    outputs
        The game's outputs to improve, by name or position: one test point or a group; all when left out.
    rankings
        Other scores of the rows by name, such as influence, higher for rows worth keeping: the lowest are removed.
        Of a zoom, one for each feature or for each row (``game.finest.labels``), added up over closed groups.
    random
        How many random choices to compare with, by their mean.
    seed
        Seed of the random choices.

    Raises
    ------
    InputError
        For a number of rows that leaves none or all, or held-out data of other rows.
    """
    game, held_out = as_explained(game, explanation), as_explained(held_out, explanation, "held_out")
    if explanation.labels != game.labels or held_out.labels != game.labels:
        raise InputError("the game, its explanation and held_out must have the same rows as features.")
    sizes = np.array([end - start for start, end in stretches(game)])
    count = _count(remove, keep, relabel, int(sizes.sum()))
    if count < sizes.min():
        raise InputError(
            f"the smallest group that is open holds {sizes.min()} rows, more than the {count} to go: allow explain a "
            "larger budget, or choose more rows."
        )
    check_whole("random", random, 0)
    check_whole("seed", seed, 0)
    given = rankings_of(game, rankings, ("everything kept", "interactions", "first order", "random"))
    positions = _positions(explanation, outputs)
    asked = replace(
        explanation,
        fits=tuple(explanation.fits[at] for at in positions),
        outputs=None if explanation.outputs is None else tuple(explanation.outputs[at] for at in positions),
    )
    sign = -1.0 if _is_loss(explanation) else 1.0
    spent = [0]

    def measured(which: Game, sets: Sequence[Features], columns: Sequence[int] | None) -> Values:
        """The outputs of retraining without each of ``sets``, (N, repeats), the mean over outputs taken."""
        masks: Masks = np.ones((len(sets), game.n), dtype=np.bool_)
        for row, gone in zip(masks, sets, strict=True):
            row[list(gone)] = False
        found = measure(which, masks, store=store, executor=executor, progress=progress)
        spent[0] += found.measured * which.repeats
        values = found.values.reshape(len(sets), -1, which.repeats)
        return np.asarray((values if columns is None else values[:, columns]).mean(axis=1), dtype=np.float64)

    mean = _mean_spectrum(asked)
    ours = [
        _by_effects(asked, sizes, count, pairs=True),
        _near_full(mean * sign, sizes, count),
        _by_effects(asked, sizes, count, pairs=False),
    ]
    inside = measured(game, ours, positions).mean(axis=1)
    best = int(np.argmax(sign * inside))
    rng = np.random.default_rng(seed)
    sets: dict[str, list[Features]] = {"everything kept": [()], "interactions": [ours[best]], "first order": [ours[2]]}
    for name, scores in given.items():
        sets[name] = [_fitting(np.argsort(scores / sizes, kind="stable"), sizes, count)]
    if random:
        sets["random"] = [_fitting(rng.permutation(game.n), sizes, count) for _ in range(random)]
    flat = [one for group in sets.values() for one in group]
    inner, outer = measured(game, flat, positions), measured(held_out, flat, None)
    culls, start = [], 0
    for name, group in sets.items():
        rows = slice(start, start + len(group))
        by_seed = outer[rows].mean(axis=0)
        deviation = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None
        culls.append(Cull(name, group[0], float(inner[rows].mean()), float(by_seed.mean()), deviation))
        start += len(group)
    gone = np.ones((1, game.n), dtype=np.bool_)
    gone[0, list(ours[best])] = False
    summary = training_summary(asked)
    return Curation(
        removed=ours[best],
        kept=tuple(np.flatnonzero(gone[0]).tolist()),
        labels=game.labels,
        predicted=float(mean.predict(gone)[0]),
        measured=float(inside[best]),
        chosen=culls[1],
        untouched=culls[0],
        rivals=tuple(culls[2:]),
        pairs=tuple(pair for pair in summary.pairs if set(pair.features) <= set(ours[best])),
        lower_is_better=sign < 0,
        retrainings=spent[0],
        relabelled=relabel is not None,
        sizes=tuple(sizes.tolist()),
    )


def _count(remove: int | None, keep: int | None, relabel: int | None, n: int) -> int:
    asked = {"remove": remove, "keep": keep, "relabel": relabel}
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) != 1:
        raise InputError("say how many rows to remove=, to keep= or to relabel=, one of the three.")
    ((name, value),) = given.items()
    check_whole(f"the number of rows to {name}", value, 1)
    if value >= n:
        what = "changes none" if name == "keep" else f"{name}s them all" if name == "relabel" else "leaves none"
        raise InputError(f"{name}={value} of {n} rows {what}: choose fewer.")
    return n - value if name == "keep" else value


def _positions(explanation: Explanation, outputs: Sequence[str | int] | None) -> list[int]:
    names = explanation.outputs or ()
    if outputs is None:
        return list(range(len(explanation.fits)))
    if isinstance(outputs, str) or not isinstance(outputs, Iterable):
        raise InputError(f"outputs must be a list of names or positions, not {outputs!r}: pass [{outputs!r}].")
    chosen = []
    for output in outputs:
        if not isinstance(output, str) and not is_whole(output, 0):
            raise InputError(f"there is no output {output}: there are {len(explanation.fits)}, counted from 0.")
        chosen.append(output_position(output, names, len(explanation.fits)))
    if not chosen:
        raise InputError("outputs is empty: name at least one, or leave it out for all.")
    return chosen


def _is_loss(explanation: Explanation) -> bool:
    return isinstance(explanation.layout, TrainingLayout) and explanation.layout.lower_is_better


def _mean_spectrum(explanation: Explanation) -> Spectrum:
    total = explanation.fits[0].spectrum
    for fit in explanation.fits[1:]:
        total = total + fit.spectrum
    return total / len(explanation.fits)


def _fitting(order: npt.ArrayLike, sizes: Counts, count: int) -> Features:
    """The first features of an order that hold ``count`` rows together; those that would hold more are passed over."""
    chosen, left = [], count
    for feature in np.asarray(order).tolist():
        if sizes[feature] <= left:
            chosen.append(feature)
            left -= int(sizes[feature])
    return tuple(chosen)


def _near_full(spectrum: Spectrum, sizes: Counts, count: int) -> Features:
    """The rows whose removal from the full training set is predicted to raise the output most, one after the other."""
    keeping = Keeping(spectrum, 1.0, sizes.astype(np.float64), 0.0)
    return _greedy(sizes, count, lambda gone: keeping.gains(~gone))


def _by_effects(explanation: Explanation, sizes: Counts, count: int, *, pairs: bool) -> Features:
    """As `worst_examples`, by ``sizes``."""
    if not pairs:
        effects = training_summary(explanation).examples
        return _fitting([i for i, _, _ in sorted(effects, key=lambda one: one[1] / sizes[one[0]])], sizes, count)
    sign = -1.0 if _is_loss(explanation) else 1.0
    groups = [(ids, sign * values) for ids, values in _mean_spectrum(explanation).by_order() if ids.shape[1]]
    mu = 1 - 2 * explanation.keep  # the mean of a feature's sign, which is +1 once it is gone

    def gains(gone: npt.NDArray[np.bool_]) -> Values:
        gain = np.zeros(explanation.n)
        for ids, values in groups:
            means = np.where(gone[ids], 1.0, mu)
            for column in range(ids.shape[1]):
                rest = np.delete(means, column, axis=1).prod(axis=1)
                np.add.at(gain, ids[:, column], values * rest * (1 - mu))
        return gain

    return _greedy(sizes, count, gains)


def _greedy(sizes: Counts, count: int, gains: Callable[[npt.NDArray[np.bool_]], Values]) -> Features:
    """Features that hold at most ``count`` rows, each the one that gains most a row when those before it are gone."""
    gone, chosen, left = np.zeros(len(sizes), dtype=np.bool_), [], count
    while (open_to := ~gone & (sizes <= left)).any():
        worst = int(np.argmax(np.where(open_to, gains(gone) / sizes, -np.inf)))
        gone[worst] = True
        chosen.append(worst)
        left -= int(sizes[worst])
    return tuple(chosen)


def worst_examples(explanation: Explanation, k: int, *, pairs: bool = True) -> tuple[int, ...]:
    """The k examples whose removal is predicted to raise the mean of all outputs most, chosen one after the other.

    With ``pairs`` the prediction is the mean over ablations at the run's keep rate in which all chosen so far are
    gone, so that of two harmful twins the second counts for what it does once the first is gone. (Predicting the
    full training set less the chosen ones instead asks the spectrum about a corner far from what it was fitted to;
    measured, it chose worse.) Without, first-order effects alone. Outputs that are losses count negatively.
    """
    if not 0 <= k < explanation.n:
        raise InputError(f"k must lie between 0 and {explanation.n - 1}, not {k}.")
    return _by_effects(explanation, np.ones(explanation.n, dtype=np.intp), k, pairs=pairs)
