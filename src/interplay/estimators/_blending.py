"""Several fits of the same ablations in shares of least error on ablations that they did not see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Values
from interplay._spectrum.spectrum import Spectrum
from interplay.estimators._base import Recovery
from interplay.estimators._validation import folds, splits

# Chosen on fifteen recorded games and ten of benchmarks/games.py (docs/gp.md, "What was tried and lost"): against
# shares halfway to equal ones, the ridge and half of the measured flattery gained .005 of R² in the mean at
# n log2(n) / 4 (41 cases) and nothing at / 2; the worst loss to the lasso fell from .091 to about .05.
_EQUAL = 0.3  # times features per ablation: how strongly shares are drawn to equal ones
_SMALL = 0.1  # the smallest share: less is not worth its coefficients


def blend(found: Mapping[str, Recovery], values: Values, n: int, seed: int) -> Recovery:
    """The blend of fits by name, none with ``rows``, its shares drawn towards equal ones where ablations are few.

    The ablations of each fold are predicted with the shares that the others choose, so the blend's predictions stay
    unseen.
    """
    unseen = np.stack([one.unseen for one in found.values() if one.unseen is not None])
    # Half of the measured flattery, on the logarithmic scale, is put right: the square root of the factor of squared
    # errors, and so its fourth root here.
    errors = (values - unseen) * np.array([[one.flatters**0.25] for one in found.values()])
    fold = folds(len(values), seed)
    products = np.stack([errors[:, out] @ errors[:, out].T for _, out in splits(fold)])
    ridge = _EQUAL * n / len(values)
    shares = least_error_shares(products.sum(axis=0), ridge)
    by_fold = np.stack([least_error_shares(products.sum(axis=0) - part, ridge) for part in products])
    kept = {name: float(share) for name, share in zip(found, shares, strict=True) if share > 0}
    kept = dict(sorted(kept.items(), key=lambda item: -item[1]))
    whole = _whole({name: found[name] for name in kept}, kept, n, len(products))
    return replace(whole, unseen=(by_fold[fold].T * unseen).sum(axis=0))


def _whole(found: Mapping[str, Recovery], shares: Mapping[str, float], n: int, parts: int) -> Recovery:
    """The blend itself, of fits by falling share, without its predictions."""
    first = next(iter(found.values()))
    spectrum = Spectrum(n, {})
    for name, share in shares.items():
        spectrum = spectrum + found[name].spectrum * share
    parted = ", ".join(f"{share:.0%} {name}" for name, share in shares.items())
    return Recovery(
        spectrum,
        unseen=None,
        how=first.how if len(found) == 1 else f"{first.how}; blended by {parts}-fold cross-validation",
        order=max(one.order for one in found.values()),
        notes=(
            *(note for one in found.values() for note in one.notes),
            *((f"the blend is {parted}",) if len(found) > 1 else ()),
        ),
        method="+".join(found),
        flatters=1.0 + sum(share * (found[name].flatters - 1.0) for name, share in shares.items()),
    )


def least_error_shares(products: npt.NDArray[np.float64], ridge: float) -> npt.NDArray[np.float64]:
    """Shares (M,), none negative, summing to 1, of M predictions whose errors have inner ``products`` (M, M).

    They minimise ``shares' (products / mean of their diagonal + ridge) shares``: by trying every subset of the few.
    """
    # With shares that sum to 1 and a fixed set of nonzero ones, the minimum of s' A s is at A^-1 1 / (1' A^-1 1).
    size = len(products)
    scaled = products / max(float(np.trace(products)) / size, 1e-300) + (ridge + 1e-9) * np.eye(size)
    best, least = np.full(size, 1.0 / size), np.inf
    for subset in range(1, 1 << size):
        rows = [row for row in range(size) if subset >> row & 1]
        solved = np.linalg.solve(scaled[np.ix_(rows, rows)], np.ones(len(rows)))
        # A subset's minimum is 1 / sum; where a share is small or negative, the minimum lies on a smaller subset.
        if (solved < _SMALL * solved.sum()).any() or solved.sum() <= 0 or 1.0 / solved.sum() >= least:
            continue
        best, least = np.zeros(size), 1.0 / float(solved.sum())
        best[rows] = solved / solved.sum()
    return best
