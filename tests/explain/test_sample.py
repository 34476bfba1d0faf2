"""What a round measures is whole: no ablation lost, none paid twice, and what failed is said."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import interplay as ip
from interplay._explain.plan import plan
from interplay._explain.sample import Sample
from interplay.ablate import measure
from interplay.estimators import Lasso


def sampled(game: ip.Game, budget: int, before: Sample | None = None, store: ip.Store | None = None) -> Sample:
    return Sample.measured(
        game, plan(Lasso(), game.n, budget, 0, game.keep), partial(measure, game, store=store), before
    )


def test_a_sample_holds_what_was_measured_and_both_ends_besides() -> None:
    game = ip.Game(lambda masks: masks.sum(axis=1) + 1.0, 20)
    sample = sampled(game, 50)
    assert (len(sample.masks), len(sample.ends), sample.used, sample.paid) == (48, 2, 50, 50)
    assert (sample.full, sample.empty) == ((21.0,), (1.0,))
    np.testing.assert_array_equal(sample.values, game(sample.masks))
    masks, values = sample.everything
    np.testing.assert_array_equal(values, game(masks))


def test_later_samples_count_what_earlier_ones_cost() -> None:
    game = ip.Game(lambda masks: masks.sum(axis=1) * 1.0, 20)
    with ip.Store(":memory:") as store:
        first = sampled(game, 40, store=store)
        second = sampled(game, 100, before=first, store=store)
    assert (second.used, second.paid) == (100, 100)
    assert second.seconds > first.seconds
    np.testing.assert_array_equal(second.masks[: len(first.masks)], first.masks)


def test_ablations_that_fail_leave_no_hole_and_repeats_stay_side_by_side() -> None:
    def game(masks: np.ndarray) -> ip.Partial:
        lost = np.flatnonzero(masks[:, 0] & masks[:, 1] & masks[:, 2])
        each = np.delete(masks, lost, axis=0).sum(axis=1)
        return ip.Partial(np.column_stack([each - 1.0, each + 1.0]), dict.fromkeys(lost.tolist(), "too long"))

    sample = sampled(ip.Game(game, 20, repeats=2, failures=0.5), 100)
    assert 60 < len(sample.masks) < 98
    assert sample.raw.shape == (len(sample.masks), 2)
    np.testing.assert_array_equal(sample.values, sample.masks.sum(axis=1))
    assert (sample.full, sample.empty) == (None, (0.0,))  # everything kept is among those that failed
    assert "too long" in sample.notes[0]


def test_keep_is_the_games_unless_explain_is_told_another() -> None:
    seen: list[np.ndarray] = []

    def game(masks: np.ndarray) -> np.ndarray:
        seen.append(masks)
        return masks.sum(axis=1) * 1.0

    for asked, expected in ((None, 0.7), (0.9, 0.9), (0.5, 0.5)):
        seen.clear()
        result = ip.explain(ip.Game(game, 40, keep=0.7), budget=200, keep=asked, method="lasso")
        assert result.keep == expected
        assert np.concatenate(seen).mean() == pytest.approx(expected, abs=0.03)
        assert any(f"kept with probability {expected:g}" in note for note in result.notes) == (expected != 0.5)
    with pytest.raises(ip.InputError, match=r"keep must lie strictly between 0 and 1, not 90"):
        ip.explain(ip.Game(game, 40), budget=200, keep=90)
    with pytest.raises(ip.InputError, match=r"spex needs its own ablations, which keep half"):
        ip.explain(ip.Game(game, 40), budget=2000, keep=0.9, method="spex")
