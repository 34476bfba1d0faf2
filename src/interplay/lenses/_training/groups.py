"""Groups of training examples, to be kept or left out together."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError


def groups_of(marks: Iterable[object]) -> dict[str, list[int]]:
    """Examples by class, source, cluster or any other mark that each of them carries, in order of appearance.

    >>> groups_of(["web", "book", "web"])
    {'web': [0, 2], 'book': [1]}
    """
    groups: dict[str, list[int]] = {}
    for position, mark in enumerate(marks):
        groups.setdefault(str(mark), []).append(position)
    if not groups:
        raise InputError("there are no examples to group.")
    return groups


def near_duplicates(rows: npt.ArrayLike, within: float) -> dict[str, list[int]]:
    """Groups of examples no further than ``within`` (Euclidean) from one another, step by step; most hold one.

    >>> near_duplicates([[0.0], [5.0], [0.1]], within=0.2)
    {'example 0 + 1 more': [0, 2], 'example 1': [1]}

    Parameters
    ----------
    rows
        One row of numbers (or embedding) per example, (N, d).
    within
        The largest distance of two examples that count as duplicates; 0 for exact ones.
    """
    array = np.asarray(rows, dtype=np.float64)
    if array.ndim != 2 or not len(array) or not np.isfinite(array).all():
        raise InputError(f"rows must be finite numbers of shape (N, d), not {array.shape}.")
    if within < 0:
        raise InputError(f"within must be a distance of at least 0, not {within}.")
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    pairs = cKDTree(array).query_pairs(within, output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(array), len(array)))
    _, component = connected_components(links, directed=False)
    members: dict[int, list[int]] = {}
    for position, part in enumerate(component.tolist()):
        members.setdefault(part, []).append(position)
    return {
        f"example {group[0]}" + (f" + {len(group) - 1} more" if len(group) > 1 else ""): group
        for group in members.values()
    }
