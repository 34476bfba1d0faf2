"""Every index from a sparse spectrum equals its definition on dense random games."""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import combinations
from math import comb, factorial

import numpy as np
import pytest

import interplay as ip
from interplay._spectrum.indices import compute_index
from interplay.estimators import all_masks
from oracles import dense_game, dense_values, mask_bits, sparse_spectrum, subsets

Key = tuple[int, ...]


class Definition:
    """Indices by brute force over all subsets, from their published definitions."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.f = n, dense_values(n, seed)

    def value(self, kept: Key) -> float:
        return float(self.f[sum(1 << i for i in kept)])

    def delta(self, s: Key, t: Key) -> float:
        """The discrete derivative of S at T."""
        return sum((-1) ** (len(s) - len(part)) * self.value(tuple(sorted({*t, *part}))) for part in subsets(s))

    def without(self, s: Key) -> list[Key]:
        return subsets(tuple(i for i in range(self.n) if i not in s))

    def fourier(self, s: Key, _order: int) -> float:
        masks = all_masks(self.n)
        signs = (-1.0) ** masks[:, list(s)].sum(axis=1)
        return float((signs * self.f[mask_bits(masks)]).mean())

    def mobius(self, s: Key, _order: int) -> float:
        return self.delta(s, ())

    def bii(self, s: Key, _order: int) -> float:
        return float(np.mean([self.delta(s, t) for t in self.without(s)]))

    def sii(self, s: Key, _order: int) -> float:
        n, size = self.n, len(s)
        return sum(
            factorial(n - len(t) - size) * factorial(len(t)) / factorial(n - size + 1) * self.delta(s, t)
            for t in self.without(s)
        )

    sv, bv = sii, bii

    def stii(self, s: Key, order: int) -> float:
        if len(s) < order:
            return self.delta(s, ())
        return order / self.n * sum(self.delta(s, t) / comb(self.n - 1, len(t)) for t in self.without(s))

    def kshapley(self, order: int) -> dict[Key, float]:
        """Bordt & von Luxburg's recursion, an order at a time, from SII."""
        sii = {s: self.sii(s, order) for size in range(1, order + 1) for s in combinations(range(self.n), size)}
        bernoulli = [Fraction(1)]
        for j in range(1, order + 1):
            bernoulli.append(-sum(comb(j + 1, i) * bernoulli[i] for i in range(j)) / (j + 1))
        shares: dict[Key, float] = {}
        for highest in range(1, order + 1):
            for s in [key for key in sii if len(key) < highest]:
                rest = [i for i in range(self.n) if i not in s]
                extra = combinations(rest, highest - len(s))
                shares[s] += float(bernoulli[highest - len(s)]) * sum(sii[tuple(sorted(s + k))] for k in extra)
            shares |= {s: sii[s] for s in sii if len(s) == highest}
        return shares

    def faith(self, order: int, *, shapley: bool) -> dict[Key, float]:
        """The least-squares fit of order ``order``: uniform weights, or Shapley's with both ends exact."""
        keys = [key for size in range(order + 1) for key in combinations(range(self.n), size)]
        masks = all_masks(self.n)
        design = np.array([[float(mask[list(key)].all()) for key in keys] for mask in masks])
        target = self.f[mask_bits(masks)]
        if not shapley:
            solution = np.linalg.lstsq(design, target, rcond=None)[0]
            return dict(zip(keys, solution, strict=True))
        kept = masks.sum(axis=1)
        inner = (kept > 0) & (kept < self.n)
        weights = np.array([(self.n - 1) / (comb(self.n, t) * t * (self.n - t)) for t in kept[inner]])
        ends = design[~inner]
        normal = design[inner].T * weights @ design[inner]
        system = np.block([[normal, ends.T], [ends, np.zeros((2, 2))]])
        right = np.concatenate([design[inner].T * weights @ target[inner], target[~inner]])
        solution = np.linalg.lstsq(system, right, rcond=None)[0]
        return dict(zip(keys, solution[: len(keys)], strict=True))


@pytest.fixture(scope="module")
def explained() -> dict[int, ip.Explanation]:
    return {n: ip.explain(dense_game(n, seed=n), budget=1 << n, order=n) for n in (1, 2, 3, 5, 7, 8)}


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("index", ["fourier", "mobius", "sv", "bv", "sii", "bii"])
def test_indices_without_an_order_equal_their_definitions(
    index: str, n: int, explained: dict[int, ip.Explanation]
) -> None:
    definition = Definition(n, n)
    found = explained[n].interactions(index)
    highest = 1 if index in ("sv", "bv") else n
    for size in range(1, highest + 1):
        for key in combinations(range(n), size):
            assert found.get(key, 0.0) == pytest.approx(getattr(definition, index)(key, n), abs=1e-9)
    assert max(map(len, found)) <= highest


@pytest.mark.parametrize(("n", "order"), [(2, 1), (3, 2), (5, 1), (5, 2), (5, 3), (5, 5), (7, 2), (8, 3)])
@pytest.mark.parametrize("index", ["k-sii", "stii", "fsii", "fbii"])
def test_indices_with_an_order_equal_their_definitions(
    index: str, n: int, order: int, explained: dict[int, ip.Explanation]
) -> None:
    definition = Definition(n, n)
    expected = {
        "k-sii": lambda: definition.kshapley(order),
        "stii": lambda: {k: definition.stii(k, order) for s in range(1, order + 1) for k in combinations(range(n), s)},
        "fsii": lambda: definition.faith(order, shapley=True),
        "fbii": lambda: definition.faith(order, shapley=False),
    }[index]()
    found = explained[n].interactions(index, order=order)
    for key in (key for key in expected if key):
        assert found.get(key, 0.0) == pytest.approx(expected[key], abs=1e-9), key
    if () in expected:
        assert found.baseline == pytest.approx(expected[()], abs=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("index", ["sv", "k-sii", "stii", "fsii"])
def test_shares_of_the_output_sum_to_the_difference_of_its_ends(index: str, order: int) -> None:
    game = dense_game(7, seed=11)
    ends = game(np.array([[True] * 7, [False] * 7]))
    found = ip.explain(game, budget=128).interactions(index, order=order)
    assert sum(found.values()) == pytest.approx(ends[0] - ends[1], abs=1e-9)
    assert found.baseline == pytest.approx(ends[1], abs=1e-9)


def test_k_shapley_of_order_one_is_the_shapley_value() -> None:
    result = ip.explain(dense_game(6, seed=3), budget=64)
    single, shapley = result.interactions("k-sii", order=1), result.interactions("sv")
    assert {key: single[key] for key in single} == pytest.approx({key: shapley[key] for key in single}, abs=1e-12)


def test_the_fourier_transform_of_the_mobius_transform_is_the_spectrum() -> None:
    """F(S) = (-1)^|S| sum over T >= S of 2^-|T| M(T)."""
    result = ip.explain(dense_game(6, seed=4), budget=64, order=6)
    mobius = result.interactions("mobius")
    back = {
        s: (-1) ** len(s) * sum(2.0 ** -len(t) * value for t, value in mobius.items() if set(s) <= set(t))
        for s in mobius
    }
    assert back == pytest.approx({s: result.spectrum.coefficients[s] for s in mobius}, abs=1e-9)


@pytest.mark.parametrize(
    ("ours", "theirs", "order"),
    [
        ("mobius", "Moebius", 6),
        ("sv", "SV", 1),
        ("bv", "BV", 1),
        ("sii", "SII", 3),
        ("bii", "BII", 3),
        ("k-sii", "k-SII", 3),
        ("stii", "STII", 3),
        ("fsii", "FSII", 3),
        ("fbii", "FBII", 3),
    ],
)
def test_indices_equal_shapiqs_exact_computer(ours: str, theirs: str, order: int) -> None:
    shapiq = pytest.importorskip("shapiq")
    game = dense_game(6, seed=5)
    computer = shapiq.ExactComputer(lambda masks: game(np.asarray(masks, dtype=bool)), n_players=6)
    expected = computer(theirs, order)
    found = ip.explain(game, budget=64, order=6).interactions(ours, order=order)
    for key in (key for size in range(1, order + 1) for key in combinations(range(6), size)):
        assert found.get(key, 0.0) == pytest.approx(expected[key], abs=1e-9), key


def test_they_convert_to_shapiq_and_pandas() -> None:
    pytest.importorskip("shapiq")
    found = ip.explain(dense_game(5, seed=6), budget=32).interactions("fsii", order=2)
    theirs = found.to_shapiq()
    assert all(theirs[key] == pytest.approx(value) for key, value in found.items())
    table = found.to_frame()
    assert table["value"].tolist() == list(found.values())
    assert table["features"].tolist() == list(found)


def test_ten_thousand_coefficients_over_a_thousand_features_take_seconds() -> None:
    """The scale promised: about a second each. The bound here is loose: it guards against an exponential path."""
    spectrum = sparse_spectrum(1000, 10_000, 5, seed=7)
    for index in ("sv", "fbii", "sii"):
        began = time.perf_counter()
        values, _ = compute_index(spectrum, index, 5)
        assert time.perf_counter() - began < 30, index
        assert values
    mean = spectrum.coefficients[()]
    shapley, empty = compute_index(spectrum, "sv", 1)
    full = spectrum.predict(np.ones((1, 1000), dtype=bool))[0]
    assert sum(shapley.values()) == pytest.approx(full - empty, abs=1e-7)
    assert mean == compute_index(spectrum, "bii", 5)[1]


def test_an_index_that_needs_every_subset_of_a_large_set_is_refused() -> None:
    spectrum = ip.Spectrum(60, {tuple(range(40)): 1.0})
    with pytest.raises(ip.InputError, match=r"mobius of order 40 needs 1\.1e\+12 subsets .* 40 features: ask for"):
        compute_index(spectrum, "mobius", 40)
    values, _ = compute_index(spectrum, "bii", 40)  # one subset is enough for this one
    assert values == {tuple(range(40)): 2.0**40}
    assert compute_index(spectrum, "sv", 1)[0] == {}  # an even set has no Shapley value


def test_an_index_beyond_the_largest_float_is_refused_in_one_sentence() -> None:
    spectrum = ip.Spectrum(1100, {tuple(range(1100)): 1.0})
    with pytest.raises(ip.InputError, match=r"bii of sets of 1100 features exceeds the largest float"):
        compute_index(spectrum, "bii", 1100)
    with pytest.raises(ip.InputError, match=r"mobius of order 1100 needs .* subsets"):
        compute_index(spectrum, "mobius", 1100)


def test_the_strongest_few_go_to_shapiq_over_the_features_they_have() -> None:
    values = {(3, 120): 2.0, (120,): -1.0, (5,): 0.5, (1, 2, 3, 4, 5): 0.1}
    found = ip.Interactions("fbii", 5, values, labels=[str(i) for i in range(130)], baseline=0.25)
    given = found.to_shapiq(top=3)
    assert given.n_players == 3
    assert given.max_order == 2
    assert {key: value for key, value in given.dict_values.items() if key} == {(0, 2): 2.0, (2,): -1.0, (1,): 0.5}
    assert given.baseline_value == 0.25
    assert given.get_n_order_values(2).shape == (3, 3)
