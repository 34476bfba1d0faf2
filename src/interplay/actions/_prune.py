"""Which components to drop so that inputs the fit never saw keep their metric."""

from __future__ import annotations

import concurrent.futures as futures
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._checks import check_whole, is_between, unknown
from interplay._display import Displayed
from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._findings.grid import EnergyShares, energy_shares
from interplay._findings.views import Facts, Table, View
from interplay._game.game import Game
from interplay._game.layout import GridLayout
from interplay._game.masks import Masks, Values, averaged
from interplay._spectrum.characters import Features
from interplay.ablate import Progress, Store, measure
from interplay.actions._keeping import Keeping
from interplay.actions._parts import as_explained, by_part, one_output, rankings_of, stretches
from interplay.actions._pruned_model import Cuts, pruned
from interplay.actions._tables import table

if TYPE_CHECKING:
    import pandas as pd

Mask: TypeAlias = npt.NDArray[np.bool_]

_STARTS = 8  # choices measured before the best of them is improved
_SHOWN = 12  # names of dropped parts in a view
_STEP = 4  # swaps measured at a time


@dataclass(frozen=True)
class Choice:
    """One way of choosing: its name, the parts it keeps, and its metric on the game's inputs and on those held out."""

    name: str
    kept: Features
    measured: float
    held_out: float


@dataclass(frozen=True)
class Pruning(Displayed):
    """Which parts to keep, measured on held-out inputs beside other ways of choosing as many.

    Attributes
    ----------
    kept, dropped
        Ids of the parts.
    predicted
        The metric that the spectrum predicts.
    measured, held_out
        The metric measured on the game's inputs, by which the choice was made, and on those held out, by which it is
        judged.
    untouched
        The metric on the held-out inputs with every part kept.
    rivals
        Other ways of choosing within the same capacity, each a `Choice`.
    energy
        The spectrum's energy in single parts, within layers and across them; None without a grid.
    gap
        How much more than HiGHS's choice another might be predicted to give; infinite where it was not asked.
    checks, held_out_checks
        Measurements made on the game and on the held-out inputs, untouched and rivals included.
    leaves
        How many of the finest parts each part holds: 1, but for those that a zoom left closed.
    """

    kept: Features
    dropped: Features
    labels: tuple[str, ...] = field(repr=False)
    predicted: float
    measured: float
    held_out: float
    untouched: float
    rivals: tuple[Choice, ...]
    energy: EnergyShares | None
    gap: float
    checks: int
    held_out_checks: int
    leaves: tuple[int, ...] = field(repr=False, default=())
    _cuts: Cuts | None = field(repr=False, default=None)

    def apply(self, model: Any, *, cut: bool = False) -> Any:
        """A copy of the model without the dropped parts, whose outputs are those that the game measured.

        Parameters
        ----------
        model
            The PyTorch module of the game, or a model with a tokenizer that holds it; it stays as it is.
        cut
            False: the weights that read the dropped parts are zero. True: heads and neurons are cut out of their
            weights where the architecture allows (whole groups of heads that share keys and values), so that the
            model is smaller and faster; what cannot be cut is zero. Dropped layers are taken out in both cases.

        Raises
        ------
        InputError
            For a game that is not of a network's parts, or whose parts were not ablated by zero.
        """
        if self._cuts is None:
            raise InputError(
                "only parts of a network ablated by zero, without rescale, can be taken out of its weights: make the "
                "game with lenses.components(..., ablate='zero')."
            )
        starts = np.cumsum((0, *self.leaves))
        gone = {i for part in self.dropped for i in range(starts[part], starts[part + 1])}
        return pruned(model, self._cuts, gone, cut=cut)

    @property
    def _counted(self) -> str:
        """What is kept, in words."""
        kept, total = sum(self.leaves[i] for i in self.kept), sum(self.leaves)
        parts = f"{len(self.kept)} of {len(self.labels)} parts"
        return parts if total == len(self.labels) else f"{parts}, {kept} of {total} of the finest,"

    def view(self) -> View:
        """What there is to show: the held-out metric by way of choosing, and what is dropped."""
        ours = Choice("interactions", self.kept, self.measured, self.held_out)
        rows = tuple((one.name, len(one.kept), one.measured, one.held_out) for one in (ours, *self.rivals))
        gone = ", ".join(self.labels[i] for i in self.dropped[:_SHOWN])
        more = f" and {len(self.dropped) - _SHOWN} more" if len(self.dropped) > _SHOWN else ""
        facts = [("everything kept, held out", f"{self.untouched:.4g}"), ("dropped", gone + more)]
        if self.energy is not None:
            shares = f"{self.energy.single:.0%} in single parts, {self.energy.within:.0%} within layers, "
            facts.append(("energy", f"{shares}{self.energy.across:.0%} across"))
        return View(
            f"Which {self._counted.rstrip(',')} should be kept?",
            f"On held-out inputs the metric is {self.held_out:.4g} with them, {self.untouched:.4g} with all.",
            (Table("Ways of choosing", ("by", "kept", "metric", "held out"), rows), Facts("", tuple(facts))),
            cost=f"{self.checks} measurements, and {self.held_out_checks} on held-out inputs",
        )

    def __str__(self) -> str:
        share = sum(self.leaves[i] for i in self.kept) / sum(self.leaves)
        ours = Choice("interactions", self.kept, self.measured, self.held_out)
        rows = [f"{self._counted} kept ({share:.0%}); held-out metric:"]
        rows += [f"  {self.untouched:>10.4g}  everything kept"]
        for choice in sorted((ours, *self.rivals), key=lambda choice: choice is not ours):
            rows.append(f"  {choice.held_out:>10.4g}  {choice.name}")
        return "\n".join([*rows, f"{self.checks} + {self.held_out_checks} measurements."])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts, an unknown gap as null."""
        numbers = ("predicted", "measured", "held_out", "untouched", "checks", "held_out_checks")
        return {
            **{name: list(getattr(self, name)) for name in ("kept", "dropped", "labels", "leaves")},
            **{name: getattr(self, name) for name in numbers},
            "rivals": [asdict(rival) for rival in self.rivals],
            "energy": None if self.energy is None else asdict(self.energy),
            "gap": self.gap if np.isfinite(self.gap) else None,
        }

    def to_frame(self) -> pd.DataFrame:
        """A pandas table of this and the rivals' choices: name, parts, measured, held_out."""
        ours = Choice("interactions", self.kept, self.measured, self.held_out)
        columns = ("name", "kept", "measured", "held_out")
        return table(columns, [{name: getattr(choice, name) for name in columns} for choice in (ours, *self.rivals)])


def prune(
    game: Game,
    explanation: Explanation,
    *,
    keep: float | int,
    held_out: Game,
    aim: Literal["high", "low"] = "high",
    sizes: Sequence[float] | None = None,
    rankings: Mapping[str, Sequence[float]] | None = None,
    checks: int = 32,
    random: int | None = None,
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    executor: futures.Executor | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Pruning:
    """Choose the parts to keep by the spectrum, improve the choice on the game, judge it on held-out inputs.

    Choices come from greedy dropping with swaps, from an integer program (HiGHS) and from the rankings that are given;
    the best predicted are measured on the game, and the best measured is improved by measured swaps, which correct the
    spectrum near it as they go. The held-out inputs take no part in any of it. A spectrum is the surer the nearer its
    ablations are to the choice: make the game with ``keep`` about the share to keep.

    >>> import interplay as ip
    >>> def metric(masks):                      # 0 and 1 stand in for one another; 2 is needed; 3 harms
    ...     return (masks[:, 0] | masks[:, 1]) + 0.6 * masks[:, 2] - 0.1 * masks[:, [1, 3]].sum(axis=1)
    >>> game = ip.Game(metric, 4)
    >>> done = ip.actions.prune(game, ip.explain(game, budget=16), keep=2, held_out=game)
    >>> done.kept, done.held_out
    ((0, 2), 1.6)

    Parameters
    ----------
    game, explanation
        The game of a network's parts, and what `interplay.explain` says of it. Of a zoom, parts that stayed closed
        are kept or dropped whole.
    keep
        How much to keep at most: a share of all parts, or of the sum of ``sizes``; or a whole number of parts. Fewer
        are kept where that is better. What counts are the finest parts.
    held_out
        The same parts on other inputs, with the output that is explained among its own.
    aim
        Whether a "high" metric is wanted or a "low" one, as of a loss.
    sizes
        What each part weighs, such as its number of parameters; 1 each when left out. Of a zoom, numbers of the
        finest parts (``game.finest.labels``) do as well, and so do rankings.
    rankings
        Other scores of the parts by name, such as attribution patching or magnitude: keeping the highest is one more
        choice to begin with, and to compare with. First-order effects always take part.
    checks
        The most measurements on the game before the choice.
    random
        How many random choices to measure on the game, of which the best is compared; as many as ``checks`` when left
        out, ``explanation.used + checks`` for the same cost as everything here.
    seed
        Seed of the random choices.

    Raises
    ------
    InputError
        For a capacity that keeps nothing or everything, or held-out inputs of other parts.
    """
    game, held_out = as_explained(game, explanation), as_explained(held_out, explanation, "held_out")
    output = one_output(game, explanation)
    check_whole("checks", checks, 1)
    check_whole("seed", seed, 0)
    if random is not None:
        check_whole("random", random, 0)
    if held_out.labels != game.labels:
        zoomed = " (of a zoom, make it with zoom=True as well)" if explanation.outline else ""
        raise InputError(f"held_out must be the same parts on other inputs{zoomed}, but its labels are not the game's.")
    if aim not in ("high", "low"):
        raise unknown("aim", aim, ("high", "low"))
    weights = _sizes(sizes, game)
    keeping = Keeping(explanation.spectrum, 1.0 if aim == "high" else -1.0, weights, _capacity(keep, weights, sizes))
    given = rankings_of(game, rankings, ("interactions", "first order"))
    judged = _output_of(held_out, game, explanation, output)
    counts = {"game": 0, "held out": 0}

    def measured(which: str, masks: Masks) -> Values:
        played, column = (game, output) if which == "game" else (held_out, judged)
        found = measure(played, masks, store=store, executor=executor, progress=progress)
        counts[which] += found.distinct
        values = averaged(found.values, played.repeats).reshape(len(masks), -1)
        if which == "held out" and played.outputs is None:
            _check_columns(values, game, explanation, column)
        return np.ascontiguousarray(values[:, column])

    sign = 1.0 if aim == "high" else -1.0
    # First of all, because only a measurement tells how many outputs a game has that names none.
    untouched = float(measured("held out", np.ones((1, game.n), dtype=np.bool_))[0])
    ranked = {"first order": keeping.by_rank(keeping.singles())}
    ranked |= {name: keeping.by_rank(scores) for name, scores in given.items()}
    chosen, value, gap = _best(
        keeping, lambda masks: sign * measured("game", masks), checks, seed, list(ranked.values())
    )
    masks = {"": chosen, **ranked}
    draws = checks if random is None else random
    if draws:
        drawn = np.array(list(islice(keeping.random(np.random.default_rng(seed)), draws)))
        masks[f"best of {draws} random"] = drawn[int(np.argmax(sign * measured("game", drawn)))]
    together = np.array(list(masks.values()))
    inside, outside = measured("game", together), measured("held out", together)
    choices = [
        Choice(name, _ids(mask), float(inside[row]), float(outside[row]))
        for row, (name, mask) in enumerate(masks.items())
    ]
    return Pruning(
        kept=choices[0].kept,
        dropped=_ids(~chosen),
        labels=game.labels,
        predicted=float(explanation.spectrum.predict(chosen[None])[0]),
        measured=sign * value,
        held_out=choices[0].held_out,
        untouched=untouched,
        rivals=tuple(choices[1:]),
        energy=energy_shares(explanation.spectrum, game.layout) if isinstance(game.layout, GridLayout) else None,
        gap=gap,
        checks=counts["game"],
        held_out_checks=counts["held out"],
        leaves=tuple(end - start for start, end in stretches(game)),
        _cuts=Cuts.of(game.finest),
    )


def _output_of(held_out: Game, game: Game, explanation: Explanation, output: int) -> int:
    """Where the explained output stands among those held out: by its name where they have names."""
    names = held_out.outputs
    if names is None:
        return output
    asked = None if explanation.outputs is None else explanation.outputs[0]
    if asked in names:
        return names.index(asked)
    if len(names) == 1 and (explanation.outputs is None or game.outputs == explanation.outputs):
        return 0  # the only one on either side, whatever it is called
    what = "the explained game's only one" if asked is None else repr(asked)
    raise InputError(
        f"held_out has the outputs {', '.join(map(repr, names))}, none of which is known to be {what}: make it with "
        "the outputs of the explained game."
    )


def _check_columns(values: Values, game: Game, explanation: Explanation, output: int) -> None:
    """An `InputError` where measured outputs without names (N, T) cannot be those of the explained game."""
    columns = values.shape[1]
    wanted = len(game.outputs) if game.outputs is not None else 1 if explanation.outputs is None else None
    if columns != wanted and (wanted is not None or columns <= output):
        raise InputError(
            f"held_out has {columns} outputs, but the explained game has {wanted or f'at least {output + 1}'}: make it "
            "with the outputs of the explained game."
        )


def _best(
    keeping: Keeping, measured: Callable[[Masks], Values], checks: int, seed: int, given: Sequence[Mask]
) -> tuple[Mask, float, float]:
    """The best measured mask, its value, and HiGHS's gap: ``given`` and good predictions first, then swaps of the best.

    What was measured corrects the spectrum near the best choice before the next swaps are proposed.
    """
    rng = np.random.default_rng(seed)
    n = keeping.spectrum.n
    everything = np.ones(n, dtype=np.bool_)
    solved, gap = keeping.solved()
    starts = [keeping.backward(everything), keeping.by_rank(keeping.singles())]
    starts += [] if solved is None else [solved]
    while len(starts) < _STARTS:  # some parts dropped at random first, and the greedy way from there
        starts.append(keeping.backward(everything & (rng.random(n) < 0.8)))
    tried: dict[bytes, float] = {}

    def learn(masks: Sequence[Mask]) -> None:
        fresh = list({mask.tobytes(): mask for mask in masks if mask.tobytes() not in tried}.values())
        fresh = fresh[: checks - len(tried)]
        if fresh:
            tried.update({m.tobytes(): float(v) for m, v in zip(fresh, measured(np.array(fresh)), strict=True)})

    improved = [keeping.improved(start) for start in starts]
    improved.sort(key=lambda mask: -float(keeping.spectrum.predict(mask[None])[0]))
    learn([improved[0], *given, *improved[1:]])
    while len(tried) < checks:
        best = _mask(max(tried, key=lambda key: tried[key]))
        now = keeping.corrected(np.array([_mask(key) for key in tried]), np.array(list(tried.values())))
        swapped = [mask for mask in now.swaps(best)[0] if mask.tobytes() not in tried][:_STEP]
        further = now.improved(best)
        if not swapped:
            break
        learn(swapped if further.tobytes() in tried else [further, *swapped[1:]])
    key = max(tried, key=lambda key: tried[key])
    return _mask(key), tried[key], gap


def _mask(key: bytes) -> Mask:
    return np.frombuffer(key, dtype=np.bool_)


def _ids(mask: npt.NDArray[np.bool_]) -> Features:
    return tuple(np.flatnonzero(mask).tolist())


def _sizes(sizes: Sequence[float] | None, game: Game) -> Values:
    if sizes is None:
        return np.array([float(end - start) for start, end in stretches(game)])
    weights = by_part(game, "sizes", sizes)
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise InputError(f"sizes must be {len(weights)} positive numbers, one for each part, not {sizes!r}.")
    return weights


def _capacity(keep: float | int, weights: Values, sizes: Sequence[float] | None) -> float:
    total = float(weights.sum())
    whole = isinstance(keep, (int, np.integer)) and not isinstance(keep, bool)
    if whole and sizes is None and weights.min() <= keep < total:
        return float(keep)
    if whole or not is_between(keep, 0, 1) or keep * total < weights.min():
        counted = f" or a whole number from {weights.min():.0f} to {total - 1:.0f}" if sizes is None else ""
        ways = "a share between 0 and 1" + counted
        raise InputError(f"keep must be {ways} that leaves room for at least one part, not {keep!r}.")
    return float(keep) * total
