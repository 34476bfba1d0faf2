"""Least squares on singles and on pairs, for the half of a game that they explain far better than a fit that shrinks.

Beside its complement every mask tells the odd half of a game, (f(m) - f(~m)) / 2, which only sets of odd size make up,
from the even one, (f(m) + f(~m)) / 2. Shapley values are made of the odd half alone, pairwise Shapley interactions of
the even one. Where a half has no sets larger than one or two, least squares finds it to the last digit, however
complicated the other half is; a prior only comes close.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, combinations

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features, characters_of, signs_of
from interplay._spectrum.spectrum import Spectrum
from interplay._spectrum.uncertainty import Uncertainty
from interplay.estimators._base import Recovery

_MOST = 1500  # coefficients up to which it takes a few seconds
_SINGULAR = 1e-9
_CLEAR = 0.25  # of the other fit's error: where sets are larger, least squares wins by chance and then does worse
_HALVES = (("even", 1.0, (0, 2)), ("odd", -1.0, (1,)))


def refit_halves(recovery: Recovery, masks: Masks, values: Values) -> Recovery:
    """The recovery, each half of it by least squares where that predicts unseen pairs of masks far better.

    What was measured of both ends judges neither.
    """
    first, second = complements(masks)
    if recovery.unseen is None or recovery.rows is not None or not len(first):
        return recovery
    judges = masks[first].any(axis=1) & ~masks[first].all(axis=1)
    coefficients = dict(recovery.spectrum.coefficients)
    deviations = None if recovery.uncertainty is None else dict(recovery.uncertainty.deviations)
    unseen, notes = recovery.unseen.copy(), recovery.notes
    for name, sign, sizes in _HALVES:
        half = (values[first] + sign * values[second]) / 2
        found = _least_squares(masks[first], half, sizes)
        if found is None:
            continue
        theirs = (unseen[first] + sign * unseen[second]) / 2
        missed = ((half - theirs)[judges] ** 2).sum()
        if ((half - found.unseen)[judges] ** 2).sum() >= _CLEAR * missed:
            continue
        parity = sizes[-1] % 2
        coefficients = {key: value for key, value in coefficients.items() if len(key) % 2 != parity} | found.values
        if deviations is not None:
            deviations = {key: value for key, value in deviations.items() if len(key) % 2 != parity} | found.deviations
        unseen[first] += found.unseen - theirs
        unseen[second] += sign * (found.unseen - theirs)
        what = "pairs" if 2 in sizes else "single features"
        notes += (f"the {name} half of the game comes from least squares on {what}, which predicted it far better",)
    n = recovery.spectrum.n
    doubt = None if deviations is None else Uncertainty(n, deviations)
    return replace(recovery, spectrum=Spectrum(n, coefficients), unseen=unseen, notes=notes, uncertainty=doubt)


def complements(masks: Masks) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The rows of masks (N, n) whose complement is there as well, one of each pair, and those of the complements."""
    rows = {np.packbits(mask).tobytes(): row for row, mask in enumerate(masks)}
    pairs = [(row, rows.get(np.packbits(~mask).tobytes(), -1)) for row, mask in enumerate(masks)]
    found = np.array([pair for pair in pairs if pair[1] > pair[0]], dtype=np.intp).reshape(-1, 2)
    return found[:, 0], found[:, 1]


@dataclass(frozen=True)
class _Found:
    """Coefficients by set, their standard deviations, and what was predicted of each mask from all others, (P,)."""

    values: dict[Features, float]
    deviations: dict[Features, float]
    unseen: Values


def _least_squares(masks: Masks, half: Values, sizes: tuple[int, ...]) -> _Found | None:
    """Least squares of ``half`` (P,) on all sets of some ``sizes``; None where the masks (P, n) are too few.

    Leave-one-out predictions are ``y - e / (1 - h)``, with residuals e and leverages h.
    """
    count, n = masks.shape
    sets = list(chain.from_iterable(combinations(range(n), size) for size in sizes))
    if len(sets) > _MOST or count <= len(sets):
        return None
    from scipy.linalg import qr, solve_triangular

    basis, upper = qr(characters_of(signs_of(masks), sets).T.astype(float), mode="economic")
    room = 1.0 - (basis**2).sum(axis=1)
    if np.abs(np.diagonal(upper)).min() < _SINGULAR * np.sqrt(count) or room.min() < _SINGULAR:
        return None
    residual = half - basis @ (basis.T @ half)
    found = solve_triangular(upper, basis.T @ half)
    spread = (solve_triangular(upper, np.eye(len(sets))) ** 2).sum(axis=1)
    deviations = np.sqrt(float(residual @ residual) / (count - len(sets)) * spread)
    return _Found(
        dict(zip(sets, found.tolist(), strict=True)),
        dict(zip(sets, deviations.tolist(), strict=True)),
        half - residual / room,
    )
