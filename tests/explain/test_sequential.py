"""With a goal, ablations are made in rounds and stop as soon as it is surely reached."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import interplay as ip


def mostly_linear(masks: np.ndarray) -> np.ndarray:
    return masks @ np.linspace(1.0, 2.0, masks.shape[1]) + 0.5 * (masks[:, 0] & masks[:, 1])


def test_it_stops_at_the_first_round_whose_whole_interval_clears_the_goal() -> None:
    result = ip.explain(mostly_linear, labels=30, budget=2000, until=0.9, method="lasso")
    assert result.used < 300
    assert [point.low[0] >= 0.9 for point in result.curve] == [False] * (len(result.curve) - 1) + [True]
    assert result.curve[-1].ablations == result.used - len(result.removals)
    assert result.curve[-1].r2[0] == result.faithfulness.r2
    assert any(f"stopped after {result.used} of 2000 ablations" in note for note in result.notes)


def test_no_ablation_is_made_twice_over_the_rounds(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def game(masks: np.ndarray) -> np.ndarray:
        seen.extend(mask.tobytes() for mask in masks)
        return mostly_linear(masks) ** 2

    first = ip.explain(ip.Game(game, 30, name="g"), budget=500, until=0.9999, method="lasso", store=tmp_path / "a.db")
    assert len(first.curve) > 2
    assert len(seen) == len(set(seen)) == first.used == 500
    assert first.from_store == 0
    again = ip.explain(ip.Game(game, 30, name="g"), budget=500, until=0.9999, method="lasso", store=tmp_path / "a.db")
    assert (len(seen), again.from_store) == (500, 500)
    assert again.curve == first.curve
    assert any("used up before the goal was reached" in note for note in first.notes)


def test_a_last_round_is_what_one_measurement_of_its_budget_would_be() -> None:
    rounds = ip.explain(mostly_linear, labels=30, budget=400, until=0.99999, method="lasso")
    once = ip.explain(mostly_linear, labels=30, budget=400, method="lasso")
    fresh = ip.design(30, 100, method="lasso", seed=9)
    np.testing.assert_allclose(rounds.spectrum.predict(fresh), once.spectrum.predict(fresh), atol=1e-9)
    assert len(once.curve) == 1


def test_a_tolerance_stops_when_r_squared_is_known_well_enough() -> None:
    noise = np.random.default_rng(0).normal(size=1 << 16)

    def noisy(masks: np.ndarray) -> np.ndarray:
        return masks @ np.ones(16) + noise[masks @ (1 << np.arange(16))]

    result = ip.explain(noisy, labels=16, budget=5000, tolerance=0.05, method="lasso")
    widths = [point.high[0] - point.low[0] for point in result.curve]
    assert widths[-1] <= 0.1 < widths[-2]
    assert result.used < 5000


def test_every_output_must_reach_the_goal() -> None:
    def game(masks: np.ndarray) -> np.ndarray:
        pairs = masks[:, :-1:2] ^ masks[:, 1::2]
        return np.column_stack([masks.sum(axis=1), pairs.sum(axis=1)])

    result = ip.explain(game, labels=20, budget=300, until=0.9, method="lasso", removals=0)
    assert result.used == 300
    assert result.for_output(0).curve[-1].low[0] > 0.9 > result.for_output(1).curve[-1].low[0]


def test_the_curve_survives_saving(tmp_path: Path) -> None:
    result = ip.explain(mostly_linear, labels=30, budget=500, until=0.95, method="lasso")
    result.save(tmp_path / "r.json")
    assert ip.load(tmp_path / "r.json").curve == result.curve


@pytest.mark.parametrize("method", ["exact", "spex"])
def test_rounds_begin_at_the_smallest_design_that_the_method_has(method: str) -> None:
    result = ip.explain(mostly_linear, labels=10, budget=1024, until=0.9, method=method)
    assert result.faithfulness.low >= 0.9
    assert any(f"stopped after {result.used} of 1024 ablations" in note for note in result.notes)


def test_a_goal_is_not_reached_by_having_seen_nothing() -> None:
    result = ip.explain(lambda masks: 1.0 * masks[:, :9].all(axis=1), labels=20, budget=90, until=0.9, method="lasso")
    assert result.used == 90
    assert any("nothing varied" in note for note in result.notes)
    assert any("everything kept gives 1 and everything ablated 0" in note for note in result.notes)
    assert not any("no feature has any effect" in note for note in result.notes)


def test_an_output_that_never_varies_holds_no_other_one_up() -> None:
    def game(masks: np.ndarray) -> np.ndarray:
        return np.column_stack([mostly_linear(masks), np.ones(len(masks))])

    result = ip.explain(game, labels=30, budget=2000, until=0.9, method="lasso")
    assert result.used < 300
    assert any("an output that never varied has none" in note for note in result.game_notes)


@pytest.mark.parametrize(
    "goal", [{"until": 0.0}, {"until": 1.0}, {"until": 90}, {"until": "0.9"}, {"until": True}, {"tolerance": 0}]
)
def test_a_goal_out_of_range_is_refused(goal: dict) -> None:
    with pytest.raises(ip.InputError, match=r"must be .* between 0 and 1, not"):
        ip.explain(mostly_linear, labels=30, budget=500, **goal)
