"""Choose the estimator from the budget and, on the same ablations, by held-out error."""

from __future__ import annotations

import concurrent.futures as futures
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from interplay._errors import InputError
from interplay._game.masks import Masks, Values
from interplay.estimators._base import Estimator, Recovery, Rescue
from interplay.estimators._blending import blend
from interplay.estimators._doubt import transferred
from interplay.estimators._exact import MOST_FEATURES, Exact
from interplay.estimators._gp.gp import GP
from interplay.estimators._lasso.lasso import Lasso
from interplay.estimators._lasso.wide import LARGE, LONG, Wide
from interplay.estimators._many import MANY, many, spread
from interplay.estimators._proxyspex.proxyspex import ProxySPEX
from interplay.estimators._validation import gain_of_all, is_constant, r_squared
from interplay.estimators.spex import SPEX

_WIDE_LONG = 4  # the same where masks are so many that the search for interactions takes minutes
_WIDE = 8  # features per ablation, beyond which there is no hope of interactions, and trees take minutes
# What takes minutes where masks are many are the trees' refinements: fewer of them are tried there.
_LONG_TREES = ProxySPEX(trees=(25, 100), parts=3, kept=(128,), floors=(0.1,), noises=(1e-3, 0.01, 0.1, 1.0))
# The share of the blend's error by which single features must beat it: a twentieth less is not chance.
_SIMPLE = 0.95
_NOTHING = 1e-4  # of the variance: what single features may leave unexplained for nobody to ask for more
# The same for other fits: few ablations decide between them badly, and the blend hedges. Always to take the one fit of
# least error costs .008 of R² at n log2(n) / 4 ablations (docs/gp.md).
_CLEAR = 0.8


class _Candidates(NamedTuple):
    """Masks (N, n), and every estimator to be fitted to them with what it prepared, the simplest first."""

    masks: Masks
    tried: tuple[tuple[Estimator, Any], ...]


@dataclass(frozen=True)
class Auto(Estimator):
    """Exact where all masks fit the budget, else what predicts unseen ablations best.

    The candidates are a lasso of single features, boosted trees (`ProxySPEX`), a Gaussian process (`GP`), and a blend
    of them, whose errors have little in common. Where even the best explains less than half and enough of
    the budget is left, `explain` spends it on the coded masks of `SPEX`.

    Parameters
    ----------
    most
        Ablations up to which the Gaussian process is a candidate.
    """

    name: ClassVar[str] = "auto"
    takes_slopes: ClassVar[bool] = True
    most: int = 5000

    def design(self, n: int, budget: int, seed: int) -> Masks:
        """All masks where they fit the budget, else uniform ones."""
        if n <= MOST_FEATURES and budget >= 1 << n:
            return Exact().design(n, budget, seed)
        return super().design(n, budget, seed)

    def rescue(self, n: int, budget: int) -> Rescue | None:
        """SPEX, after a quarter of the budget at most, where the rest pays for its design."""
        if n <= MOST_FEATURES and budget >= 1 << n:
            return None
        # 2 n log2(n): where that many ablations explain little, more of the same kind are no use.
        first = min(budget // 4, int(2 * n * np.log2(n + 1)))
        spex = SPEX()
        try:
            spex.dimension(n, budget - first)
        except InputError:
            return None
        return Rescue(first, ProxySPEX(), spex)

    def fit_outputs(self, masks: Masks, values: Values, *, order: int, seed: int) -> list[Recovery]:
        """One fit per output; where the masks are too many for copies of them, single features by `Wide`."""
        if masks.size <= LARGE:
            return self.spread_outputs(masks, values, order=order, seed=seed, executor=None)
        note = (
            f"auto chose the lasso of single features for all outputs at once: {len(masks)} ablations of "
            f"{masks.shape[1]} features are too many to look for interactions in memory"
        )
        found = Wide().fit_outputs(masks, values, order=order, seed=seed)
        return [replace(recovery, notes=(note, *recovery.notes)) for recovery in found]

    def spread_outputs(
        self, masks: Masks, values: Values, *, order: int, seed: int, executor: futures.Executor | None
    ) -> list[Recovery]:
        """As `fit_outputs`, by the workers of an ``executor`` where there is one; the same recoveries either way.

        Many outputs share what they can (`interplay.estimators._many`), in parts that do not depend on the workers.
        """
        if masks.size > LARGE:
            return self.fit_outputs(masks, values, order=order, seed=seed)
        if values.shape[1] < MANY or len(self.prepare(masks).tried) == 1:
            return spread(Estimator.fit_outputs, self, masks, values, 1, executor, order=order, seed=seed)
        return many(self, masks, values, order=order, seed=seed, executor=executor)

    def fit_part(
        self, masks: Masks, values: Values, trees: Estimator | None, *, order: int, seed: int
    ) -> list[Recovery]:
        """One recovery for each of many outputs (N, T), with ``trees`` where they have shown that they help."""
        singles = Wide().cross_validated(masks, values, seed=seed)
        process = GP().fit_outputs(masks, values, order=order, seed=seed) if len(masks) <= self.most else None
        state = None if trees is None else trees.prepare(masks)
        recoveries = []
        for t, column in enumerate(np.ascontiguousarray(values.T)):
            found = {"lasso": singles[t]}
            if trees is not None:
                found[trees.name] = trees.recover(state, column, order=order, seed=seed)
            if process is not None:
                found["gp"] = process[t]
            recoveries.append(self._best(found, column, seed))
        return recoveries

    def prepare(self, masks: Masks) -> _Candidates:
        """What may be fitted to so many masks, each estimator with what it prepares."""
        count, n = masks.shape
        if n <= MOST_FEATURES and count == 1 << n:
            tried: list[Estimator] = [Exact()]
        elif n > _WIDE * count or (masks.size > LONG and n > _WIDE_LONG * count):
            tried = [Lasso()]
        else:
            trees = ProxySPEX() if masks.size <= LONG else _LONG_TREES
            tried = [Lasso(), trees, *([GP()] if count <= self.most else [])]
        return _Candidates(masks, tuple((one, one.prepare(masks)) for one in tried))

    def recover(self, prepared: _Candidates, values: Values, *, order: int, seed: int) -> Recovery:
        """Fit every candidate to the same masks and keep the best by its error on masks it did not see."""
        (first, its), *others = prepared.tried
        if not others or is_constant(values):
            only = first.recover(its, values, order=order, seed=seed)
            note = "the values do not vary" if others else _why_only(first, *prepared.masks.shape)
            notes = (f"auto chose {first.name}: {note}", *only.notes)
            return replace(only, notes=notes, method=first.name)
        found = {one.name: one.recover(state, values, order=order, seed=seed) for one, state in prepared.tried}
        return replace(self._best(found, values, seed), chosen=_narrowed(found))

    def _best(self, found: dict[str, Recovery], values: Values, seed: int) -> Recovery:
        """What predicts best of the fits that were ``found``, by name, and of their blend."""
        blended = blend(found, values, found["lasso"].spectrum.n, seed)
        chosen = _simplest(found, blended, values)
        # A blend of one bears the name of that one, but was judged by fold.
        tried = {**found, str(blended.method): blended, str(chosen.method): chosen}
        compared = ", ".join(f"{name} {_reported(one, values):.3f}" for name, one in tried.items())
        note = f"auto chose {chosen.method} by R² on ablations the fits did not see: {compared}"
        if "gp" not in found:
            note += f" (no gp: {len(values)} ablations are more than the {self.most} that Auto(most=...) allows it)"
        doubt = transferred(found["gp"], chosen.spectrum) if "gp" in found else chosen.uncertainty
        return replace(chosen, notes=(note, *chosen.notes), alone=found["lasso"].unseen, uncertainty=doubt)


def _narrowed(found: dict[str, Recovery]) -> Estimator | None:
    """The trees' options that won, for other outputs to follow; None where the blend does better without trees."""
    trees = found.get(ProxySPEX.name)
    return None if trees is None else trees.chosen


def _why_only(only: Estimator, count: int, n: int) -> str:
    if only.name == "exact":
        return f"all 2^{n} = {count} masks are measured"
    wide = _WIDE if count * n <= LONG else _WIDE_LONG
    return (
        f"{count} ablations of {n} features are too few to tell interactions apart; from {-(-n // wide)} ablations "
        "on, or with larger units, they are looked for"
    )


def _simplest(found: dict[str, Recovery], blended: Recovery, values: Values) -> Recovery:
    """The simplest fit that is about as good as the blend or clearly better, else the blend."""
    least, nothing = _error(blended, values), _NOTHING * ((values - values.mean()) ** 2).sum()
    for name, recovery in found.items():  # the simplest first
        if _error(recovery, values) <= (max(_SIMPLE * least, nothing) if name == "lasso" else _CLEAR * least):
            return replace(recovery, method=name)
    return blended


def _reported(recovery: Recovery, values: Values) -> float:
    """R² on unseen ablations as the explanation will say it."""
    assert recovery.unseen is not None
    r2 = r_squared(values, recovery.unseen)
    return 1.0 - (1.0 - r2) * recovery.flatters * gain_of_all(len(values), recovery.spectrum.n, r2)


def _error(recovery: Recovery, values: Values) -> float:
    """The sum of squared errors on unseen ablations, with half of what they flatter put right.

    Half on the logarithmic scale: by how much is itself an estimate, from a fifth or two of the ablations.
    """
    assert recovery.unseen is not None
    return float(((values - recovery.unseen) ** 2).sum() * np.sqrt(recovery.flatters))
