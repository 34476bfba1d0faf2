"""SPEX: interactions of any pattern from designed masks, by error-correcting decoding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._faithfulness import choose, folds
from interplay._game import Masks, Values
from interplay._spectrum import Features, Spectrum, walsh_hadamard
from interplay.estimators._base import Estimator, Recovery, all_masks
from interplay.estimators._exact import Exact
from interplay.estimators.spex._bins import Bins, Grid, Residual
from interplay.estimators.spex._decode import Decoder, Support, neighbours, pad, peel
from interplay.estimators.spex._design import FEWEST_BITS, Found, delays_of, design_from, recognise
from interplay.estimators.spex._refit import character_columns, describe, moments_of, solutions

_EXHAUSTIVE = 16  # up to so many features, a budget that covers all masks is spent on all masks
_NEAR = 2.5  # standard errors from which a neighbour of the found sets may enter the refit
_NEIGHBOURS = 400  # of them, at most
_NEGLIGIBLE = 1e-10  # of the largest coefficient: rounding


@dataclass(frozen=True)
class SPEX(Estimator):
    """Coded ablations and a sparse Walsh-Hadamard transform (Kang et al., ICML 2025, arXiv 2502.13870).

    ``C 2^b (P + 1)`` masks fold the spectrum into bins; a bin with one strong coefficient shows, as signs, the
    parities of its set under a BCH code, from which the set is decoded, whether or not its subsets matter. Sets are
    peeled off, strongest evidence first, then refitted to the raw values.

    >>> import interplay as ip
    >>> def parity(masks):                      # five features that matter only all together
    ...     return 1.0 - 2.0 * (masks[:, [2, 11, 17, 23, 39]].sum(axis=1) % 2)
    >>> result = ip.explain(parity, labels=40, budget=800, method="spex")
    >>> dict(result.spectrum.top(1).coefficients)[2, 11, 17, 23, 39]
    1.0

    A tenth of the masks is held out, as if it had never been measured: with those, the refit is chosen and the
    faithfulness measured; then everything is repeated, from what was found, with all masks.

    Parameters
    ----------
    b
        Subsampling dimension; the largest that the budget allows when None. What is left of the budget is spent on
        masks of the next dimension, so that a larger budget always continues a smaller one; with a ``b`` of one's
        own nothing is left over.
    groups
        C, the number of subsampling matrices.
    t
        The largest set that the delays are certain to name.
    soft
        Whether unreliable signs are flipped in search of a set (Chase decoding).
    held_out
        The share of masks held out.
    """

    name: ClassVar[str] = "spex"
    b: int | None = None
    groups: int = 3
    t: int = 5
    soft: bool = True
    held_out: float = 0.1

    def __post_init__(self) -> None:
        for name, value, least in (("groups", self.groups, 1), ("t", self.t, 1), ("b", self.b, 1)):
            if value is not None and value < least:
                raise InputError(f"SPEX needs {name} >= {least}, not {value}.")
        if not 0.02 <= self.held_out <= 0.5:
            raise InputError(f"SPEX holds out a share of 0.02 to 0.5 of the masks, not {self.held_out}.")

    def cost(self, n: int, b: int) -> int:
        """The masks of a design of dimension ``b`` over n features: ``C 2^b (P + 1)``; fewer where they coincide."""
        return self.groups * len(delays_of(n, self.t)) << b

    def dimension(self, n: int, budget: int) -> int:
        """The b that ``budget`` allows.

        Raises
        ------
        InputError
            Where it allows none.
        """
        least = min(FEWEST_BITS, n) if self.b is None else self.b
        if least > n:
            raise InputError(f"SPEX cannot have b = {least} over {n} features: choose b <= {n}.")
        needed = min(self.cost(n, least), 1 << n) if self.b is None else self.cost(n, least)
        if budget < needed:
            raise InputError(
                f"spex needs at least {needed} ablations for {n} features "
                f"(C = {self.groups} groups, t = {self.t}, b = {least}), but the budget is {budget}: "
                "raise it, or choose method='proxyspex' or 'auto', which work with any budget."
            )
        b = least
        while self.b is None and b < n and self.cost(n, b + 1) <= budget:
            b += 1
        return b

    def design(self, n: int, budget: int, seed: int) -> Masks:
        """The masks of the largest design that fits, then masks of the next one, up to ``budget`` distinct masks."""
        b = self.dimension(n, budget)
        if n <= _EXHAUSTIVE and 1 << n <= budget and self.b is None:
            return all_masks(n)
        design = design_from(n, seed, bits=b, groups=self.groups, strength=self.t)
        rows = design.sequence(budget, b if self.b is not None else None)
        return np.unpackbits(rows, axis=1, count=n).astype(np.bool_)

    def fit(self, masks: Masks, values: Values, *, order: int, seed: int) -> Recovery:
        """Recognise the design in ``masks`` (N, n), decode it and refit what was found.

        Raises
        ------
        InputError
            Where the masks contain no design of SPEX.
        """
        n = masks.shape[1]
        if n <= _EXHAUSTIVE and len(masks) == 1 << n:
            return Exact().fit(masks, values, order=order, seed=seed)
        found = _recognised(np.packbits(masks, axis=1).tobytes(), *masks.shape)
        if found is None:
            raise InputError(
                f"these {len(masks)} masks are no SPEX design: measure those of ip.design({n}, budget, method='spex'), "
                "or fit these with method='auto', which takes any masks."
            )
        return recover(self, found, masks, values, order=min(order, n), seed=seed)


@lru_cache(maxsize=1)
def _recognised(packed: bytes, count: int, n: int) -> Found | None:
    """Recognition depends on the masks alone, so all outputs of one set of ablations share it."""
    rows = np.frombuffer(packed, dtype=np.uint8).reshape(count, -1)
    return recognise(np.unpackbits(rows, axis=1, count=n).astype(np.bool_))


def recover(options: SPEX, found: Found, masks: Masks, values: Values, *, order: int, seed: int) -> Recovery:
    """The spectrum behind ``values`` at ``masks``, some of which are the cells of the design that was ``found``."""
    design = found.design
    decoder = Decoder(design, order, options.soft)
    cells = np.ascontiguousarray(found.cells[:, :, : 1 << design.bits].transpose(2, 0, 1))
    centre = float(values.mean())
    centred = values - centre
    part = folds(len(values), seed, round(1 / options.held_out))
    train = part != 0
    test = np.flatnonzero(~train)

    sets, residual = peel(decoder, *_grid(cells, centred, train))
    keys = _candidates(sets, residual, order, int(train.sum()))
    moments = moments_of(keys, masks[train], centred[train])
    tried = solutions(moments)
    columns = character_columns(keys, masks[test]).astype(np.float64)
    predicted = (columns @ tried).T
    errors = (predicted - centred[test]) ** 2
    best, chosen = choose(errors, folds(len(test), seed))

    strong = {key: sets.get(key, "near what was found") for key, w in zip(keys, tried[:, best], strict=True) if w}
    sets, residual = peel(decoder, *_grid(cells, centred, np.ones(len(values), dtype=np.bool_)), start=strong)
    keys = _candidates(sets, residual, order, len(values))
    weights = solutions(moments_of(keys, masks, centred))[:, best]
    limit = _NEGLIGIBLE * max(float(np.abs(weights).max()), abs(centre))
    coefficients = {key: float(w) for key, w in zip(keys, weights, strict=True) if abs(w) > limit}
    coefficients[()] = coefficients.get((), 0.0) + centre
    spectrum = Spectrum(design.n, dict(sorted(coefficients.items(), key=lambda item: (len(item[0]), item[0]))))
    grid, measured = _grid(cells, values, np.ones(len(values), dtype=np.bool_))
    count = len(design.delays) - 1
    notes = (
        f"spex: b = {design.bits}, C = {design.groups} groups, t = {design.strength} (P = {count} delays); "
        f"{len(keys)} candidate sets, refit by {describe(best)}",
    )
    return Recovery(
        spectrum,
        unseen=predicted[chosen, np.arange(len(test))] + centre,
        how=f"{len(test)} of {len(values)} ablations held out of decoding and refit",
        order=order,
        rows=test,
        notes=notes,
        evidence=_evidence(decoder, spectrum, sets, grid, measured),
    )


def _grid(cells: npt.NDArray[np.intp], values: Values, usable: npt.NDArray[np.bool_]) -> tuple[Grid, Grid]:
    """The values of all cells, and 1 where a cell was measured and is ``usable`` (N,), else 0."""
    known = (cells >= 0) & usable[cells]
    return np.where(known, values[cells], 0.0), known.astype(np.float64)


def _candidates(sets: Mapping[Features, str], residual: Residual, order: int, count: int) -> list[Features]:
    """What the refit may use: the constant, found sets, single features, and the likeliest neighbours of those."""
    n = residual.bins.design.n
    singles: list[Features] = [(i,) for i in range(n)]
    if n > count // 4:  # more unknowns than the samples can carry: only those that show at all
        scores = residual.about(np.arange(n)[:, None]).scores()
        likely = np.argsort(-scores, kind="stable")[: count // 8]
        singles = [(int(i),) for i in sorted(likely)]
    support = Support(n, max(order, 2, *map(len, sets)), dict(sets))
    ((near, scores, _),) = neighbours(residual, support, order, _NEAR)
    strongest = near[np.argsort(-scores, kind="stable")[: 3 * _NEIGHBOURS]]
    unique = list(dict.fromkeys(tuple(i for i in row if i < n) for row in strongest.tolist()))
    return list(dict.fromkeys([(), *sets, *singles, *unique[: min(_NEIGHBOURS, count // 8)]]))


def _evidence(
    decoder: Decoder, spectrum: Spectrum, sets: Mapping[Features, str], values: Grid, weights: Grid
) -> dict[Features, dict[str, Any]]:
    """For each coefficient how it was found, in how many bins it shows alone, and how much else is in them."""
    design = decoder.design
    bins = Bins(design, design.bits)
    keys = [key for key in spectrum.coefficients if key]
    everything = pad([(), *keys], design.n, max(1, spectrum.order))
    strengths = np.array([spectrum.coefficients.get((), 0.0), *(spectrum.coefficients[key] for key in keys)])
    left = weights * (values - bins.predict(everything, strengths))
    residual = Residual(bins, walsh_hadamard(left) / np.maximum(weights.sum(axis=0), 1.0))
    about = residual.about(everything[1:])
    shares = about.shares + strengths[1:]
    clear = shares * np.sign(strengths[1:]) > 2 * np.sqrt(about.variances / about.delays)
    others = about.fractions * np.stack(
        [residual.energy[row, c] for c, row in enumerate(bins.place(everything[1:])[0])]
    )
    fractions = others / np.maximum(others + shares**2, 1e-300)
    return {
        key: {
            "found": sets.get(key, "single feature" if len(key) == 1 else "near what was found"),
            "bins": int(clear[:, row].sum()),
            "groups": design.groups,
            "residual": float(fractions[:, row].mean()),
        }
        for row, key in enumerate(keys)
    }
