"""What a Gaussian process with the Walsh kernel says once its hyper-parameters are known, all in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interplay._spectrum.characters import Features
from interplay.estimators._gp.hyper import Hyper, Signs, Vector
from interplay.estimators._gp.inverse import Inverse, solved
from interplay.estimators._gp.kernel import kernel
from interplay.estimators._gp.prior import prior_variances

_BLOCK = 1 << 22  # entries of a block of predictions: 32 MiB


@dataclass(frozen=True)
class Posterior:
    """The game given its values, averaged over D plausible draws of the hyper-parameters.

    Attributes
    ----------
    signs
        (N, n), +1 where ablated.
    values
        (N,), standardised.
    hypers
        The D draws.
    alphas
        K^-1 y for every draw, (D, N).
    inverses
        K^-1 for every draw.
    """

    signs: Signs
    values: Vector
    hypers: tuple[Hyper, ...]
    alphas: Signs
    inverses: tuple[Inverse, ...]

    @classmethod
    def of(cls, signs: Signs, values: Vector, hypers: list[Hyper], device: str | None = None) -> Posterior:
        """The posterior given values (N,) at ``signs`` (N, n)."""
        alphas, inverses = zip(*(solved(signs, values, hyper, device) for hyper in hypers), strict=True)
        return cls(signs, values, tuple(hypers), np.stack(alphas), inverses)

    @property
    def leave_one_out_variance(self) -> Signs:
        """The variance of every value given all others, by draw, (D, N)."""
        return 1.0 / np.stack([inverse.diagonal for inverse in self.inverses])

    def weights(self) -> Signs:
        """What each draw counts where value i is left out, (D, N), columns summing to 1.

        The draws saw value i. Draws that are plausible without it are those weighted by 1 / p(y_i | the others),
        importance weights that are truncated as in Ionides (2008).
        """
        # p(y_i | the others) is Gaussian with the leave-one-out mean and variance, so its inverse is known by draw.
        variance = self.leave_one_out_variance
        residual = self.alphas * variance
        log_weight = 0.5 * np.log(variance) + 0.5 * residual**2 / variance
        weight = np.exp(log_weight - log_weight.max(axis=0))
        # Truncated at sqrt(D) times the mean: a little bias, against a few draws that would decide alone.
        weight = np.minimum(weight, np.sqrt(len(weight)) * weight.mean(axis=0))
        return np.asarray(weight / weight.sum(axis=0))

    def left_out(self) -> Vector:
        """The prediction of every value from all others, (N,), hyper-parameters included."""
        # y_i less the mean given all others is alpha_i / K^-1[i, i] (Rasmussen & Williams 2006, eq. 5.12).
        predictions = self.values - self.alphas * self.leave_one_out_variance
        return np.asarray((self.weights() * predictions).sum(axis=0))

    def surprise(self) -> float:
        """The root mean square of the standardised leave-one-out errors: above 1 where the posterior is too sure."""
        variance = (
            self.leave_one_out_variance
        )  # the error is alpha * variance: its square over variance, alpha^2 variance
        return float(np.sqrt((self.weights() * self.alphas**2 * variance).sum(axis=0).mean()))

    def left_out_of(self, rows: npt.NDArray[np.int8], sets: list[Features]) -> Vector:
        """As `left_out`, predicted by the K coefficients of ``sets`` alone; ``rows`` (K, N) are their chi_S(m_i).

        Without value i, alpha becomes ``alpha - K^-1[:, i] alpha_i / K^-1[i, i]``.
        """
        total = np.zeros(len(self.values))
        for hyper, alpha, inverse, weight in zip(self.hypers, self.alphas, self.inverses, self.weights(), strict=True):
            variances = prior_variances(hyper, sets)
            fitted = (variances * (rows @ alpha)) @ rows
            own = inverse.overlaps(rows, variances)
            total += weight * (fitted - own * alpha / inverse.diagonal)
        return total

    def predict(self, signs: Signs) -> Vector:
        """The posterior mean at ``signs`` (M, n), shape (M,)."""
        step = max(1, _BLOCK // len(self.values))
        parts = [
            sum(
                kernel(signs[first : first + step], self.signs, hyper) @ alpha
                for hyper, alpha in zip(self.hypers, self.alphas, strict=True)
            )
            for first in range(0, len(signs), step)
        ]
        return np.concatenate(parts) / len(self.hypers)

    def deviations(self, rows: npt.NDArray[np.int8], sets: list[Features]) -> Vector:
        """The posterior standard deviations of the K coefficients of ``sets``, (K,).

        Within a draw ``lam - lam^2 chi' K^-1 chi``; over draws the variance of the means is added.
        """
        within = np.zeros(len(sets))
        means = np.empty((len(self.hypers), len(sets)))
        for draw, (hyper, alpha, inverse) in enumerate(zip(self.hypers, self.alphas, self.inverses, strict=True)):
            variances = prior_variances(hyper, sets)
            # lam - lam^2 chi' K^-1 chi is Gaussian conditioning; rounding may take it below zero.
            within += np.maximum(variances - variances**2 * inverse.quadratics(rows), 0.0)
            means[draw] = variances * (rows @ alpha)
        return np.asarray(np.sqrt(within / len(self.hypers) + means.var(axis=0)))
