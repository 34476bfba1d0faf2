"""Samples of a design folded into bins: which sets share a bin, how strongly each one shows, and what they predict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._spectrum.characters import walsh_hadamard
from interplay.estimators.spex._design import Design

Sets: TypeAlias = npt.NDArray[np.intp]
"""Sets of features, (K, w): ascending ids, then n as often as needed."""
Grid: TypeAlias = npt.NDArray[np.float64]
"""One number per cell (2^b, C, P + 1): of each l before a transform, of each bin j after."""


@dataclass(frozen=True, eq=False)
class Bins:
    """The geometry of a design of dimension ``bits``: the bin and the signs of every set.

    In group c a set k falls into the bin ``M_c^T k`` and shows there with the sign ``(-1)^<d_p, k>`` at delay p.
    Both are sums over features, so any set's follow from its features'.
    """

    design: Design
    bits: int

    @cached_property
    def index(self) -> npt.NDArray[np.intp]:
        """The bin of every single feature, and of the empty set as feature n; (C, n + 1)."""
        design = self.design
        powers = 1 << np.arange(self.bits)
        index = np.zeros((design.groups, design.n + 1), dtype=np.intp)
        for c in range(design.groups):
            index[c, :-1] = design.matrix(c, self.bits).astype(np.intp) @ powers
        return index

    @cached_property
    def signs(self) -> npt.NDArray[np.float32]:
        """The signs of every single feature, and of the empty set as feature n; (n + 1, P + 1)."""
        signs = np.ones((self.design.n + 1, len(self.design.delays)), dtype=np.float32)
        signs[:-1] -= 2 * self.design.delays.T.astype(np.float32)
        return signs

    def place(self, sets: Sets) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        """The bins (C, K) and signs (K, P + 1) of ``sets``."""
        index = np.zeros((self.design.groups, len(sets)), dtype=np.intp)
        signs = np.ones((len(sets), self.signs.shape[1]), dtype=np.float32)
        for column in sets.T:
            index ^= self.index[:, column]  # M_c^T k is linear over GF(2), and characters multiply
            signs *= self.signs[column]
        return index, signs

    def predict(self, sets: Sets, coefficients: npt.NDArray[np.float64]) -> Grid:
        """The value of every cell, of the function with these coefficients."""
        from scipy.sparse import csr_array

        # Along l a character is (-1)^<l, M_c^T k>: it depends on the bin alone. So coefficients that share a bin are
        # added up, each with its sign at every delay, and one transform over bins gives all values.
        index, signs = self.place(sets)
        size, count = 1 << self.bits, len(sets)
        folded = np.zeros((size, self.design.groups, signs.shape[1]))
        for c in range(self.design.groups):
            spread = csr_array((coefficients, (index[c], np.arange(count))), shape=(size, count))
            folded[:, c] = spread @ signs.astype(np.float64)
        return walsh_hadamard(folded)

    def correlate(self, sets: Sets, folded: Grid) -> npt.NDArray[np.float64]:
        """The sum over all cells of a transformed grid, each with the sign of every set: (K,)."""
        index, signs = self.place(sets)
        total = np.zeros(len(sets))
        for c in range(self.design.groups):
            total += np.einsum("kp,kp->k", folded[index[c], c], signs)
        return total

    def least_squares(
        self, sets: Sets, values: Grid, weights: Grid, start: npt.NDArray[np.float64] | None = None
    ) -> npt.NDArray[np.float64]:
        """Coefficients (K,) that fit the weighted cells best, by conjugate gradients on the normal equations."""
        solution = np.zeros(len(sets)) if start is None else start.copy()
        # The Gram matrix is never made: a product with it is a prediction and a correlation, two fast transforms.
        scale = weights.sum()
        missing = values - self.predict(sets, solution) if solution.any() else values
        residual = self.correlate(sets, walsh_hadamard(weights * missing)) / scale
        direction, norm = residual.copy(), float(residual @ residual)
        target = 1e-26 * max(float((weights * values**2).sum() / scale), 1e-300)
        for _ in range(60):  # characters are almost orthogonal over the cells, so the condition number is small
            if norm <= target:
                break
            image = self.correlate(sets, walsh_hadamard(weights * self.predict(sets, direction))) / scale
            step = norm / float(direction @ image)
            solution += step * direction
            residual -= step * image
            previous, norm = norm, float(residual @ residual)
            direction = residual + norm / previous * direction
        return solution


@dataclass(frozen=True)
class Evidence:
    """How strongly sets show in the bins of a residual.

    Attributes
    ----------
    shares
        Each group's own estimate of each coefficient, (C, K).
    variances
        What is left of each bin beside it, mean square per delay, (C, K), not below the floor of noise.
    fractions
        The same as a share of the bin's energy, without the floor, (C, K).
    delays
        P + 1.
    """

    shares: npt.NDArray[np.float64]
    variances: npt.NDArray[np.float64]
    fractions: npt.NDArray[np.float64]
    delays: int

    def scores(self, without: npt.NDArray[np.intp] | None = None) -> npt.NDArray[np.float64]:
        """The groups' estimate in standard errors, (K,), quieter bins weighing more; ``without`` (K,) leaves one out.

        A set decoded from a bin fits that bin's noise, so only the other groups can confirm it.
        """
        # A share is a mean over P + 1 delays; groups are weighed by inverse variance, the best linear estimate.
        precision = self.delays / self.variances
        if without is not None:
            precision = precision.copy()
            precision[without, np.arange(precision.shape[1])] = 0.0
        total = precision.sum(axis=0)
        # The root is at most sqrt(1 / tiny); an empty total means that there is no other group.
        return np.asarray(np.abs((self.shares * precision).sum(axis=0)) / np.sqrt(np.maximum(total, 1e-300)))


@dataclass(frozen=True, eq=False)
class Residual:
    """A transformed residual, ready to be asked about sets: ``folded`` (2^b, C, P + 1) in units of coefficients."""

    bins: Bins
    folded: Grid

    @cached_property
    def energy(self) -> npt.NDArray[np.float64]:
        """The mean square over delays of every bin, (2^b, C)."""
        return np.asarray((self.folded**2).mean(axis=2))

    @cached_property
    def _compact(self) -> npt.NDArray[np.float32]:
        return self.folded.astype(np.float32)

    @cached_property
    def floor(self) -> float:
        """A little variance that every bin is given, so that few delays cannot look like none at all."""
        return float(self.energy.mean()) / (1 + len(self.bins.design.delays))

    def about(self, sets: Sets) -> Evidence:
        """The evidence for ``sets``."""
        index, signs = self.bins.place(sets)
        shares = np.stack(
            [
                np.einsum("kp,kp->k", self._compact[index[c], c], signs) / signs.shape[1]
                for c in range(self.bins.design.groups)
            ]
        ).astype(np.float64)
        return self._evidence(shares, index)

    def extensions(self, bases: Sets) -> npt.NDArray[np.float32]:
        """The scores (B, n) of ``bases`` (B, w), each with every feature added, or taken away where it has it.

        Bases of one bin meet a feature in the same bin, so that bin's signals times the feature's signs serve all of
        them, by one matrix product. Scores rank and filter candidates; single precision does.
        """
        index, signs = self.bins.place(bases)
        n, delays = self.bins.design.n, self.bins.signs.shape[1]
        single = self.bins.signs[:n]
        weighted, total = np.zeros((2, len(bases), n), dtype=np.float32)
        floor = np.float32(max(self.floor, 1e-30))  # where nothing is left at all, nothing is clear
        for c in range(self.bins.design.groups):
            energy = self.energy[:, c].astype(np.float32)
            for place in np.unique(index[c]):
                rows = np.flatnonzero(index[c] == place)
                places = place ^ self.bins.index[c, :n]
                shares = signs[rows] @ (self._compact[places, c] * single * np.float32(1 / delays)).T
                precision = shares * shares  # and in place from here on: passes over memory are what this costs
                np.subtract(energy[places], precision, out=precision)
                np.maximum(precision, 0.0, out=precision)
                precision += floor
                np.divide(np.float32(delays), precision, out=precision)
                shares *= precision
                weighted[rows] += shares
                total[rows] += precision
        return np.asarray(np.abs(weighted) / np.sqrt(np.maximum(total, np.float32(1e-30))))

    def _evidence(self, shares: npt.NDArray[np.float64], index: npt.NDArray[np.intp]) -> Evidence:
        energy = np.stack([self.energy[index[c], c] for c in range(len(index))])
        left = np.maximum(energy - shares**2, 0.0)  # Pythagoras: the share is a projection of the bin's signals
        fractions = left / np.maximum(energy, 1e-300)
        return Evidence(shares, left + max(self.floor, 1e-300), fractions, self.bins.signs.shape[1])
