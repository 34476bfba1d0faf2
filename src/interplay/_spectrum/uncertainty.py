"""How far the coefficients of a spectrum, and the indices made of them, can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._saved import Saved, each, feature_ids, listed, number
from interplay._spectrum.characters import Features, by_size
from interplay._spectrum.indices import BESIDE_EMPTY, canonical_index, compute_index_variances, index_weight
from interplay._spectrum.spectrum import Spectrum

_DEEPEST = 24  # features by which an unlisted superset may exceed a set: beyond, the prior holds next to nothing
_GROWS = 8.0  # by what the variance of a set that the data say nothing of grows, for every further feature
_NEARLY_MOBIUS = 4  # order from which on "fbii" is close to "mobius": up to 3 its intervals hold without more ado
_TOGETHER = 0.5  # of the variance of 2^s values left in their sum: a fit errs alike on inputs that are alike
_AT_BOTH = ("sv", "sii", "k-sii")  # these weigh inputs near both ends as much as all in between


def _share(value: object, where: str) -> float:
    """A weight of a prior: a set is not more likely to matter for having one feature more."""
    return number(value, where, 1.0)


@dataclass(frozen=True)
class SetPrior:
    """What any set may hold before it is looked at: ``Var F(S) = scale * prod_{j in S} weights[j]``."""

    scale: float
    weights: tuple[float, ...]

    def variances(self, ids: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Of K sets of equal size, ``ids`` (K, size); (K,)."""
        return np.asarray(self.scale * np.array(self.weights)[ids].prod(axis=1))

    def sums(self, ids: npt.NDArray[np.intp], index: str, order: int) -> npt.NDArray[np.float64]:
        """``sum_{T >= S} w(s, t)^2 Var F(T)`` of K sets of equal size, ``ids`` (K, size); (K,).

        The sums over all T that exceed S by k features are elementary symmetric polynomials of the other weights:
        those of all weights, divided by one factor ``1 + w_j x`` for each j in S.
        """
        count, size = ids.shape
        weights = np.array(self.weights)
        deepest = min(len(weights) - size, _DEEPEST)
        symmetric = np.zeros(deepest + 1)
        symmetric[0] = 1.0
        for weight in weights:
            symmetric[1:] += weight * symmetric[:-1]
        others = np.repeat(symmetric[None], count, axis=0)
        for column in ids.T:
            for k in range(1, deepest + 1):
                others[:, k] -= weights[column] * others[:, k - 1]
        squares = np.array([index_weight(index, size, size + k, order) ** 2 for k in range(deepest + 1)])
        return np.asarray(self.variances(ids) * (np.maximum(others, 0.0) @ squares))

    @property
    def total(self) -> float:
        """The variance of all sets together: that of one value."""
        return self.scale * float(np.prod(1.0 + np.array(self.weights)))


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Posterior standard deviations of the coefficients of a spectrum, and of every index made of them.

    Coefficients are treated as independent given the ablations: under uniform masks the characters are orthogonal.
    Three things make the intervals of real games hold that this alone would not (docs/trust.md has the trial):

    - Sets that are not listed are as uncertain as the ``prior`` has it, and count in every index of their subsets.
    - Of sets of one kind a few hold most. About a set that the data say nothing of, the prior is too sure: its
      variance grows by up to ``8^(s - 1)``, that is, reaches further for larger sets in "bii".
    - Effects beside an empty or a full input add up errors that favour one sign there. By how much is seen where
      these were measured and not fitted. In "mobius", and in "fbii" of high order, a set of s features sums up 2^s
      values beside the empty input, with alternating signs: it is as uncertain as half of their variance together.

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
    prior
        What the sets without a deviation may hold; None where nothing is known of them.
    ends
        By what factor the squared error of the fit with everything ablated, and with everything kept, exceeds what
        the deviations say; at least 1.
    """

    n: int
    deviations: Mapping[Features, float]
    prior: SetPrior | None = None
    ends: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        checked = dict(Spectrum(self.n, self.deviations).coefficients)
        if any(value < 0 for value in checked.values()):
            worst = min(checked, key=checked.__getitem__)
            raise InputError(f"the standard deviation of {worst} is {checked[worst]}: it cannot be negative.")
        object.__setattr__(self, "deviations", MappingProxyType(checked))

    def __repr__(self) -> str:
        return f"Uncertainty(n={self.n}, {len(self.deviations)} coefficients)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Uncertainty) and self._parts() == other._parts()

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return (Uncertainty, self._parts())

    def _parts(self) -> tuple[int, dict[Features, float], SetPrior | None, tuple[float, float]]:
        return self.n, dict(self.deviations), self.prior, self.ends

    def widened(self, factor: float) -> Uncertainty:
        """All of it, wider by a ``factor``."""
        prior = None if self.prior is None else replace(self.prior, scale=self.prior.scale * factor**2)
        return replace(self, deviations={key: value * factor for key, value in self.deviations.items()}, prior=prior)

    def variances(self, sets: Sequence[Features]) -> dict[Features, float]:
        """Of the coefficients of ``sets``: the prior's where they have no deviation of their own."""
        known = {key: value**2 for key, value in self.deviations.items()}
        return {key: known.get(key, prior) for key, prior in zip(sets, self._priors(sets).tolist(), strict=True)}

    def seen_at_ends(self, empty: float, full: float) -> Uncertainty:
        """With what the errors of the fit at both ends, which it did not see, say of effects beside them."""
        if self.prior is None:
            return self
        expected = self._of_a_value()
        if not expected > 0:
            return self
        return replace(self, ends=(max(1.0, empty**2 / expected), max(1.0, full**2 / expected)))

    def of(self, index: str = "fbii", order: int = 2, sets: Sequence[Features] | None = None) -> dict[Features, float]:
        """The standard deviation of an index of every set of at most ``order`` features; of ``sets`` where given.

        Without a prior, sets that no known coefficient touches are left out.

        Raises
        ------
        InputError
            For an unknown index, or one that needs too many subsets.
        """
        name, order = canonical_index(index), min(order, self.n)
        squares = self._variances(self.deviations)
        keys = list(self.deviations)
        if self.prior is not None:
            squares = squares - self._priors(keys)
        known = compute_index_variances(Spectrum(self.n, dict(zip(keys, squares.tolist(), strict=True))), name, order)
        wanted = list(known) if sets is None else [key for key in sets if key in known or self.prior is not None]
        sums = np.array([known.get(key, 0.0) for key in wanted])
        if self.prior is not None and wanted:
            sums = self._with_prior(sums, wanted, name, order)
        return dict(zip(wanted, np.sqrt(sums).tolist(), strict=True))

    def _with_prior(
        self, sums: npt.NDArray[np.float64], sets: list[Features], index: str, order: int
    ) -> npt.NDArray[np.float64]:
        assert self.prior is not None
        before = self._priors(sets)
        after = np.array(list(self.variances(sets).values()))
        # What the data leave of the prior; the smaller of both is divided, as the prior may be next to nothing.
        unknown = np.divide(np.minimum(after, before), before, out=np.zeros_like(after), where=before > 0)
        out = np.empty(len(sets))
        for rows, ids in by_size(sets):
            size = ids.shape[1]
            own = index_weight(index, size, size, order) ** 2 * after[rows]
            all_of_it = np.maximum(sums[rows] + self.prior.sums(ids, index, order), own)
            out[rows] = all_of_it + own * (_GROWS ** (size - 1) - 1.0) * unknown[rows]
        empty, full = self.ends
        if index == "mobius" or (index == "fbii" and order >= _NEARLY_MOBIUS):
            value = empty * max(0.0, self._of_a_value())
            out = np.maximum(out * empty, _TOGETHER * value * 2.0 ** np.array([len(features) for features in sets]))
        elif index in BESIDE_EMPTY:
            out *= empty
        elif index in _AT_BOTH:
            out *= (empty + full) / 2
        return out

    def _of_a_value(self) -> float:
        """The variance of the fit at a mask at random: the prior's, less what is known of some sets."""
        squares = self._variances(self.deviations)
        if self.prior is None:
            return float(squares.sum())
        return self.prior.total + float((squares - self._priors(list(self.deviations))).sum())

    def _priors(self, sets: Sequence[Features]) -> npt.NDArray[np.float64]:
        out = np.zeros(len(sets))
        if self.prior is not None and sets:
            for rows, ids in by_size(sets):
                out[rows] = self.prior.variances(ids)
        return out

    @staticmethod
    def _variances(deviations: Mapping[Features, float]) -> npt.NDArray[np.float64]:
        return np.fromiter(deviations.values(), float, len(deviations)) ** 2

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts, to the last digit: differences of variances are taken, which rounding would distort."""
        prior = None if self.prior is None else {"scale": self.prior.scale, "weights": list(self.prior.weights)}
        deviations = [[list(key), value] for key, value in self.deviations.items()]
        return {"deviations": deviations, "prior": prior, "ends": list(self.ends)}

    @classmethod
    def from_dict(cls, parts: dict[str, Any], n: int) -> Uncertainty:
        """The uncertainty over n features that `to_dict` wrote."""

        def found(value: object, where: str) -> tuple[Features, float]:
            key, deviation = listed(value, where, 2)
            return feature_ids(key, where, n), number(deviation, where)

        saved = Saved.of(parts, "the uncertainty")
        inner = saved.maybe("prior", Saved.of)
        prior = None if inner is None else SetPrior(inner("scale", number), inner("weights", each, _share, n))
        empty, full = saved("ends", each, number, 2)
        return cls(n, dict(saved("deviations", each, found)), prior, (empty, full))


@dataclass(frozen=True, eq=False)
class Deviations(Mapping[Features, float]):
    """The standard deviations of an index: of the sets with a value, and on demand of every other one."""

    uncertainty: Uncertainty
    index: str
    order: int
    listed: Mapping[Features, float]

    def __getitem__(self, features: Features) -> float:
        if features in self.listed:
            return self.listed[features]
        n = self.uncertainty.n
        valid = isinstance(features, tuple) and 0 < len(features) <= self.order and set(features) <= set(range(n))
        if not valid or list(features) != sorted(set(features)):
            raise KeyError(features)
        return self.uncertainty.of(self.index, self.order, [features])[features]

    def __iter__(self) -> Iterator[Features]:
        return iter(self.listed)

    def __len__(self) -> int:
        return len(self.listed)
