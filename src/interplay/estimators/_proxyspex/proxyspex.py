"""ProxySPEX: boosted trees predict the ablations, and their interactions are read out exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Masks, Values
from interplay._spectrum.characters import Features, characters_of, signs_of
from interplay._spectrum.spectrum import Spectrum
from interplay.estimators._base import Estimator, Recovery
from interplay.estimators._proxyspex.trees import Ids, grow, grow_on, leaves_of, read_out
from interplay.estimators._validation import choose, folds, is_constant, splits

_REFINED = 2  # ensembles, of all depths and sizes, refined in detail: each costs kept x floors x noises solves a fold
_FEW = 3  # folds of outputs that follow what another one chose
_NEGLIGIBLE = 1e-10  # of standardised values: rounding of the read-out and of the refinement


class _Proxy(NamedTuple):
    """What trees say of some masks: sets (K, depth) and their coefficients (K, S) after S numbers of trees."""

    ids: Ids
    coefficients: Values


class _Prepared(NamedTuple):
    """Masks (N, n) and their signs (n, N), as `signs_of` has them."""

    masks: Masks
    signs: npt.NDArray[np.int8]


class _Candidate(NamedTuple):
    """One way to an answer."""

    depth: int
    stage: int
    kept: int
    floor: float
    noise: float


@dataclass(frozen=True)
class ProxySPEX(Estimator):
    """Gradient-boosted trees as a proxy model, read out exactly and refined (Butler et al., NeurIPS 2025).

    The paper's four steps (arXiv 2505.17495), each decided by error on ablations that the fit did not see:

    1. LightGBM trees of several depths are grown once per fold; their number is read off the growing ensemble, not
       refitted for each.
    2. Every leaf of value v whose path fixes the features P adds ``v 2^-|P| prod_{j in S} s_j`` to every S within P.
    3. The strongest ``kept`` sets of two and more features stay, and every single feature.
    4. They are re-estimated by ridge regression on the same ablations. Where the paper shrinks all alike, here each is
       shrunk the less the stronger the trees found it: its prior variance is the proxy's squared coefficient, with a
       ``floor`` for single features, which trees often miss.

    >>> import numpy as np, interplay as ip
    >>> masks = ip.design(30, 300)
    >>> result = ip.fit(masks, 3.0 * (masks[:, 2] & masks[:, 7]) - masks[:, 11], method="proxyspex")
    >>> sorted(result.interactions("mobius", top=2))
    [(2, 7), (11,)]

    Parameters
    ----------
    depths
        Depths of the trees to try, at most the order asked for; that order and two less, as the authors do, when None.
    trees
        Numbers of trees to try, ascending; the next only while the last one helped.
    rate
        Learning rate; half of it with twice the trees gained less than .003 of R² in the mean.
    leaf
        Fewest ablations in a leaf; LightGBM's own 20 would leave hardly a split at 100 ablations.
    kept
        Numbers of sets of two and more features to try.
    floors
        Prior variances of single features to try, in shares of the average.
    noises
        Noise variances of the refinement to try, in shares of the prior's.
    parts
        Cross-validation folds.
    """

    name: ClassVar[str] = "proxyspex"
    depths: tuple[int, ...] | None = None
    trees: tuple[int, ...] = (25, 100, 400)
    rate: float = 0.1
    leaf: int = 3
    kept: tuple[int, ...] = (32, 128, 512)
    floors: tuple[float, ...] = (0.0, 0.1, 1.0)
    noises: tuple[float, ...] = (1e-9, 1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0)
    parts: int = 5

    def prepare(self, masks: Masks) -> _Prepared:
        """The masks, and as signs."""
        return _Prepared(masks, signs_of(masks))

    def recover(self, prepared: _Prepared, values: Values, *, order: int, seed: int) -> Recovery:
        """Grow trees, read them out, keep the strongest sets and refine them."""
        count, n = prepared.masks.shape
        depths = sorted({max(1, min(depth, order, n)) for depth in self.depths or (order - 2, order)})
        centre, scale = float(values.mean()), float(values.std())
        if is_constant(values):
            return Recovery(Spectrum(n, {(): centre}), np.full(count, centre), "constant values", order=depths[-1])
        target = (values - centre) / scale
        fold = folds(count, seed, self.parts)
        parts = int(fold.max()) + 1
        candidates, predictions = self._held_out(prepared, target, depths, fold, seed)
        best, chosen = choose((predictions - target) ** 2, fold)
        winner = candidates[best]
        spectrum = self._final(prepared, target, winner, seed) * scale + Spectrum(n, {(): centre})
        trees = self.trees[winner.stage]
        note = (
            f"proxyspex: {trees} trees of depth {winner.depth}, {len(spectrum)} coefficients kept and refined with "
            f"noise {winner.noise:g}, the best of {len(candidates)} ways by held-out error"
        )
        return Recovery(
            spectrum,
            unseen=centre + scale * predictions[chosen, np.arange(count)],
            how=f"{parts}-fold cross-validation on {count} ablations",
            order=depths[-1],
            notes=(note,),
            chosen=replace(
                self, depths=(winner.depth,), trees=(trees,), kept=(winner.kept,), floors=(winner.floor,), parts=_FEW
            ),
        )

    def _grow(self, masks: Masks, target: Values, depth: int, trees: int, seed: int) -> Any:
        leaf = max(1, min(self.leaf, len(target) // 4))
        return grow(masks, target, trees=trees, depth=depth, rate=self.rate, leaf=leaf, seed=seed)

    def _held_out(
        self, prepared: _Prepared, target: Values, depths: list[int], fold: npt.NDArray[np.intp], seed: int
    ) -> tuple[list[_Candidate], Values]:
        """Every candidate, and its predictions (C, N) of each fold by the fit to the others.

        Depth and number of the trees are tried first, with the most sets kept; an ensemble grows on only as long as
        that helps. The number kept and the floor are tried with the best ensembles.
        """
        masks, n = prepared.masks, prepared.masks.shape[1]
        proxies: dict[tuple[int, int], _Proxy] = {}
        candidates: list[_Candidate] = []
        predictions = np.empty((0, len(target)))
        for depth in depths:
            boosters = [self._grow(masks[seen], target[seen], depth, self.trees[0], seed) for seen, _ in splits(fold)]
            before = np.inf
            for stage, trees in enumerate(self.trees):
                for k, booster in enumerate(boosters):
                    grow_on(booster, trees)
                    proxies[depth, k] = _Proxy(*read_out(leaves_of(booster), n, self.trees[: stage + 1]))
                tried = self._candidates([(depth, stage)], (self.kept[-1],), (self.floors[len(self.floors) // 2],))
                found = self._predict(tried, proxies, prepared.signs, target, fold)
                candidates, predictions = candidates + tried, np.concatenate([predictions, found])
                error = ((found - target) ** 2).sum(axis=1).min()
                if error > before:
                    break
                before = error
        errors: dict[tuple[int, int], float] = {}
        for candidate, error in zip(candidates, ((predictions - target) ** 2).sum(axis=1).tolist(), strict=True):
            grown = (candidate.depth, candidate.stage)
            errors[grown] = min(error, errors.get(grown, np.inf))
        promising = sorted(errors, key=errors.__getitem__)[:_REFINED]
        fine = self._candidates(promising, self.kept, self.floors)
        fine = [candidate for candidate in fine if candidate not in set(candidates)]
        return candidates + fine, np.concatenate(
            [predictions, self._predict(fine, proxies, prepared.signs, target, fold)]
        )

    def _candidates(
        self, grown: list[tuple[int, int]], kept: tuple[int, ...], floors: tuple[float, ...]
    ) -> list[_Candidate]:
        return [
            _Candidate(depth, stage, most, floor, noise)
            for depth, stage in grown
            for most in kept
            for floor in floors
            for noise in self.noises
        ]

    def _predict(
        self,
        candidates: list[_Candidate],
        proxies: dict[tuple[int, int], _Proxy],
        signs: npt.NDArray[np.int8],
        target: Values,
        fold: npt.NDArray[np.intp],
    ) -> Values:
        """Predictions (C, N) of each fold by fits that did not see it."""
        n = len(signs)
        predictions = np.empty((len(candidates), len(target)))
        rows = {candidate: row for row, candidate in enumerate(candidates)}
        shapes = sorted({candidate[:4] for candidate in candidates})
        for k, (train, test) in enumerate(splits(fold)):
            for grown in sorted({shape[:2] for shape in shapes}):
                depth, stage = grown
                proxy = proxies[depth, k]
                sets, amplitudes = _support(proxy.ids, proxy.coefficients[:, stage], n, self.kept[-1])
                columns = characters_of(signs, sets).astype(np.float64)
                seen, unseen = columns[:, train], columns[:, test]
                gram = seen @ seen.T if len(seen) <= seen.shape[1] else None
                for *_, kept, floor in (shape for shape in shapes if shape[:2] == grown):
                    take = slice(0, 1 + n + kept)
                    inner = None if gram is None else gram[take, take]
                    weights = _refined(seen[take], target[train], amplitudes[take], floor, n, self.noises, inner)
                    for noise, prediction in zip(self.noises, weights @ unseen[take], strict=True):
                        predictions[rows[_Candidate(depth, stage, kept, floor, noise)], test] = prediction
        return predictions

    def _final(self, prepared: _Prepared, target: Values, winner: _Candidate, seed: int) -> Spectrum:
        """The winner's fit to all ablations."""
        n = prepared.masks.shape[1]
        trees = self.trees[winner.stage]
        booster = self._grow(prepared.masks, target, winner.depth, trees, seed)
        proxy = _Proxy(*read_out(leaves_of(booster), n, (trees,)))
        sets, amplitudes = _support(proxy.ids, proxy.coefficients[:, -1], n, winner.kept)
        columns = characters_of(prepared.signs, sets).astype(np.float64)
        weights = _refined(columns, target, amplitudes, winner.floor, n, (winner.noise,))[0]
        found = zip(sets, weights.tolist(), strict=True)
        return Spectrum(n, {features: weight for features, weight in found if abs(weight) > _NEGLIGIBLE})


def _support(ids: Ids, amplitudes: Values, n: int, most: int) -> tuple[list[Features], Values]:
    """The constant, all n single features, then the strongest ``most`` larger sets; with the proxy's amplitudes."""
    size = (ids < n).sum(axis=1)
    larger = np.flatnonzero((size > 1) & (np.abs(amplitudes) > _NEGLIGIBLE))
    larger = larger[np.argsort(-np.abs(amplitudes[larger]), kind="stable")][:most]
    known = np.zeros(1 + n)
    known[0] = amplitudes[size == 0].sum()
    single = size == 1
    known[1 + ids[single, :1].ravel()] = amplitudes[single]
    sets: list[Features] = [(), *((i,) for i in range(n))]
    sets += [tuple(i for i in row if i < n) for row in ids[larger].tolist()]
    return sets, np.concatenate([known, amplitudes[larger]])


def _refined(
    columns: Values,
    target: Values,
    amplitudes: Values,
    floor: float,
    n: int,
    noises: tuple[float, ...],
    gram: Values | None = None,
) -> Values:
    """Ridge weights (L, K) of characters ``columns`` (K, N) for each of L noise variances.

    Each weight's prior variance is its squared amplitude, plus ``floor`` of the average for single features, and
    the whole prior for the constant. Solved in whichever of K and N is smaller.
    """
    from scipy.linalg import cho_factor, cho_solve

    prior = amplitudes**2
    prior[0] = 0.0
    total = float(prior.sum()) or 1.0
    prior[1 : n + 1] += floor * total / n
    prior[0] = total
    # Weights u = F / root have prior N(0, 1): the ridge is the noise alone, and one Gram matrix serves all noises.
    root = np.sqrt(prior / total)
    primal = len(columns) <= columns.shape[1]
    scaled = root[:, None] * columns
    if primal:
        kernel = (columns @ columns.T if gram is None else gram) * root * root[:, None]
        right = scaled @ target
    else:
        kernel = scaled.T @ scaled  # dual: (A'A + c I)^-1 A' = A' (A A' + c I)^-1
        right = target
    diagonal = kernel.diagonal().copy()
    jitter = 1e-10 * max(1.0, float(diagonal.max()))  # for noiseless refinements of nearly equal columns
    weights = np.empty((len(noises), len(columns)))
    for row, noise in enumerate(noises):
        kernel.flat[:: len(kernel) + 1] = diagonal + noise + jitter
        solved = cho_solve(cho_factor(kernel, lower=True, check_finite=False), right, check_finite=False)
        weights[row] = root * (solved if primal else scaled @ solved)
    return weights
