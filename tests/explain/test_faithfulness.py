"""Faithfulness is measured on unseen ablations, and its interval means what it says."""

from __future__ import annotations

import numpy as np
import pytest

import interplay as ip
from interplay._explain.faithfulness import measure_faithfulness
from interplay.estimators._validation import choose, folds


def test_the_interval_covers_the_true_r_squared_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered, runs = 0, 400
    for _ in range(runs):
        truth = rng.normal(size=200)
        predicted = truth + 0.5 * rng.normal(size=200)
        result = measure_faithfulness(truth, predicted, how="", first_order=None)
        covered += result.low <= 1 - 0.25 <= result.high
    assert 0.91 <= covered / runs <= 0.98


def test_r_squared_of_a_perfect_and_of_a_constant_prediction() -> None:
    truth = np.arange(10.0)
    assert measure_faithfulness(truth, truth, how="", first_order=None).r2 == 1.0
    assert measure_faithfulness(truth, np.full(10, truth.mean()), how="", first_order=None).r2 == pytest.approx(0.0)


def test_a_constant_game_has_no_r_squared_and_the_result_says_so() -> None:
    result = ip.explain(lambda masks: np.full(len(masks), 0.25), labels=30, budget=50)
    assert np.isnan(result.faithfulness.r2)
    assert "every ablation gave the same value" in result.faithfulness.how
    assert any("the game is constant: all 48 ablations gave 0.25" in note for note in result.notes)
    assert len(result.interactions()) == 0


def test_folds_are_even_and_reproducible() -> None:
    assigned = folds(103, seed=1)
    assert set(np.bincount(assigned)) == {20, 21}
    np.testing.assert_array_equal(assigned, folds(103, seed=1))
    assert (folds(103, seed=2) != assigned).any()
    assert set(folds(2, seed=0)) == {0, 1}


def test_choosing_among_many_useless_candidates_does_not_flatter() -> None:
    """The smallest of many equal errors is small by luck; the score of the choice must not be."""
    rng = np.random.default_rng(0)
    gains_best, gains_scored = [], []
    for _ in range(50):
        fold = folds(60, seed=0)
        errors = rng.exponential(size=(200, 60))
        best, chosen = choose(errors, fold)
        gains_best.append(errors[best].mean())
        gains_scored.append(errors[chosen, np.arange(60)].mean())
    assert np.mean(gains_best) < 0.75  # the flattering figure
    assert np.mean(gains_scored) == pytest.approx(1.0, abs=0.05)  # the true mean error of every candidate
