"""SPEX: designs that nest and are recognised, and games that are recovered from them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interplay as ip
from interplay.estimators import SPEX, Lasso
from interplay.estimators._validation import r_squared
from interplay.estimators.spex._bins import Bins
from interplay.estimators.spex._decode import Decoder, pad, peel, unpad
from interplay.estimators.spex._design import design_from, recognise


def sparse_game(n, count, seed, low=1, high=5):
    rng = np.random.default_rng(seed)
    coefficients = {}
    while len(coefficients) < count:
        size = int(rng.integers(low, min(high, n) + 1))
        coefficients[tuple(sorted(rng.choice(n, size, replace=False).tolist()))] = float(rng.normal())
    return ip.Spectrum(n, coefficients)


def worst_error(found, truth):
    keys = {*found.coefficients, *truth.coefficients} - {()}
    return max(abs(found.coefficients.get(key, 0.0) - truth.coefficients.get(key, 0.0)) for key in keys)


def as_rows(masks):
    return set(map(bytes, np.packbits(masks, axis=1)))


def noisy(truth, masks, seed, share=0.3):
    spread = share * np.sqrt(truth.variance)
    return truth.predict(masks) + spread * np.random.default_rng(seed).normal(size=len(masks))


# -- the design


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(0, 5), st.lists(st.integers(1, 4000), min_size=2, max_size=3))
def test_a_larger_budget_keeps_every_mask_and_none_repeats(n, seed, budgets):
    previous = set()
    for budget in sorted(budgets):
        try:
            masks = ip.design(n, budget, method="spex", seed=seed)
        except ip.InputError:
            assert not previous
            continue
        rows = as_rows(masks)
        assert len(rows) == len(masks) <= budget
        assert len(masks) == min(budget, 1 << n)
        assert previous <= rows
        previous = rows


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9, 17, 60, 131, 1000, 5000])
def test_too_small_a_budget_names_the_smallest_that_works(n):
    estimator = SPEX()
    least = min(2**n, estimator.cost(n, min(3, n)))
    if least > 1:
        with pytest.raises(ip.InputError, match=rf"at least {least} ablations.*proxyspex"):
            estimator.design(n, least - 1, 0)
    assert len(estimator.design(n, least, 0)) <= least


def test_the_dimension_is_the_largest_that_the_budget_allows_and_t_never_changes():
    estimator = SPEX()
    for budget in (2000, 3936, 3935, 8000):
        b = estimator.dimension(131, budget)
        assert estimator.cost(131, b) <= budget < estimator.cost(131, b + 1)
        found = recognise(estimator.design(131, budget, 3))
        assert found.design.strength == 5
        assert len(found.design.delays) == 41
        assert found.design.groups == 3
        assert found.design.bits in (b, b + 1)  # cells that coincide can complete the next dimension


def test_a_dimension_of_ones_own_is_measured_exactly():
    masks = SPEX(b=4, groups=2, t=3).design(50, 10**6, 0)
    design = design_from(50, 0, bits=4, groups=2, strength=3)
    cells = design.rows(4).reshape(-1, 7)
    assert as_rows(masks) >= set(map(bytes, cells))
    assert len(masks) <= len(cells)  # where cells coincide, fresh masks come instead


@pytest.mark.parametrize(
    ("n", "budget", "options"), [(24, 1500, {}), (131, 3000, {"t": 3}), (200, 4000, {"groups": 4})]
)
def test_a_design_is_recognised_in_any_order_among_other_masks_without_its_seed(n, budget, options):
    rng = np.random.default_rng(1)
    masks = SPEX(**options).design(n, budget, seed=77)
    mixed = np.concatenate([rng.random((300, n)) < 0.5, masks])[rng.permutation(len(masks) + 300)]
    found = recognise(mixed)
    plain = recognise(masks)
    assert (found.design.bits, found.design.groups) == (plain.design.bits, options.get("groups", 3))
    assert found.design.strength == options.get("t", 5)
    cells = found.cells[found.cells >= 0]
    np.testing.assert_array_equal(np.packbits(mixed, axis=1)[cells], found.design.rows(found.level)[found.cells >= 0])


def test_masks_of_another_design_are_an_error_that_names_the_way_out():
    masks = ip.design(40, 1000, method="lasso")
    with pytest.raises(ip.InputError, match=r"no SPEX design.*method='auto'"):
        ip.fit(masks, masks[:, 0] * 1.0, method="spex")


def test_a_design_is_recognised_without_its_first_rows_whose_ablations_may_have_failed():
    for n, budget in ((30, 1500), (131, 3000)):
        masks = SPEX().design(n, budget, seed=3)
        for lost in ([1], [0, 1], [1, 2]):
            found = recognise(np.delete(masks, lost, axis=0))
            np.testing.assert_array_equal(found.design.header, masks[1])
            assert found.design.groups == 3


def test_a_dimension_whose_design_would_not_be_recognised_is_refused():
    with pytest.raises(ip.InputError, match=r"b = 2 over 30 features.*choose b >= 3"):
        SPEX(b=2).design(30, 1000, 0)
    assert len(SPEX(b=2).design(2, 1000, 0)) == 4


def test_masks_at_another_rate_are_refused_before_they_are_paid_for():
    with pytest.raises(ip.InputError, match=r"keep half of the features, not 0\.7"):
        ip.design(40, 2000, method="spex", keep=0.7)


@pytest.mark.parametrize("scale", [2.0**-130, 1e-12, 1e9, 2.0**200])
def test_the_scale_of_the_values_changes_nothing_else(scale):
    truth = sparse_game(60, 20, 4)
    masks = SPEX().design(60, 2000, 0)
    values = noisy(truth, masks, 1)
    plain, scaled = (ip.fit(masks, factor * values, method="spex") for factor in (1.0, scale))
    assert scaled.faithfulness.r2 == pytest.approx(plain.faithfulness.r2, abs=1e-6)
    assert scaled.spectrum.coefficients.keys() == plain.spectrum.coefficients.keys()
    fresh = np.random.default_rng(0).random((100, 60)) < 0.5
    np.testing.assert_allclose(scaled.spectrum.predict(fresh) / scale, plain.spectrum.predict(fresh), atol=1e-6)


def test_an_offset_far_above_the_effects_hides_none_of_them():
    truth = ip.Spectrum(40, {(): 1e9, (1,): 1.0, (3, 9, 27): -0.05, (5, 6): 0.02})
    masks = SPEX().design(40, 1500, 0)
    found = ip.fit(masks, truth.predict(masks), method="spex").spectrum
    for key, value in truth.coefficients.items():
        assert found.coefficients[key] == pytest.approx(value, abs=1e-5)


def test_a_game_that_is_explained_without_any_rest_is_fitted_without_complaint():
    masks = SPEX(groups=1).design(30, 3000, 0)
    values = 2.0 * masks[:, 0] - masks[:, 1] + 0.5 * (masks[:, 0] & masks[:, 2])
    found = ip.fit(masks, values, method="spex").interactions("mobius", top=3)
    assert dict(found) == pytest.approx({(0,): 2.0, (1,): -1.0, (0, 2): 0.5})


def test_it_says_that_sets_beyond_t_are_only_looked_for_beside_others():
    masks = SPEX(t=2).design(40, 1000, 0)
    values = masks[:, 0] * 1.0
    assert any("SPEX(t=5)" in note for note in ip.fit(masks, values, method="spex").notes)
    assert not any("SPEX(t=" in note for note in ip.fit(masks, values, method="spex", order=2).notes)


@pytest.mark.parametrize(
    "option",
    [
        *({"b": b} for b in (0, 21, 2.5)),
        *({"groups": groups} for groups in (0, 17, "3")),
        *({"t": t} for t in (0, 11)),
        *({"held_out": share} for share in (0.9, "a")),
    ],
)
def test_options_that_make_no_sense_are_refused(option):
    with pytest.raises(ip.InputError, match=next(iter(option)) if "held_out" not in option else "share"):
        SPEX(**option)


def test_five_thousand_features_are_designed_in_bounded_memory():
    tracemalloc.start()
    masks = SPEX().design(5000, 6336, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(masks) > 6000
    assert peak < 4 * masks.nbytes


# -- bins


@pytest.mark.parametrize(("n", "bits"), [(6, 3), (20, 4), (131, 5)])
def test_bins_predict_and_correlate_like_the_characters_themselves(n, bits):
    design = design_from(n, 5, bits=bits, groups=3, strength=4)
    truth = sparse_game(n, 20, 2)
    sets = pad(list(truth.coefficients), n, 5)
    bins = Bins(design, bits)
    masks = np.unpackbits(design.rows(bits), axis=-1, count=n).astype(bool)
    values = truth.predict(masks.reshape(-1, n)).reshape(masks.shape[:-1]).transpose(2, 0, 1)
    predicted = bins.predict(sets, np.array(list(truth.coefficients.values())))
    np.testing.assert_allclose(predicted, values, atol=1e-9)
    assert unpad(sets, n) == list(truth.coefficients)


# -- recovery


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(1, 25), st.integers(0, 1000))
def test_recovers_every_coefficient_of_a_noiseless_sparse_game(n, count, seed):
    truth = sparse_game(n, min(count, 2**n - 1, 3 * n), seed)
    estimator = SPEX()
    masks = estimator.design(n, min(2**n, estimator.cost(n, min(n, 5))), seed)
    found = ip.fit(masks, truth.predict(masks) + 0.7, method=estimator, seed=seed).spectrum
    assert worst_error(found, truth) < 1e-9
    assert found.coefficients[()] == pytest.approx(0.7 + truth.coefficients.get((), 0.0), abs=1e-9)


@pytest.mark.parametrize("scale", [1e-60, 1e-30, 1e-12, 1e9, 1e60])
def test_the_scale_of_few_values_changes_no_set(scale):
    truth = sparse_game(60, 20, 1)
    masks = SPEX().design(60, 900, 0)
    values = truth.predict(masks) + 0.1 * np.random.default_rng(0).normal(size=len(masks))
    one, other = (ip.fit(masks, values * by, method="spex").spectrum for by in (1.0, scale))
    assert one.coefficients.keys() == other.coefficients.keys()
    np.testing.assert_allclose(
        [other.coefficients[key] / scale for key in one.coefficients], list(one.coefficients.values()), rtol=1e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 1000, 4000])
def test_recovers_a_hundred_coefficients_of_order_one_to_five(n):
    truth = sparse_game(n, 100, n)
    estimator = SPEX(b=6)
    masks = estimator.design(n, estimator.cost(n, 6), 0)
    assert len(masks) <= 12000 if n > 1000 else 10752
    values = truth.predict(masks)
    recovery = estimator.fit(masks, values, order=5, seed=0)
    assert worst_error(recovery.spectrum, truth) < 1e-9
    assert r_squared(values[recovery.rows], recovery.unseen) > 1 - 1e-9


def test_finds_parities_whose_subsets_do_not_matter():
    truth = sparse_game(100, 10, 4, low=5)
    explanation = ip.explain(truth.predict, labels=100, budget=1800, method="spex")
    assert worst_error(explanation.spectrum, truth) < 1e-9
    assert explanation.used <= 1800


def test_a_set_larger_than_t_is_not_mistaken_for_another():
    truth = ip.Spectrum(200, {tuple(range(0, 160, 20)): 1.0})
    explanation = ip.explain(truth.predict, labels=200, budget=3000, method="spex", order=8)
    assert all(abs(value) < 0.3 for key, value in explanation.spectrum.coefficients.items() if key)
    assert explanation.faithfulness.r2 < 0.2


def test_order_is_a_limit():
    truth = ip.Spectrum(60, {(1, 2, 3, 4): 1.0, (5, 6): 0.8, (7,): 0.5})
    explanation = ip.explain(truth.predict, labels=60, budget=3000, method="spex", order=2)
    assert explanation.spectrum.order == 2
    assert explanation.spectrum.coefficients[5, 6] == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize("seed", [0, 1])
def test_under_noise_it_predicts_unseen_masks_and_knows_how_well(seed):
    truth = sparse_game(100, 60, seed)
    masks = SPEX(b=6).design(100, 10**5, seed)
    explanation = ip.fit(masks, noisy(truth, masks, seed + 10), method="spex", seed=seed)
    fresh = np.random.default_rng(seed + 20).random((2000, 100)) < 0.5
    assert r_squared(truth.predict(fresh), explanation.spectrum.predict(fresh)) > 0.97
    measured = r_squared(noisy(truth, fresh, seed + 30), explanation.spectrum.predict(fresh))
    assert explanation.faithfulness.r2 == pytest.approx(measured, abs=0.03)


def test_with_few_masks_the_faithfulness_does_not_flatter():
    gaps = []
    for seed in range(6):
        truth = sparse_game(60, 120, seed)
        masks = SPEX(b=3).design(60, 10**5, seed)
        explanation = ip.fit(masks, noisy(truth, masks, seed + 10), method="spex", seed=seed)
        fresh = np.random.default_rng(seed + 20).random((4000, 60)) < 0.5
        measured = r_squared(noisy(truth, fresh, seed + 30), explanation.spectrum.predict(fresh))
        gaps.append(explanation.faithfulness.r2 - measured)
    assert np.mean(gaps) < 0.05


def test_soft_decoding_finds_at_least_what_hard_decoding_finds_under_noise():
    found = {True: 0.0, False: 0.0}
    for seed in range(3):
        truth = sparse_game(100, 40, seed, low=3)
        design = design_from(100, seed, bits=4, groups=3, strength=5)
        masks = np.unpackbits(design.rows(4), axis=-1, count=100).astype(bool)
        values = noisy(truth, masks.reshape(-1, 100), seed).reshape(masks.shape[:-1]).transpose(2, 0, 1)
        for soft in found:
            sets, _ = peel(Decoder(design, 5, soft), np.ascontiguousarray(values), np.ones(values.shape))
            found[soft] += sum(truth.coefficients.get(key, 0.0) ** 2 for key in sets) / truth.variance
    assert found[True] > 1.1 * found[False]


def test_beats_the_lasso_on_a_game_of_interactions():
    truth = sparse_game(80, 30, 3, low=2)
    masks = SPEX().design(80, 4000, 0)
    values = noisy(truth, masks, 1)
    fresh = np.random.default_rng(2).random((2000, 80)) < 0.5
    spex, lasso = (method.fit(masks, values, order=5, seed=0).spectrum for method in (SPEX(), Lasso()))
    target = truth.predict(fresh)
    assert r_squared(target, spex.predict(fresh)) > r_squared(target, lasso.predict(fresh)) + 0.5


def test_masks_that_were_lost_are_no_harm():
    truth = sparse_game(100, 20, 5)
    masks = SPEX(b=5).design(100, 10**5, 0)
    kept = np.random.default_rng(0).random(len(masks)) < 0.95
    found = ip.fit(masks[kept], truth.predict(masks[kept]), method="spex").spectrum
    assert worst_error(found, truth) < 1e-9


def test_every_coefficient_says_how_it_was_found_and_saving_keeps_it(tmp_path):
    truth = ip.Spectrum(60, {(1,): 1.0, (3, 9, 27, 40): -0.7, (5, 6): 0.4})
    explanation = ip.explain(truth.predict, labels=60, budget=2000, method="spex")
    evidence = explanation.fit.evidence
    assert set(evidence) == {key for key in explanation.spectrum.coefficients if key}
    assert evidence[3, 9, 27, 40]["found"] == "decoded"
    assert evidence[3, 9, 27, 40]["bins"] == evidence[3, 9, 27, 40]["groups"] == 3
    assert evidence[3, 9, 27, 40]["residual"] < 1e-9
    explanation.save(tmp_path / "it.json")
    assert ip.load(tmp_path / "it.json").fit.evidence == evidence


def test_several_outputs_are_decoded_from_the_same_ablations():
    first, second = sparse_game(50, 10, 0), sparse_game(50, 10, 1)
    calls = []

    def both(masks):
        calls.append(len(masks))
        return np.stack([first.predict(masks), second.predict(masks)], axis=1)

    explanation = ip.explain(both, labels=50, budget=2500, method="spex")
    assert sum(calls) == explanation.used <= 2500
    for output, truth in enumerate((first, second)):
        assert worst_error(explanation.for_output(output).spectrum, truth) < 1e-9


def test_a_larger_budget_goes_on_from_the_store(tmp_path):
    truth = sparse_game(40, 10, 0)
    game = ip.Game(truth.predict, labels=40, name="ten sets")
    small = ip.explain(game, budget=1000, method="spex", store=tmp_path / "store.db")
    large = ip.explain(game, budget=2500, method="spex", store=tmp_path / "store.db")
    assert large.from_store == small.used
    assert worst_error(large.spectrum, truth) < 1e-9


def test_what_is_exact_on_unseen_masks_is_uncertain_by_rounding_alone():
    spectrum = ip.Spectrum(40, {(): 0.5, (3,): 1.0, (5, 9, 30): -2.0, (1, 2, 8, 20): 0.7})
    masks = ip.design(40, 800, method="spex")
    doubt = ip.fit(masks, spectrum.predict(masks), method="spex").fit.uncertainty
    assert doubt is not None
    assert max(doubt.of("bii").values()) < 1e-9
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(masks))
    noisy = ip.fit(masks, spectrum.predict(masks) + noise, method="spex").fit.uncertainty
    assert noisy is not None
    assert noisy.deviations[5, 9, 30] > 1e-4
