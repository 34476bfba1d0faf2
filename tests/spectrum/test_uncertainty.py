"""Uncertainty of indices: against sums over every set there is."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

import interplay as ip
from interplay._spectrum.indices import index_weight
from interplay._spectrum.uncertainty import SetPrior, Uncertainty
from interplay.estimators import GP

N = 6


def every_set(n: int = N) -> list[tuple[int, ...]]:
    return [key for size in range(1, n + 1) for key in itertools.combinations(range(n), size)]


@pytest.fixture
def doubt() -> Uncertainty:
    rng = np.random.default_rng(0)
    prior = SetPrior(2.0, tuple(rng.uniform(0.05, 0.6, N).tolist()))
    listed = {key: float(rng.uniform(0.001, 0.02)) for key in every_set()[::3]}
    return Uncertainty(N, listed, prior, (9.0, 4.0))


def prior_variance(doubt: Uncertainty, key: tuple[int, ...]) -> float:
    assert doubt.prior is not None
    return doubt.prior.scale * float(np.prod([doubt.prior.weights[j] for j in key]))


@pytest.mark.parametrize("index", ["fourier", "bii", "sii", "sv", "mobius", "fbii", "stii", "fsii"])
def test_unlisted_sets_count_in_every_index(doubt, index):
    order = 1 if index == "sv" else 3
    variances = {
        key: doubt.deviations[key] ** 2 if key in doubt.deviations else prior_variance(doubt, key)
        for key in every_set()
    }
    stretch = {"fourier": 1.0, "bii": 1.0, "sii": 6.5, "sv": 6.5}.get(index, 9.0)
    wanted = [key for key in every_set() if len(key) <= order]
    for key, found in doubt.of(index, order, wanted).items():
        own = index_weight(index, len(key), len(key), order) ** 2 * variances[key]
        unknown = min(1.0, variances[key] / prior_variance(doubt, key))
        total = sum(
            index_weight(index, len(key), len(other), order) ** 2 * variance
            for other, variance in variances.items()
            if set(key) <= set(other)
        )
        expected = stretch * (total + own * (8.0 ** (len(key) - 1) - 1) * unknown)
        if index == "mobius":  # no surer than half of what 2^s values would be
            of_a_value = prior_variance(doubt, ()) + sum(variances.values())
            expected = max(expected, stretch * 0.5 * 2.0 ** len(key) * of_a_value)
        assert found**2 == pytest.approx(expected, rel=1e-9)


def test_a_set_that_was_not_found_has_an_interval_that_is_not_nothing():
    masks = ip.design(20, 150)
    found = ip.fit(masks, 2.0 * (masks[:, 3] & masks[:, 5]) - masks[:, 1] * 0.5, method="proxyspex").interactions()
    unseen = next(key for key in itertools.combinations(range(20), 3) if key not in found)
    low, high = found.intervals()[unseen]
    assert low < 0 < high
    assert low == -high
    assert (0,) not in found.distinct()
    assert {(3,), (5,), (3, 5), (1,)} <= set(found.distinct())


def test_all_measured_is_known_exactly():
    found = ip.explain(lambda masks: masks.all(axis=1), labels=4, budget=16).interactions("bii")
    assert all(low == high == found[key] for key, (low, high) in found.intervals().items())
    assert len(found.distinct()) == len(found)
    assert not found.notes


@pytest.mark.parametrize("method", ["auto", "gp", "lasso", "proxyspex"])
def test_whatever_was_chosen_has_intervals(method):
    rng = np.random.default_rng(1)
    masks = ip.design(15, 90)
    noisy = 1.0 * masks[:, 2] - 2.0 * (masks[:, 4] & masks[:, 9]) + 0.2 * rng.standard_normal(len(masks))
    found = ip.fit(masks, noisy, method=method).interactions()
    intervals = found.intervals(0.99)
    assert len(intervals) == len(found) > 0
    assert intervals[2,][0] <= 1.0 <= intervals[2,][1]
    assert intervals[4,][0] <= -1.0 <= intervals[4,][1]


def test_errors_at_the_ends_widen_what_lies_beside_them(doubt):
    quiet = Uncertainty(N, doubt.deviations, doubt.prior)
    loud = quiet.seen_at_ends(100.0, 0.0)
    assert loud.ends[0] > 1 == loud.ends[1]
    assert loud.of("mobius")[0,] > loud.of("sv")[0,] > quiet.of("sv")[0,]
    assert loud.of("bii", 2) == quiet.of("bii", 2)


def test_intervals_hold_for_large_sets_of_a_game_that_jumps_beside_the_empty_input():
    """Uniform ablations hardly see the jump; that the fit is wrong at the empty input, which is measured, tells it."""
    effects = np.random.default_rng(0).standard_normal(10)

    def jumps(masks):
        return np.where(masks.sum(axis=1) < 2, 0.0, 3.0 + masks @ effects)

    truth = ip.explain(jumps, labels=10, budget=1024, order=5).interactions("mobius")
    found = ip.explain(jumps, labels=10, budget=130, method=GP(effort=0.0)).interactions("mobius")
    intervals, strongest = found.intervals(), truth.top(60)
    held = [intervals[key][0] <= value <= intervals[key][1] for key, value in strongest.items()]
    assert np.mean(held) >= 0.8


def test_it_survives_json(doubt):
    spectrum = ip.Spectrum(N, dict.fromkeys(doubt.deviations, 1.0))
    read = Uncertainty.from_dict(json.loads(json.dumps(doubt.to_dict())), spectrum.n)
    for index in ("bii", "sv", "mobius"):
        assert read.of(index, 2) == doubt.of(index, 2)


def test_effects_beside_an_empty_input_bear_a_note():
    masks = ip.design(15, 60)
    found = ip.fit(masks, 1.0 * masks[:, 2] * masks[:, 3] + masks[:, 4])
    assert "bii" in found.interactions("mobius").notes[0]
    assert not found.interactions().notes
