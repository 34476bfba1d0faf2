"""Choose the estimator from the budget and, on the same ablations, by held-out error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from interplay._errors import InputError
from interplay._faithfulness import folds, is_constant, r_squared
from interplay._game import Masks, Values
from interplay.estimators._base import Estimator, Recovery, Rescue
from interplay.estimators._exact import _MOST_FEATURES, Exact
from interplay.estimators._gp import GP
from interplay.estimators._lasso import Lasso
from interplay.estimators._proxyspex import ProxySPEX
from interplay.estimators._wide import LARGE, Wide
from interplay.estimators.spex import SPEX

_TIE = 1e-4  # of the variance: a smaller gain does not pay for a less simple answer
_PROCESS = 1.05  # what the Gaussian process's own errors count, seen from all other ablations instead of 4 in 5


@dataclass(frozen=True)
class Auto(Estimator):
    """Exact where all masks fit the budget, else what predicts unseen ablations best.

    The candidates are a lasso of single features, boosted trees (`ProxySPEX`), a Gaussian process (`GP`), and a blend
    of the last two, whose errors have little in common. Where even the best explains next to nothing and enough of
    the budget is left, `explain` spends it on the coded masks of `SPEX`.

    Parameters
    ----------
    most
        Ablations up to which the Gaussian process is a candidate.
    """

    name: ClassVar[str] = "auto"
    most: int = 5000

    def design(self, n: int, budget: int, seed: int) -> Masks:
        """All masks where they fit the budget, else uniform ones."""
        if n <= _MOST_FEATURES and budget >= 1 << n:
            return Exact().design(n, budget, seed)
        return super().design(n, budget, seed)

    def rescue(self, n: int, budget: int) -> Rescue | None:
        """SPEX, after a quarter of the budget at most, where the rest pays for its design."""
        if n <= _MOST_FEATURES and budget >= 1 << n:
            return None
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
            return super().fit_outputs(masks, values, order=order, seed=seed)
        note = (
            f"auto chose the lasso of single features for all outputs at once: {len(masks)} ablations of "
            f"{masks.shape[1]} features are too many to look for interactions in memory"
        )
        found = Wide().fit_outputs(masks, values, order=order, seed=seed)
        return [replace(recovery, notes=(note, *recovery.notes)) for recovery in found]

    def fit(self, masks: Masks, values: Values, *, order: int, seed: int) -> Recovery:
        """Fit every candidate on the same masks and keep the best by its error on masks it did not see."""
        n = masks.shape[1]
        if n <= _MOST_FEATURES and len(masks) == 1 << n:
            note = f"auto chose exact: all 2^{n} = {1 << n} masks are measured"
            return replace(Exact().fit(masks, values, order=order, seed=seed), notes=(note,), method="exact")
        if is_constant(values):
            constant = Lasso().fit(masks, values, order=order, seed=seed)
            return replace(constant, notes=("auto chose lasso: the values do not vary",), method="lasso")
        candidates: list[Estimator] = [Lasso(), ProxySPEX()]
        if len(masks) <= self.most:
            candidates.append(GP())
        found = {one.name: one.fit(masks, values, order=order, seed=seed) for one in candidates}
        weights = dict.fromkeys(found, 1.0)
        if "gp" in found:
            found["gp+proxyspex"] = _blend(found["proxyspex"], found["gp"], values, seed)
            weights |= {"gp": _PROCESS, "gp+proxyspex": 1.0}
        unseen = np.stack([recovery.unseen for recovery in found.values() if recovery.unseen is not None])
        totals = ((unseen - values) ** 2).sum(axis=1) * list(weights.values())
        level = totals.min() + _TIE * ((values - values.mean()) ** 2).sum()
        best = list(found)[int(np.argmax(totals <= level))]  # of those that are as good, the first, the simplest
        compared = ", ".join(
            f"{name} {r_squared(values, prediction):.3f}" for name, prediction in zip(found, unseen, strict=True)
        )
        note = f"auto chose {best} by R² on ablations the fits did not see: {compared}"
        return replace(found[best], notes=(note, *found[best].notes), method=found[best].method or best)


def _blend(trees: Recovery, process: Recovery, values: Values, seed: int) -> Recovery:
    """Both spectra, in shares halfway between equal ones and those of least held-out error.

    The Gaussian process predicts each ablation from all others and so seems a little better than it is beside trees
    that were fitted to four fifths; going halfway corrects that. The ablations of each fold are predicted with the
    shares that the others choose, so the blend's predictions stay unseen.
    """
    assert trees.unseen is not None
    assert process.unseen is not None
    away, rest = trees.unseen - process.unseen, values - process.unseen
    fold = folds(len(values), seed)
    parts = int(fold.max()) + 1
    sums = np.array([[away[fold == k] @ rest[fold == k], away[fold == k] @ away[fold == k]] for k in range(parts)])
    whole = sums.sum(axis=0)

    def share(top: float, bottom: float) -> float:
        least = float(np.clip(top / bottom, 0.0, 1.0)) if bottom > 0 else 0.5
        return (least + 0.5) / 2.0

    of_trees = share(*whole)
    shares = np.array([share(*(whole - part)) for part in sums])
    return replace(
        process,
        spectrum=process.spectrum * (1 - of_trees) + trees.spectrum * of_trees,
        unseen=process.unseen + shares[fold] * away,
        how=f"{process.how}; blended with trees by {parts}-fold cross-validation",
        notes=(*process.notes, f"the blend is {1 - of_trees:.0%} gp and {of_trees:.0%} proxyspex"),
    )
