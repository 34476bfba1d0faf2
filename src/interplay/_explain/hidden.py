"""What may be hidden in parts that a zoom left closed: a bound, from ablations that opened them at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from interplay._explain.explanation import Fit
from interplay._explain.sample import Sample
from interplay._game.masks import Masks, Values
from interplay._game.tree import Tree
from interplay._spectrum.spectrum import Spectrum

_LEVEL = 0.9  # confidence of the bound
_CERTAIN = 0.99  # confidence from which closed parts are opened for what they hide: each opening costs ablations
ENOUGH = 10  # ablations from which they say anything for certain: one large error is none
_CLEAR = 2.0  # standard errors from which a part is suspected beside the likeliest
_NAMED = 3  # suspects in a note
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

        closed = [i for i, part in enumerate(tree.parts) if part.parts]
        if not len(leaves) or not closed:
            return cls(len(closed), 0, None)
        masks, _ = tree.contracted(leaves)
        kept = np.add.reduceat(leaves, tree.starts, axis=1, dtype=np.intp)
        opened = (kept > 0) & (kept < tree.sizes)
        telling = opened.any(axis=1)
        if not telling.any():
            return cls(len(closed), 0, None)
        masks, opened, values = masks[telling], opened[telling], values[telling]
        signs = np.where(opened, 1 - 2 * keep, np.where(masks, -1.0, 1.0))
        count, worst, scores = len(values), 0.0, np.zeros(len(tree.parts))
        certain = False
        columns = sample.values.reshape(len(sample.masks), -1)
        for t, fit in enumerate(fits):
            errors = (values[:, t] - _mean_at(fit.spectrum, signs)) ** 2
            # Where nothing varies while parts are closed, all that varies is hidden.
            spread = float(columns[:, t].var()) or float(errors.mean())
            if not spread:
                continue
            errors /= spread
            trust = fit.faithfulness
            noise, most = (max(1 - np.nan_to_num(r2, nan=1.0), _FLOOR) for r2 in (trust.r2, trust.low))
            worst = max(worst, count * float(errors.mean()) / float(chi2.ppf(1 - _LEVEL, count)) - noise)
            # A fit of few ablations may miss more than it says, without anything hidden.
            if count >= ENOUGH and count * float(errors.mean()) / most > float(chi2.ppf(_CERTAIN, count)):
                certain = True
                scores = np.maximum(scores, _blame(errors, opened))
        suspects = sorted((i for i in closed if scores[i] > 0), key=lambda i: -scores[i])[: max(1, len(closed) // 4)]
        likely = [i for i in suspects if scores[i] > _CLEAR] or suspects[:1]
        return cls(len(closed), count, max(0.0, worst), tuple(likely) if certain else ())

    def notes(self, tree: Tree) -> Iterator[str]:
        """The bound in words, and where something is hidden for certain."""
        if not self.closed:
            return
        quiet = f"{self.closed} parts stayed closed"
        if self.share is None:
            yield f"{quiet}, and nothing is known of what cancels inside them"
            return
        yield (
            f"{quiet}; what they hide is at most {min(1.0, self.share):.0%} of what varies (with {_LEVEL:.0%} "
            f"confidence, by {self.ablations} ablation{'s' * (self.ablations != 1)} that opened them at random)"
        )
        if self.suspects:
            named = ", ".join(repr(tree.parts[i].name) for i in self.suspects[:_NAMED])
            yield (
                f"closed parts hide effects that cancel while they are kept or ablated whole (with {_CERTAIN:.0%} "
                f"confidence), likeliest {named}: allow a larger budget, or open them with explanation.zoom(part, "
                "budget=...)"
            )


def _mean_at(spectrum: Spectrum, signs: Values) -> Values:
    """The polynomial at real ``signs`` (G, n): its mean where a sign is the mean of a random one."""
    total = np.zeros(len(signs))
    for ids, values in spectrum.by_order():
        total += signs[:, ids].prod(axis=2) @ values if ids.shape[1] else values.sum()
    return total


def _blame(errors: Values, opened: Masks) -> Values:
    """How much larger squared errors (G,) are where each part was opened (G, n) than where not, in standard errors."""
    often = opened.sum(axis=0)
    rest = len(errors) - often
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = errors @ opened / often - errors @ ~opened / rest
        found: Values = apart / (errors.std() * np.sqrt(1 / often + 1 / rest))
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)
