"""A Gaussian process whose kernel is a prior over sparse, hierarchical Walsh-Fourier spectra."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from interplay._checks import check_whole, is_between
from interplay._errors import InputError
from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features, characters_of, signs_of
from interplay._spectrum.spectrum import Spectrum
from interplay._spectrum.uncertainty import Uncertainty
from interplay.estimators._base import Estimator, Recovery
from interplay.estimators._gp.beam import strongest
from interplay.estimators._gp.hmc import sample
from interplay.estimators._gp.hyper import Hyper, Signs, Vector
from interplay.estimators._gp.kernel import MANY_FEATURES, Evidence, maximise
from interplay.estimators._gp.large import fit_support
from interplay.estimators._gp.posterior import Posterior
from interplay.estimators._gp.prior import mean_prior, prior_variances
from interplay.estimators._many import MANY
from interplay.estimators._validation import folds, is_constant

_SMALL = 600  # ablations on which most steps are taken, each N^3; the last quarter of them sees all
_FEWEST = 30  # proposals; a shorter chain has not left the neighbourhood of its start and gains nothing
_DOUBT = 2e10  # multiplications spent on standard deviations, N^2 for each: seconds; weaker sets go without
_SOON = 1e-4  # of the evidence: of very many features a search ends with a step that gains less
_SHARED = 1000  # coefficients of each of many outputs
_TWICE = 500  # ablations up to which two fifths are refitted without, to see how far leave-one-out flatters; else one
_FRESH = 2000  # fresh masks that compare what is kept with the posterior mean: they know what is lost to sqrt(2/N), 3%


class _Prepared(NamedTuple):
    """Masks (N, n) and their signs (N, n), +1 where ablated."""

    masks: Masks
    signs: Signs


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
        Width of the beam search: how many sets of one order are extended by a feature.
    dense
        Up to so many ablations are solved exactly, in memory that grows with their square (5,000: 1 GiB); beyond,
        the strongest coefficients of that many are fitted to all.
    device
        "cuda" or "cpu" solves with PyTorch there, in double precision; None with NumPy.
    blind
        Take the leave-one-out error for what it says, without refits that check it.
    """

    name: ClassVar[str] = "gp"
    takes_slopes: ClassVar[bool] = True
    subset: int = 2000
    steps: int = 40
    effort: float = 6e10
    draws: int = 16
    coefficients: int = 3000
    width: int = 400
    dense: int = 5000
    device: str | None = None
    blind: bool = False

    def __post_init__(self) -> None:
        for name in ("subset", "draws", "coefficients", "width", "dense"):
            check_whole(f"GP's {name}", getattr(self, name), 1)
        check_whole("GP's steps", self.steps, 0)
        if self.effort != 0 and not is_between(self.effort, 0, np.inf):
            raise InputError(f"GP's effort must be a number of operations from 0 up, not {self.effort!r}.")

    def prepare(self, masks: Masks) -> _Prepared:
        """The masks as numbers."""
        return _Prepared(masks, np.where(masks, -1.0, 1.0))

    def recover(self, prepared: _Prepared, values: Values, *, order: int, seed: int) -> Recovery:
        """Fit hyper-parameters, solve, and read out the strongest coefficients."""
        masks, signs = prepared
        n = masks.shape[1]
        centre, scale = float(values.mean()), float(values.std())
        if is_constant(values):
            return Recovery(Spectrum(n, {(): centre}), np.full(len(values), centre), "constant values", order=1)
        target = (values - centre) / scale
        hypers, how = self.hypers(signs, target, seed)
        if len(values) > self.dense:
            return self._fit_large(prepared, values, hypers[0], order=order)
        recovery, posterior, draws = self._read_out(prepared, values, hypers, order, self.coefficients)
        captured = self._captured(posterior, recovery.spectrum, centre, scale, seed)
        assert recovery.unseen is not None
        claimed = float(((recovery.unseen - values) ** 2).mean())
        return replace(
            recovery,
            how=f"leave-one-out on {len(values)} ablations, {how}, corrected by refits to 4 in 5",
            flatters=self._flattery(masks, values, claimed, draws, order, seed),
            notes=(
                f"the {len(recovery.spectrum) - 1} coefficients kept carry {captured:.1%} of the variance of the "
                "posterior mean",
            ),
        )

    def fit_outputs(self, masks: Masks, values: Values, *, order: int, seed: int) -> list[Recovery]:
        """One recovery per output; many share what they can, see `interplay.estimators._gp.shared`.

        The search for hyper-parameters starts from those of all outputs together where that loses nothing, and stops
        early; none are drawn; how far leave-one-out flatters is measured on some of the outputs, and at most 1,000
        coefficients are kept of each.
        """
        if values.shape[1] < MANY or len(values) > self.dense or self.device is not None:
            return super().fit_outputs(masks, values, order=order, seed=seed)
        from interplay.estimators._gp.shared import common, own

        prepared = self.prepare(masks)
        targets = (values - values.mean(axis=0)) / values.std(axis=0)
        shared = common(prepared.signs, targets, seed)
        how = (
            f"leave-one-out on {len(values)} ablations, hyper-parameters fixed, corrected by refits of some outputs to "
            "4 in 5"
        )
        start = "a start from the hyper-parameters of all" if shared.start is not None else "no start"
        note = (
            f"gp: {values.shape[1]} outputs share {start}, and one correction of leave-one-out ({shared.flatters:.2f})"
        )
        recoveries = []
        for column, target in zip(values.T, targets.T, strict=True):
            hyper = own(prepared.signs, np.ascontiguousarray(target), shared.start, seed)
            most = min(self.coefficients, _SHARED)
            recovery, *_ = self._read_out(prepared, np.ascontiguousarray(column), [hyper], order, most)
            recoveries.append(replace(recovery, how=how, flatters=shared.flatters, notes=(note,)))
        return recoveries

    def _read_out(
        self, prepared: _Prepared, values: Values, hypers: list[Hyper], order: int, most: int
    ) -> tuple[Recovery, Posterior, int]:
        """The posterior of ``values`` (N,), its ``most`` strongest coefficients, and how many draws there are."""
        masks, signs = prepared
        n = masks.shape[1]
        centre, scale = float(values.mean()), float(values.std())
        posterior = Posterior.of(signs, (values - centre) / scale, hypers, self.device)
        found = strongest(signs, hypers, posterior.alphas, order=order, width=self.width, most=most)
        # F({}) is read out like any other coefficient: its prior variance times chi' alpha, where chi is 1 everywhere.
        constant = sum(
            prior_variances(h, [()])[0] * a.sum() for h, a in zip(posterior.hypers, posterior.alphas, strict=True)
        )
        kept: dict[Features, float] = {(): float(constant) / len(hypers), **found}
        sets = list(kept)
        rows = characters_of(signs_of(masks), sets)
        recovery = Recovery(
            Spectrum(n, {key: scale * value + (0.0 if key else centre) for key, value in kept.items()}),
            unseen=centre + scale * posterior.left_out_of(rows, sets),
            how="leave-one-out",
            order=min(order, n),
            uncertainty=self._uncertainty(posterior, rows, sets, n, scale),
        )
        return recovery, posterior, len(hypers)

    def _flattery(self, masks: Masks, values: Values, claimed: float, draws: int, order: int, seed: int) -> float:
        """By how much the ``claimed`` mean squared error, leave-one-out, is too small.

        The hyper-parameters saw the value that is left out. Where the most probable ones stand alone, the error on a
        fifth of the ablations that everything was blind to is what counts. Averaged over draws leave-one-out flatters
        far less, and refits without draws are worse than the fit: there it is the geometric mean of both.
        """
        if self.blind:
            return 1.0
        fold = folds(len(values), seed)
        refit = replace(self, effort=0.0, blind=True)
        errors = []
        for part in range(2 if len(values) <= _TWICE else 1):
            out = fold == part
            if is_constant(values[~out]):
                return 1.0
            found = refit.fit(masks[~out], values[~out], order=order, seed=seed)
            errors.append((found.spectrum.predict(masks[out]) - values[out]) ** 2)
        ratio = float(np.concatenate(errors).mean()) / max(claimed, 1e-300)
        return max(1.0, float(np.sqrt(ratio)) if draws > 1 else ratio)

    def _fit_large(self, prepared: _Prepared, values: Values, hyper: Hyper, *, order: int) -> Recovery:
        n = prepared.masks.shape[1]
        centre, scale = float(values.mean()), float(values.std())
        found = fit_support(
            prepared.masks,
            prepared.signs,
            (values - centre) / scale,
            hyper,
            dense=self.dense,
            order=order,
            width=self.width,
            most=self.coefficients,
            device=self.device,
        )
        means = dict(zip(found.sets, (scale * found.means).tolist(), strict=True))
        means[()] += centre
        deviations = dict(zip(found.sets, (scale * found.deviations).tolist(), strict=True))
        return Recovery(
            Spectrum(n, means),
            unseen=centre + scale * found.left_out,
            how=f"leave-one-out on {len(values)} ablations, hyper-parameters and sets fixed",
            order=min(order, n),
            notes=(
                f"hyper-parameters from {self.subset} of {len(values)} ablations; the {len(found.sets) - 1} strongest "
                "sets fitted to all",
            ),
            uncertainty=Uncertainty(n, deviations, mean_prior([hyper], scale)),
        )

    def hypers(self, signs: Signs, target: Vector, seed: int) -> tuple[list[Hyper], str]:
        """Plausible hyper-parameters of standardised values, and how they were found, in words."""
        count, n = signs.shape
        rng = np.random.default_rng([seed, 0x6A])
        mixed = rng.permutation(count)
        chosen = np.sort(mixed[: self.subset])
        if n > MANY_FEATURES and self.device is None:  # a step takes the square of the ablations times the features
            few = np.sort(mixed[: min(self.subset, _SMALL)])
            best = maximise(Evidence(signs[few], target[few], light=True), steps=self.steps, gain=_SOON)
            return [Hyper.unpacked(best, n)], "hyper-parameters fixed"
        evidence = Evidence(signs[chosen], target[chosen], self.device)
        if len(chosen) <= _SMALL:
            best = maximise(evidence, steps=self.steps)
        else:  # most of the way on few ablations, where a step is cheap
            few = np.sort(mixed[:_SMALL])
            best = maximise(Evidence(signs[few], target[few], self.device), steps=self.steps)
            best = maximise(evidence, start=best, steps=self.steps // 4)
        flops = len(chosen) ** 3 + 4.0 * len(chosen) ** 2 * n + 2e6
        # Eight evidences each (the leapfrog steps); chains five times as long gained .001 of R² (docs/gp.md).
        proposals = min(150, int(self.effort / flops / 8))
        if proposals < _FEWEST:
            return [Hyper.unpacked(best, n)], "hyper-parameters fixed"
        drawn = sample(evidence, best, proposals=proposals, rng=rng)
        spaced = np.linspace(0, len(drawn) - 1, min(self.draws, len(drawn))).round().astype(int)
        hypers = [Hyper.unpacked(drawn[k], n) for k in np.unique(spaced)]
        return hypers, f"averaged over {len(hypers)} draws of the hyper-parameters"

    def _uncertainty(
        self, posterior: Posterior, rows: npt.NDArray[np.int8], sets: list[Features], n: int, scale: float
    ) -> Uncertainty:
        """Standard deviations of the strongest sets, widened where leave-one-out errors exceed what was expected."""
        most = max(300, int(_DOUBT / len(posterior.hypers) / len(posterior.values) ** 2))
        sure = slice(0, most)
        deviations = scale * posterior.deviations(rows[sure], sets[sure])
        known = dict(zip(sets[sure], deviations.tolist(), strict=True))
        return Uncertainty(n, known, mean_prior(posterior.hypers, scale)).widened(max(1.0, posterior.surprise()))

    def _captured(self, posterior: Posterior, spectrum: Spectrum, centre: float, scale: float, seed: int) -> float:
        """The share of the posterior mean's variance that the kept coefficients carry, on fresh masks."""
        n = spectrum.n
        masks = np.random.default_rng([seed, 0xF5]).random((_FRESH, n)) < 0.5
        full = centre + scale * posterior.predict(np.where(masks, -1.0, 1.0))
        rest = full - spectrum.predict(masks)
        return 1.0 - float(rest.var() / full.var()) if full.var() > 0 else 1.0
