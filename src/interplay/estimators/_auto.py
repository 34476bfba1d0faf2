"""Choose the estimator from the budget and, on the same ablations, by held-out error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game.masks import Masks, Values
from interplay._spectrum.spectrum import Spectrum
from interplay.estimators._base import Estimator, Recovery, Rescue
from interplay.estimators._exact import _MOST_FEATURES, Exact
from interplay.estimators._gp.gp import GP
from interplay.estimators._lasso.lasso import Lasso
from interplay.estimators._lasso.wide import LARGE, Wide
from interplay.estimators._proxyspex.proxyspex import ProxySPEX
from interplay.estimators._validation import folds, is_constant, r_squared
from interplay.estimators.spex import SPEX

_WIDE = 8  # features per ablation, beyond which there is no hope of interactions, and trees take minutes
_SIMPLE = 0.95  # of the blend's error: where single features get so far, nothing else is worth its coefficients
_NOTHING = 1e-4  # of the variance: what single features may leave unexplained for nobody to ask for more
_CLEAR = 0.8  # the same for other fits: few ablations decide between them badly, and the blend hedges
_EQUAL = 0.3  # times features per ablation: how strongly the shares of a blend are drawn to equal ones
_SMALL = 0.1  # the smallest share of a blend: less is not worth its coefficients
_SURE = 1 / 3  # the share of the Gaussian process from which its intervals speak for the blend, too


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
        if n > _WIDE * len(masks):
            note = (
                f"auto chose lasso: {len(masks)} ablations of {n} features are too few to tell interactions apart; "
                f"from {-(-n // _WIDE)} ablations on, or with larger units, they are looked for"
            )
            single = Lasso().fit(masks, values, order=order, seed=seed)
            return replace(single, notes=(note, *single.notes), method="lasso")
        candidates: list[Estimator] = [Lasso(), ProxySPEX()]
        if len(masks) <= self.most:
            candidates.append(GP())
        found = {one.name: one.fit(masks, values, order=order, seed=seed) for one in candidates}
        chosen = _blend(found, values, n, seed)
        blended, nothing = _error(chosen, values), _NOTHING * ((values - values.mean()) ** 2).sum()
        tried = {**found, str(chosen.method): chosen}
        for name, recovery in found.items():  # the simplest first
            enough = max(_SIMPLE * blended, nothing) if name == "lasso" else _CLEAR * blended
            if _error(recovery, values) <= enough:
                chosen = replace(recovery, method=name)
                break
        tried[str(chosen.method)] = chosen  # a blend of one bears the name of that one, but was judged by fold
        compared = ", ".join(f"{name} {_reported(one, values):.3f}" for name, one in tried.items())
        note = f"auto chose {chosen.method} by R² on ablations the fits did not see: {compared}"
        if "gp" not in found:
            note += f" (no gp: {len(masks)} ablations are more than the {self.most} that Auto(most=...) allows it)"
        notes = (note, *chosen.notes)
        if chosen.uncertainty is None:
            notes += (f"{chosen.method} knows no intervals: method='gp' gives one for every value",)
        return replace(chosen, notes=notes, alone=found["lasso"].unseen)


def _reported(recovery: Recovery, values: Values) -> float:
    """R² on unseen ablations as the explanation will say it."""
    assert recovery.unseen is not None
    return 1.0 - (1.0 - r_squared(values, recovery.unseen)) * recovery.flatters


def _error(recovery: Recovery, values: Values) -> float:
    """The sum of squared errors on unseen ablations, with half of what they flatter put right.

    Half on the logarithmic scale: by how much is itself an estimate, from a fifth or two of the ablations.
    """
    assert recovery.unseen is not None
    return float(((values - recovery.unseen) ** 2).sum() * np.sqrt(recovery.flatters))


def _blend(found: dict[str, Recovery], values: Values, n: int, seed: int) -> Recovery:
    """The fits in shares of least error on unseen ablations, drawn towards equal ones where those are few.

    The ablations of each fold are predicted with the shares that the others choose, so the blend's predictions stay
    unseen.
    """
    names = list(found)
    unseen = np.stack([one.unseen for one in found.values() if one.unseen is not None])
    errors = (values - unseen) * np.array([[one.flatters**0.25] for one in found.values()])
    fold = folds(len(values), seed)
    parts = int(fold.max()) + 1
    products = np.stack([errors[:, fold == k] @ errors[:, fold == k].T for k in range(parts)])
    ridge = _EQUAL * n / len(values)
    shares = _shares(products.sum(axis=0), ridge)
    by_fold = np.stack([_shares(products.sum(axis=0) - products[k], ridge) for k in range(parts)])
    kept = [row for row in np.argsort(-shares) if shares[row] > 0]
    spectrum = Spectrum(n, {})
    for row in kept:
        spectrum = spectrum + found[names[row]].spectrum * float(shares[row])
    parted = ", ".join(f"{shares[row]:.0%} {names[row]}" for row in kept)
    flatters = 1.0 + sum(shares[row] * (found[names[row]].flatters - 1.0) for row in kept)
    process = found.get("gp")
    sure = process is not None and shares[names.index("gp")] >= _SURE
    first = found[names[kept[0]]]
    return Recovery(
        spectrum,
        unseen=(by_fold[fold].T * unseen).sum(axis=0),
        how=first.how if len(kept) == 1 else f"{first.how}; blended by {parts}-fold cross-validation",
        order=max(found[names[row]].order for row in kept),
        notes=(
            *(note for row in kept for note in found[names[row]].notes),
            *((f"the blend is {parted}",) if len(kept) > 1 else ()),
        ),
        method="+".join(names[row] for row in kept),
        uncertainty=process.uncertainty if process is not None and sure else None,
        flatters=float(flatters),
    )


def _shares(products: npt.NDArray[np.float64], ridge: float) -> npt.NDArray[np.float64]:
    """Shares (M,), none negative, summing to 1, of M predictions whose errors have inner ``products`` (M, M).

    They minimise ``shares' (products / mean of their diagonal + ridge) shares``: by trying every subset of the few.
    """
    size = len(products)
    scaled = products / max(float(np.trace(products)) / size, 1e-300) + (ridge + 1e-9) * np.eye(size)
    best, least = np.full(size, 1.0 / size), np.inf
    for subset in range(1, 1 << size):
        rows = [row for row in range(size) if subset >> row & 1]
        solved = np.linalg.solve(scaled[np.ix_(rows, rows)], np.ones(len(rows)))
        # A subset's minimum is 1 / sum; where a share is small or negative, the minimum lies on a smaller subset.
        if (solved < _SMALL * solved.sum()).any() or solved.sum() <= 0 or 1.0 / solved.sum() >= least:
            continue
        best, least = np.zeros(size), 1.0 / float(solved.sum())
        best[rows] = solved / solved.sum()
    return best
