"""Every interaction index as one weighted sum over supersets of a sparse Walsh-Fourier spectrum.

Each index of a set S (Möbius, Shapley, Banzhaf, Faith-, Taylor-, k-SII) is linear in f and symmetric in the
features outside S, so with s = |S| and t = |T| it has the form

    index(S) = sum over T >= S of  w(s, t) F(T),

and only the table w(s, t) differs. The weights are rational; they are computed exactly, because the sums behind
them alternate and would lose digits for large t, and rounded once.

Sources: Grabisch, Marichal & Roubens 2000 (SII, BII, Möbius); Sundararajan, Dhamdhere & Agarwal, ICML 2020 (STII);
Tsai, Yeh & Ravikumar, JMLR 2023 (FSII, FBII); Bordt & von Luxburg, AISTATS 2023 (k-SII).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._spectrum.characters import Features
from interplay._spectrum.spectrum import Spectrum

_MOST_SUBSETS = 20_000_000  # about 3 GiB of working memory and 10 s; past it an index is refused, not attempted


def _mobius(s: int, _t: int, _order: int) -> Fraction:
    # chi_T = prod_{j in T} (1 - 2 x_j) where x_j = 1 is kept: each S within T has the coefficient (-2)^s.
    return Fraction((-2) ** s)


def _fourier(s: int, t: int, _order: int) -> Fraction:
    return Fraction(s == t)


def _banzhaf(s: int, t: int, _order: int) -> Fraction:
    # The mean of the derivative by S over uniform masks: of its (-2)^s chi_{T - S}, only T = S has a mean.
    return Fraction((-2) ** s * (s == t))


def _faith_banzhaf(s: int, t: int, order: int) -> Fraction:
    # Characters are orthonormal, so the best fit of an order is the spectrum cut off there; this is its Möbius form.
    return Fraction((-2) ** s * (t <= order))


def _shapley(s: int, t: int, _order: int) -> Fraction:
    # The p-biased mean of chi_R over p uniform in [0, 1] is 1/(|R|+1) for even |R| and 0 for odd |R|.
    return Fraction((-2) ** s, t - s + 1) if (t - s) % 2 == 0 else Fraction(0)


def _shapley_taylor(s: int, t: int, order: int) -> Fraction:
    if s < order:
        return _mobius(s, t, order)
    # sum over R with S <= R <= T of M(R)/C(|R|, order), with M(R) = (-2)^|R| sum_{T >= R} F(T)
    return sum((Fraction(comb(t - s, r - s) * (-2) ** r, comb(r, order)) for r in range(s, t + 1)), start=Fraction(0))


def _faith_shapley(s: int, t: int, order: int) -> Fraction:
    if s == 0:
        return Fraction(1)  # the value with everything ablated, which Faith-Shapley fits exactly
    # M(S) and what it takes over from larger sets R, where M(R) = (-2)^r sum_{T >= R} F(T) and comb(t - s, r - s) sets
    # R of size r lie between S and T.
    scale = Fraction((-1) ** (order - s) * s * comb(order, s), order + s)
    beyond = sum(
        (
            Fraction(comb(t - s, r - s) * (-2) ** r * comb(r - 1, order), comb(r + order - 1, order + s))
            for r in range(order + 1, t + 1)
        ),
        start=Fraction(0),
    )
    return Fraction((-2) ** s) + scale * beyond


def _k_shapley(s: int, t: int, order: int) -> Fraction:
    if s == 0:
        return Fraction(1)
    # k-SII(S) = sum_j B_j sum_{K disjoint from S, |K| = j} SII(S + K)
    return sum(
        (_bernoulli(j) * comb(t - s, j) * _shapley(s + j, t, order) for j in range(min(order, t) - s + 1)),
        start=Fraction(0),
    )


@cache
def _bernoulli(j: int) -> Fraction:
    if j == 0:
        return Fraction(1)
    return -sum((comb(j + 1, i) * _bernoulli(i) for i in range(j)), start=Fraction(0)) / (j + 1)


Weight = Callable[[int, int, int], Fraction]

# name -> (weight, the one order it has where there is only one)
_INDICES: dict[str, tuple[Weight, int | None]] = {
    "fourier": (_fourier, None),
    "mobius": (_mobius, None),
    "sv": (_shapley, 1),
    "bv": (_banzhaf, 1),
    "sii": (_shapley, None),
    "bii": (_banzhaf, None),
    "k-sii": (_k_shapley, None),
    "stii": (_shapley_taylor, None),
    "fsii": (_faith_shapley, None),
    "fbii": (_faith_banzhaf, None),
}

INDICES: tuple[str, ...] = tuple(_INDICES)
"""The names that `Explanation.interactions` knows."""


BESIDE_EMPTY = ("mobius", "fbii", "stii", "fsii")
"""Those that say what a set does where all else is ablated."""

ASKED = ("sv", "sii", "k-sii", "stii", "fsii")
"""Those that weigh all sizes of masks alike, for which masks can be drawn."""

_IN_WORDS = {
    "shapley": "sv",
    "banzhaf": "bv",
    "harsanyi": "mobius",
    "walsh": "fourier",
    "shapley-interaction": "sii",
    "banzhaf-interaction": "bii",
    "shapley-taylor": "stii",
    "faith-shapley": "fsii",
    "faith-banzhaf": "fbii",
}


def canonical_index(index: object) -> str:
    """``index`` in its canonical spelling, or an error that names the nearest valid one."""
    name = str(index).lower().replace("_", "-").replace("möbius", "mobius")
    if name not in _INDICES:
        raise unknown("index", index, INDICES, _IN_WORDS)
    return name


def compute_index(spectrum: Spectrum, index: str, order: int) -> tuple[dict[Features, float], float]:
    """An index of every nonempty set of at most ``order`` features that it does not vanish on, and its baseline.

    The baseline is the index's value for the empty set: the mean over all masks for ``fourier``, the intercept of
    the best order-``order`` fit for ``fbii``, the mean for ``bv`` and ``bii``, else the value with everything ablated.

    Raises
    ------
    InputError
        If the index needs more than 20 million subsets of the stored sets.
    """
    order = _INDICES[index][1] or order
    baseline = _baseline(spectrum, index, order)
    sums = _weighted_sums(spectrum, index, order, power=1)
    rounding = 1e-14 * sum(map(abs, spectrum.coefficients.values()))  # sums that cancel leave only this behind
    return {features: value for features, value in sums.items() if abs(value) > rounding}, baseline


def compute_index_variances(variances: Spectrum, index: str, order: int) -> dict[Features, float]:
    """The variance of an index of every nonempty set, from those of independent coefficients: sum w(s, t)^2 Var F(T).

    Raises
    ------
    InputError
        As `compute_index`.
    """
    return _weighted_sums(variances, index, _INDICES[index][1] or order, power=2)


def index_weight(index: str, size: int, superset: int, order: int) -> float:
    """w(s, t): what F(T) of a ``superset`` of so many features counts in the index of a set of ``size``."""
    return _rounded(_INDICES[index][0](size, superset, _INDICES[index][1] or order), size, index)


def _weighted_sums(spectrum: Spectrum, index: str, order: int, power: int) -> dict[Features, float]:
    """``sum_{T >= S} w(s, t)^power F(T)`` for every nonempty S of at most ``order`` features."""
    weight = _INDICES[index][0]
    low, high = 1, order
    groups = [(ids, values) for ids, values in spectrum.by_order() if ids.shape[1] >= low]

    plan: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], int, Fraction]] = []
    total = 0
    for ids, values in groups:
        t = ids.shape[1]
        for s in range(low, min(high, t) + 1):
            w = weight(s, t, order)
            if w:
                plan.append((ids, values, s, w))
                total += len(ids) * comb(t, s)
    if total > _MOST_SUBSETS:
        largest = max(ids.shape[1] for ids, _, _, _ in plan)
        raise InputError(
            f"{index} of order {order} needs {Decimal(total):.2g} subsets of this spectrum, whose largest set has "
            f"{largest} features: ask for a lower order, for 'fourier' or 'bii', or of spectrum.top(k)."
        )

    sums: dict[Features, float] = {}
    for s in range(low, high + 1):
        parts = [(ids, values, _rounded(w, s, index) ** power) for ids, values, size, w in plan if size == s]
        if parts:
            sums.update(_superset_sums(spectrum.n, s, parts))
    return sums


def _rounded(weight: Fraction, size: int, index: str) -> float:
    try:
        return float(weight)
    except OverflowError:  # a weight of about 2^size
        raise InputError(
            f"{index} of sets of {size} features exceeds the largest float: ask for a lower order or for 'fourier'."
        ) from None


def _baseline(spectrum: Spectrum, index: str, order: int) -> float:
    constant = spectrum.coefficients.get((), 0.0)
    if index in ("fourier", "bv", "bii"):
        return constant
    limit = order if index == "fbii" else spectrum.n
    return float(sum(value for key, value in spectrum.coefficients.items() if len(key) <= limit))


def _superset_sums(
    n: int, s: int, parts: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], float]]
) -> dict[Features, float]:
    """The sum of ``w * value`` over all given supersets, for each subset of size s."""
    rows, amounts = [], []
    for ids, values, w in parts:
        columns = np.array(list(combinations(range(ids.shape[1]), s)), dtype=np.intp)
        rows.append(ids[:, columns].reshape(-1, s))
        amounts.append(np.repeat(values * w, len(columns)))
    subsets, amount = np.concatenate(rows), np.concatenate(amounts)
    if n**s < 1 << 62:  # one integer per subset sorts far faster than rows
        codes = subsets @ (np.int64(n) ** np.arange(s - 1, -1, -1, dtype=np.int64))
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    else:
        _, first, inverse = np.unique(subsets, axis=0, return_index=True, return_inverse=True)
    sums = np.bincount(inverse.ravel(), weights=amount, minlength=len(first))
    return dict(zip(map(tuple, subsets[first].tolist()), sums.tolist(), strict=True))
