"""What every estimator is: a design of masks, and a recovery of a spectrum from their values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game import Masks, Values
from interplay._spectrum import Features, Spectrum
from interplay._uncertainty import Uncertainty

_ENUMERABLE = 16  # up to so many features, all 2^n masks fit easily in memory and are drawn without replacement


@dataclass(frozen=True)
class Recovery:
    """A spectrum, and predictions of ablations that the fit behind them did not see.

    Attributes
    ----------
    spectrum
        What was recovered from all masks.
    unseen
        Predictions, by fits that did not see them, of the values at ``rows``; None where every mask was measured
        and nothing is left to predict.
    how
        How the predicted ablations were kept unseen, in words.
    order
        The largest set that was looked for.
    rows
        Which masks ``unseen`` predicts; None for all.
    notes
        What was decided automatically and why; warnings.
    method
        The estimator that made it, where another one chose among several.
    uncertainty
        How far the coefficients can be trusted, where the estimator knows.
    evidence
        How coefficients were found, where the estimator can say: JSON-able facts by set.
    """

    spectrum: Spectrum
    unseen: Values | None
    how: str
    order: int
    rows: npt.NDArray[np.intp] | None = None
    notes: tuple[str, ...] = ()
    method: str | None = None
    uncertainty: Uncertainty | None = None
    evidence: Mapping[Features, Mapping[str, Any]] = field(default_factory=dict)


class Estimator(ABC):
    """One algorithm: which ablations to make, and what they say. Options are fields of the subclass."""

    name: ClassVar[str]
    any_masks: ClassVar[bool] = True
    """Whether `fit` takes any masks, so that a design may be cut short; False where it needs its own, whole."""

    def design(self, n: int, budget: int, seed: int) -> Masks:
        """At most ``budget`` distinct masks (N, n); a larger budget keeps every mask of a smaller one.

        Uniform over all masks unless the estimator needs others.
        """
        return uniform_design(n, budget, seed)

    @abstractmethod
    def fit(self, masks: Masks, values: Values, *, order: int, seed: int) -> Recovery:
        """Recover sets of up to ``order`` features from distinct ``masks`` (N, n) and finite ``values`` (N,)."""


def uniform_design(n: int, budget: int, seed: int) -> Masks:
    """``min(budget, 2^n)`` distinct uniform masks; those of a smaller budget come first."""
    if budget < 1:
        raise InputError(f"budget must be at least 1 ablation, not {budget}.")
    rng = np.random.default_rng([seed, n])
    if n <= _ENUMERABLE:
        return all_masks(n)[rng.permutation(1 << n)[:budget]]
    masks = np.empty((budget, n), dtype=np.bool_)
    seen: set[bytes] = set()
    while len(seen) < budget:
        # Bits are drawn a row at a time from one stream, so a larger budget continues a smaller one.
        row = rng.random(n) < 0.5
        key = np.packbits(row).tobytes()
        if key not in seen:
            masks[len(seen)] = row
            seen.add(key)
    return masks


def all_masks(n: int) -> Masks:
    """All 2^n masks, (2^n, n); row r keeps feature i where bit i of r is set."""
    return (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(np.bool_)
