"""First-order effects by a cross-validated lasso: the baseline that interactions must beat."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features
from interplay._spectrum.spectrum import Spectrum
from interplay.estimators._base import Estimator, Recovery
from interplay.estimators._lasso.wide import LARGE, LONG, Wide
from interplay.estimators._validation import choose, folds, splits

Signs = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lasso(Estimator):
    """Single features only, by the lasso (Tibshirani 1996), its penalty chosen by held-out error.

    Along the path every few penalties are also tried *relaxed* (Meinshausen 2007): least squares on the features
    that the lasso selected, which undoes its shrinkage and recovers a noiseless linear game exactly.

    Parameters
    ----------
    penalties
        How many penalties, from the largest useful one down to ``smallest`` of it.
    smallest
        The smallest penalty, as a share of the largest.
    parts
        Cross-validation folds.
    """

    name: ClassVar[str] = "lasso"
    penalties: int = 50
    smallest: float = 1e-4
    parts: int = 5

    def prepare(self, masks: Masks) -> Signs:
        """The masks as signs (N, n), +1 where ablated."""
        return np.where(masks, -1.0, 1.0)

    def recover(self, prepared: Signs, values: Values, *, order: int, seed: int) -> Recovery:  # noqa: ARG002
        """Fit single features; ``order`` is ignored."""
        signs, n = prepared, prepared.shape[1]
        if signs.size > LONG:
            return Wide().cross_validated(signs < 0, values[:, None], seed=seed, parts=3)[0]
        largest = np.abs((signs - signs.mean(axis=0)).T @ (values - values.mean())).max() / len(values)
        if largest <= 0:
            constant = Spectrum(n, {(): float(values.mean())})
            return Recovery(constant, np.full(len(values), values.mean()), "constant values", order=1)
        alphas = largest * np.geomspace(1.0, self.smallest, self.penalties)
        fold = folds(len(values), seed, self.parts)
        predictions = np.empty((2 * self.penalties, len(values)))
        for train, test in splits(fold):
            weights, intercepts = self._path(signs[train], values[train], alphas)
            predictions[:, test] = weights @ signs[test].T + intercepts[:, None]
        best, chosen = choose((predictions - values) ** 2, fold)
        weights, intercepts = self._path(signs, values, alphas)
        coefficients: dict[Features, float] = {(i,): float(w) for i, w in enumerate(weights[best]) if w}
        return Recovery(
            Spectrum(n, {(): float(intercepts[best])} | coefficients),
            unseen=predictions[chosen, np.arange(len(values))],
            how=f"{int(fold.max()) + 1}-fold cross-validation on {len(values)} ablations",
            order=1,
        )

    def fit_outputs(self, masks: Masks, values: Values, *, order: int, seed: int) -> list[Recovery]:
        """One fit per output; where the masks are too many for copies of them, all outputs at once by `Wide`."""
        if masks.size > LARGE:
            return Wide().fit_outputs(masks, values, order=order, seed=seed)
        return super().fit_outputs(masks, values, order=order, seed=seed)

    def _path(
        self, signs: Signs, values: Values, alphas: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Weights (2P, n) and intercepts (2P,): the lasso at every penalty, then relaxed at every penalty."""
        from sklearn import config_context
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import lasso_path

        mean, middle = signs.mean(axis=0), values.mean()
        centred, target = signs - mean, values - middle
        moment = centred.T @ target
        # The Gram matrix spares work where features are few; where they outnumber the ablations it would be most of it.
        gram = centred.T @ centred if centred.shape[1] <= len(centred) else None
        with warnings.catch_warnings(), config_context(assume_finite=True):  # else checked anew for every penalty
            # A path that has not converged at its smallest penalties loses by held-out error; nothing is hidden.
            warnings.simplefilter("ignore", ConvergenceWarning)
            given = {"precompute": False} if gram is None else {"precompute": gram, "Xy": moment}
            _, path, _ = lasso_path(centred, target, alphas=alphas, tol=1e-4, max_iter=300, **given)
        weights = path.T
        relaxed = weights.copy()
        previous: npt.NDArray[np.bool_] | None = None
        for row in range(0, len(alphas), 5):
            support = weights[row] != 0
            if previous is not None and (support == previous).all():
                relaxed[row] = relaxed[row - 5]
            elif 0 < support.sum() < 0.9 * len(target):
                if gram is None:
                    selected = centred[:, support]
                    inner = selected.T @ selected
                else:
                    inner = gram[np.ix_(support, support)]
                relaxed[row, support] = solve_normal_equations(inner, moment[support])
            previous = support
        both = np.concatenate([weights, relaxed])
        return both, middle - both @ mean


def solve_normal_equations(gram: npt.NDArray[np.float64], moment: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Least squares from its normal equations: by Cholesky, tens of times faster, where they are far from singular."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        factor = cho_factor(gram)
    except LinAlgError:
        factor = None
    if factor is not None and np.ptp(pivots := np.diag(factor[0])) < (1 - 1e-4) * pivots.max():
        return np.asarray(cho_solve(factor, moment))
    return np.asarray(np.linalg.lstsq(gram, moment, rcond=1e-10)[0])
