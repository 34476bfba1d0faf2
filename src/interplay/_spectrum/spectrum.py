"""A sparse Walsh-Fourier polynomial over kept/ablated features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from interplay._display import Displayed
from interplay._errors import InputError
from interplay._game.masks import Values, check_masks
from interplay._saved import Saved, each, feature_ids, listed, number, whole
from interplay._spectrum.characters import Features, characters, signs_of

_BLOCK = 1 << 24  # entries of a products block: 16 MiB of int8 at a time


@dataclass(frozen=True, eq=False)
class Spectrum(Displayed):
    """``f(m) = sum_S F(S) (-1)^(number of features of S kept in m)``, for the few S whose F(S) is stored.

    A feature that raises f when kept therefore has a *negative* first-order coefficient; use
    `Explanation.interactions` for indices whose sign reads naturally.

    >>> import interplay as ip
    >>> f = ip.Spectrum(3, {(): 0.5, (0,): -1.0, (0, 2): 0.25})
    >>> f.predict([[True, False, True], [False, False, False]])
    array([ 1.75, -0.25])
    >>> f.top(1)
    Spectrum(n=3, 2 coefficients, order 1)

    Parameters
    ----------
    n
        Number of features.
    coefficients
        F(S) by S, ascending tuples of feature ids; () is the mean over all 2^n masks.

    Raises
    ------
    InputError
        For ids out of range, out of order or repeated, or a coefficient that is not finite.
    """

    n: int
    coefficients: Mapping[Features, float]

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"a spectrum needs at least one feature, not n = {self.n}.")
        checked: dict[Features, float] = {}
        for features, value in self.coefficients.items():
            key = tuple(int(i) for i in features)
            if key and (key[0] < 0 or key[-1] >= self.n or any(a >= b for a, b in pairwise(key))):
                raise InputError(f"{features} is not an ascending tuple of feature ids in 0..{self.n - 1}.")
            checked[key] = float(value)
        if not np.isfinite(np.fromiter(checked.values(), float, len(checked))).all():
            worst = next(key for key, value in checked.items() if not np.isfinite(value))
            raise InputError(f"the coefficient of {worst} is {checked[worst]}: coefficients must be finite.")
        object.__setattr__(self, "coefficients", MappingProxyType(checked))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Spectrum, (self.n, dict(self.coefficients)))

    def __len__(self) -> int:
        return len(self.coefficients)

    def __repr__(self) -> str:
        return f"Spectrum(n={self.n}, {len(self)} coefficients, order {self.order})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spectrum) and self.n == other.n and self.coefficients == other.coefficients

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def order(self) -> int:
        """The size of the largest stored set."""
        return max(map(len, self.coefficients), default=0)

    @cached_property
    def variance(self) -> float:
        """The variance of f over uniform masks, by Parseval: the sum of F(S)^2 over nonempty S."""
        return float(sum(value * value for key, value in self.coefficients.items() if key))

    def by_order(self) -> Iterator[tuple[npt.NDArray[np.intp], Values]]:
        """The coefficients as arrays, one pair (ids (K, d), values (K,)) for each order d that occurs."""
        groups: dict[int, list[tuple[Features, float]]] = {}
        for key, value in self.coefficients.items():
            groups.setdefault(len(key), []).append((key, value))
        for order, items in sorted(groups.items()):
            ids = np.array([key for key, _ in items], dtype=np.intp).reshape(len(items), order)
            yield ids, np.array([value for _, value in items])

    def predict(self, masks: object) -> Values:
        """f at ``masks`` (N, n), shape (N,)."""
        kept = check_masks(masks, self.n)
        signs = signs_of(kept)
        total = np.zeros(len(kept))
        for ids, values in self.by_order():
            step = max(1, _BLOCK // max(1, len(kept)))
            for start in range(0, len(ids), step):
                block = ids[start : start + step]
                total += values[start : start + step] @ characters(signs, block)
        return total

    def top(self, k: int) -> Spectrum:
        """The constant and the k strongest other coefficients; ties go to the smaller, then the earlier set."""
        if k < 0:
            raise InputError(f"top needs k >= 0, not {k}.")
        ranked = sorted((key for key in self.coefficients if key), key=self._rank)[:k]
        constant = [()] if () in self.coefficients else []
        return Spectrum(self.n, {key: self.coefficients[key] for key in [*constant, *ranked]})

    def _rank(self, key: Features) -> tuple[float, int, Features]:
        return (-abs(self.coefficients[key]), len(key), key)

    def _merge(self, other: Spectrum, sign: float) -> Spectrum:
        if other.n != self.n:
            raise InputError(f"a spectrum over {self.n} features cannot be combined with one over {other.n}.")
        merged = dict(self.coefficients)
        for key, value in other.coefficients.items():
            merged[key] = merged.get(key, 0.0) + sign * value
        return Spectrum(self.n, merged)

    def __add__(self, other: Spectrum) -> Spectrum:
        return self._merge(other, 1.0) if isinstance(other, Spectrum) else NotImplemented

    def __sub__(self, other: Spectrum) -> Spectrum:
        return self._merge(other, -1.0) if isinstance(other, Spectrum) else NotImplemented

    def __mul__(self, scale: float) -> Spectrum:
        return Spectrum(self.n, {key: value * float(scale) for key, value in self.coefficients.items()})

    __rmul__ = __mul__

    def __truediv__(self, scale: float) -> Spectrum:
        return self * (1.0 / float(scale))

    def __neg__(self) -> Spectrum:
        return self * -1.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts, read back by `from_dict`."""
        return {"n": self.n, "coefficients": [[list(key), value] for key, value in self.coefficients.items()]}

    @classmethod
    def from_dict(cls, parts: dict[str, Any]) -> Spectrum:
        """The spectrum that `to_dict` wrote."""
        saved = Saved.of(parts, "the spectrum")
        n = saved("n", whole, 1)

        def term(value: object, where: str) -> tuple[Features, float]:
            key, coefficient = listed(value, where, 2)
            return feature_ids(key, where, n), number(coefficient, where)

        return cls(n, dict(saved("coefficients", each, term)))
