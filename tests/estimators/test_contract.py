"""What every registered estimator promises, whatever its algorithm; a new one is held to it by being registered."""

from __future__ import annotations

import pickle
from functools import cache
from itertools import combinations

import numpy as np
import pytest

import interplay as ip
from interplay._plugins import plugin_names
from interplay.estimators import METHODS, Estimator, Recovery, get_estimator

N, ENOUGH = 10, 120  # features, and ablations that find what there is to find
TRUTHS = (
    ip.Spectrum(N, {(): 1.0, (0,): 2.0, (3,): -1.5, (6,): 1.0, (0, 3): 0.6, (3, 6): -0.4, (0, 3, 6): 0.3}),
    ip.Spectrum(N, {(1,): -1.0, (2,): 1.5, (8,): 0.8, (1, 8): 0.5}),
)
NOISE = 0.1
REGISTERED = [*METHODS, *plugin_names("interplay.estimators")]
every = pytest.mark.parametrize("name", REGISTERED)


def budgets(estimator: Estimator) -> tuple[int, int]:
    """Two budgets for which there is a design."""
    small = max(estimator.fewest(N), ENOUGH)
    return small, min(2 * small, 1 << N)


@cache
def measured(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the estimator's design, and noisy values (N, 2) at them."""
    estimator = get_estimator(name)
    masks = estimator.design(N, budgets(estimator)[0], 3)
    rng = np.random.default_rng(0)
    values = np.column_stack([truth.predict(masks) for truth in TRUTHS])
    return masks, values + NOISE * rng.normal(size=values.shape)


@cache
def fitted(name: str) -> Recovery:
    masks, values = measured(name)
    return get_estimator(name).fit(masks, values[:, 0].copy(), order=3, seed=5)


def coefficients(spectrum: ip.Spectrum) -> np.ndarray:
    """The coefficients of every set of at most three of the features."""
    sets = [key for size in range(4) for key in combinations(range(spectrum.n), size)]
    return np.array([spectrum.coefficients.get(key, 0.0) for key in sets])


@every
def test_contract_a_larger_budget_keeps_every_mask_of_a_smaller_one(name: str) -> None:
    estimator = get_estimator(name)
    small, large = (estimator.design(N, budget, 3) for budget in budgets(estimator))
    assert small.dtype == np.bool_
    assert len(small) <= budgets(estimator)[0]
    assert len(np.unique(large, axis=0)) == len(large)
    assert {row.tobytes() for row in small} <= {row.tobytes() for row in large}


@every
def test_contract_a_design_follows_from_its_seed_alone(name: str) -> None:
    estimator = get_estimator(name)
    budget = budgets(estimator)[0]
    first, again, other = (estimator.design(N, budget, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    if not estimator.whole:  # what measures every mask there is draws nothing
        assert first.shape != other.shape or (first != other).any()


@every
def test_contract_the_same_seed_gives_the_same_fit(name: str) -> None:
    masks, values = measured(name)
    again = get_estimator(name).fit(masks, values[:, 0].copy(), order=3, seed=5)
    assert again.spectrum == fitted(name).spectrum
    if again.unseen is not None:
        np.testing.assert_array_equal(again.unseen, fitted(name).unseen)


@every
def test_contract_the_order_of_rows_does_not_matter(name: str) -> None:
    """It decides which rows make a fold, no more: what a fit says must not hang on that."""
    masks, values = measured(name)
    order = np.random.default_rng(1).permutation(len(masks))
    shuffled = get_estimator(name).fit(masks[order], values[order, 0], order=3, seed=5)
    found, expected = coefficients(shuffled.spectrum), coefficients(fitted(name).spectrum)
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


@every
def test_contract_one_output_equals_many(name: str) -> None:
    masks, values = measured(name)
    first, second = get_estimator(name).fit_outputs(masks, values, order=3, seed=5)
    assert first.spectrum == fitted(name).spectrum
    assert second.spectrum != first.spectrum
    if first.unseen is not None:
        np.testing.assert_array_equal(first.unseen, fitted(name).unseen)


@every
def test_contract_a_constant_output_has_no_effects_and_no_r2(name: str) -> None:
    masks, values = measured(name)
    outputs = np.column_stack([np.full(len(masks), 0.25), values[:, 0]])
    result = ip.fit(masks, outputs, method=name, order=3, seed=5)
    constant, other = result.for_output(0), result.for_output(1)
    assert dict(constant.spectrum.coefficients) == {(): 0.25}
    assert np.isnan(constant.faithfulness.r2)
    assert any("the game is constant" in note for note in constant.notes)
    assert other.spectrum == fitted(name).spectrum


@every
def test_contract_a_prediction_does_not_see_the_row_it_predicts(name: str) -> None:
    """A value is made absurd: wherever it is predicted, the prediction of it must stay where the others put it."""
    masks, values = measured(name)
    recovery = fitted(name)
    if recovery.unseen is None:
        assert len(masks) == 1 << N  # nothing was left to predict
        return
    rows = np.arange(len(masks)) if recovery.rows is None else recovery.rows
    place = len(rows) // 3
    moved = values[:, 0].copy()
    jump = 3.0 * values[:, 0].std()
    moved[rows[place]] += jump
    again = get_estimator(name).fit(masks, moved, order=3, seed=5)
    assert again.unseen is not None
    at = again.unseen[place] if recovery.rows is None else again.unseen[np.flatnonzero(again.rows == rows[place])[0]]
    # Hyper-parameters and choices among candidates may have seen the value (they move it by .03 of the jump at most);
    # the fit that predicts it may not (it would move by .09 in proxyspex, .35 in auto, .81 in gp).
    assert abs(at - recovery.unseen[place]) < 0.05 * jump


@every
def test_contract_predictions_do_not_flatter_beside_fresh_ablations(name: str) -> None:
    _, values = measured(name)
    recovery = fitted(name)
    if recovery.unseen is None:
        return
    rows = slice(None) if recovery.rows is None else recovery.rows
    claimed = float(((recovery.unseen - values[rows, 0]) ** 2).mean())
    fresh = np.random.default_rng(8).random((4000, N)) < 0.5
    truth = TRUTHS[0].predict(fresh)
    actual = float(((recovery.spectrum.predict(fresh) - truth) ** 2).mean()) + NOISE**2
    assert claimed * recovery.flatters > 0.5 * actual


@every
def test_contract_it_and_what_it_finds_can_be_pickled(name: str) -> None:
    estimator = get_estimator(name)
    assert pickle.loads(pickle.dumps(estimator)) == estimator
    masks, _ = measured(name)
    prepared = pickle.loads(pickle.dumps(estimator.prepare(masks)))
    column = measured(name)[1][:, 0].copy()
    assert estimator.recover(prepared, column, order=3, seed=5).spectrum == fitted(name).spectrum
    assert pickle.loads(pickle.dumps(fitted(name))).spectrum == fitted(name).spectrum
