"""A Gaussian process whose kernel is a prior over sparse, hierarchical Walsh-Fourier spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from interplay._faithfulness import folds, is_constant
from interplay._game import Masks, Values
from interplay._spectrum import Features, Spectrum, characters, signs_of
from interplay._uncertainty import Uncertainty
from interplay.estimators._base import Estimator, Recovery
from interplay.estimators._beam import strongest
from interplay.estimators._gp_posterior import Posterior
from interplay.estimators._hmc import sample
from interplay.estimators._lasso import Lasso
from interplay.estimators._walsh_kernel import Evidence, Hyper, Signs, Vector, maximise

_FEWEST = 40  # proposals; a shorter chain has not left the neighbourhood of its start and gains nothing
_PURE = 0.98  # a share of the blend above which the other part is not worth its coefficients
_DOUBT = 2e10  # multiplications spent on standard deviations
_FRESH = 2000  # fresh masks on which the kept coefficients are compared with the whole posterior mean


@dataclass(frozen=True)
class GP(Estimator):
    """The Walsh-kernel Gaussian process: few ablations, every order, and an error bar on everything.

    Parameters
    ----------
    subset
        The hyper-parameters are fitted to at most so many ablations; the final solve uses all.
    steps
        L-BFGS steps.
    effort
        Floating-point operations spent on drawing plausible hyper-parameters: about 1e11 a few seconds on one core.
    draws
        At most so many draws are averaged.
    coefficients
        At most so many are kept.
    width
        Of the beam search.
    """

    name: ClassVar[str] = "gp"
    subset: int = 800
    steps: int = 40
    effort: float = 4e10
    draws: int = 16
    coefficients: int = 3000
    width: int = 400

    def fit(self, masks: Masks, values: Values, *, order: int, seed: int) -> Recovery:
        """Fit hyper-parameters, solve, and read out the strongest coefficients."""
        n = masks.shape[1]
        centre, scale = float(values.mean()), float(values.std())
        if is_constant(values):
            return Recovery(Spectrum(n, {(): centre}), np.full(len(values), centre), "constant values", order=1)
        signs = np.where(masks, -1.0, 1.0)
        target = (values - centre) / scale
        hypers, how = self.hypers(signs, target, seed)
        posterior = Posterior.of(signs, target, hypers)
        found = strongest(signs, hypers, posterior.alphas, order=order, width=self.width, most=self.coefficients)
        constant = sum(h.constant * a.sum() for h, a in zip(posterior.hypers, posterior.alphas, strict=True))
        kept: dict[Features, float] = {(): float(constant) / len(hypers), **found}
        sets = list(kept)
        rows = _characters(masks, sets)
        unseen = centre + scale * posterior.left_out_of(rows, sets)
        spectrum = Spectrum(n, {key: scale * value + (0.0 if key else centre) for key, value in kept.items()})
        captured = self._captured(posterior, spectrum, centre, scale, seed)
        notes: tuple[str, ...] = (
            f"the {len(found)} coefficients kept carry {captured:.1%} of the variance of the posterior mean",
        )
        linear = Lasso().fit(masks, values, order=1, seed=seed)
        share, unseen = _blend(values, unseen, linear.unseen, seed)
        if share < 1:
            spectrum = spectrum * share + linear.spectrum * (1 - share)
            notes += (f"blended with {1 - share:.0%} of a lasso of the single features, by held-out error",)
        return Recovery(
            spectrum,
            unseen=unseen,
            how=f"leave-one-out on {len(values)} ablations, {how}",
            order=min(order, n),
            notes=notes,
            uncertainty=self._uncertainty(posterior, rows, sets, n, scale),
        )

    def hypers(self, signs: Signs, target: Vector, seed: int) -> tuple[list[Hyper], str]:
        """Plausible hyper-parameters of standardised values, and how they were found, in words."""
        count, n = signs.shape
        rng = np.random.default_rng([seed, 0x6A])
        chosen = np.arange(count) if count <= self.subset else np.sort(rng.permutation(count)[: self.subset])
        evidence = Evidence(signs[chosen], target[chosen])
        best = maximise(evidence, steps=self.steps)
        flops = len(chosen) ** 3 + 4.0 * len(chosen) ** 2 * n + 2e6
        proposals = min(150, int(self.effort / flops / 8))
        if proposals < _FEWEST:
            return [Hyper.unpacked(best)], "hyper-parameters fixed"
        drawn = sample(evidence, best, proposals=proposals, rng=rng)
        spaced = np.linspace(0, len(drawn) - 1, min(self.draws, len(drawn))).round().astype(int)
        hypers = [Hyper.unpacked(drawn[k]) for k in np.unique(spaced)]
        return hypers, f"averaged over {len(hypers)} draws of the hyper-parameters"

    def _uncertainty(
        self, posterior: Posterior, rows: npt.NDArray[np.int8], sets: list[Features], n: int, scale: float
    ) -> Uncertainty:
        """Standard deviations of the strongest sets, widened where leave-one-out errors exceed what was expected."""
        most = max(300, int(_DOUBT / len(posterior.hypers) / len(posterior.values) ** 2))
        sure = slice(0, most)
        widened = scale * max(1.0, posterior.surprise())
        deviations = widened * posterior.deviations(rows[sure], sets[sure])
        return Uncertainty(n, dict(zip(sets[sure], deviations.tolist(), strict=True)))

    def _captured(self, posterior: Posterior, spectrum: Spectrum, centre: float, scale: float, seed: int) -> float:
        """The share of the posterior mean's variance that the kept coefficients carry, on fresh masks."""
        n = spectrum.n
        masks = np.random.default_rng([seed, 0xF5]).random((_FRESH, n)) < 0.5
        full = centre + scale * posterior.predict(np.where(masks, -1.0, 1.0))
        rest = full - spectrum.predict(masks)
        return 1.0 - float(rest.var() / full.var()) if full.var() > 0 else 1.0


def _blend(values: Values, first: Values, second: Values | None, seed: int) -> tuple[float, Values]:
    """The share of ``first`` in the blend of two unseen predictions (N,) with the least squared error; that blend.

    Each fold of the ablations is predicted with the share that the others choose, so that the blend stays unseen.
    """
    if second is None:
        return 1.0, first
    away, rest = first - second, values - second
    fold = folds(len(values), seed)
    parts = int(fold.max()) + 1
    sums = np.array([[away[fold == k] @ rest[fold == k], away[fold == k] @ away[fold == k]] for k in range(parts)])
    whole = sums.sum(axis=0)

    def share(top: float, bottom: float) -> float:
        found = float(np.clip(top / bottom, 0.0, 1.0)) if bottom > 0 else 1.0
        return 1.0 if found > _PURE else found

    shares = np.array([share(*(whole - part)) for part in sums])
    return share(*whole), second + shares[fold] * away


def _characters(masks: Masks, sets: list[Features]) -> npt.NDArray[np.int8]:
    signs = signs_of(masks)
    out = np.empty((len(sets), len(masks)), dtype=np.int8)
    sizes = np.array([len(features) for features in sets])
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        ids = np.array([sets[k] for k in rows], dtype=np.intp).reshape(len(rows), size)
        out[rows] = characters(signs, ids)
    return out
