"""What every estimator is: a design of masks, and a recovery of a spectrum from their values."""

from __future__ import annotations

import concurrent.futures as futures
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features
from interplay._spectrum.spectrum import Spectrum
from interplay._spectrum.uncertainty import Uncertainty
from interplay.estimators._design import uniform_design


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
    alone
        Predictions at ``rows`` by single features alone, kept unseen in the same way, where they are at hand.
    uncertainty
        How far the coefficients can be trusted, where the estimator knows.
    evidence
        How coefficients were found, where the estimator can say: JSON-able facts by set.
    flatters
        By what factor the squared errors of ``unseen`` are too small, because not all of the fit was blind to them;
        the reported R² makes up for it.
    chosen
        The estimator with the options that won, where several were tried: for other outputs of the same ablations.
    misses
        Of masks drawn for an index: what the spectrum misses of the measured ones, as a polynomial that has its index.
    """

    spectrum: Spectrum
    unseen: Values | None
    how: str
    order: int
    rows: npt.NDArray[np.intp] | None = None
    notes: tuple[str, ...] = ()
    method: str | None = None
    alone: Values | None = None
    uncertainty: Uncertainty | None = None
    evidence: Mapping[Features, Mapping[str, Any]] = field(default_factory=dict)
    flatters: float = 1.0
    chosen: Estimator | None = None
    misses: Spectrum | None = None


class Estimator(ABC):
    """One algorithm: which ablations to make, and what they say. Options are fields of the subclass."""

    name: ClassVar[str]
    any_masks: ClassVar[bool] = True
    """Whether `fit` takes any masks; False where it needs those of its own design."""
    fits_ends: ClassVar[bool] = False
    """Whether the design holds both ends, everything kept and everything ablated, for the fit to see."""
    whole: ClassVar[bool] = False
    """Whether `fit` needs every mask of its design, so that none can make way for others."""

    takes_slopes: ClassVar[bool] = False
    """Whether slopes may join its fit."""

    def design(self, n: int, budget: int, seed: int) -> Masks:
        """At most ``budget`` distinct masks (N, n); a larger budget keeps every mask of a smaller one.

        `uniform_design` unless the estimator needs others.
        """
        return uniform_design(n, budget, seed)

    def fewest(self, n: int) -> int:  # noqa: ARG002
        """The smallest budget for which there is a design over n features."""
        return 1

    def rescue(self, n: int, budget: int) -> Rescue | None:  # noqa: ARG002
        """Another estimator for the rest of the budget, where a part of it shows that this one explains little."""
        return None

    def prepare(self, masks: Masks) -> Any:
        """What depends on the ``masks`` alone: made once, handed to `recover` for every output, and kept no longer.

        The masks themselves, unless the estimator has more to share.
        """
        return masks

    @abstractmethod
    def recover(self, prepared: Any, values: Values, *, order: int, seed: int) -> Recovery:
        """Recover sets of up to ``order`` features from finite ``values`` (N,) at the masks that were ``prepared``."""

    def fit(self, masks: Masks, values: Values, *, order: int, seed: int) -> Recovery:
        """Recover sets of up to ``order`` features from distinct ``masks`` (N, n) and finite ``values`` (N,)."""
        return self.recover(self.prepare(masks), values, order=order, seed=seed)

    def fit_outputs(self, masks: Masks, values: Values, *, order: int, seed: int) -> list[Recovery]:
        """One recovery for each of the T columns of ``values`` (N, T), none of them constant."""
        prepared = self.prepare(masks)
        return [self.recover(prepared, np.ascontiguousarray(column), order=order, seed=seed) for column in values.T]

    def spread_outputs(
        self,
        masks: Masks,
        values: Values,
        *,
        order: int,
        seed: int,
        executor: futures.Executor | None,  # noqa: ARG002
    ) -> list[Recovery]:
        """As `fit_outputs`, by the workers of an ``executor`` where there is one; the same recoveries either way."""
        return self.fit_outputs(masks, values, order=order, seed=seed)


@dataclass(frozen=True)
class Rescue:
    """``estimator``, to turn to where the fit of ``after`` ablations by ``probe`` explains little."""

    after: int
    probe: Estimator
    estimator: Estimator
