"""SPEX: interactions of any pattern from designed masks, by error-correcting decoding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from interplay._checks import check_whole, is_between
from interplay._errors import InputError
from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features, characters_of, signs_of, walsh_hadamard
from interplay._spectrum.spectrum import Spectrum
from interplay.estimators._base import Estimator, Recovery
from interplay.estimators._design import all_masks
from interplay.estimators._exact import Exact
from interplay.estimators._validation import choose, folds
from interplay.estimators.spex._bins import Bins, Grid, Residual
from interplay.estimators.spex._decode import NEAR, Decoder, Support, neighbours, pad, peel, unpad
from interplay.estimators.spex._design import (
    FEWEST_BITS,
    MOST_BITS,
    MOST_GROUPS,
    MOST_STRENGTH,
    Found,
    delays_of,
    design_from,
    recognise,
)
from interplay.estimators.spex._refit import REFITS, describe, moments_of, over_pools

_EXHAUSTIVE = 16  # up to so many features, a budget that covers all masks is spent on all masks
# A mean squared error of N masks is known to sqrt(2/N) of itself: 29% with the fewest fresh masks that judge alone, 10%
# with the most that are held out (or a share of all, whichever is more), as the others are worth more in the fit.
_ENOUGH = 24
_FAIR = 200
# Standard errors from which a neighbour of the found sets may enter the refit: far fewer than decoding asks for, as the
# refit shrinks, and may leave all of them out.
_NEAR = 2.5
_NEIGHBOURS = 400  # of them, at most: a refit takes the cube of its sets
_POOLS = ("all of them", "those decoded and the single features", "the single features")
_FLATTERS = (
    f"fewer than {_ENOUGH} of these masks lie outside the design, so the faithfulness was measured on masks of the "
    "design, where it can flatter games of many weak interactions"
)
_NEGLIGIBLE = 1e-10  # of the largest coefficient: rounding
_ROUNDING = 1e-15  # of the mean of the values: the same


class _Prepared(NamedTuple):
    """Masks (N, n) and the design recognised among them; None where they are all masks there are."""

    masks: Masks
    found: Found | None


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
    >>> round(result.spectrum.coefficients[2, 11, 17, 23, 39], 6)
    1.0

    The cells of a design that coincide pay for fresh uniform masks, ``(C - 1)(P + 1)`` of them. Decoding and refit
    never see these: with them the refit is chosen and the faithfulness measured. Where masks come without any, a
    share of the design itself is held out instead, and a note says so.

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
        The share of masks held out, where they have to be taken from the design or are many.
    """

    name: ClassVar[str] = "spex"
    any_masks: ClassVar[bool] = False
    b: int | None = None
    groups: int = 3
    t: int = 5
    soft: bool = True
    held_out: float = 0.1

    def __post_init__(self) -> None:
        for name, value, most in (
            ("groups", self.groups, MOST_GROUPS),
            ("t", self.t, MOST_STRENGTH),
            ("b", 1 if self.b is None else self.b, MOST_BITS),
        ):
            check_whole(f"SPEX's {name}", value, 1)
            if value > most:  # larger designs could be made, but not recognised
                raise InputError(f"SPEX takes {name} up to {most}, not {value}.")
        if not is_between(self.held_out, 0.02 - 1e-12, 0.5 + 1e-12):
            raise InputError(f"SPEX holds out a share of 0.02 to 0.5 of the masks, not {self.held_out!r}.")

    def cost(self, n: int, b: int) -> int:
        """The masks of a design of dimension ``b`` over n features: ``C 2^b (P + 1)``; fewer where they coincide."""
        return self.groups * len(delays_of(n, self.t)) << b

    def fewest(self, n: int) -> int:
        """The masks of the smallest design, or of ``b``'s; all masks where those are fewer."""
        if self.b is not None:
            return self.cost(n, self.b)
        return min(self.cost(n, min(FEWEST_BITS, n)), 1 << n)

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
        if least < min(FEWEST_BITS, n):
            raise InputError(
                f"SPEX cannot have b = {least} over {n} features, where every bin would hold a crowd: choose "
                f"b >= {min(FEWEST_BITS, n)}."
            )
        needed = self.fewest(n)
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

    def prepare(self, masks: Masks) -> _Prepared:
        """Recognise the design in ``masks`` (N, n).

        Raises
        ------
        InputError
            Where the masks contain no design of SPEX.
        """
        n = masks.shape[1]
        if n <= _EXHAUSTIVE and len(masks) == 1 << n:
            return _Prepared(masks, None)
        found = recognise(masks)
        if found is None:
            raise InputError(
                f"these {len(masks)} masks are no SPEX design: measure those of ip.design({n}, budget, method='spex'), "
                "or fit these with method='auto', which takes any masks."
            )
        return _Prepared(masks, found)

    def recover(self, prepared: _Prepared, values: Values, *, order: int, seed: int) -> Recovery:
        """Decode the design that was recognised and refit what was found."""
        masks, found = prepared
        if found is None:
            return Exact().fit(masks, values, order=order, seed=seed)
        return _decoded(self, found, masks, values, order=min(order, masks.shape[1]), seed=seed)


def _decoded(options: SPEX, found: Found, masks: Masks, values: Values, *, order: int, seed: int) -> Recovery:
    """The spectrum behind ``values`` at ``masks``, some of which are the cells of the design that was ``found``.

    Values are brought near 1 first, for bins are compared in single precision, which ends at 1e-38; by a power of two,
    which changes no digit.
    """
    design = found.design
    unit = 2.0 ** np.round(np.log2(values.std() or 1.0))
    values = values / unit
    decoder = Decoder(design, order, options.soft)
    cells = np.ascontiguousarray(found.cells[:, :, : 1 << design.bits].transpose(2, 0, 1))
    centre = float(values.mean())
    centred = values - centre
    everything = np.ones(len(values), dtype=np.bool_)
    fresh, inside = _hold_out(found, len(values), options.held_out, seed)
    train = everything.copy()
    train[fresh] = train[inside] = False

    sets, residual = peel(decoder, *_grid(cells, centred, train))
    keys = _candidates(sets, residual, order, int(train.sum()))
    tried = over_pools(moments_of(keys, masks[train], centred[train]), _pools(keys, sets))
    test = fresh if len(fresh) else inside
    how = f"{len(inside)} of {len(values)} ablations held out of decoding and refit"
    if len(fresh):
        how = f"{len(fresh)} fresh ablations outside the design, which the fit did not see"
    predicted = _predict(keys, tried, masks[test])
    best, chosen = choose((predicted - centred[test]) ** 2, folds(len(test), seed))
    if len(fresh):
        inner = (_predict(keys, tried, masks[inside]) - centred[inside]) ** 2
        likely = int(np.argmin(inner.sum(axis=1)))
        if _agree((predicted[likely] - centred[fresh]) ** 2, inner[likely]):  # many masks choose better than few
            best, chosen = likely, np.full(len(fresh), likely)

    # Once more with the masks of the design that were held out: with them back, the bins show more.
    strong = {key: sets.get(key, NEAR) for key, w in zip(keys, tried[:, best], strict=True) if w}
    sets, residual = peel(decoder, *_grid(cells, centred, everything), start=strong)
    keys = _candidates(sets, residual, order, len(values))
    pool = _pools(keys, sets)[best // REFITS]
    weights = over_pools(moments_of(keys, masks, centred), [pool])[:, best % REFITS]
    limit = max(_NEGLIGIBLE * float(np.abs(weights).max()), _ROUNDING * abs(centre))
    coefficients = {key: float(w) for key, w in zip(keys, weights, strict=True) if abs(w) > limit}
    coefficients[()] = coefficients.get((), 0.0) + centre
    spectrum = Spectrum(design.n, dict(sorted(coefficients.items(), key=lambda item: (len(item[0]), item[0]))))
    grid, measured = _grid(cells, values, everything)
    count = len(design.delays) - 1
    named = "a delay for every feature, which names sets of any size" if decoder.direct else f"t = {design.strength}"
    notes = (
        f"spex: b = {design.bits}, C = {design.groups} groups, {named} (P = {count} delays); "
        f"{len(keys)} candidate sets, refit of {_POOLS[best // REFITS]} by {describe(best)}",
        *(() if len(fresh) else (_FLATTERS,)),
        *((_beyond(order, design.strength),) if order > design.strength and not decoder.direct else ()),
    )
    return Recovery(
        spectrum * unit,
        unseen=unit * (predicted[chosen, np.arange(len(test))] + centre),
        how=how,
        order=order,
        rows=test,
        notes=notes,
        evidence=_evidence(decoder, spectrum, sets, grid, measured),
    )


def _beyond(order: int, strength: int) -> str:
    return (
        f"sets of {strength + 1} to {order} features were looked for only beside sets that were found: a design of "
        f"SPEX(t={min(order, MOST_STRENGTH)}) names larger ones by itself"
    )


def _hold_out(found: Found, count: int, share: float, seed: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Two kinds of rows to hold out: fresh ones, outside the design, where there are enough; and some of the design.

    Masks of the design are no fair judges: a wrong set that shares a bin with a right one imitates it on all masks
    of the group, seen or not, so with many weak coefficients they flatter. Fresh uniform ones do not.
    """
    rng = np.random.default_rng([seed, 0x5BE7])
    fresh = found.foreign if len(found.foreign) >= _ENOUGH else found.foreign[:0]
    most = max(_FAIR, round(share * count))
    if len(fresh) > most:
        fresh = np.sort(rng.choice(fresh, most, replace=False))
    inside = np.setdiff1d(np.arange(count), found.foreign)
    return fresh, np.sort(rng.choice(inside, max(2, round(share * len(inside))), replace=False))


def _agree(fresh: Values, inner: Values) -> bool:
    """Whether fresh masks show no larger squared error than held-out masks of the design, but for chance."""
    return bool(fresh.mean() <= inner.mean() + fresh.std() / np.sqrt(len(fresh)))


def _predict(keys: list[Features], weights: npt.NDArray[np.float64], masks: Masks) -> npt.NDArray[np.float64]:
    """The values of ``masks`` by each column of ``weights`` (K, C): (C, N)."""
    return np.asarray(weights.T @ characters_of(signs_of(masks), keys))


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
    ((near, scores, _),) = neighbours(residual, support, order, _NEAR, most=6 * _NEIGHBOURS)
    strongest = near[np.argsort(-scores, kind="stable")[: 3 * _NEIGHBOURS]]
    unique = list(dict.fromkeys(unpad(strongest, n)))
    return list(dict.fromkeys([(), *sets, *singles, *unique[: min(_NEIGHBOURS, count // 8)]]))


def _pools(keys: list[Features], sets: Mapping[Features, str]) -> list[npt.NDArray[np.bool_]]:
    """Which of ``keys`` each refit may use: wider pools can be worse, where what was found is imitation."""
    single = np.array([len(key) <= 1 for key in keys])
    found = np.array([key in sets for key in keys])
    return [np.ones(len(keys), dtype=np.bool_), found | single, single]


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
            "found": sets.get(key, "single feature" if len(key) == 1 else NEAR),
            "bins": int(clear[:, row].sum()),
            "groups": design.groups,
            "residual": float(fractions[:, row].mean()),
        }
        for row, key in enumerate(keys)
    }
