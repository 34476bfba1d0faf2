"""Arithmetic in GF(2^m) on whole arrays, and linear algebra over GF(2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Elements: TypeAlias = npt.NDArray[np.int32]
"""Elements of GF(2^m): integers whose bit r is the coefficient of x^r."""
Bits: TypeAlias = npt.NDArray[np.uint8]
"""Zeros and ones."""

# Primitive polynomials over GF(2), m = 1..16, bit r the coefficient of x^r: x generates every nonzero element. They
# are the ones that MATLAB and galois use for BCH codes, so that results can be compared.
_PRIMITIVE = (
    *(0b11, 0b111, 0b1011, 0b10011, 0b100101, 0b1000011, 0b10001001, 0b100011101, 0b1000010001),
    *(
        0b10000001001,
        0b100000000101,
        0b1000001010011,
        0b10000000011011,
        0b100010001000011,
        0b1000000000000011,
        0b10001000000001011,
    ),
)


@dataclass(frozen=True)
class Field:
    """GF(2^m), 1 <= m <= 16, by tables of powers and logarithms of the generator x.

    >>> field = Field(4)
    >>> field.multiply(field.power([3, 7]), field.inverse(field.power([3, 7])))
    array([1, 1], dtype=int32)
    """

    m: int

    @property
    def order(self) -> int:
        """The number of nonzero elements."""
        return (1 << self.m) - 1

    @cached_property
    def _tables(self) -> tuple[Elements, Elements]:
        """Powers and logarithms. log 0 points behind all sums of two logarithms, where the powers are 0."""
        # log 0 is 2 order: added to any logarithm, and to itself, it lands between 2 order and 4 order, in the zeros.
        # The powers stand twice, so that the sum of two proper logarithms needs no remainder.
        order, modulus = self.order, _PRIMITIVE[self.m - 1]
        powers = np.zeros(6 * order + 1, dtype=np.int32)
        logs = np.full(order + 1, 2 * order, dtype=np.int32)
        element = 1
        for exponent in range(order):
            powers[exponent] = powers[exponent + order] = element
            logs[element] = exponent
            element <<= 1  # times x; where that has degree m, it is reduced by the primitive polynomial
            if element >> self.m:
                element ^= modulus
        return powers, logs

    def power(self, exponents: npt.ArrayLike) -> Elements:
        """x to each of ``exponents`` (non-negative integers)."""
        powers = self._tables[0]
        return np.asarray(powers[np.asarray(exponents, dtype=np.int64) % self.order])

    def multiply(self, a: Elements, b: Elements) -> Elements:
        """The products, elementwise."""
        powers, logs = self._tables
        return np.asarray(powers[logs[a] + logs[b]])

    def square(self, a: Elements) -> Elements:
        """The squares, elementwise."""
        powers, logs = self._tables
        return np.asarray(powers[2 * logs[a]])

    def inverse(self, a: Elements) -> Elements:
        """The inverses of nonzero elements; the value for 0 is meaningless."""
        powers, logs = self._tables
        return np.asarray(powers[(self.order - logs[a]) % self.order])


@lru_cache(maxsize=32)
def field_of(m: int) -> Field:
    """The one `Field` of m, so that its tables are made once."""
    return Field(m)


def independent_rows(rows: Bits) -> npt.NDArray[np.intp]:
    """Which ``rows`` (R, n) are not sums of earlier ones, ascending."""
    # Gaussian elimination with rows as Python integers: an exclusive or takes one step however long they are.
    kept: list[int] = []
    reduced: list[tuple[int, int]] = []  # (leading bit, row) of every kept row, as Python integers
    for index, row in enumerate(rows):
        value = int.from_bytes(np.packbits(row).tobytes(), "big")
        for lead, other in reduced:
            if value >> lead & 1:
                value ^= other
        if value:
            reduced.append((value.bit_length() - 1, value))
            kept.append(index)
    return np.array(kept, dtype=np.intp)


def combine(basis: Bits, rows: Bits) -> Bits:
    """An X (R, P) over GF(2) with ``X basis = rows``, for basis (P, n) and rows (R, n) in its span.

    Raises
    ------
    ValueError
        Where a row is no sum of rows of the basis.
    """
    count = len(basis)
    work = np.concatenate([basis.T, rows.T], axis=1).astype(np.uint8)  # solve basis^T x = row^T for every row
    solution = np.zeros((count, len(rows)), dtype=np.uint8)
    pivots: list[int] = []
    for column in range(count):
        at = len(pivots)
        below = np.flatnonzero(work[at:, column])
        if not len(below):
            continue  # a sum of earlier rows: not needed
        work[[at, at + below[0]]] = work[[at + below[0], at]]
        others = work[:, column].astype(bool)
        others[at] = False
        work[others] ^= work[at]
        pivots.append(column)
    if work[len(pivots) :, count:].any():  # 0 = 1: no solution
        raise ValueError("a row is no sum of rows of the basis")
    solution[pivots] = work[: len(pivots), count:]
    return np.ascontiguousarray(solution.T)
