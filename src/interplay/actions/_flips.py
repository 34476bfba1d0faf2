"""The smallest sets of parts whose removal takes a measured output across a line."""

from __future__ import annotations

import concurrent.futures as futures
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._checks import check_whole
from interplay._display import Displayed
from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._findings.views import Table, View
from interplay._game.game import Game
from interplay._game.masks import Values, averaged
from interplay._spectrum.characters import Features
from interplay._spectrum.interactions import distinct_labels
from interplay.ablate import Progress, Store, measure
from interplay.actions._parts import as_explained, chosen_parts, one_output
from interplay.actions._search import Flip, Search
from interplay.actions._tables import table
from interplay.actions._toggles import toggled

if TYPE_CHECKING:
    import pandas as pd

Line: TypeAlias = float | Callable[[float], float]
"""A value of the output, or a function that makes it of the untouched output."""

_ROWS, _NEAR = 12, 4  # sets shown
_ROUNDS = 10  # of measuring and correcting, at least


@dataclass(frozen=True)
class Flips(Displayed):
    """Minimal sets whose measured output lies across a line, smallest first, and what the search cost.

    Attributes
    ----------
    found
        Sets that crossed the line when measured, of which no smaller part was seen or is expected to.
    tried
        Every other set that was measured.
    start
        The measured output before anything was toggled: of the untouched input, or for `suffice` of the empty one.
    below, above
        The line; one of the two is None.
    most, checks
        The largest set looked for, and the most measurements allowed.
    measured
        The measurements made, the start included; ``from_store`` of them were known.
    remaining
        The probability, by the corrected spectrum, that no other minimal set of up to ``most`` parts crosses.
    gap
        How much further than the best set considered another one might go by the corrected spectrum, in units of the
        output: 0 where all were enumerated or HiGHS closed the gap, infinite where it gave no bound.
    sufficient
        Whether the sets are those that suffice when all else is ablated, rather than those whose ablation flips.
    """

    found: tuple[Flip, ...]
    tried: tuple[Flip, ...] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    start: float
    below: float | None
    above: float | None
    most: int
    checks: int
    measured: int
    from_store: int
    remaining: float
    gap: float
    sufficient: bool = False

    def named(self) -> list[tuple[tuple[str, ...], float]]:
        """``[(labels of the set, measured output), ...]``; repeated labels are numbered."""
        names = distinct_labels(self.labels)
        return [(tuple(names[i] for i in flip.features), flip.measured) for flip in self.found]

    @property
    def ending(self) -> str:
        """In one sentence: what was found, how sure it is that there is no more, and what it cost."""
        line = f"below {self.below:g}" if self.below is not None else f"above {self.above:g}"
        takes, take = ("suffices to hold", "suffice to hold") if self.sufficient else ("takes", "take")
        cost = f"{self.measured} measured" + ("; all checks are spent" if self.measured >= self.checks else "")
        sure, unsure = min(self.remaining, 0.99), min(1 - self.remaining, 0.99)
        if not self.found:
            doubt = (
                f", predicted with {sure:.0%}" if sure >= 0.5 else f" so far, but one may, predicted with {unsure:.0%}"
            )
            return f"no set of up to {self.most} parts {takes} the output {line}{doubt}, {cost}."
        count = "1 minimal set" if len(self.found) == 1 else f"{len(self.found)} minimal sets"
        verb = takes if len(self.found) == 1 else take
        rest = f"no other, predicted with {sure:.0%}" if sure >= 0.5 else f"there are more, predicted with {unsure:.0%}"
        return f"{count} of up to {self.most} parts {verb} the output {line}; {rest}, {cost}."

    def view(self) -> View:
        """What there is to show: the sets found, and the likeliest of those that were tried in vain."""
        where = f"below {self.below:g}" if self.below is not None else f"above {self.above:g}"
        verb = "alone hold" if self.sufficient else "take"
        names = distinct_labels(self.labels)

        def rows(flips: Sequence[Flip]) -> tuple[tuple[str, float, float], ...]:
            return tuple((" + ".join(names[i] for i in f.features), f.measured, f.predicted) for f in flips)

        columns = ("parts", "measured", "predicted")
        sign, line = (1.0, self.below) if self.below is not None else (-1.0, self.above)
        # Sets that hold one already found cross the line, too: they are no news, and not in vain.
        vain = [flip for flip in self.tried if line is None or sign * (flip.measured - line) >= 0]
        near = sorted(vain, key=lambda flip: sign * flip.measured)
        parts = (
            Table("Sets found", columns, rows(self.found[:_ROWS]), left=max(0, len(self.found) - _ROWS)),
            Table("Tried in vain, nearest first", columns, rows(near[:_NEAR]), left=max(0, len(near) - _NEAR)),
        )
        return View(
            f"Which smallest sets {verb} the output {where}?",
            f"From {self.start:.4g}: {self.ending}",
            tuple(part for part in parts if part.rows),
            cost=f"{self.measured} measured, {self.from_store} of them known before",
        )

    def __str__(self) -> str:
        rows = [
            f"  {' + '.join(words)}: {self.start:.4g} -> {flip.measured:.4g} (predicted {flip.predicted:.4g})"
            for flip, (words, _) in zip(self.found, self.named(), strict=True)
        ]
        return "\n".join([*rows, self.ending])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts, an unbounded gap as null."""
        names = ("start", "below", "above", "most", "checks", "measured", "from_store", "remaining", "sufficient")
        sets = {
            name: [
                {
                    "features": list(flip.features),
                    "labels": [self.labels[i] for i in flip.features],
                    "predicted": flip.predicted,
                    "measured": flip.measured,
                }
                for flip in getattr(self, name)
            ]
            for name in ("found", "tried")
        }
        rest = {name: getattr(self, name) for name in names}
        return {**sets, **rest, "gap": self.gap if np.isfinite(self.gap) else None, "ending": self.ending}

    def to_frame(self) -> pd.DataFrame:
        """A pandas table of all that was measured: features, labels, size, predicted, measured, found.

        Raises
        ------
        MissingExtraError
            Without pandas.
        """
        names = distinct_labels(self.labels)
        return table(
            ("features", "labels", "size", "predicted", "measured", "found"),
            [
                {
                    "features": flip.features,
                    "labels": tuple(names[i] for i in flip.features),
                    "size": len(flip.features),
                    "predicted": flip.predicted,
                    "measured": flip.measured,
                    "found": flip in self.found,
                }
                for flip in (*self.found, *self.tried)
            ],
        )


def flip(
    game: Game,
    explanation: Explanation,
    *,
    below: Line | None = None,
    above: Line | None = None,
    most: int = 5,
    checks: int = 50,
    enough: int | None = None,
    within: Iterable[int | str] | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    executor: futures.Executor | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Flips:
    """The smallest sets of parts whose ablation takes the measured output of the untouched input across a line.

    Sets are proposed from the spectrum, by enumeration, a beam and an integer program (HiGHS); each round's
    measurements correct the spectrum near the input before the next proposal. Only measured sets are returned.

    >>> import interplay as ip
    >>> def mood(masks):                        # good as long as "fun" is there, or both of the others
    ...     return 1.0 * (masks[:, 0] | (masks[:, 1] & masks[:, 2])) - 0.5
    >>> game = ip.Game(mood, ["fun", "never", "fails"])
    >>> print(ip.actions.flip(game, ip.explain(game, budget=8), below=0))
      fun + never: 0.5 -> -0.5 (predicted -0.5)
      fun + fails: 0.5 -> -0.5 (predicted -0.5)
    2 minimal sets of up to 3 parts take the output below 0; no other, predicted with 99%, 3 measured.

    Parameters
    ----------
    game, explanation
        The game, and what `interplay.explain` says of it; of several outputs, choose one with ``for_output``.
    below, above
        The line, one of the two: a number, or a function that makes it of the untouched output, such as
        ``lambda full: full / 2``.
    most
        The largest set to look for.
    checks
        The most measurements, the untouched input included.
    enough
        Stop as soon as so many sets are found and no smaller one is likely, or when three measurements a part found
        none and none is likely; look for all when left out.
    within
        Ids or labels of the parts that may be ablated; all when left out.
    store, executor, progress
        As in `interplay.explain`.

    Raises
    ------
    InputError
        For a line that the untouched output lies across already, or an explanation of another game.
    """
    game = as_explained(game, explanation)
    kept = np.ones(game.n, dtype=np.bool_)
    return _search(game, explanation, kept, below, above, most, checks, enough, within, store, executor, progress)


def suffice(
    game: Game,
    explanation: Explanation,
    *,
    below: Line | None = None,
    above: Line | None = None,
    most: int = 5,
    checks: int = 50,
    enough: int | None = None,
    within: Iterable[int | str] | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    executor: futures.Executor | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Flips:
    """The smallest sets of parts that alone, all else ablated, hold the measured output across a line.

    As `flip`, but from the empty input upwards: where the untouched output is above ``above``, these sets are enough
    to keep it there. A line given as a function is made of the output of the empty input.
    """
    game = as_explained(game, explanation)
    kept = np.zeros(game.n, dtype=np.bool_)
    return _search(game, explanation, kept, below, above, most, checks, enough, within, store, executor, progress)


def _search(
    game: Game,
    explanation: Explanation,
    kept: npt.NDArray[np.bool_],
    below: Line | None,
    above: Line | None,
    most: int,
    checks: int,
    enough: int | None,
    within: Iterable[int | str] | None,
    store: Store | str | os.PathLike[str] | None,
    executor: futures.Executor | None,
    progress: Callable[[Progress], None] | None,
) -> Flips:
    if (below is None) == (above is None):
        raise InputError("say which line to cross: below=VALUE or above=VALUE, one of the two.")
    check_whole("most", most, 1)
    check_whole("checks", checks, 2)
    if enough is not None:
        check_whole("enough", enough, 1)
    output = one_output(game, explanation)
    parts = chosen_parts(game, within)
    most = min(most, len(parts))
    cost = [0, 0]

    def measured(sets: Sequence[Features]) -> Values:
        masks = toggled(kept, parts, sets)
        if game.tree is not None:  # by the finest parts, as `explain` measures and stores them
            masks = game.tree.expanded(masks)
        found = measure(game.finest, masks, store=store, executor=executor, progress=progress)
        cost[0] += found.distinct
        cost[1] += found.from_store
        values = averaged(found.values, game.repeats)
        return values if values.ndim == 1 else np.ascontiguousarray(values[:, output])

    start = float(measured([()])[0])
    given = below if below is not None else above
    line = float(given(start)) if callable(given) else float(given)  # type: ignore[arg-type]
    sign = -1.0 if below is not None else 1.0
    if not np.isfinite(line):
        raise InputError(f"the line must be a finite number, not {line}.")
    if sign * (start - line) > 0:
        where = "below" if below is not None else "above"
        what = "empty" if not kept.any() else "untouched"
        raise InputError(
            f"the {what} output is {start:.6g}, already {where} {line:g}: choose a line on its other side."
        )
    search = Search(explanation, kept, parts, most, start, line, sign)
    rounds = _ROUNDS if enough is None else 3 * _ROUNDS  # what is measured at once cannot be spared any more
    while cost[0] < checks:
        if enough is not None and search.is_enough(enough):
            break
        batch = search.propose(min(max(1, checks // rounds), checks - cost[0]))
        if not batch:
            break
        search.learn(batch, measured(batch))
    found, tried = search.outcome()
    remaining, gap = search.doubts(np.random.default_rng(0))
    return Flips(
        found=tuple(_original(flip, parts) for flip in found),
        tried=tuple(_original(flip, parts) for flip in tried),
        labels=game.labels,
        start=start,
        below=line if sign < 0 else None,
        above=line if sign > 0 else None,
        most=most,
        checks=checks,
        measured=cost[0],
        from_store=cost[1],
        remaining=remaining,
        gap=gap,
        sufficient=not kept.any(),
    )


def _original(flip: Flip, parts: Sequence[int]) -> Flip:
    return Flip(tuple(sorted(parts[i] for i in flip.features)), flip.predicted, flip.measured)
