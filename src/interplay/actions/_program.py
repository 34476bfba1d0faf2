"""The best set of toggled parts as an integer linear program, solved by HiGHS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import comb

import numpy as np

from interplay._game.masks import Values
from interplay._spectrum.characters import Features
from interplay.actions._toggles import Toggles


@dataclass(frozen=True)
class Optimum:
    """The set of least value that was found, None where there was none, and the ``bound`` below which none can lie."""

    chosen: Features | None
    value: float
    bound: float


@dataclass
class _Rows:
    """Sparse constraints ``low <= A x <= high``, row by row."""

    row: list[int]
    column: list[int]
    entry: list[float]
    low: list[float]
    high: list[float]

    def add(self, entries: Iterable[tuple[int, float]], low: float, high: float) -> None:
        for column, entry in entries:
            self.row.append(len(self.low))
            self.column.append(column)
            self.entry.append(entry)
        self.low.append(low)
        self.high.append(high)


def least(
    toggles: Toggles,
    most: int,
    *,
    beyond: Iterable[Collection[int]] = (),
    other: Iterable[Features] = (),
    weights: Values | None = None,
    capacity: float | None = None,
    seconds: float = 2.0,
) -> Optimum:
    """Minimise the polynomial over sets of 1 to ``most`` parts.

    Exact linearisation: each product of parts U is a variable y in [0, 1] with ``y <= x_i``, where the objective
    wants it large, and ``y >= sum x_i - |U| + 1``, where it wants it small; so y is the product at every whole x.
    As at most k parts are chosen, a chosen part lies in at most ``C(k-1, |U|-1)`` products of its order: this
    tightens the relaxation by orders of magnitude.

    Parameters
    ----------
    beyond
        Sets that the chosen one must not contain.
    other
        Sets that the chosen one must not be.
    weights, capacity
        The sum of ``weights`` (count,) over the chosen parts must not be above ``capacity``.
    seconds
        When to stop; ``bound`` then says how much better a set might be.
    """
    from scipy import sparse
    from scipy.optimize import Bounds, LinearConstraint, milp

    count = toggles.count
    products = [(key, value) for key, value in toggles.terms.items() if len(key) > 1 and value]
    objective = np.zeros(count + len(products))
    rows = _Rows([], [], [], [], [])
    touching: dict[tuple[int, int], list[int]] = defaultdict(list)
    for key, value in toggles.terms.items():
        if len(key) == 1:
            objective[key[0]] = value
    for column, (key, value) in enumerate(products, start=count):
        objective[column] = value
        # The objective pulls y down where its value is positive and up where it is negative: one bound each is enough.
        if value > 0:
            rows.add([(column, 1.0), *((part, -1.0) for part in key)], 1.0 - len(key), np.inf)
            continue
        for part in key:
            rows.add([(column, 1.0), (part, -1.0)], -np.inf, 0.0)
            touching[part, len(key)].append(column)
    # The sum of all y that hold a part is at most C(k-1, |U|-1) times x: implied by whole x, not by fractional ones.
    for (part, size), columns in touching.items():
        limit = comb(most - 1, size - 1)
        if len(columns) > limit:
            rows.add([*((column, 1.0) for column in columns), (part, -float(limit))], -np.inf, 0.0)
    # Sets are of 1 to k parts; containing one of ``beyond`` would make the sum over its parts its whole size.
    everything = [(part, 1.0) for part in range(count)]
    rows.add(everything, 1.0, float(most))
    for chosen in beyond:
        rows.add([(part, 1.0) for part in chosen], -np.inf, len(chosen) - 1.0)
    for chosen in other:  # parts inside count up and parts outside down, so only the set itself reaches its own size
        rows.add([(part, 1.0 if part in chosen else -1.0) for part in range(count)], -np.inf, len(chosen) - 1.0)
    if weights is not None and capacity is not None:
        rows.add(list(enumerate(weights.tolist())), -np.inf, capacity)
    matrix = sparse.csr_array((rows.entry, (rows.row, rows.column)), shape=(len(rows.low), len(objective)))
    solved = milp(
        objective,
        integrality=(np.arange(len(objective)) < count).astype(np.intp),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, rows.low, rows.high),
        options={"time_limit": seconds},
    )
    # At the time limit the dual bound still holds: no set can lie below it, whether or not one was found.
    constant = toggles.terms.get((), 0.0)
    bound = solved.mip_dual_bound
    low = -np.inf if bound is None else constant + bound
    if solved.status == 2:  # infeasible: every set is excluded
        return Optimum(None, np.inf, np.inf)
    if solved.x is None:
        return Optimum(None, np.inf, low)
    chosen = tuple(np.flatnonzero(solved.x[:count] > 0.5).tolist())
    return Optimum(chosen, float(toggles.at(np.array([chosen], dtype=np.intp))[0]), low)
