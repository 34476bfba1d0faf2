"""Choose the estimator from the budget and, on the same ablations, by held-out error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from interplay._faithfulness import is_constant, r_squared
from interplay._game import Masks, Values
from interplay.estimators._base import Estimator, Recovery
from interplay.estimators._exact import _MOST_FEATURES, Exact
from interplay.estimators._lasso import Lasso
from interplay.estimators._proxyspex import ProxySPEX
from interplay.estimators._wide import LARGE, Wide

_TIE = 1e-4  # of the variance: a smaller gain does not pay for a less simple answer


@dataclass(frozen=True)
class Auto(Estimator):
    """Exact where all masks fit the budget, else whichever of its candidates predicts unseen ablations best."""

    name: ClassVar[str] = "auto"
    candidates: tuple[Estimator, ...] = (Lasso(), ProxySPEX())

    def design(self, n: int, budget: int, seed: int) -> Masks:
        """All masks where they fit the budget, else uniform ones."""
        if n <= _MOST_FEATURES and budget >= 1 << n:
            return Exact().design(n, budget, seed)
        return super().design(n, budget, seed)

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
        found = [candidate.fit(masks, values, order=order, seed=seed) for candidate in self.candidates]
        unseen = np.stack([recovery.unseen for recovery in found if recovery.unseen is not None])
        errors = (unseen - values) ** 2
        totals = errors.sum(axis=1)
        level = totals.min() + _TIE * ((values - values.mean()) ** 2).sum()
        best = int(np.argmax(totals <= level))  # of those that are as good, the first, which is the simplest
        scores = [r_squared(values, prediction) for prediction in unseen]
        compared = ", ".join(
            f"{candidate.name} {score:.3f}" for candidate, score in zip(self.candidates, scores, strict=True)
        )
        winner = self.candidates[best].name
        note = f"auto chose {winner} by R² on ablations the fits did not see: {compared}"
        return replace(found[best], notes=(note, *found[best].notes), method=found[best].method or winner)
