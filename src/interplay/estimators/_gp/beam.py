"""The strongest Walsh-Fourier coefficients of a Gaussian process, level by level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from interplay._spectrum.characters import Features
from interplay.estimators._gp.hyper import Hyper, Signs
from interplay.estimators._gp.prior import Prior

_BLOCK = 1 << 22  # entries of a block of products: 32 MiB


def strongest(
    signs: Signs, hypers: Sequence[Hyper], alphas: Signs, *, order: int, width: int, most: int
) -> dict[Features, float]:
    """The largest posterior means F(S) of nonempty sets of at most ``order`` features, largest first.

    ``F(S) = mean over draws of Var F(S) sum_i alpha_i chi_S(m_i)`` is known for every S; all sets that
    extend S by one feature cost one matrix product. A beam search keeps the ``width`` strongest sets of every order
    and looks only at their extensions: a strong set none of whose subsets is strong at all can be missed.

    Parameters
    ----------
    signs
        (N, n), +1 where ablated.
    hypers, alphas
        D draws of hyper-parameters and their K^-1 y, (D, N).
    width, most
        How many sets of one order are extended, and how many sets are returned at most.
    """
    count, n = signs.shape
    priors = [Prior.of(hyper) for hyper in hypers]
    ids = np.zeros((1, 0), dtype=np.intp)
    characters = np.ones((1, count), dtype=np.float32)
    decay = np.stack([prior.w for prior in priors])  # (D, n)
    scale = np.array([hyper.constant for hyper in hypers]) / len(hypers)
    product = scale[:, None]  # (D, sets): c prod w_j, divided by the number of draws
    single = signs.astype(np.float32)
    light = alphas.astype(np.float32)
    found_ids: list[npt.NDArray[np.intp]] = []
    found: list[npt.NDArray[np.float64]] = []
    for level in range(min(order, n)):
        means = np.zeros((len(ids), n))
        step = max(1, _BLOCK // count)
        for first in range(0, len(ids), step):
            block = slice(first, first + step)
            # sum_i alpha_i chi_{S + j}(m_i) for all S of the block and all j: chi_{S + j} = chi_S z_j.
            for draw, prior in enumerate(priors):
                sums = (characters[block] * light[draw]) @ single
                factors = prior.factors_extended(ids[block], prior.factors(ids[block]))
                means[block] += product[draw, block, None] * decay[draw] * factors * sums
        parent, added, means_of = extensions(ids, means)
        ranked = np.argsort(-np.abs(means_of), kind="stable")[:most]
        parent, added = parent[ranked], added[ranked]
        grown = np.sort(np.column_stack([ids[parent], added]), axis=1)
        found_ids.append(grown)
        found.append(means_of[ranked])
        if level + 1 < order:
            front = slice(0, width)
            parent, added, ids = parent[front], added[front], grown[front]
            characters = characters[parent] * single.T[added]
            # Prior variances are products, so a set's is its parent's times one w_j, but for what neighbours add.
            product = product[:, parent] * decay[:, added]
    return _merge(found_ids, found, most)


def extensions(
    ids: npt.NDArray[np.intp], means: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Every set that extends one of ``ids`` (B, d) by one feature, once: parents, added features, means."""
    size, n = means.shape
    fresh = np.ones((size, n), dtype=np.bool_)  # a set is reached from several parents, and counts once
    fresh[np.arange(size)[:, None], ids] = False
    parent, added = np.nonzero(fresh)
    grown = np.sort(np.column_stack([ids[parent], added]), axis=1)
    # Ascending ids as digits in base n are unique; where they do not fit 62 bits, Python's own integers hold them.
    key = np.zeros(len(grown), dtype=object if n ** grown.shape[1] >= 1 << 62 else np.int64)
    for column in grown.T:
        key = key * n + column
    _, first = np.unique(key, return_index=True)
    return parent[first], added[first], means[parent[first], added[first]]


def _merge(ids: list[npt.NDArray[np.intp]], means: list[npt.NDArray[np.float64]], most: int) -> dict[Features, float]:
    every = [tuple(row) for level in ids for row in level.tolist()]
    values = np.concatenate(means)
    ranked = np.argsort(-np.abs(values), kind="stable")[:most]
    return {every[k]: float(values[k]) for k in ranked}
