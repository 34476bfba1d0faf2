"""Flips: minimal sets by brute force, proposals by HiGHS against enumeration, and an honest end."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

import interplay as ip
from interplay.actions._correction import Correction
from interplay.actions._program import least
from interplay.actions._toggles import Toggles, toggled
from oracles import dense_game, sparse_spectrum


def minimal(game: ip.Game, line: float, sign: int, most: int, start: bool) -> set[tuple[int, ...]]:
    """Every inclusion-minimal set of at most ``most`` parts whose toggling crosses the line, by brute force."""
    found: set[tuple[int, ...]] = set()
    for size in range(1, most + 1):
        sets = [key for key in combinations(range(game.n), size) if not any(set(one) < set(key) for one in found)]
        if sets:
            values = game(toggled(np.full(game.n, start), range(game.n), sets))
            found |= {key for key, value in zip(sets, values, strict=True) if sign * (value - line) > 0}
    return found


def a_line(game: ip.Game, sign: int, start: bool, size: int) -> float:
    """A line that no set below ``size`` crosses, or a nearer one where larger sets go no further."""
    values = {
        k: game(toggled(np.full(game.n, start), range(game.n), list(combinations(range(game.n), k))))
        for k in range(size + 1)
    }
    reached = max(float((sign * values[k]).max()) for k in range(size))
    further = max(reached, float((sign * values[size]).max()))
    return sign * (0.5 * reached + 0.5 * further if further > reached else reached - 1e-3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sign", [-1, 1])
def test_what_is_found_in_a_game_fully_known_is_every_minimal_set(seed: int, sign: int) -> None:
    spectrum = sparse_spectrum(9, 14, 4, seed)
    game = ip.Game(spectrum.predict, 9)
    explanation = ip.explain(game, budget=512, progress=False)
    for start, act in ((True, ip.actions.flip), (False, ip.actions.suffice)):
        line = a_line(game, sign, start, 2)
        found = act(game, explanation, most=4, checks=500, **{"below" if sign < 0 else "above": line})
        assert {one.features for one in found.found} == minimal(game, line, sign, 4, start)
        assert all(one.predicted == pytest.approx(one.measured, abs=1e-6) for one in found.found)
        assert found.remaining == 1.0
        assert found.sufficient is not start


def test_a_spectrum_that_knows_half_is_corrected_until_the_sets_are_right() -> None:
    wanted = returned = 0
    for seed in range(6):
        truth = sparse_spectrum(10, 20, 3, seed)
        game = ip.Game(truth.predict, 10)
        known = ip.fit(masks := ip.design(10, 120, seed=seed), game(masks), method="lasso", order=2, seed=seed)
        assert known.faithfulness.r2 < 0.8
        line = a_line(game, -1, True, 1)
        found = {one.features for one in ip.actions.flip(game, known, below=line, most=3, checks=200).found}
        right = minimal(game, line, -1, 3, True)
        assert found <= right
        assert min(map(len, found)) == min(map(len, right))
        wanted, returned = wanted + len(right), returned + len(found)
    assert returned >= 0.7 * wanted


def test_every_returned_set_is_measured_and_checks_are_never_exceeded() -> None:
    game = dense_game(8, 3)
    seen: list[np.ndarray] = []
    counted = ip.Game(lambda masks: (seen.append(masks), game(masks))[1], 8)
    explanation = ip.explain(game, budget=100, progress=False)
    start = float(game(np.ones((1, 8), bool))[0])
    found = ip.actions.flip(counted, explanation, above=start + 0.5, checks=12)
    rows = np.concatenate(seen)
    assert found.measured == len(rows) <= 12
    for one in (*found.found, *found.tried):
        mask = np.ones(8, bool)
        mask[list(one.features)] = False
        assert (rows == mask).all(axis=1).any()
        assert one.measured == game(mask[None])[0]
        assert (one.measured > start + 0.5) >= (one in found.found)


def test_sets_that_cross_with_one_already_found_inside_are_not_shown_as_tried_in_vain() -> None:
    hidden = 0
    for seed in range(6):
        game = dense_game(8, seed)
        line = float(game(np.ones((1, 8), bool))[0]) + 0.3
        found = ip.actions.flip(game, ip.explain(game, budget=60, progress=False), above=line, checks=60)
        hidden += sum(one.measured > line for one in found.tried)
        for table in found.view().parts:
            if "vain" in table.title:
                assert all(row[1] <= line for row in table.rows)
                assert len(table.rows) + table.left == sum(one.measured <= line for one in found.tried)
    assert hidden


def test_a_search_that_has_enough_ends_at_a_smallest_set_and_costs_less() -> None:
    game = ip.Game(sparse_spectrum(9, 14, 3, 1).predict, 9)
    explanation = ip.explain(game, budget=512, progress=False)
    line = a_line(game, -1, True, 2)
    whole = ip.actions.flip(game, explanation, below=line, most=3, checks=200)
    one = ip.actions.flip(game, explanation, below=line, most=3, checks=200, enough=1)
    assert one.found
    assert len(one.found[0].features) == len(whole.found[0].features)
    assert one.measured <= whole.measured
    with pytest.raises(ip.InputError, match="enough"):
        ip.actions.flip(game, explanation, below=line, enough=0)


def test_a_line_no_set_reaches_ends_honestly() -> None:
    game = ip.Game(sparse_spectrum(9, 12, 2, 0).predict, 9)
    found = ip.actions.flip(game, ip.explain(game, budget=512, progress=False), below=-1e3, most=5)
    assert found.found == ()
    assert found.ending.startswith("no set of up to 5 parts takes the output below -1000, predicted with 99%")


def test_parts_outside_within_are_never_touched() -> None:
    game = ip.Game(lambda masks: masks.sum(axis=1) - 0.0, ["a", "b", "c", "a"])
    explanation = ip.explain(game, budget=16, progress=False)
    found = ip.actions.flip(game, explanation, below=2.5, within=["a", 2])
    assert {one.features for one in found.found} == {(0, 2), (0, 3), (2, 3)}
    half = ip.actions.flip(game, explanation, below=lambda full: full / 2, most=4)
    assert half.below == 2.0
    assert {len(one.features) for one in half.found} == {3}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_integer_program_finds_what_enumeration_finds(seed: int, most: int) -> None:
    toggles = Toggles.of(sparse_spectrum(9, 30, 4, seed), np.ones(9, bool), range(9), most)
    for excluded in ((), ((0, 1), (3,))):
        best, chosen = min(
            (float(toggles.at(np.array([key]))[0]), key)
            for size in range(1, most + 1)
            for key in combinations(range(9), size)
            if not any(set(one) <= set(key) for one in excluded)
        )
        solved = least(toggles, most, beyond=excluded, seconds=60)
        assert solved.chosen == chosen
        assert solved.value == pytest.approx(best)
        assert solved.bound == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_polynomial_of_toggles_is_the_spectrum(seed: int) -> None:
    spectrum = sparse_spectrum(8, 25, 4, seed)
    kept = np.random.default_rng(seed).random(8) < 0.5
    parts = [1, 2, 4, 5, 7]
    toggles = Toggles.of(spectrum, kept, parts, 3)
    for size in range(4):
        sets = list(combinations(range(5), size))
        expected = spectrum.predict(toggled(kept, parts, sets))
        np.testing.assert_allclose(toggles.at(np.array(sets, dtype=np.intp).reshape(len(sets), size)), expected)


def test_the_correction_is_a_polynomial_through_what_was_measured() -> None:
    sets = [(0,), (1,), (0, 1), (2, 3, 4)]
    errors = np.array([0.5, -0.2, 0.9, -1.0])
    correction = Correction(5, 0.1)
    correction.learn(sets, errors)
    as_terms = Toggles(5, correction.terms())
    for chosen, error in zip(sets, errors, strict=True):
        at = np.array([chosen])
        assert correction.at(at)[0][0] == pytest.approx(error, abs=1e-3)
        assert correction.at(at)[1][0] < 0.01
    for chosen in [(0, 2), (1, 4), (0, 1, 3)]:
        assert as_terms.at(np.array([chosen]))[0] == pytest.approx(correction.at(np.array([chosen]))[0][0])


def test_many_outputs_and_repeats_are_read_like_the_explanation() -> None:
    def value(masks: np.ndarray) -> np.ndarray:
        good, bad = masks[:, 0] * 1.0, masks[:, 1] * 2.0
        return np.stack([good, good, bad - 0.5, bad + 0.5], axis=1)

    game = ip.Game(value, 3, outputs=["good", "bad"], repeats=2)
    explanation = ip.explain(game, budget=8, progress=False)
    found = ip.actions.flip(game, explanation.for_output("bad"), below=1)
    assert [one.features for one in found.found] == [(1,)]
    assert found.found[0].measured == 0.0
    with pytest.raises(ip.InputError, match="choose one"):
        ip.actions.flip(game, explanation, below=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "below=VALUE or above=VALUE"),
        ({"below": 0, "above": 1}, "one of the two"),
        ({"below": 5}, "already below 5"),
        ({"above": float("nan")}, "finite"),
        ({"below": 0, "within": []}, "within is empty"),
        ({"below": 0, "within": "x0"}, r"pass \['x0'\]"),
        ({"below": 0, "within": [7]}, "ids run from 0 to 2"),
        ({"below": 0, "within": ["y"]}, "unknown part 'y'"),
        ({"below": 0, "most": 0}, "most must be"),
        ({"below": 0, "checks": 1}, "checks must be"),
    ],
)
def test_a_mistake_gets_one_sentence(options: dict[str, object], words: str) -> None:
    game = ip.Game(lambda masks: masks.sum(axis=1), 3)
    explanation = ip.explain(game, budget=8, progress=False)
    with pytest.raises(ip.InputError, match=words):
        ip.actions.flip(game, explanation, **options)
    with pytest.raises(ip.InputError, match="explain this game first"):
        ip.actions.flip(game.relabelled(["a", "b", "c"]), explanation, below=0)


def test_results_read_back_as_json_and_as_a_table() -> None:
    import json

    game = ip.Game(lambda masks: masks[:, 0] * masks[:, 1] * 1.0, ["the", "the", "end"])
    found = ip.actions.flip(game, ip.explain(game, budget=8, progress=False), below=0.5)
    parts = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [one["features"] for one in parts["found"]] == [[0], [1]]
    frame = found.to_frame()
    assert frame[frame["found"]]["labels"].tolist() == [("the#1",), ("the#2",)]
    assert "the#1: 1 -> 0 (predicted 0)" in str(found)


def test_a_fit_that_found_nothing_is_not_taken_for_a_perfect_one() -> None:
    game = ip.Game(lambda masks: masks[:, 2] & masks[:, 5] | masks[:, 7], 8)
    explanation = ip.explain(game, budget=16, progress=False)
    fit = explanation.fit
    constant = replace(fit, spectrum=ip.Spectrum(8, {(): 0.6}), faithfulness=replace(fit.faithfulness, r2=-0.1))
    flips = ip.actions.flip(game, replace(explanation, fits=(constant,)), below=0.5, most=2)
    assert {one.features for one in flips.found} == {(2, 7), (5, 7)}


def test_a_search_for_one_set_ends_when_much_looking_found_none() -> None:
    game = ip.Game(lambda masks: 3.0 + masks @ np.linspace(0.1, 0.5, 10) + 0.1 * masks[:, :4].prod(axis=1), 10)
    explanation = ip.explain(game, budget=12, progress=False)
    assert ip.actions.flip(game, explanation, below=1.0, most=3, checks=60).measured == 60
    flips = ip.actions.flip(game, explanation, below=1.0, most=3, checks=200, enough=1)
    assert not flips.found
    assert flips.measured <= 40
    assert flips.remaining > 0.95
