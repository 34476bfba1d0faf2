"""Coefficients of candidate sets from the raw values: several ways to shrink, the best chosen on values held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features, characters_of, signs_of
from interplay.estimators._fista import Floats, descend, safe_rate
from interplay.estimators._lasso.lasso import solve_normal_equations

_LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 7.0)
"""Penalties, in standard errors of one coefficient: from none to far beyond what chance reaches among thousands."""
_FAMILIES = ("lasso", "relaxed lasso", "adaptive lasso")
REFITS = len(_FAMILIES) * len(_LEVELS)
"""How many refits `solutions` tries."""
_ROUNDING = 1e-13  # of the mean square: what double precision leaves of a difference that is none
_STEPS = 300  # a guard: steps end where weights stand still
_BLOCK = 1 << 24  # characters held at once: 64 MiB as float32


@dataclass(frozen=True, eq=False)
class Moments:
    """What least squares needs to know of N samples: mean products of K characters (K, K) and with the values (K,)."""

    gram: npt.NDArray[np.float64]
    moment: npt.NDArray[np.float64]
    square: float
    count: int

    def __add__(self, other: Moments) -> Moments:
        total = self.count + other.count
        a, b = self.count / total, other.count / total
        return Moments(
            a * self.gram + b * other.gram,
            a * self.moment + b * other.moment,
            a * self.square + b * other.square,
            total,
        )


def moments_of(keys: list[Features], masks: Masks, values: Values) -> Moments:
    """The moments of ``keys`` on samples, computed in bounded memory."""
    size = len(keys)
    gram, moment = np.zeros((size, size)), np.zeros(size)
    step = max(1, _BLOCK // max(1, size))
    for start in range(0, len(masks), step):
        rows = characters_of(signs_of(masks[start : start + step]), keys).astype(np.float32)
        gram += rows @ rows.T  # exact: sums of +-1 below 2^24 in float32
        moment += rows.astype(np.float64) @ values[start : start + step]
    count = max(1, len(masks))
    return Moments(gram / count, moment / count, float((values**2).sum()) / count, len(masks))


def solutions(moments: Moments) -> npt.NDArray[np.float64]:
    """Coefficients (K, C) of every candidate refit: each family at each penalty. Row 0, the constant, is never shrunk.

    Lasso; least squares on what the lasso selected (Meinshausen 2007); and the lasso whose penalties are smaller
    for sets that least squares finds strong (Zou 2006).
    """
    gram, moment = moments.gram, moments.moment
    size = len(moment)
    # Up to half as many unknowns as samples, least squares is sound, and the ridge only keeps the factor positive; with
    # more, one of the size of a chance correlation of two characters, 1 / sqrt(N), keeps it from fitting the noise.
    ridge = 1e-9 if size <= moments.count // 2 else 1.0 / np.sqrt(moments.count)
    shrunk = gram + ridge * np.diag(np.r_[0.0, np.ones(size - 1)])
    solve = _solver(shrunk)
    plain = solve(moment)
    if ridge <= 1e-9:  # one step of refinement takes the ridge out again
        plain += solve(moment - gram @ plain)
    left = float(moments.square - 2 * plain @ moment + plain @ gram @ plain)
    if left < _ROUNDING * moments.square:
        left = 0.0  # an exact fit: the rest is cancellation, not noise to shrink against
    # The noise's deviation with N - K degrees of freedom; characters have mean square 1, so a coefficient's standard
    # error is that over sqrt(N), whatever its set.
    spread = np.sqrt(max(left, 0.0) * moments.count / max(1.0, moments.count - size))
    unit = spread / np.sqrt(moments.count)
    levels = np.array(_LEVELS) * unit
    ones = np.r_[0.0, np.ones(size - 1)]
    lasso = _lasso(gram, moment, ones[:, None] * levels, plain, light=spread > 0)
    # Penalties in inverse proportion to least squares (Zou 2006); below a tenth of a standard error all are alike.
    adaptive_weights = ones * unit / np.maximum(np.abs(plain), 0.1 * unit + 1e-300)
    adaptive = _lasso(gram, moment, adaptive_weights[:, None] * levels * 2, plain, light=spread > 0)
    relaxed = np.zeros_like(lasso)
    for column in range(lasso.shape[1]):
        chosen = np.flatnonzero(lasso[:, column])
        if column == 0 or len(chosen) == size:
            relaxed[:, column] = plain
        elif len(chosen) < moments.count:
            part = gram[np.ix_(chosen, chosen)]
            relaxed[chosen, column] = solve_normal_equations(part, moment[chosen])
    return np.concatenate([lasso, relaxed, adaptive], axis=1)


def over_pools(moments: Moments, pools: list[npt.NDArray[np.bool_]]) -> npt.NDArray[np.float64]:
    """`solutions` that use only the sets of each pool (K,), one pool after the other: (K, pools C)."""
    found = []
    for pool in pools:
        part = Moments(moments.gram[np.ix_(pool, pool)], moments.moment[pool], moments.square, moments.count)
        whole = np.zeros((len(pool), REFITS))
        whole[pool] = solutions(part)
        found.append(whole)
    return np.concatenate(found, axis=1)


def describe(column: int) -> str:
    """The refit of one column of `solutions`, in words."""
    family, level = divmod(column % (REFITS), len(_LEVELS))
    if _LEVELS[level] == 0:
        return "least squares"
    return f"{_FAMILIES[family]}, penalty {_LEVELS[level]:g} standard errors"


def _solver(
    matrix: npt.NDArray[np.float64],
) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """What solves systems with this symmetric matrix: by Cholesky, or by LU where rounding took its positivity."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        factor = cho_factor(matrix, lower=True, check_finite=False)
    except LinAlgError:
        return lambda right: np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)
    return lambda right: np.asarray(cho_solve(factor, right, check_finite=False), dtype=np.float64)


def _lasso(
    gram: npt.NDArray[np.float64],
    moment: npt.NDArray[np.float64],
    penalties: npt.NDArray[np.float64],
    start: npt.NDArray[np.float64],
    *,
    light: bool,
) -> npt.NDArray[np.float64]:
    """Lasso solutions (K, L) for L penalties at once, from ``start`` (K,); ``light`` begins in single precision.

    Against noise single precision gets near, at half the time; the last digits are double precision's.
    """
    rate = safe_rate(lambda weights: gram @ weights, np.ones((len(moment), 1)) / np.sqrt(len(moment)))
    near = np.repeat(start[:, None], penalties.shape[1], axis=1)
    if light:
        quick, target, limits, first = (part.astype(np.float32) for part in (gram, moment, penalties, near))
        near = _settled(quick, target, limits, first, rate, still=1e-5).astype(np.float64)
    return _settled(gram, moment, penalties, near, rate, still=1e-6)


def _settled(gram: Floats, moment: Floats, penalties: Floats, near: Floats, rate: float, *, still: float) -> Floats:
    """Characters are almost orthogonal over the samples, so a few dozen steps suffice."""
    return descend(
        lambda weights: gram @ weights, moment[:, None], penalties, near, rate=rate, steps=_STEPS, still=still
    )
