"""Which sets to fit: those that values and slopes speak for most strongly, level by level."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interplay._spectrum.characters import Features
from interplay.estimators._gp.beam import extensions
from interplay.estimators._slopes.observations import Observations, Vector
from interplay.estimators._slopes.solve import shrunk

_BLOCK = 1 << 22  # entries of a block of products: 16 MiB


def propose(
    seen: Observations, weights: Vector, decay: Vector, noise: float, spread: Vector, *, width: int, most: int
) -> list[Features]:
    """The ``most`` nonempty sets of largest posterior mean when each is looked at alone, largest first.

    A value says ``f(m) = sum_S F(S) chi_S(m)``, a slope ``D_h f(m) = -2 sum_{S with h} F(S) chi_{S without h}(m)``,
    and ``chi_{S without h} = z_h chi_S``. So what speaks for S is ``sum_i chi_S(m_i) (a_i + sum_{h in S} b_ih)`` with
    a the values over their noise and b the slopes times -2 z over theirs: for all sets that extend S by one feature
    that takes two matrix products. A beam keeps the ``width`` strongest sets of every order and looks at their
    extensions alone.

    Parameters
    ----------
    weights, decay
        The prior variance of F(S) is ``decay[|S|]`` times the `shrunk` product of the weights of S; sets of up to
        ``len(decay) - 1`` features are looked for.
    noise, spread
        Variances of values, and (n,) of every feature's slopes, around what they speak of.
    """
    signs, n = seen.signs, seen.n
    by_value = (seen.values / noise).astype(np.float32)
    by_slope = (-2.0 * signs * (seen.slopes / spread)).astype(np.float32)
    signed = signs * by_slope
    ids = np.zeros((1, 0), dtype=np.intp)
    characters = np.ones((1, len(signs)), dtype=np.float32)
    inside = np.zeros_like(characters)  # sum of b over the features of each set
    product = np.ones(1)
    found: list[tuple[npt.NDArray[np.intp], Vector]] = []
    for size in range(1, len(decay)):
        scores = np.empty((len(ids), n))
        step = max(1, _BLOCK // len(signs))
        for first in range(0, len(ids), step):
            block = slice(first, first + step)
            chi = characters[block]
            scores[block] = (chi * (by_value + inside[block])) @ signs + chi @ signed
        scores *= decay[size] * shrunk(np.multiply.outer(product, weights), size)
        parent, added, strength = extensions(ids, np.abs(scores))
        ranked = np.argsort(-strength, kind="stable")[:most]
        parent, added = parent[ranked], added[ranked]
        grown = np.sort(np.column_stack([ids[parent], added]), axis=1)
        found.append((grown, strength[ranked]))
        parent, added, ids = parent[:width], added[:width], grown[:width]
        characters = characters[parent] * signs.T[added]
        inside = inside[parent] + by_slope.T[added]
        product = product[parent] * weights[added]
    strengths = np.concatenate([strength for _, strength in found])
    sets = [tuple(row) for rows, _ in found for row in rows.tolist()]
    return [sets[k] for k in np.argsort(-strengths, kind="stable")[:most]]
