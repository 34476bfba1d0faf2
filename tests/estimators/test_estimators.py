"""Designs, the exact transform, the lasso, and the choice between estimators."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interplay as ip
from interplay.estimators import METHODS, Auto, Lasso, all_masks, get_estimator
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


def test_a_design_of_most_or_all_masks_ends_and_keeps_what_smaller_budgets_drew() -> None:
    n = 17
    everything = ip.design(n, 3 << n, method="lasso")
    assert everything.shape == (1 << n, n)
    assert len(np.unique(everything @ (1 << np.arange(n)))) == 1 << n
    for budget in (100, 1 << (n - 1), 100_000):
        np.testing.assert_array_equal(ip.design(n, budget, method="lasso"), everything[:budget])


def test_designs_are_uniform_and_differ_by_seed() -> None:
    one, two = ip.design(50, 4000, seed=1), ip.design(50, 4000, seed=2)
    assert not (one == two).all()
    np.testing.assert_allclose(one.mean(axis=0), 0.5, atol=0.05)


def test_the_first_masks_are_balanced_beyond_what_chance_does() -> None:
    n, count = 60, 120
    masks = ip.design(n, count, seed=0)
    chance = np.random.default_rng(0).random((count, n)) < 0.5

    def imbalance(rows: np.ndarray) -> float:
        signs = np.column_stack([np.ones(len(rows)), np.where(rows, 1.0, -1.0)])
        surplus = signs.T @ signs / len(rows)
        return float(np.sqrt((surplus[~np.eye(n + 1, dtype=bool)] ** 2).mean()))

    assert imbalance(masks) < 0.7 * imbalance(chance)
    assert imbalance(masks[: count // 2]) < 0.8 * imbalance(chance[: count // 2])
    assert abs(masks.mean() - 0.5) < 0.02


@pytest.mark.parametrize("seed", [-1, "x", 1.5, True])
def test_a_seed_that_is_none_is_an_error_in_one_sentence(seed: object) -> None:
    with pytest.raises(ip.InputError, match="seed must be a whole number of at least 0, not "):
        ip.design(5, 10, seed=seed)


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


def test_auto_looks_for_single_features_alone_where_ablations_are_hopelessly_few_and_says_so() -> None:
    masks = ip.design(2000, 100, seed=0)
    result = ip.fit(masks, masks[:, 3] * 2.0 + masks[:, 8])
    assert result.method == "lasso"
    assert any("100 ablations of 2000 features are too few to tell interactions apart" in note for note in result.notes)


def test_auto_keeps_the_candidate_that_predicts_better_and_says_why() -> None:
    masks = ip.design(30, 300, seed=0)
    linear = ip.fit(masks, masks @ np.arange(30.0))
    joint = ip.fit(masks, 3.0 * (masks[:, 0] & masks[:, 1]) + 2.0 * (masks[:, 2] & masks[:, 3] & masks[:, 4]))
    assert linear.method == "lasso"
    assert {"proxyspex", "gp"} & set(joint.method.split("+"))
    for result in (linear, joint):
        assert any(f"auto chose {result.method}" in note for note in result.notes)
    assert joint.faithfulness.r2 > (joint.faithfulness.first_order or 0)


def test_auto_turns_to_coded_masks_where_no_proxy_explains_unseen_ablations() -> None:
    sets = [(2, 11, 17, 23, 39), (0, 5, 8, 30), (1, 12, 13, 14, 38)]  # large, and without strong parts
    truth = ip.Spectrum(40, dict.fromkeys(sets, 1.0))
    calls: list[int] = []

    def game(masks: np.ndarray) -> np.ndarray:
        calls.append(len(masks))
        return truth.predict(masks)

    result = ip.explain(game, labels=40, budget=1200)
    assert result.method == "spex"
    assert any("the rest of the budget went to the coded masks of spex" in note for note in result.notes)
    assert set(result.interactions("fourier", top=3)) == set(sets)
    assert sum(calls) == result.used <= 1200


def test_auto_turns_to_coded_masks_where_proxies_explain_a_part_only() -> None:
    """Single effects hold two fifths of the variance: any proxy finds them, and none the large sets."""
    sets = [(2, 11, 17, 23, 39), (0, 5, 8, 30), (1, 12, 13, 14, 38)]
    truth = ip.Spectrum(40, {**dict.fromkeys(sets, 1.0), (4,): 1.0, (9,): -1.0})
    result = ip.explain(ip.Game(truth.predict, 40), budget=1200)
    assert result.method == "spex"
    assert set(result.interactions("fourier", top=5)) == {*sets, (4,), (9,)}
    unseen = np.random.default_rng(5).random((500, 40)) < 0.5
    assert np.allclose(result.spectrum.predict(unseen), truth.predict(unseen), atol=1e-3)


def test_a_goal_stops_coded_masks_too_as_soon_as_it_is_reached() -> None:
    result = ip.explain(
        lambda masks: 1.0 - 2.0 * (masks[:, [3, 7, 11, 20]].sum(axis=1) % 2), labels=30, budget=3000, until=0.9
    )
    assert result.method == "spex"
    assert result.used < 1000
    assert set(result.interactions("fourier", top=1)) == {(3, 7, 11, 20)}
    assert any(f"stopped after {result.used} of 3000" in note for note in result.notes)


@pytest.mark.parametrize("seed", range(4))
def test_the_note_of_auto_and_its_result_tell_the_same_r2(seed: int) -> None:
    """Also where a blend of one bears the name of a candidate."""
    truth = sparse_spectrum(4 + seed % 2, 5, 4, seed)
    result = ip.explain(ip.Game(truth.predict, truth.n), budget=(1 << truth.n) - 1, seed=seed)
    told = dict(part.split(" ") for part in result.notes[0].split("did not see: ")[1].split(" (")[0].split(", "))
    assert float(told[result.method]) == pytest.approx(result.faithfulness.r2, abs=6e-4)


def test_auto_has_intervals_whatever_it_chose() -> None:
    masks = ip.design(30, 300, seed=0)
    linear = ip.fit(masks, masks @ np.arange(30.0))
    assert linear.method == "lasso"
    assert all(low <= key[0] <= high for key, (low, high) in linear.interactions().intervals(0.99).items())


def test_auto_says_what_budget_coded_masks_would_need() -> None:
    truth = ip.Spectrum(40, {(2, 11, 17, 23, 39): 1.0, (0, 5, 8, 30): 1.0})
    few = ip.explain(ip.Game(truth.predict, 40), budget=150)
    (note,) = (note for note in few.notes if "would allow the coded masks of spex" in note)
    enough = int(note.split("a budget of ")[1].split()[0])
    more = ip.explain(ip.Game(truth.predict, 40), budget=enough)
    assert any("went to the coded masks of spex" in note for note in more.notes)
    assert not any("would allow" in note for note in more.notes)


def test_auto_spends_nothing_on_coded_masks_where_a_proxy_explains() -> None:
    truth = sparse_spectrum(40, 30, 2, 1)
    result = ip.explain(ip.Game(truth.predict, 40), budget=1000)
    assert result.method != "spex"
    assert not any("coded" in note for note in result.notes)
    assert result.faithfulness.r2 > 0.9


def test_auto_keeps_its_own_candidates_where_more_ablations_was_all_they_lacked() -> None:
    """Hundreds of pairs and no single effects: a quarter of the budget shows nothing, all of it everything."""
    rng = np.random.default_rng(1)
    pairs = [(i, j) for i in range(24) for j in range(i + 1, 24)]
    truth = ip.Spectrum(24, {pairs[k]: float(rng.normal()) for k in rng.permutation(len(pairs))[:180]})
    result = ip.explain(ip.Game(truth.predict, 24), budget=680)
    assert any("auto on all of them" in note for note in result.notes)
    fresh = rng.random((2000, 24)) < 0.5
    error = ((truth.predict(fresh) - result.spectrum.predict(fresh)) ** 2).mean()
    assert error / truth.variance < 0.1
    assert result.method != "spex"


def test_auto_says_when_the_gaussian_process_was_no_candidate() -> None:
    masks = ip.design(12, 60)
    notes = [ip.fit(masks, masks[:, 0] * 1.0, method=Auto(most=most)).notes[0] for most in (59, 60)]
    assert ["no gp: 60 ablations are more than the 59" in note for note in notes] == [True, False]


def test_each_of_several_outputs_keeps_what_explains_it_after_coded_masks() -> None:
    rng = np.random.default_rng(1)
    pairs = [(i, j) for i in range(24) for j in range(i + 1, 24)]
    many = ip.Spectrum(24, {pairs[k]: float(rng.normal()) for k in rng.permutation(len(pairs))[:180]})
    sets = [tuple(np.sort(rng.choice(24, 5, replace=False)).tolist()) for _ in range(6)]
    large = ip.Spectrum(24, dict.fromkeys(sets, 1.0))

    def game(masks: np.ndarray) -> np.ndarray:
        return np.column_stack([many.predict(masks), large.predict(masks)])

    result = ip.explain(game, labels=24, budget=680)
    first, second = result.for_output(0), result.for_output(1)
    assert first.method != "spex"
    assert second.method == "spex"
    assert min(first.faithfulness.r2, second.faithfulness.r2) > 0.5
    assert result.curve[-1].r2 == (first.faithfulness.r2, second.faithfulness.r2)


def test_an_output_that_gets_no_coded_masks_because_others_are_explained_says_so() -> None:
    def game(masks: np.ndarray) -> np.ndarray:
        signs = 1.0 - 2.0 * masks
        return np.column_stack([masks @ np.arange(24.0), signs[:, [0, 3, 9, 12, 20]].prod(axis=1)])

    result = ip.explain(game, labels=24, budget=800)
    assert not any("coded" in note for note in result.for_output(0).notes)
    assert any("method='spex' tries them" in note for note in result.for_output(1).notes)


def test_a_game_that_is_constant_where_auto_looks_first_is_still_explained() -> None:
    result = ip.explain(lambda masks: masks[:, :9].all(axis=1).astype(float), labels=20, budget=1000, seed=0)
    assert result.used <= 1000


def test_auto_is_hardly_below_the_lasso_at_tiny_budgets() -> None:
    fresh = np.random.default_rng(9).random((2000, 20)) < 0.5
    differences = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        truth = ip.Spectrum(20, {(i,): float(rng.normal()) for i in range(10)})
        masks = ip.design(20, 40, seed=seed)
        spread = np.sqrt(truth.variance)
        values = truth.predict(masks) + 0.2 * spread * rng.normal(size=40)
        error = [
            ((truth.predict(fresh) - ip.fit(masks, values, method=method).spectrum.predict(fresh)) ** 2).mean()
            for method in ("auto", "lasso")
        ]
        differences.append((error[0] - error[1]) / truth.variance)
    assert np.mean(differences) < 0.02
    assert max(differences) < 0.05


def test_methods_are_found_by_name_case_aside_and_instances_pass() -> None:
    assert [get_estimator(name.upper()).name for name in METHODS] == list(METHODS)
    lasso = Lasso(penalties=7)
    assert get_estimator(lasso) is lasso
    with pytest.raises(ip.InputError, match=r"unknown method 'proxispex'. Did you mean 'proxyspex'?"):
        get_estimator("proxispex")
    with pytest.raises(ip.InputError, match=r"the class Lasso: pass an instance, Lasso\(...\)"):
        get_estimator(Lasso)


def test_lasso_finds_the_few_of_more_features_than_ablations() -> None:
    n = 1200  # where features outnumber the ablations, their Gram matrix is not made
    effects = np.zeros(n)
    effects[[3, 500, 1100]] = [2.0, -1.0, 0.5]
    masks = ip.design(n, 150, method="lasso")
    result = ip.fit(masks, masks @ effects, method="lasso")
    found = result.interactions("bv")
    assert {feature for (feature,) in found.top(3)} == {3, 500, 1100}
    assert result.faithfulness.r2 > 0.99
    np.testing.assert_allclose([found[i,] for i in (3, 500, 1100)], [2.0, -1.0, 0.5], rtol=1e-3)
