"""First-order effects for very many features, ablations and outputs at once, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features
from interplay._spectrum.spectrum import Spectrum
from interplay.estimators._base import Estimator, Recovery
from interplay.estimators._fista import descend, safe_rate
from interplay.estimators._validation import choose, folds, splits

Floats32 = npt.NDArray[np.float32]

_WIDTH = 2048  # columns of the Gram matrix made at a time
_OUTPUTS = 256  # outputs descended side by side: what a step needs for each of them is not held for all
LARGE = 20_000_000
"""Entries of masks above which whole copies of them are not affordable."""
LONG = 4_000_000
"""Entries of masks above which coordinate descent takes minutes, and gradient steps on one Gram matrix seconds."""


@dataclass
class _Sums:
    """Sums over ablations, to which more can be added; centred only when used, so that one Gram matrix is enough.

    Sums of signs are whole numbers, exact in 4 bytes up to 2^24 ablations.
    """

    gram: Floats32  # (n, n), of products of signs
    cross: Floats32  # (n, T), of signs with targets
    signs: Floats32  # (n,)
    target: Floats32  # (T,)
    count: int

    @classmethod
    def zero(cls, n: int, outputs: int) -> _Sums:
        shapes: list[tuple[int, ...]] = [(n, n), (n, outputs), (n,), (outputs,)]
        gram, cross, signs, target = (np.zeros(shape, dtype=np.float32) for shape in shapes)
        return cls(gram, cross, signs, target, count=0)

    def of(self, outputs: slice) -> _Sums:
        """The sums of some outputs; the Gram matrix is shared."""
        return _Sums(self.gram, self.cross[:, outputs], self.signs, self.target[outputs], self.count)

    @property
    def moment(self) -> Floats32:
        """Covariances of the signs with the targets, (n, T)."""
        count = np.float32(self.count)
        return np.asarray(self.cross / count - (self.signs / count)[:, None] * (self.target / count), dtype=np.float32)

    def covariance_times(self, weights: Floats32) -> Floats32:
        """The covariance matrix of the signs times ``weights`` (n, T)."""
        count = np.float32(self.count)
        mean: Floats32 = np.asarray(self.signs / count, dtype=np.float32)
        shift = mean[:, None] * (mean @ weights)
        return np.asarray(self.gram @ weights / count - shift, dtype=np.float32)

    def intercepts(self, weights: Floats32) -> Floats32:
        """What is left of the targets' means, (T,)."""
        return np.asarray((self.target - self.signs @ weights) / np.float32(self.count), dtype=np.float32)


@dataclass(frozen=True)
class Wide(Estimator):
    """The lasso of single features for all outputs together, as datamodels need it (Ilyas et al., ICML 2022).

    The masks are read in blocks into one Gram matrix that all outputs share (n² numbers of 4 bytes), and an
    accelerated proximal gradient method (FISTA, Beck & Teboulle 2009) follows the penalties down for all outputs
    side by side; each of them is also tried relaxed (Meinshausen 2007), without a penalty on the features that it
    selected, which undoes its shrinkage. Each output's penalty is chosen on ablations held out of the fit; then all
    are used.

    Parameters
    ----------
    penalties, smallest
        How many penalties, from each output's largest useful one down to ``smallest`` of it.
    steps
        Gradient steps at each penalty, from the solution at the one before.
    held_out
        The share of ablations held out, at most 2000 of them.
    block
        Ablations turned into numbers at a time.
    """

    name: ClassVar[str] = "lasso"
    penalties: int = 14
    smallest: float = 2e-3
    steps: int = 15
    held_out: float = 0.2
    block: int = 1024

    def recover(self, prepared: Masks, values: Values, *, order: int, seed: int) -> Recovery:
        """One output."""
        return self.fit_outputs(prepared, values[:, None], order=order, seed=seed)[0]

    def fit_outputs(self, masks: Masks, values: Values, *, order: int, seed: int) -> list[Recovery]:  # noqa: ARG002
        """All T outputs of ``values`` (N, T) at once; ``order`` is ignored."""
        count, n = masks.shape
        held = min(2000, max(2, int(self.held_out * count)))
        rows = np.sort(np.random.default_rng([seed, 0x31DE]).permutation(count)[:held])
        fitted = np.ones(count, dtype=np.bool_)
        fitted[rows] = False
        scale = values.std(axis=0)
        target = ((values - values.mean(axis=0)) / scale).astype(np.float32)

        sums = _Sums.zero(n, values.shape[1])
        self._add(sums, masks, target, np.flatnonzero(fitted))
        groups = [slice(start, start + _OUTPUTS) for start in range(0, values.shape[1], _OUTPUTS)]
        rate = _rate(sums, seed)
        held_masks, half = masks[rows], np.arange(held) % 2
        picks: list[int] = []
        unseen: Floats32 = np.empty((held, values.shape[1]), dtype=np.float32)
        for group in groups:
            predictions = self._path(sums.of(group), rate, held_masks)
            # Each half is scored with the penalty that the other half chooses.
            for t, truth in enumerate(target[rows, group].T):
                best, chosen = choose((predictions[:, :, t] - truth) ** 2, half)
                picks.append(best)
                unseen[:, group.start + t] = predictions[chosen, np.arange(held), t]
        self._add(sums, masks, target, rows)
        rate = _rate(sums, seed)
        recoveries = []
        for group in groups:
            weights, intercepts = self._final(sums.of(group), rate, np.array(picks[group]))
            for t in range(weights.shape[1]):
                output = group.start + t
                centre, spread = float(values[:, output].mean()), float(scale[output])
                recoveries.append(
                    Recovery(
                        _spectrum(weights[:, t], float(intercepts[t]), centre, spread),
                        unseen=centre + spread * unseen[:, output].astype(np.float64),
                        how=f"{held} of {count} ablations held out, the rest fitted for all outputs at once",
                        order=1,
                        rows=rows,
                        method=self.name,
                    )
                )
        return recoveries

    def cross_validated(self, masks: Masks, values: Values, *, seed: int, parts: int = 5) -> list[Recovery]:
        """As `fit_outputs`, but every ablation is left out once: for masks of which copies are affordable."""
        count, n = masks.shape
        fold = folds(count, seed, parts)
        centre, scale = values.mean(axis=0), values.std(axis=0)
        target = ((values - centre) / scale).astype(np.float32)
        predictions: Floats32 = np.empty((2 * self.penalties, *values.shape), dtype=np.float32)
        for train, test in splits(fold):
            sums = _Sums.zero(n, values.shape[1])
            self._add(sums, masks, target, np.flatnonzero(train))
            predictions[:, test] = self._path(sums, _rate(sums, seed), masks[test])
        picks, unseen = [], []
        for t, truth in enumerate(target.T):
            best, chosen = choose((predictions[:, :, t] - truth) ** 2, fold)
            picks.append(best)
            unseen.append(predictions[chosen, np.arange(count), t].astype(np.float64))
        sums = _Sums.zero(n, values.shape[1])
        self._add(sums, masks, target, np.arange(count))
        weights, intercepts = self._final(sums, _rate(sums, seed), np.array(picks))
        how = f"{int(fold.max()) + 1}-fold cross-validation on {count} ablations, all outputs at once"
        return [
            Recovery(
                _spectrum(weights[:, t], float(intercepts[t]), float(centre[t]), float(scale[t])),
                unseen=centre[t] + scale[t] * unseen[t],
                how=how,
                order=1,
                method=self.name,
            )
            for t in range(values.shape[1])
        ]

    def _ladder(self) -> Floats32:
        return np.geomspace(1.0, self.smallest, self.penalties, dtype=np.float32)

    def _path(self, sums: _Sums, rate: float, held: Masks) -> Floats32:
        """Predictions of the ``held`` masks (M, n) at every penalty, then at every penalty relaxed, (2 L, M, T)."""
        # Above this penalty every coefficient of an output is zero.
        largest = np.abs(sums.moment).max(axis=0)
        predictions = np.empty((2 * self.penalties, len(held), sums.cross.shape[1]), dtype=np.float32)
        weights = np.zeros_like(sums.cross)
        for rung, share in enumerate(self._ladder()):
            weights = self._descend(sums, share * largest, weights, rate)
            predictions[rung] = self._predict(held, weights, sums.intercepts(weights))
            relaxed = self._descend(sums, 0 * largest, weights, rate, weights != 0)
            predictions[self.penalties + rung] = self._predict(held, relaxed, sums.intercepts(relaxed))
        return predictions

    def _final(self, sums: _Sums, rate: float, picks: npt.NDArray[np.intp]) -> tuple[Floats32, Floats32]:
        """Weights (n, T) and intercepts (T,) at each output's chosen place of `_path`."""
        largest, ladder, level = np.abs(sums.moment).max(axis=0), self._ladder(), picks % self.penalties
        weights = np.zeros_like(sums.cross)
        for share in ladder[: level.max() + 1]:
            weights = self._descend(sums, np.maximum(ladder[level], share) * largest, weights, rate)
        relaxed = self._descend(sums, 0 * largest, weights, rate, weights != 0)
        weights = np.where(picks < self.penalties, weights, relaxed)
        return weights, sums.intercepts(weights)

    def _add(self, sums: _Sums, masks: Masks, target: Floats32, rows: npt.NDArray[np.intp]) -> None:
        """Add ablations to the sums, a block at a time."""
        for start in range(0, len(rows), self.block):
            part = rows[start : start + self.block]
            signs = _signs(masks[part])
            for left in range(0, signs.shape[1], _WIDTH):  # so that no second Gram matrix is made
                sums.gram[left : left + _WIDTH] += signs[:, left : left + _WIDTH].T @ signs
            sums.cross += signs.T @ target[part]
            sums.signs += signs.sum(axis=0)
            sums.target += target[part].sum(axis=0)
        sums.count += len(rows)

    def _descend(
        self,
        sums: _Sums,
        penalty: Floats32,
        weights: Floats32,
        rate: float,
        support: npt.NDArray[np.bool_] | None = None,
    ) -> Floats32:
        """The lasso of all outputs side by side, each with its own ``penalty`` (T,), inside ``support`` (n, T)."""
        return descend(
            sums.covariance_times, sums.moment, penalty, weights, rate=rate, steps=self.steps, support=support
        )

    def _predict(self, masks: Masks, weights: Floats32, intercepts: Floats32) -> Floats32:
        parts = [_signs(masks[start : start + self.block]) @ weights for start in range(0, len(masks), self.block)]
        predicted: Floats32 = np.concatenate(parts) + intercepts
        return predicted


def _spectrum(weights: Floats32, intercept: float, centre: float, spread: float) -> Spectrum:
    coefficients: dict[Features, float] = {(): centre + spread * intercept}
    support = np.flatnonzero(weights)
    for i, weight in zip(support.tolist(), weights[support].tolist(), strict=True):
        coefficients[i,] = spread * weight
    return Spectrum(len(weights), coefficients)


def _signs(masks: Masks) -> Floats32:
    return np.where(masks, np.float32(-1), np.float32(1))


def _rate(sums: _Sums, seed: int) -> float:
    start = np.random.default_rng(seed).normal(size=(len(sums.gram), 1)).astype(np.float32)
    return safe_rate(sums.covariance_times, start, steps=20)
