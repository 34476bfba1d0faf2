"""Masks for indices that weigh all sizes alike, and fits that are tied to both ends."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

import interplay as ip
from interplay._spectrum.indices import compute_index
from interplay.estimators import GP, ForIndex, Lasso, all_masks
from interplay.estimators._halves import complements, refit_halves
from interplay.estimators._index_design import index_design
from interplay.estimators._misses import misses


@pytest.mark.parametrize(("n", "budget"), [(1, 2), (2, 4), (3, 7), (6, 50), (12, 300), (30, 301), (200, 150)])
def test_masks_are_distinct_and_the_ends_come_first(n: int, budget: int) -> None:
    masks = index_design(n, budget, seed=3)
    assert len(np.unique(masks, axis=0)) == len(masks) == min(budget, 2**n)
    assert masks[0].all()
    assert not masks[1].any()


@pytest.mark.parametrize("n", [4, 7, 12, 40])
def test_a_larger_budget_keeps_the_masks_of_a_smaller_one(n: int) -> None:
    most = min(120, 2**n)
    large = index_design(n, most, seed=1)
    for budget in (1, 2, 3, 10, most // 2, most - 1):
        np.testing.assert_array_equal(index_design(n, budget, seed=1), large[:budget])


def test_every_mask_stands_beside_its_complement_and_the_last_of_every_size_is_found() -> None:
    masks = index_design(9, 2**9, seed=0)
    np.testing.assert_array_equal(masks[::2], ~masks[1::2])
    assert np.bincount(masks.sum(axis=1)).tolist() == [comb(9, size) for size in range(10)]


@pytest.mark.parametrize("n", [13, 14, 50])
def test_sizes_are_spread_evenly_but_for_those_beside_the_ends(n: int) -> None:
    counts = np.bincount(index_design(n, 4 * n, seed=0)[2:].sum(axis=1), minlength=n + 1)[1:n]
    assert counts[1:-1].max() - counts[1:-1].min() <= 2
    assert counts[0] == counts[-1]
    assert 0 <= counts[0] - 2 * counts[1:-1].min() <= 3


def test_features_are_kept_together_more_evenly_than_by_chance() -> None:
    def surplus(masks: np.ndarray) -> float:
        signs = np.where(masks, -1.0, 1.0)
        products = signs.T @ signs
        return float(products[np.triu_indices(20, 1)].std())

    masks = index_design(20, 200, seed=0)
    rng = np.random.default_rng(0)
    drawn = np.array([rng.permutation(mask) for mask in masks[::2]])
    assert surplus(masks) < 0.7 * surplus(np.concatenate([drawn, ~drawn]))


def test_a_fit_meets_the_difference_of_both_ends_whatever_it_is() -> None:
    rng = np.random.default_rng(0)
    for estimator in (Lasso(), GP(effort=0.0)):
        fit = ForIndex(estimator)
        masks = fit.design(8, 60, seed=0)
        values = np.sin(masks @ rng.standard_normal(8)) + 0.3 * rng.standard_normal(60)
        found = fit.fit(masks, values, order=3, seed=0)
        assert found.misses is not None
        full, empty = (found.spectrum + found.misses).predict(masks[:2])
        assert full - empty == pytest.approx(values[0] - values[1], abs=1e-12)


def test_without_an_end_the_fit_says_that_nothing_adds_up() -> None:
    masks = index_design(8, 60, seed=0)[1:]
    found = ForIndex(Lasso()).fit(masks, masks.sum(axis=1) ** 2.0, order=3, seed=0)
    assert any("need not add up" in note for note in found.notes)


@pytest.mark.parametrize("index", ["sv", "sii", "k-sii", "stii", "fsii"])
def test_what_is_missed_of_all_masks_has_the_index_of_all_of_it(index: str) -> None:
    """Singles and pairs stand for any function whatever: against the index of its whole spectrum."""
    values = np.random.default_rng(0).standard_normal(64)
    masks, order = all_masks(6), 1 if index == "sv" else 2
    exact, _ = compute_index(ip.fit(masks, values, method="exact").spectrum, index, order)
    found, _ = compute_index(misses(ip.Spectrum(6, {}), masks, values, None, index), index, order)
    assert {key: round(value, 9) for key, value in exact.items()} == {
        key: round(found.get(key, 0.0), 9) for key in exact
    }


def test_misses_that_noise_explains_change_no_pair() -> None:
    rng = np.random.default_rng(0)
    masks = index_design(9, 100, seed=0)
    values = masks.sum(axis=1) + rng.standard_normal(len(masks))
    fit = ip.Spectrum(9, {(): 4.5, **{(i,): -0.5 for i in range(9)}})
    added = misses(fit, masks, values, 2.0 * (values - fit.predict(masks)), "sii")
    pairs = [abs(value) for key, value in added.coefficients.items() if len(key) == 2]
    believed = misses(fit, masks, values, None, "sii")
    assert max(pairs, default=0.0) < 0.05 * max(abs(v) for k, v in believed.coefficients.items() if len(k) == 2)


def test_a_jump_beside_the_empty_input_is_told_by_the_masks_that_show_it() -> None:
    """Once every single feature was measured alone, what happens there is known and not fitted."""
    alone = np.random.default_rng(0).standard_normal(12)

    def jumps(masks: np.ndarray) -> np.ndarray:
        size = masks.sum(axis=1)
        return np.where(size == 1, 3.0 * masks @ alone, 0.1 * np.tanh(size - 6.0))

    masks = index_design(12, 200, seed=0)
    values = jumps(masks)
    truth = ip.fit(all_masks(12), jumps(all_masks(12)), method="exact").interactions("sv")
    found = ip.fit(masks, values, method=GP(effort=0.0), index="sv").interactions("sv")
    without = GP(effort=0.0).fit(masks, values, order=5, seed=0).spectrum
    fitted, _ = compute_index(without, "sv", 1)
    missed = sum((found[i,] - truth[i,]) ** 2 for i in range(12))
    before = sum((fitted.get((i,), 0.0) - truth[i,]) ** 2 for i in range(12))
    assert missed < 0.01 * before


def test_complements_are_found_in_any_order() -> None:
    masks = np.random.default_rng(0).permutation(index_design(7, 31, seed=0))
    first, second = complements(masks)
    assert len(first) == 15
    np.testing.assert_array_equal(masks[first], ~masks[second])


def test_the_half_that_pairs_explain_is_exact_beside_one_that_they_do_not() -> None:
    """A game of pairs and triples: its pairwise Shapley interactions are those of the pairs."""
    rng = np.random.default_rng(1)
    sets = [(), *((i, j) for i in range(8) for j in range(i)), *((i, (i + 2) % 8, (i + 5) % 8) for i in range(8))]
    truth = ip.Spectrum(8, {tuple(sorted(key)): float(rng.standard_normal()) for key in sets})
    masks = index_design(8, 80, seed=0)
    values = truth.predict(masks)
    rough = GP(effort=0.0).fit(masks, values, order=3, seed=0)
    exact = refit_halves(rough, masks, values).spectrum.coefficients
    missed = [abs(exact[key] - value) for key, value in truth.coefficients.items() if len(key) == 2]
    before = [abs(rough.spectrum.coefficients.get(key, 0.0) - truth.coefficients[key]) for key in truth.coefficients]
    assert max(missed) < 1e-12 < max(before)
    assert {key: value for key, value in exact.items() if len(key) == 3} == {
        key: value for key, value in rough.spectrum.coefficients.items() if len(key) == 3
    }


def test_a_half_with_larger_sets_is_left_to_the_fit() -> None:
    masks = index_design(8, 100, seed=0)
    values = np.where(masks[:, :5].all(axis=1), 1.0, 0.0) + 0.2 * masks[:, 6]
    rough = GP(effort=0.0).fit(masks, values, order=5, seed=0)
    assert refit_halves(rough, masks, values).spectrum == rough.spectrum


def test_all_masks_are_measured_where_the_budget_allows() -> None:
    values = np.random.default_rng(0).standard_normal(16)
    order = all_masks(4) @ (1 << np.arange(4))
    found = ip.explain(lambda masks: values[masks @ (1 << np.arange(4))], labels=4, budget=16, index="sii")
    np.testing.assert_allclose(found.spectrum.predict(all_masks(4)), values[order], atol=1e-12)
