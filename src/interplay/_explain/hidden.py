"""What may be hidden in parts that a zoom left closed: a bound, from ablations that opened them at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interplay._explain.explanation import Fit
from interplay._explain.sample import Sample
from interplay._game.masks import Masks, Values
from interplay._game.tree import Part, Tree
from interplay._spectrum.spectrum import Spectrum

_LEVEL = 0.9  # confidence of the bound
_CERTAIN = 0.99  # confidence from which closed parts are opened for what they hide: each opening costs ablations
_FLOOR = 1e-6  # of the variance: what a fit without noise still misses


@dataclass(frozen=True)
class Hidden:
    """What closed parts may hide at most: the share of the variance, by ``ablations`` that opened them at random.

    ``share`` holds with 90% confidence, None without such ablations; ``suspects`` are parts that hide something for
    certain, the likeliest first.
    """

    closed: int
    ablations: int
    share: float | None
    suspects: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        tree: Tree,
        quiet: frozenset[Part],
        fits: Sequence[Fit],
        sample: Sample,
        leaves: Masks,
        values: Values,
        keep: float,
    ) -> Hidden:
        """Hold the ablations ``leaves`` (G, L), values (G, T), against what the fits say without the opened parts.

        Their mean squared error is that of the noise and of what is hidden; the noise is known from the errors on
        ablations that opened nothing. The bound takes the squared errors as chi-squared.
        """
        from scipy.stats import chi2

        closed = [i for i, part in enumerate(tree.parts) if part in quiet]
        if not len(leaves) or not closed:
            return cls(len(closed), 0, None)
        masks, _ = tree.contracted(leaves)
        kept = np.add.reduceat(leaves, tree.starts, axis=1, dtype=np.intp)
        opened = (kept > 0) & (kept < tree.sizes)
        signs = np.where(opened, 1 - 2 * keep, np.where(masks, -1.0, 1.0))
        count, worst, scores = len(leaves), 0.0, np.zeros(len(tree.parts))
        certain = False
        columns = sample.values.reshape(len(sample.masks), -1)
        for t, fit in enumerate(fits):
            spread = float(columns[:, t].var())
            if not spread or np.isnan(fit.faithfulness.r2):
                continue
            errors = (values[:, t] - _mean_at(fit.spectrum, signs)) ** 2 / spread
            noise = max(1 - fit.faithfulness.r2, _FLOOR)
            worst = max(worst, count * float(errors.mean()) / float(chi2.ppf(1 - _LEVEL, count)) - noise)
            if count * float(errors.mean()) / noise > float(chi2.ppf(_CERTAIN, count)):
                certain = True
                scores += _blame(errors, opened)
        suspects = sorted((i for i in closed if scores[i] > 0), key=lambda i: -scores[i])[: max(1, len(closed) // 4)]
        return cls(len(closed), count, max(0.0, worst), tuple(suspects) if certain else ())

    @property
    def notes(self) -> tuple[str, ...]:
        """The bound in words."""
        if not self.closed:
            return ()
        quiet = f"{self.closed} parts without a clear effect stayed closed"
        if self.share is None:
            return (f"{quiet}, and nothing is known of what cancels inside them",)
        return (
            f"{quiet}; what they hide is at most {min(1.0, self.share):.0%} of what varies (with {_LEVEL:.0%} "
            f"confidence, by {self.ablations} ablations that opened them at random)",
        )


def _mean_at(spectrum: Spectrum, signs: Values) -> Values:
    """The polynomial at real ``signs`` (G, n): its mean where a sign is the mean of a random one."""
    total = np.zeros(len(signs))
    for ids, values in spectrum.by_order():
        total += signs[:, ids].prod(axis=2) @ values if ids.shape[1] else values.sum()
    return total


def _blame(errors: Values, opened: Masks) -> Values:
    """By how much larger squared errors (G,) are where each part was opened (G, n) than where it was not."""
    often = opened.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = errors @ opened / often - errors @ ~opened / (len(errors) - often)
    found: Values = np.nan_to_num(apart, nan=0.0, posinf=0.0, neginf=0.0)
    return found
