"""Values and slopes of ablations, fitted together: one ablation tells n + 1 numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features, characters_of, signs_of
from interplay._spectrum.spectrum import Spectrum
from interplay._spectrum.uncertainty import Uncertainty
from interplay.estimators._base import Recovery
from interplay.estimators._slopes.observations import Observations
from interplay.estimators._slopes.search import propose
from interplay.estimators._slopes.solve import Calibration, Equations, Posterior
from interplay.estimators._validation import folds, is_constant

_WIDTH = 300  # sets of one size whose extensions are looked at
_MOST = 2000  # sets fitted: a solve takes K^3 operations; and no more than one for two numbers observed
_TURNS = 2  # of calibration; more fit the noise where ablations are few
_WEIGHTS = (1e-8, 0.5)  # of a feature: w_j of the Walsh kernel


def fit_slopes(masks: Masks, values: Values, slopes: Values, *, order: int, seed: int) -> Recovery:
    """The spectrum of sets of up to ``order`` features from values and slopes of the same ablations.

    For a feature h at a mask m, ``D_h f(m) = f(m with h) - f(m without h)`` is linear in the spectrum, and the slope
    of the output in h's gate is a noisy observation of it: ``slope = beta_{h,s} D_h f + error``, s = kept or
    ablated, where beta and the error's variance are found from the data, alternating with the fit. Prior variances
    are those of the Walsh kernel, products of the features' weights, here their mean squared slopes.

    Parameters
    ----------
    masks, values
        Distinct (N, n), and (N,) that vary.
    slopes
        (N, n), d value / d gate from ablated to kept; NaN in rows that have none.

    Returns
    -------
    Recovery
        Its ``unseen`` values are predicted by whole fits, sets and calibration included, to the ablations of the
        other folds: neither the value nor the slopes of an ablation take part in its own prediction.
    """
    fitted = _Fit.of(masks, values, slopes, order)
    fold = folds(len(values), seed)
    unseen, expected = np.empty(len(values)), np.empty(len(values))
    for part in range(int(fold.max()) + 1):
        out = fold == part
        if is_constant(values[~out]) or np.isnan(slopes[~out, 0]).all():
            unseen[out], expected[out] = values[~out].mean(), values.var()
        else:
            unseen[out], expected[out] = _Fit.of(masks[~out], values[~out], slopes[~out], order).predict(masks[out])
    # The errors of slopes depend on the mask in ways that no noise does: what they claim to know is too sure.
    surprise = float(np.sqrt(np.mean((values - unseen) ** 2 / expected)))
    return Recovery(
        fitted.spectrum,
        unseen=unseen,
        how=f"{int(fold.max()) + 1}-fold cross-validation on {len(values)} ablations, without their values and slopes",
        order=min(order, masks.shape[1]),
        notes=(fitted.note(),),
        method="gp",
        uncertainty=fitted.uncertainty(max(1.0, surprise)),
    )


def predict_by_halves(masks: Masks, values: Values, slopes: Values, *, order: int, seed: int) -> Values:
    """Every value (N,), predicted from the half of the ablations that it does not belong to."""
    half = folds(len(values), seed, parts=2)
    unseen = np.empty(len(values))
    for part in (0, 1):
        out = half == part
        if is_constant(values[~out]):
            unseen[out] = values[~out].mean()
        else:
            unseen[out], _ = _Fit.of(masks[~out], values[~out], slopes[~out], order).predict(masks[out])
    return unseen


@dataclass(frozen=True, eq=False)
class _Fit:
    """One fit: the coefficients of its sets, and how the slopes were calibrated."""

    seen: Observations
    sets: list[Features]
    posterior: Posterior
    calibration: Calibration

    @classmethod
    def of(cls, masks: Masks, values: Values, slopes: Values, order: int) -> _Fit:
        """Find sets, then turn by turn their coefficients and the calibration."""
        seen = Observations.of(masks, values, slopes)
        calibration = Calibration.guess(seen, min(order, seen.n))
        weights = np.clip(seen.influences(), *_WEIGHTS)
        numbers = len(seen.values) + seen.n * int(seen.sloped.sum())
        found = propose(
            seen,
            weights,
            calibration.decay,
            calibration.noise,
            calibration.tau2[0],
            width=_WIDTH,
            most=min(_MOST, max(seen.n, numbers // 2)),
        )
        equations = Equations(seen, [(), *found], weights)
        for _ in range(_TURNS):
            calibration = equations.calibrated(equations.solve(calibration), calibration)
        return cls(seen, equations.sets, equations.solve(calibration), calibration)

    @property
    def spectrum(self) -> Spectrum:
        """In the units of the values."""
        means = dict(zip(self.sets, (self.seen.scale * self.posterior.means).tolist(), strict=True))
        means[()] += self.seen.centre
        return Spectrum(self.seen.n, means)

    def predict(self, masks: Masks) -> tuple[Values, Values]:
        """Values at ``masks`` (M, n), and the variances of their errors, (M,)."""
        rows = characters_of(signs_of(masks), self.sets).astype(np.float32)
        known = np.einsum("ij,ij->j", self.posterior.covariance @ rows, rows)
        means = self.seen.centre + self.seen.scale * (self.posterior.means @ rows)
        return means, self.seen.scale**2 * (self.calibration.noise + known)

    def uncertainty(self, widened: float) -> Uncertainty:
        """The posterior standard deviations, times ``widened``."""
        deviations = widened * self.seen.scale * np.sqrt(np.diagonal(self.posterior.covariance))
        return Uncertainty(self.seen.n, dict(zip(self.sets, deviations.tolist(), strict=True)))

    def note(self) -> str:
        """How far the slopes were trusted, in words."""
        size = np.maximum((self.seen.slopes[self.seen.sloped] ** 2).mean(axis=0), 1e-300)
        ablated, kept = (
            float(np.average(1.0 - np.minimum(tau2 / size, 1.0), weights=size)) for tau2 in self.calibration.tau2
        )
        return (
            f"slopes of {int(self.seen.sloped.sum())} of {len(self.seen.values)} ablations were fitted along: "
            f"{kept:.0%} of what those of kept features say, and {ablated:.0%} of ablated ones, is effects by the fit"
        )
