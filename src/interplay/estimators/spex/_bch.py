"""Binary BCH codes as a way to name small feature sets: few parity bits from which the set can be computed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from interplay.estimators.spex._galois import Bits, Elements, Field, combine, field_of, independent_rows

_BLOCK = 1 << 22  # entries of the root search held at once: 16 MiB


@dataclass(frozen=True, eq=False)
class Code:
    """A parity-check description, over ``n`` features, from which every set of at most ``t`` of them is decoded.

    Feature i has a locator X_i, an element of GF(2^m). The odd power sums ``S_q = sum_{i in S} X_i^q``,
    q = 1, 3, ..., 2t - 1, are the syndrome of S. Bit r of ``X_i^q`` is one parity row; the rows that are no sums of
    earlier ones are the ``checks``. Those of a smaller t come first.

    Parameters
    ----------
    n
        Features. At most ``2^m - 1``.
    t
        The largest set that is certain to be decoded.
    m
        The field's degree; the smallest that holds n locators when left out.
    exponents
        The locators' logarithms (n,); 0, 1, ..., n - 1 when left out.

    References
    ----------
    Berlekamp, *Algebraic Coding Theory* (1968), chapter 7: the binary decoding algorithm.
    """

    n: int
    t: int
    m: int | None = None
    exponents: npt.NDArray[np.intp] | None = None

    @cached_property
    def field(self) -> Field:
        """The field of the locators."""
        return field_of(max(2, self.n.bit_length()) if self.m is None else self.m)

    @cached_property
    def logs(self) -> npt.NDArray[np.intp]:
        """The logarithms of the locators, (n,)."""
        return np.arange(self.n) if self.exponents is None else self.exponents

    @cached_property
    def rows(self) -> Bits:
        """Every bit of every odd power, (t m, n)."""
        # Odd powers are enough: in characteristic 2, S_2q = S_q^2.
        powers = self.field.power((2 * np.arange(self.t)[:, None] + 1) * self.logs)
        bits = powers[:, None, :] >> np.arange(self.field.m)[None, :, None] & 1
        return np.ascontiguousarray(bits.reshape(-1, self.n).astype(np.uint8))

    @cached_property
    def checks(self) -> Bits:
        """The independent parity rows (P, n): P <= t m."""
        return self.rows[independent_rows(self.rows)]

    def syndrome_map(self, checks: Bits) -> Bits:
        """The matrix (t m, P) that turns parities under ``checks`` (P, n) into the bits of the syndrome."""
        return combine(checks, self.rows)

    def syndromes(self, bits: Bits) -> Elements:
        """S_1, S_3, ... (K, t) from the syndrome's bits (K, t m)."""
        shaped = bits.reshape(len(bits), self.t, self.field.m).astype(np.int32)
        return shaped @ (1 << np.arange(self.field.m, dtype=np.int32))

    def decode(self, syndromes: Elements) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """The sets of at most t features with these ``syndromes`` (K, t).

        Returns ``(which, sets)``: the rows that have such a set, ascending, and for each its features (R, t),
        ascending, padded with n in front of nothing, i.e. at the end. A syndrome belongs to at most one such set;
        rows with none are left out. What a *wrong* syndrome decodes to is wrong without a sign of it: callers
        must check against something else.
        """
        which: list[npt.NDArray[np.intp]] = []
        sets: list[npt.NDArray[np.intp]] = []
        empty = np.flatnonzero(~syndromes.any(axis=1))
        which.append(empty)
        sets.append(np.full((len(empty), self.t), self.n, dtype=np.intp))
        locator, degree = self._locators(syndromes)
        for size in range(1, self.t + 1):
            rows = np.flatnonzero((degree == size) & (locator[:, size] != 0))
            polynomials = locator[rows, size::-1]  # reversed, the roots are the locators themselves; monic
            split = self._splits(polynomials)
            rows, polynomials = rows[split], polynomials[split]
            found = self._roots(polynomials)
            full = (found < self.n).all(axis=1)
            padded = np.full((int(full.sum()), self.t), self.n, dtype=np.intp)
            padded[:, :size] = found[full]
            which.append(rows[full])
            sets.append(padded)
        index = np.concatenate(which)
        order = np.argsort(index, kind="stable")
        return index[order], np.concatenate(sets)[order]

    def _locators(self, syndromes: Elements) -> tuple[Elements, npt.NDArray[np.intp]]:
        """Error-locator polynomials (K, t + 1), lowest power first, and their lengths: Berlekamp-Massey, all at once.

        For binary codes every second discrepancy is zero, so that only t steps are left.
        """
        count, t = syndromes.shape
        multiply = self.field.multiply
        sums = np.zeros((2 * t + 1, count), dtype=np.int32)
        sums[1::2] = syndromes.T
        for q in range(2, 2 * t + 1, 2):
            sums[q] = self.field.square(sums[q // 2])
        current = np.zeros((t + 1, count), dtype=np.int32)
        current[0] = 1
        previous = np.zeros_like(current)
        previous[1:2] = 1  # the last other polynomial, already shifted by x and divided by its discrepancy
        length = np.zeros(count, dtype=np.intp)
        for step in range(t):
            discrepancy = sums[2 * step + 1].copy()
            for i in range(1, min(t, 2 * step) + 1):
                discrepancy ^= multiply(current[i], sums[2 * step + 1 - i])
            # Massey's rule: no recurrence of this length is left, and the shortest has 2 step + 1 - length.
            grows = (discrepancy != 0) & (length <= step)
            updated = current.copy()
            for i in range(1, t + 1):
                updated[i] ^= multiply(discrepancy, previous[i])
            scaled = multiply(current, self.field.inverse(discrepancy)[None, :])
            previous = np.where(grows, scaled, previous)
            length = np.where(grows, 2 * step + 1 - length, length)
            current = updated
            previous[2:] = previous[:-2].copy()  # two steps at once: times x^2
            previous[:2] = 0
        return np.ascontiguousarray(current.T), length

    def _splits(self, polynomials: Elements) -> npt.NDArray[np.bool_]:
        """Whether each polynomial (K, d + 1), lowest power first and monic, has d distinct roots in GF(2^m).

        It has if and only if it divides ``x^(2^m) - x``; squaring is linear, so m small steps tell, against a search
        over all elements. Of random polynomials one in d! has.
        """
        count, degree = len(polynomials), polynomials.shape[1] - 1
        if degree == 1 or not count:
            return np.ones(count, dtype=np.bool_)
        multiply = self.field.multiply
        low = np.ascontiguousarray(polynomials[:, :degree].T)
        # x^p mod the polynomial, p < 2 d - 1: all that a squared remainder holds.
        powers = [np.zeros((degree, count), dtype=np.int32) for _ in range(degree)]
        for p in range(degree):
            powers[p][p] = 1
        for p in range(degree, 2 * degree - 1):
            shifted = np.zeros((degree, count), dtype=np.int32)
            shifted[1:] = powers[p - 1][:-1]
            powers.append(shifted ^ multiply(low, powers[p - 1][-1]))
        image = powers[1]  # x, to be squared m times: x^(2^m)
        for _ in range(self.field.m):
            squares = self.field.square(image)
            image = np.zeros((degree, count), dtype=np.int32)
            for p in range(degree):
                if 2 * p < degree:
                    image[2 * p] ^= squares[p]
                else:
                    image ^= multiply(powers[2 * p], squares[p])
        return np.asarray((image == powers[1]).all(axis=0))

    def _roots(self, polynomials: Elements) -> npt.NDArray[np.intp]:
        """The features (K, d) whose locators are roots of the polynomials (K, d + 1), ascending; n where they lack."""
        count, degree = len(polynomials), polynomials.shape[1] - 1
        found = np.full((count, degree), self.n, dtype=np.intp)
        # Horner's rule at every locator (Chien 1964 walks through them by powers): n is small enough for whole arrays.
        locators = self.field.power(self.logs)
        step = max(1, _BLOCK // self.n)
        for start in range(0, count, step):
            block = polynomials[start : start + step]
            value = np.repeat(block[:, degree, None], self.n, axis=1)
            for power in range(degree - 1, -1, -1):
                value = self.field.multiply(value, locators[None, :]) ^ block[:, power, None]
            rows, features = np.nonzero(value == 0)
            place = np.arange(len(rows)) - np.searchsorted(rows, rows)
            found[start + rows, place] = features
        return found
