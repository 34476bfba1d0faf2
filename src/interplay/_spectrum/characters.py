"""The Walsh-Fourier basis: its characters at masks, and the fast transform."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game.masks import Masks, Values

Features: TypeAlias = tuple[int, ...]
"""A set of features: their ids, ascending."""


def characters(signs: npt.NDArray[np.int8], ids: npt.NDArray[np.intp]) -> npt.NDArray[np.int8]:
    """chi_S(m) for K sets ``ids`` (K, d) of one order over N masks whose ``signs`` (n, N) are -1 where kept; (K, N)."""
    product = np.ones((len(ids), signs.shape[1]), dtype=np.int8)
    for column in range(ids.shape[1]):
        product *= signs[ids[:, column]]
    return product


def characters_of(signs: npt.NDArray[np.int8], sets: Sequence[Features]) -> npt.NDArray[np.int8]:
    """chi_S(m) for K ``sets`` of any orders over N masks whose ``signs`` (n, N) are -1 where kept; (K, N)."""
    out = np.empty((len(sets), signs.shape[1]), dtype=np.int8)
    for rows, ids in by_size(sets):
        out[rows] = characters(signs, ids)
    return out


def by_size(sets: Sequence[Features]) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Sets of any orders as arrays: for each order d that occurs which of them have it (K,), and their ids (K, d)."""
    sizes = np.array([len(features) for features in sets])
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        yield rows, np.array([sets[k] for k in rows.tolist()], dtype=np.intp).reshape(len(rows), size)


def signs_of(masks: Masks) -> npt.NDArray[np.int8]:
    """(n, N) of -1 where kept and +1 where ablated: the layout `characters` reads fastest."""
    return np.ascontiguousarray(np.where(masks.T, np.int8(-1), np.int8(1)))


def walsh_hadamard(values: Values) -> Values:
    """The fast Walsh-Hadamard transform along axis 0 of length 2^b: ``out[k] = sum_l (-1)^<k,l> values[l]``."""
    out = np.array(values, dtype=np.float64)
    length = len(out)
    if length & (length - 1) or not length:
        raise InputError(f"a Walsh-Hadamard transform needs a power of two, not length {length}.")
    tail = out.shape[1:]
    half = 1
    while half < length:
        pairs = out.reshape(length // (2 * half), 2, half, *tail)
        low, high = pairs[:, 0].copy(), pairs[:, 1]
        pairs[:, 0] += high
        pairs[:, 1] = low - high
        half *= 2
    return out
