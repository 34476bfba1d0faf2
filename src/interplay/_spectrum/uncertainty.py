"""How far the coefficients of a spectrum, and the indices made of them, can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from interplay._errors import InputError
from interplay._saved import each, number
from interplay._spectrum.characters import Features
from interplay._spectrum.indices import canonical_index, compute_index_variances
from interplay._spectrum.spectrum import Spectrum

_DIGITS = 4  # significant digits of a saved deviation


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Posterior standard deviations of the coefficients of a spectrum, and of every index made of them.

    Coefficients are treated as independent given the ablations. Under uniform masks the characters are orthogonal,
    and with as few as n log2(n) / 4 ablations the standard deviations of Shapley values and Faith-Banzhaf
    interactions were within 1% of those with all covariances.

    >>> import interplay as ip
    >>> doubt = ip.Uncertainty(3, {(0,): 0.01, (0, 1): 0.02, (0, 1, 2): 0.03})
    >>> doubt.of("bv")[0,]
    0.02
    >>> round(doubt.of("sv")[0,], 5)    # -2 (F(0) + F(0, 1, 2) / 3)
    0.02828

    Parameters
    ----------
    n
        Number of features.
    deviations
        The standard deviation of F(S) by S, in the units of the values.
    """

    n: int
    deviations: Mapping[Features, float]

    def __post_init__(self) -> None:
        checked = dict(Spectrum(self.n, self.deviations).coefficients)
        if any(value < 0 for value in checked.values()):
            worst = min(checked, key=checked.__getitem__)
            raise InputError(f"the standard deviation of {worst} is {checked[worst]}: it cannot be negative.")
        object.__setattr__(self, "deviations", MappingProxyType(checked))

    def __repr__(self) -> str:
        return f"Uncertainty(n={self.n}, {len(self.deviations)} coefficients)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Uncertainty) and self.n == other.n and self.deviations == other.deviations

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return (Uncertainty, (self.n, dict(self.deviations)))

    def of(self, index: str = "fbii", order: int = 2) -> dict[Features, float]:
        """The standard deviation of an index of every set of at most ``order`` features.

        Raises
        ------
        InputError
            For an unknown index, or one that needs too many subsets.
        """
        variances = Spectrum(self.n, {key: value * value for key, value in self.deviations.items()})
        found = compute_index_variances(variances, canonical_index(index), min(order, self.n))
        return {key: float(np.sqrt(value)) for key, value in found.items()}

    def to_list(self, spectrum: Spectrum) -> list[float | None]:
        """The deviations in the order of the spectrum's coefficients, null where unknown: JSON-able and short."""
        known = (self.deviations.get(key) for key in spectrum.coefficients)
        return [None if value is None else float(f"{value:.{_DIGITS}g}") for value in known]

    @classmethod
    def from_list(cls, parts: list[float | None], spectrum: Spectrum) -> Uncertainty:
        """The uncertainty that `to_list` wrote, beside the same spectrum."""
        if len(parts) != len(spectrum):
            raise InputError(f"there are {len(parts)} standard deviations for a spectrum of {len(spectrum)}.")
        read = each(parts, "the uncertainty", lambda value, at: None if value is None else number(value, at))
        paired = zip(spectrum.coefficients, read, strict=True)
        return cls(spectrum.n, {key: value for key, value in paired if value is not None})
