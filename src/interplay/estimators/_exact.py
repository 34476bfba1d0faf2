"""Every mask measured once: the spectrum with no estimation at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from interplay._errors import InputError
from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import walsh_hadamard
from interplay._spectrum.spectrum import Spectrum
from interplay._spectrum.uncertainty import SetPrior, Uncertainty
from interplay.estimators._base import Estimator, Recovery
from interplay.estimators._design import all_masks

MOST_FEATURES = 20  # 2^20 coefficients: 200 MB as a dictionary


@dataclass(frozen=True)
class Exact(Estimator):
    """All 2^n masks and a fast Walsh-Hadamard transform: exact, for up to 20 features.

    >>> import interplay as ip
    >>> game = ip.Game(lambda masks: 1.0 * masks.all(axis=1), labels=3)
    >>> ip.explain(game, budget=8, method="exact").interactions("mobius")[0, 1, 2]
    1.0
    """

    name: ClassVar[str] = "exact"
    any_masks: ClassVar[bool] = False
    whole: ClassVar[bool] = True

    def fewest(self, n: int) -> int:
        """All masks."""
        return 1 << n

    def design(self, n: int, budget: int, seed: int) -> Masks:  # noqa: ARG002 - there is nothing to draw
        """All 2^n masks, or an error that names how many they are."""
        if n > MOST_FEATURES:
            raise InputError(
                f"exact measures all 2^n masks, which {n} features make too many (at most {MOST_FEATURES} features): "
                "choose method='auto'."
            )
        if budget < 1 << n:
            raise InputError(
                f"exact needs all 2^{n} = {1 << n} ablations, but the budget is {budget}: "
                f"raise it to {1 << n} or choose method='auto'."
            )
        return all_masks(n)

    def recover(self, prepared: Masks, values: Values, *, order: int, seed: int) -> Recovery:  # noqa: ARG002
        """Transform the values of all 2^n masks, in whatever order they come."""
        masks, n = prepared, prepared.shape[1]
        if n > MOST_FEATURES or len(masks) != 1 << n:
            raise InputError(
                f"exact needs the values of all 2^{n} masks, but there are {len(masks)} distinct ones: "
                "choose method='auto'."
            )
        position = masks @ (1 << np.arange(n))
        table = np.empty(1 << n)
        table[position] = values
        coefficients = walsh_hadamard(table) / len(table)
        negligible = 1e-13 * np.abs(values).max()  # rounding of the transform, about 2^-43 of the largest value
        kept = np.flatnonzero(np.abs(coefficients) > negligible)
        bits = all_masks(n)
        spectrum = Spectrum(n, {tuple(np.flatnonzero(bits[k]).tolist()): float(coefficients[k]) for k in kept})
        return Recovery(
            spectrum,
            unseen=None,
            how=f"all {len(masks)} ablations were measured, so nothing had to be predicted",
            order=min(order, n),
            uncertainty=Uncertainty(n, dict.fromkeys(spectrum.coefficients, 0.0), SetPrior(0.0, (0.0,) * n)),
        )
