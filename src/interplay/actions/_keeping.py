"""Which parts to keep within a capacity, so that a spectrum predicts the most."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features
from interplay._spectrum.spectrum import Spectrum
from interplay.actions._program import least
from interplay.actions._toggles import Toggles

_TERMS = 20_000  # of a polynomial that HiGHS is given
_SECONDS = 2.0
_SWAPPED = 12  # parts on either side that a swap chooses among
_STEPS = 60
_CORRECTED = 6  # measurements before the spectrum is corrected by them
_PENALTIES = (0.1, 1.0, 10.0, 100.0, 1e4)  # of the ridge regression, in units of the mean squared length of a row


class Keeping:
    """Masks whose kept parts weigh no more than ``capacity``, and what the ``sign``-ed spectrum predicts of them."""

    def __init__(self, spectrum: Spectrum, sign: float, sizes: Values, capacity: float) -> None:
        from scipy import sparse

        self.spectrum, self.sizes, self.capacity = spectrum * sign, sizes, capacity
        keys = [key for key in self.spectrum.coefficients if key]
        rows = np.repeat(np.arange(len(keys)), [len(key) for key in keys])
        columns = np.array([i for key in keys for i in key], dtype=np.intp)
        self._holds = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(keys), spectrum.n))
        self._values = np.array([self.spectrum.coefficients[key] for key in keys])

    def corrected(self, masks: Masks, values: Values) -> Keeping:
        """The same with single effects added that explain what ``values`` (N,) measured near a choice leave over.

        The spectrum was fitted over ablations at random and is off near the few masks that matter: a ridge regression
        of its errors there, whose penalty is chosen by leaving out one measurement at a time, the highest of them so
        high that next to nothing is corrected.
        """
        errors = values - self.spectrum.predict(masks)
        centred = errors - errors.mean()
        if len(masks) < _CORRECTED or not (np.abs(centred) > 1e-12 * max(1.0, float(np.abs(values).max()))).any():
            return self
        signs = 1.0 - 2.0 * masks
        signs = signs - signs.mean(axis=0)
        gram = signs @ signs.T
        best, weights = np.inf, np.zeros(len(masks))
        for penalty in _PENALTIES:
            inverse = np.linalg.inv(gram + penalty * gram.trace() / len(gram) * np.eye(len(gram)))
            alone = (inverse @ centred) / np.diag(inverse)  # the error of predicting each from all others
            if float(alone @ alone) < best:
                best, weights = float(alone @ alone), inverse @ centred
        singles = signs.T @ weights
        added: dict[Features, float] = {
            (part,): float(weight) for part, weight in enumerate(singles.tolist()) if weight
        }
        return Keeping(self.spectrum + Spectrum(self.spectrum.n, added), 1.0, self.sizes, self.capacity)

    def gains(self, mask: npt.NDArray[np.bool_]) -> Values:
        """What the prediction gains when each part, one at a time, is turned: (n,)."""
        odd = (self._holds @ mask.astype(np.float64)) % 2
        return np.asarray(-2 * (self._holds.T @ (self._values * (1 - 2 * odd))), dtype=np.float64)

    def singles(self) -> Values:
        """What keeping each part adds by itself, over ablations at random: (n,)."""
        return np.array([-2 * self.spectrum.coefficients.get((part,), 0.0) for part in range(self.spectrum.n)])

    def fits(self, mask: npt.NDArray[np.bool_]) -> bool:
        """Whether the kept parts are within the capacity."""
        return float(self.sizes[mask].sum()) <= self.capacity * (1 + 1e-9)

    def backward(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Drop one part after the other, each the one that costs least for its size, until the rest fits."""
        mask = mask.copy()
        while not self.fits(mask):
            gains = np.where(mask, self.gains(mask) / self.sizes, -np.inf)
            mask[int(np.argmax(gains))] = False
        return mask

    def by_rank(self, scores: Values) -> npt.NDArray[np.bool_]:
        """Keep the parts of the highest scores for their size, as long as they fit."""
        mask = np.zeros(len(scores), dtype=np.bool_)
        for part in np.argsort(-scores / self.sizes, kind="stable"):
            mask[part] = True
            mask[part] = self.fits(mask)
        return mask

    def swaps(self, mask: npt.NDArray[np.bool_]) -> tuple[Masks, Values]:
        """Masks in which one kept part made way for another, or for none, or one was added; best prediction first."""
        gains = self.gains(mask)
        leave = sorted(np.flatnonzero(mask), key=lambda part: -gains[part])[:_SWAPPED]
        enter = sorted(np.flatnonzero(~mask), key=lambda part: -gains[part])[:_SWAPPED]
        turned = [[out, into] for out in leave for into in enter] + [[part] for part in (*leave, *enter)]
        masks = np.repeat(mask[None], len(turned), axis=0)
        for row, parts in zip(masks, turned, strict=True):
            row[parts] ^= True
        masks = masks[[self.fits(row) and bool(row.any()) for row in masks]]
        predicted = self.spectrum.predict(masks)
        order = np.argsort(-predicted, kind="stable")
        return masks[order], predicted[order]

    def improved(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Swap as long as the prediction grows."""
        now = float(self.spectrum.predict(mask[None])[0])
        for _ in range(_STEPS):
            masks, predicted = self.swaps(mask)
            if not len(masks) or predicted[0] <= now + 1e-12 * max(1.0, abs(now)):
                break
            mask, now = masks[0], float(predicted[0])
        return mask

    def solved(self) -> tuple[npt.NDArray[np.bool_] | None, float]:
        """What HiGHS keeps, and how much more another choice might be predicted to give; None where it is too large."""
        order = self.spectrum.order
        if sum(min(2 ** len(key), _TERMS) for key in self.spectrum.coefficients) > 4 * _TERMS:
            return None, np.inf
        n = self.spectrum.n
        towards = Toggles.of(self.spectrum * -1.0, np.zeros(n, dtype=np.bool_), range(n), order)
        if len(towards.terms) > _TERMS:
            return None, np.inf
        smallest = np.cumsum(np.sort(self.sizes))
        most = max(1, int((smallest <= self.capacity * (1 + 1e-9)).sum()))
        best = least(towards, most, weights=self.sizes, capacity=self.capacity * (1 + 1e-9), seconds=_SECONDS)
        if best.chosen is None:
            return None, np.inf
        mask = np.zeros(n, dtype=np.bool_)
        mask[list(best.chosen)] = True
        value = float(self.spectrum.predict(mask[None])[0])
        return mask, max(0.0, -best.bound - value)

    def random(self, rng: np.random.Generator) -> Iterator[npt.NDArray[np.bool_]]:
        """Masks that fill the capacity at random, without end."""
        while True:
            yield self.by_rank(self.sizes * rng.random(len(self.sizes)))
