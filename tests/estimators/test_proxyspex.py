"""ProxySPEX: an exact read-out of trees, and a refinement that helps on ablations it did not see."""

from __future__ import annotations

import numpy as np
import pytest

import interplay as ip
from interplay.estimators import all_masks
from interplay.estimators._proxyspex.trees import grow, leaves_of, read_out
from oracles import dense_values, sparse_spectrum


def trees(masks: np.ndarray, values: np.ndarray, count: int, depth: int) -> object:
    return grow(masks, values, trees=count, depth=depth, rate=0.1, leaf=1, seed=0)


def spectrum_of(booster: object, n: int, stages: list[int]) -> list[ip.Spectrum]:
    ids, coefficients = read_out(leaves_of(booster), n, stages)
    keys = [tuple(i for i in row if i < n) for row in ids.tolist()]
    return [ip.Spectrum(n, dict(zip(keys, column.tolist(), strict=True))) for column in coefficients.T]


@pytest.mark.parametrize(("n", "depth", "count"), [(1, 1, 3), (6, 1, 20), (6, 3, 1), (8, 5, 60), (10, 8, 30)])
def test_the_read_out_is_what_the_trees_predict_on_every_mask(n: int, depth: int, count: int) -> None:
    masks, values = all_masks(n), dense_values(n, depth)
    booster = trees(masks, values, count, depth)
    spectrum = spectrum_of(booster, n, [count])[0]
    np.testing.assert_allclose(
        spectrum.predict(masks),
        booster.predict(masks.astype(float)),
        atol=1e-9,
    )
    assert spectrum.order <= depth


def test_the_read_out_after_some_of_the_trees_is_theirs() -> None:
    masks, values = all_masks(7), dense_values(7, 0)
    booster = trees(masks, values, 40, 4)
    for stage, spectrum in zip([5, 20, 40], spectrum_of(booster, 7, [5, 20, 40]), strict=True):
        expected = booster.predict(masks.astype(float), num_iteration=stage)
        np.testing.assert_allclose(spectrum.predict(masks), expected, atol=1e-9)


def test_trees_without_a_split_are_a_constant() -> None:
    masks = all_masks(4)
    spectrum = spectrum_of(trees(masks, np.ones(16), 3, 3), 4, [3])[0]
    assert spectrum.order == 0


def test_sets_of_many_features_among_very_many_are_told_apart() -> None:
    """Keys longer than one machine word."""
    rng = np.random.default_rng(0)
    masks = rng.random((400, 3000)) < 0.5
    values = rng.normal(size=400)
    booster = trees(masks, values, 5, 8)
    spectrum = spectrum_of(booster, 3000, [5])[0]
    np.testing.assert_allclose(
        spectrum.predict(masks),
        booster.predict(masks.astype(float)),
        atol=1e-9,
    )


def hierarchical(n: int, seed: int) -> ip.Spectrum:
    """A few sets of up to three features, with all their subsets."""
    rng = np.random.default_rng(seed)
    total = ip.Spectrum(n, {(): 0.0})
    for _ in range(6):
        top = sorted(rng.choice(n, 3, replace=False).tolist())
        scale = float(rng.uniform(1, 2))
        parts = [tuple(i for k, i in enumerate(top) if bits >> k & 1) for bits in range(8)]
        total = total + ip.Spectrum(n, {key: scale * float(rng.choice([-1, 1])) / (1 + len(key)) for key in parts})
    return total


def test_strongest_interactions_of_a_hierarchical_game_are_found() -> None:
    spectrum = hierarchical(30, 0)
    masks = ip.design(30, 800)
    found = ip.fit(masks, spectrum.predict(masks), method="proxyspex").spectrum
    true = sorted((k for k in spectrum.coefficients if len(k) > 1), key=lambda k: -abs(spectrum.coefficients[k]))[:10]
    ours = sorted((k for k in found.coefficients if len(k) > 1), key=lambda k: -abs(found.coefficients[k]))[:12]
    assert len(set(true) & set(ours)) >= 9


@pytest.mark.parametrize("seed", [1, 2])
def test_interactions_buy_accuracy_on_masks_never_seen_and_it_says_how_much(seed: int) -> None:
    spectrum = hierarchical(40, seed)
    masks, fresh = ip.design(40, 500, seed=seed), ip.design(40, 2000, seed=99)
    noise = 0.3 * np.sqrt(spectrum.variance) * np.random.default_rng(seed).normal(size=500)
    result = ip.fit(masks, spectrum.predict(masks) + noise, method="proxyspex")
    truth = spectrum.predict(fresh)
    actual = 1 - ((truth - result.spectrum.predict(fresh)) ** 2).mean() / truth.var()
    assert actual > (result.faithfulness.first_order or 0) + 0.1
    # The reported R² is against noisy values, of which 0.3² / (1 + 0.3²) cannot be predicted.
    expected = 1 - (1 - actual + 0.09) / 1.09
    assert result.faithfulness.low - 0.05 <= expected <= result.faithfulness.high + 0.05


def test_on_noise_it_claims_nothing() -> None:
    scores = []
    for seed in range(4):
        masks = ip.design(40, 200, seed=seed)
        values = np.random.default_rng(seed).normal(size=200)
        scores.append(ip.fit(masks, values, method="proxyspex", seed=seed).faithfulness.r2)
    assert max(scores) < 0.1


def test_it_is_deterministic() -> None:
    masks = ip.design(25, 150)
    values = sparse_spectrum(25, 10, 3, 0).predict(masks)
    one, two = (ip.fit(masks, values, method="proxyspex").to_dict() for _ in range(2))
    assert one == two


@pytest.mark.parametrize("order", [1, 2, 4])
def test_no_set_is_larger_than_the_order_asked_for(order: int) -> None:
    masks = ip.design(20, 200)
    values = sparse_spectrum(20, 20, 4, 1).predict(masks)
    result = ip.fit(masks, values, method="proxyspex", order=order)
    assert result.spectrum.order <= order == result.order


@pytest.mark.parametrize(("n", "count"), [(20, 8), (5, 20), (300, 40), (1000, 100)])
def test_few_ablations_or_many_features_do_no_harm(n: int, count: int) -> None:
    masks = ip.design(n, count, method="lasso")
    result = ip.fit(masks, masks[:, 0] * 2.0 + masks[:, 1], method="proxyspex")
    assert np.isfinite(result.faithfulness.r2)
    assert any("by held-out error" in note for note in result.notes)


def test_constant_and_repeated_columns_do_no_harm() -> None:
    masks = ip.design(10, 300)
    masks = np.column_stack([masks, masks[:, 0], np.ones(300, dtype=bool)])
    masks = np.unique(masks, axis=0)
    result = ip.fit(masks, 2.0 * (masks[:, 0] & masks[:, 1]), method="proxyspex")
    assert result.faithfulness.r2 > 0.95
