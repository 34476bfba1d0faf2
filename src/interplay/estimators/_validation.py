"""Held-out judgement: folds, R², and a choice among candidates that does not flatter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Values


def r_squared(truth: Values, predicted: Values) -> float:
    """R² of ``predicted`` (N,) against ``truth`` (N,); NaN where the truth is constant."""
    spread = float(((truth - truth.mean()) ** 2).sum())
    if is_constant(truth):
        return float("nan")
    return 1.0 - float(((truth - predicted) ** 2).sum()) / spread


def is_constant(values: Values) -> bool:
    """Whether values (N,) differ by no more than rounding."""
    return bool(np.ptp(values) <= 1e-12 * max(1e-300, float(np.abs(values).max())))


def gain_of_all(count: int, n: int, r2: float) -> float:
    """What is left of the squared error of fits to 4 in 5 of ``count`` ablations of n features when all are fitted.

    Read off games whose every ablation is known (docs/trust.md): half a feature's share of the ablations, at most a
    quarter, and less where there are so few that a fifth more teach nothing. Where the fits to 4 in 5 explain less
    than half (``r2``) the gain fades with it: of noise, more ablations teach nothing either.
    """
    learned = min(1.0, 2.0 * max(0.0, r2))
    return float(np.exp(-min(0.25, 0.5 * n / count) * count / (count + 30) * learned))


def folds(count: int, seed: int, parts: int = 5) -> npt.NDArray[np.intp]:
    """Which of ``parts`` folds each of ``count`` ablations belongs to: random, as even as can be, (count,)."""
    assigned = np.arange(count) % max(2, min(parts, count))
    np.random.default_rng([seed, 0xF01D]).shuffle(assigned)
    return assigned


def splits(fold: npt.NDArray[np.intp]) -> Iterator[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    """For every fold which ablations are fitted and which are left out, both (N,)."""
    for part in range(int(fold.max()) + 1):
        yield fold != part, fold == part


def choose(errors: npt.NDArray[np.float64], fold: npt.NDArray[np.intp]) -> tuple[int, npt.NDArray[np.intp]]:
    """The best of C candidates by squared error, and the one to *score* each ablation with.

    ``errors`` (C, N) are squared errors on ablations that each candidate's fit did not see. Reporting the error of
    the candidate that happened to have the smallest one would flatter; so the ablations of each fold are scored
    with the candidate that the *other* folds choose. Returns ``(best, chosen)``, chosen (N,).
    """
    by_fold = np.stack([errors[:, out].sum(axis=1) for _, out in splits(fold)])  # (folds, C)
    total = by_fold.sum(axis=0)
    others = np.argmin(total - by_fold, axis=1)
    return int(np.argmin(total)), others[fold].astype(np.intp)
