"""Designs, the exact transform, the lasso, and the choice between estimators."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interplay as ip
from interplay.estimators import METHODS, Lasso, all_masks, get_estimator
from oracles import dense_game, dense_values, sparse_spectrum


@given(n=st.integers(1, 40), budget=st.integers(1, 400), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_design_is_distinct_masks_within_the_budget(n: int, budget: int, seed: int) -> None:
    masks = ip.design(n, budget, seed=seed)
    assert masks.dtype == np.bool_
    assert masks.shape == (min(budget, 1 << n), n)
    assert len(np.unique(masks, axis=0)) == len(masks)


@pytest.mark.parametrize("n", [6, 13, 40])
def test_a_larger_budget_keeps_every_mask_of_a_smaller_one(n: int) -> None:
    small, large = (ip.design(n, budget, method="lasso", seed=3) for budget in (20, 50))
    np.testing.assert_array_equal(large[:20], small)


def test_designs_are_uniform_and_differ_by_seed() -> None:
    one, two = ip.design(50, 4000, seed=1), ip.design(50, 4000, seed=2)
    assert not (one == two).all()
    np.testing.assert_allclose(one.mean(axis=0), 0.5, atol=0.05)


@given(n=st.integers(1, 8), seed=st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_exact_reproduces_any_game_whatever_the_order_of_its_masks(n: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(1 << n)
    masks, values = all_masks(n)[order], dense_values(n, seed)[order]
    result = ip.fit(masks, values, method="exact")
    np.testing.assert_allclose(result.spectrum.predict(masks), values, atol=1e-9)


def test_exact_with_too_small_a_budget_names_the_one_it_needs() -> None:
    with pytest.raises(ip.InputError, match=r"all 2\^6 = 64 ablations, but the budget is 63: raise it to 64"):
        ip.explain(dense_game(6, 0), budget=63, method="exact")
    with pytest.raises(ip.InputError, match="needs the values of all 2\\^6 masks, but there are 63"):
        ip.fit(all_masks(6)[:63], np.arange(63.0), method="exact")
    with pytest.raises(ip.InputError, match="too many"):
        ip.design(21, 1 << 21, method="exact")


def test_exact_states_the_first_order_share_of_the_variance() -> None:
    """The best additive fit over all masks is the first-order part of the spectrum."""
    n = 6
    masks, values = all_masks(n), dense_values(n, 8)
    result = ip.fit(masks, values, method="exact")
    linear = np.column_stack([np.ones(1 << n), masks])
    residual = values - linear @ np.linalg.lstsq(linear, values, rcond=None)[0]
    assert result.faithfulness.r2 == 1.0
    assert result.faithfulness.first_order == pytest.approx(1 - residual.var() / values.var())


def test_lasso_recovers_a_linear_game_exactly_and_drops_what_has_no_effect() -> None:
    weights = np.zeros(40)
    weights[[3, 17, 30]] = [2.0, -1.0, 0.5]
    masks = ip.design(40, 120, seed=5)
    result = ip.fit(masks, masks @ weights, method="lasso")
    found = result.interactions("bv")
    assert set(found) == {(3,), (17,), (30,)}
    assert found[3,] == pytest.approx(2.0, abs=1e-9)
    assert result.faithfulness.r2 == pytest.approx(1.0, abs=1e-9)


def test_lasso_claims_nothing_on_noise() -> None:
    rng = np.random.default_rng(0)
    scores = []
    for seed in range(10):
        masks = ip.design(60, 150, seed=seed)
        scores.append(ip.fit(masks, rng.normal(size=150), method="lasso", seed=seed).faithfulness.r2)
    assert np.median(scores) < 0.05
    assert max(scores) < 0.15


def test_lasso_predicts_unseen_ablations_as_well_as_it_says() -> None:
    spectrum = sparse_spectrum(50, 60, 2, 1)
    masks, fresh = ip.design(50, 400, seed=0), ip.design(50, 3000, seed=1)
    result = ip.fit(masks, spectrum.predict(masks), method="lasso")
    truth = spectrum.predict(fresh)
    actual = 1 - ((truth - result.spectrum.predict(fresh)) ** 2).mean() / truth.var()
    assert result.faithfulness.low - 0.05 <= actual <= result.faithfulness.high + 0.05


def test_auto_is_exact_where_all_masks_fit_and_says_why() -> None:
    result = ip.explain(dense_game(5, 0), budget=40)
    assert (result.method, result.used) == ("exact", 32)
    assert any("auto chose exact" in note for note in result.notes)
    assert any("exceeds the 2^5 = 32" in note for note in result.notes)


def test_auto_keeps_the_candidate_that_predicts_better_and_says_why() -> None:
    masks = ip.design(30, 300, seed=0)
    linear = ip.fit(masks, masks @ np.arange(30.0))
    joint = ip.fit(masks, 3.0 * (masks[:, 0] & masks[:, 1]) + 2.0 * (masks[:, 2] & masks[:, 3] & masks[:, 4]))
    assert linear.method == "lasso"
    assert joint.method == "proxyspex"
    for result in (linear, joint):
        assert any(f"auto chose {result.method}" in note for note in result.notes)
    assert joint.faithfulness.r2 > (joint.faithfulness.first_order or 0)


def test_methods_are_found_by_name_case_aside_and_instances_pass() -> None:
    assert [get_estimator(name.upper()).name for name in METHODS] == list(METHODS)
    lasso = Lasso(penalties=7)
    assert get_estimator(lasso) is lasso
    with pytest.raises(ip.InputError, match=r"unknown method 'proxispex'. Did you mean 'proxyspex'?"):
        get_estimator("proxispex")
    with pytest.raises(ip.InputError, match=r"the class Lasso: pass an instance, Lasso\(...\)"):
        get_estimator(Lasso)  # type: ignore[arg-type]
