"""Which parts a zoom opens, and how many ablations that takes: by expected gain in explained variance per ablation.

While a part is closed, what is known of it is tied to all of it at once: over ablations that keep some of its inside
and ablate the rest, the energy of all coefficients with it (squared mean and variance, from the Gaussian process) is
unexplained. To open it into m parts wins that energy, and costs the ablations that tell which of the m it comes from:
log2(m) bits, of which an ablation brings half the logarithm of one plus energy over what is not explained, as over a
Gaussian channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interplay._explain.explanation import Fit
from interplay._game.masks import Values
from interplay._game.tree import Tree

# Of a fit's variance: even one without noise has as much left to say. With 0 a noiseless game's first round, which may
# explain all of what varies, would promise that a single ablation tells everything.
_FLOOR = 0.02
# Ablations for each that a perfect code would take. By random masks the best of decoders takes 2 to 4, of few parts up
# to 6 (benchmarks/zoom_constants.py); a fit, which has all other parts to choose from as well, gets twice that.
_SPREAD = 8.0
_BEST = 2.0  # the fewest by which any decoder tells: where what is left does not last for more, it is tried
# The power of the ablations with which a fit's error falls: 1 and more once its sets are found, less before.
_SLOPE = 0.5


@dataclass(frozen=True, eq=False)
class Promise:
    """What opening each of n parts is expected to gain and to cost.

    Attributes
    ----------
    energy
        (n,): the share of the variance that is lost while the part stays closed.
    bits
        (n,): what is to be found out when it opens; 0 of parts that do not.
    unexplained
        The share of the variance that the fits do not explain.
    complete
        Whether all ablations of the parts as they are have been made, so that there is no more to learn of them.
    """

    energy: Values
    bits: Values
    unexplained: float
    complete: bool = False

    @classmethod
    def of(cls, tree: Tree, fits: Sequence[Fit], *, complete: bool) -> Promise:
        """By the ``fits`` of the parts of ``tree``, the mean over outputs; ``complete`` where no masks are left."""
        known = [fit.faithfulness.r2 for fit in fits if not np.isnan(fit.faithfulness.r2)]
        unexplained = float(np.clip(1.0 - np.mean(known), _FLOOR, 1.0)) if known else 1.0
        if complete and known:  # four masks of two parts say all there is, though no fit can be judged by them
            unexplained = _FLOOR
        bits = np.log2([max(len(part.parts), 2) if part.parts else 1 for part in tree.parts])
        return cls(_energy(tree, fits), bits, unexplained, complete)

    def ablations(self, ids: Sequence[int], spread: float | None = None) -> int:
        """How many ablations tell what is inside all of these parts, at once: ``spread`` times those of a code."""
        if not len(ids):
            return 0
        each = 0.5 * np.log2(1.0 + self.energy[list(ids)].sum() / self.unexplained)
        return int(np.ceil((_SPREAD if spread is None else spread) * self.bits[list(ids)].sum() / max(each, 1e-9)))

    def chosen(self, depths: Sequence[int], spent: int, left: int) -> list[int]:
        """The parts to open after ``spent`` ablations with ``left`` more, most promising first.

        All that are open share the ablations, so parts are judged together: of those with the highest gain per bit
        as many as promise most per ablation, if that is more than an ablation of the parts as they are would gain; then
        others as long as each adds more than that. ``depths`` (n,) says how often each can be opened: what is left must
        last down to the leaves; where it lasts for none by what a fit needs, for those that the best of decoders could
        tell, since a coarse answer is no use to whoever asked for a fine one.
        """
        plain = 0.0 if self.complete else _SLOPE * self.unexplained / max(spent, 1)
        # A fit with m features more to choose from takes noise for some of them: by about 2 ln(m) times what is
        # unexplained per ablation (the risk of a sparse fit; Donoho and Johnstone 1994).
        net = self.energy - 2.0 * np.log(2.0) * self.bits * self.unexplained / max(spent, 1)
        opens = np.flatnonzero((self.bits > 0) & (net > 0))
        order: list[int] = opens[np.argsort(-net[opens] / self.bits[opens], kind="stable")].tolist()
        for spread in (_SPREAD, _BEST):
            costs = [self.ablations(order[: k + 1], spread) for k in range(len(order))]
            lasting = [max(depths[i] for i in order[: k + 1]) * cost <= left for k, cost in enumerate(costs)]
            if any(lasting):
                break
        gains = np.cumsum(net[order])
        rates = [gain / cost if last else 0.0 for gain, cost, last in zip(gains, costs, lasting, strict=True)]
        if max(rates, default=0.0) <= plain:
            return []
        count = int(np.argmax(rates)) + 1
        while count < len(order) and lasting[count]:
            if net[order[count]] < plain * (costs[count] - costs[count - 1]):
                break
            count += 1
        return order[:count]


def _energy(tree: Tree, fits: Sequence[Fit]) -> Values:
    """What each part has a share in (n,): the expected energy of all coefficients with it, by that of all.

    The expected square of a coefficient is the square of its mean and its variance: what is uncertain counts, too.
    """
    energy = np.zeros(len(tree.parts))
    for fit in fits:
        total = fit.spectrum.variance or 1.0
        doubt = {} if fit.uncertainty is None else fit.uncertainty.deviations
        for features, value in fit.spectrum.coefficients.items():
            expected = (value**2 + doubt.get(features, 0.0) ** 2) / total
            for feature in features:
                energy[feature] += expected / len(fits)
    return energy
