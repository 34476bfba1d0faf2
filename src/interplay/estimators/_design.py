"""Designs: which masks to measure, nested in the budget."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game.masks import Masks

_BALANCED = 4  # masks per feature that are balanced: beyond, chance balances as well


_BALANCEABLE = 512  # features up to which balancing takes a second or less


_ENUMERABLE = 16  # up to so many features, all 2^n masks fit easily in memory and are drawn without replacement


def uniform_design(n: int, budget: int, seed: int) -> Masks:
    """``min(budget, 2^n)`` distinct masks, each feature kept half of the time; those of a smaller budget come first.

    Up to 16 features they are drawn from all masks. Else the first 4n are balanced: every pair of features is kept
    together, apart, and not at all about equally often, so that single effects are told from one another with fewer
    ablations than uniform masks take. The rest are uniform.
    """
    if budget < 1:
        raise InputError(f"budget must be at least 1 ablation, not {budget}.")
    rng = np.random.default_rng([seed, n])
    if n <= _ENUMERABLE:
        return all_masks(n)[rng.permutation(1 << n)[:budget]]
    balance = _Balance(n)
    balanced = _BALANCED * n if n <= _BALANCEABLE else 0
    drawn = budget if n >= 60 else min(budget, 1 << (n - 1))  # of more, chance would mostly repeat itself
    masks = np.empty((drawn, n), dtype=np.bool_)
    seen: set[bytes] = set()
    while len(seen) < drawn:
        # Bits are drawn a row at a time from one stream, so a larger budget continues a smaller one.
        row = rng.random(n) < 0.5
        if len(seen) < balanced:
            row = balance.improved(row)
        key = np.packbits(row).tobytes()
        if key not in seen:
            masks[len(seen)] = row
            seen.add(key)
            if len(seen) <= balanced:
                balance.add(row)
    return masks if drawn == budget else np.concatenate([masks, _others(masks, rng)[: budget - drawn]])


def _others(masks: Masks, rng: np.random.Generator) -> Masks:
    """All masks that are not among ``masks`` (N, n), in random order, (2^n - N, n)."""
    n = masks.shape[1]
    places = 1 << np.arange(n)
    left = np.ones(1 << n, dtype=np.bool_)
    left[masks @ places] = False
    order = rng.permutation(np.flatnonzero(left))
    return np.asarray((order[:, None] & places) != 0)


class _Balance:
    """How often each two of n features (and each one and a constant) agree in the masks so far, less half of them."""

    def __init__(self, n: int) -> None:
        self._surplus = np.zeros((n + 1, n + 1))  # sums of z_i z_j; the diagonal is left at 0

    def improved(self, row: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """``row`` (n,), its features flipped one by one as long as that lowers the sum of the squared surpluses."""
        signs = np.append(1.0, np.where(row, -1.0, 1.0))
        pull = self._surplus @ signs
        for _ in range(3 * len(row)):
            gain = signs * pull  # a flip of j lowers z'Gz, half of what the new row adds to the sum, by 4 z_j (Gz)_j
            gain[0] = 0.0  # the constant is not for flipping
            best = int(gain.argmax())
            if gain[best] <= 1e-9:
                break
            pull -= 2.0 * signs[best] * self._surplus[best]
            signs[best] = -signs[best]
        return np.asarray(signs[1:] < 0)

    def add(self, row: npt.NDArray[np.bool_]) -> None:
        """Count ``row`` (n,) in."""
        signs = np.append(1.0, np.where(row, -1.0, 1.0))
        self._surplus += np.multiply.outer(signs, signs)
        np.fill_diagonal(self._surplus, 0.0)


def biased_design(n: int, budget: int, seed: int, keep: float) -> Masks:
    """``min(budget, 2^n)`` distinct masks that keep each feature with probability ``keep``.

    Independent draws, repeated ones left out; those of a smaller budget come first.
    """
    if budget < 1:
        raise InputError(f"budget must be at least 1 ablation, not {budget}.")
    rng = np.random.default_rng([seed, n, round(keep * 1e9)])
    if n <= _ENUMERABLE:
        # Drawing again and again until all are different is the same as the order in which exponential clocks ring.
        masks = all_masks(n)
        kept = masks.sum(axis=1)
        clock = np.log(rng.exponential(size=len(masks))) - kept * np.log(keep) - (n - kept) * np.log1p(-keep)
        return masks[np.argsort(clock, kind="stable")[:budget]]
    masks = np.empty((budget, n), dtype=np.bool_)
    seen: set[bytes] = set()
    for _ in range(100 * budget):
        row = rng.random(n) < keep
        key = np.packbits(row).tobytes()
        if key not in seen:
            masks[len(seen)] = row
            seen.add(key)
            if len(seen) == budget:
                return masks
    raise InputError(
        f"keeping each of {n} features with probability {keep:g} gave only {len(seen)} different ablations in "
        f"{100 * budget} draws: lower the budget of {budget} or move keep towards 0.5."
    )


def all_masks(n: int) -> Masks:
    """All 2^n masks, (2^n, n); row r keeps feature i where bit i of r is set."""
    return (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(np.bool_)
