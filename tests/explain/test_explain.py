"""The one entry point: budgets, outputs, labels, saving, and everything a user may get wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from oracles import dense_game, sparse_spectrum


def pair_game(n: int = 25) -> ip.Game:
    return ip.Game(lambda masks: 2.0 * (masks[:, 0] & masks[:, 1]) - masks[:, 2], labels=n)


class Counted:
    """A game that counts the masks it is asked for."""

    def __init__(self, n: int) -> None:
        self.n, self.rows = n, 0

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        self.rows += len(masks)
        return masks.sum(axis=1) + 2.0 * (masks[:, 0] & masks[:, self.n - 1])


@pytest.mark.parametrize(("n", "budget"), [(1, 2), (2, 3), (3, 8), (20, 4), (20, 15), (20, 16), (20, 100), (300, 40)])
def test_no_more_ablations_are_made_than_the_budget(n: int, budget: int) -> None:
    game = Counted(n)
    if n == 2:  # a budget below 2^n that is too small to estimate anything
        with pytest.raises(ip.InputError, match="a budget of 3 is too small"):
            ip.explain(game, labels=n, budget=budget)
        return
    result = ip.explain(game, labels=n, budget=budget)
    assert game.rows == result.used <= budget == result.budget


def test_the_untouched_and_the_empty_input_are_reported_as_measured() -> None:
    game = Counted(20)
    result = ip.explain(game, labels=20, budget=50)
    assert (result.full, result.empty) == ((22.0,), (0.0,))


def test_outputs_share_one_set_of_ablations_and_equal_separate_fits() -> None:
    spectra = [sparse_spectrum(24, 6, 2, seed) for seed in range(3)]
    rows = 0

    def game(masks: np.ndarray) -> np.ndarray:
        nonlocal rows
        rows += len(masks)
        return np.column_stack([spectrum.predict(masks) for spectrum in spectra])

    together = ip.explain(ip.Game(game, 24, outputs=["a", "b", "c"]), budget=150)
    assert rows == together.used
    for position, name in enumerate("abc"):
        single = ip.explain(spectra[position].predict, labels=24, budget=150)
        one = together.for_output(name)
        assert one.spectrum == single.spectrum
        assert one.faithfulness == single.faithfulness
        assert one.full == single.full
        assert together.for_output(position).spectrum == one.spectrum
    with pytest.raises(ip.InputError, match="3 outputs: choose one with for_output\\('a', 'b', 'c'\\)"):
        _ = together.spectrum
    with pytest.raises(ip.InputError, match="unknown output 'd'"):
        together.for_output("d")
    with pytest.raises(ip.InputError, match="no output 3: there are 3"):
        together.for_output(3)


def test_fit_on_the_same_ablations_gives_the_same_explanation() -> None:
    game = pair_game()
    masks = ip.design(25, 98)
    elsewhere = ip.fit(masks, game(masks), labels=game.labels)
    here = ip.explain(game, budget=100, removals=0)  # two of the budget go to the ends
    assert here.spectrum == elsewhere.spectrum
    assert here.faithfulness == elsewhere.faithfulness


def test_repeated_masks_are_averaged_and_it_says_so() -> None:
    masks = ip.design(4, 16)
    twice = np.concatenate([masks, masks[:5]])
    values = np.concatenate([masks[:, 0] * 1.0, masks[:5, 0] + 2.0])
    result = ip.fit(twice, values, method="exact")
    expected = masks[:, 0] * 1.0
    expected[:5] += 1.0
    np.testing.assert_allclose(result.spectrum.predict(masks), expected, atol=1e-12)
    assert any("5 of 21 masks repeat others; their values were averaged" in note for note in result.notes)


def test_results_do_not_depend_on_anything_but_the_seed() -> None:
    one, again, other = (ip.explain(pair_game(), budget=80, seed=seed) for seed in (1, 1, 2))
    assert one.to_dict()["fits"] == again.to_dict()["fits"]
    assert one.to_dict()["fits"] != other.to_dict()["fits"]


def test_a_saved_explanation_is_the_same_when_loaded(tmp_path: Path) -> None:
    game = ip.lenses.text(lambda texts: [float("never fails" in t) for t in texts], "It never fails here.", ablate="_")
    for name, result in {
        "text": ip.explain(game, budget=16),
        "constant": ip.explain(lambda masks: np.zeros(len(masks)), labels=3, budget=8),
        "outputs": ip.explain(lambda masks: masks[:, :2] * 1.0, labels=3, budget=8),
    }.items():
        path = tmp_path / f"{name}.json"
        result.save(path)
        loaded = ip.load(path)
        assert loaded.to_dict() == result.to_dict()
        assert repr(loaded) == repr(result)
        assert loaded.layout == result.layout
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_interactions_rank_by_magnitude_and_show_the_users_words() -> None:
    labels = ["the", "never", "the", "fails"]
    game = ip.Game(lambda masks: 2.0 * (masks[:, 1] & masks[:, 3]) - 3.0 * masks[:, 2] + 0.5 * masks[:, 0], labels)
    found = ip.explain(game, budget=16).interactions("mobius")
    assert list(found) == [(2,), (1, 3), (0,)]
    assert found.named()[:2] == [(("the#2",), -3.0), (("never", "fails"), 2.0)]
    assert list(found.top(1)) == [(2,)]
    assert list(found.of_order(2)) == [(1, 3)]


def test_a_repr_reads_in_the_users_words() -> None:
    words = repr(ip.explain(ip.Game(lambda m: 2.0 * (m[:, 0] & m[:, 1]), ["never", "fails"]), budget=4))
    assert "never + fails +2" in words
    assert "4 ablations" in words


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ip.explain(pair_game(), budget=0), "budget must be at least 1 ablation, not 0"),
        (lambda: ip.explain(pair_game(), budget=1), "a budget of 1 is too small to estimate anything for 25 features"),
        (lambda: ip.explain(pair_game(), budget=2.5), "budget must be a whole number of ablations, not 2.5"),
        (lambda: ip.explain(pair_game(), budget=50, order=0), "order must be a whole number of at least 1, not 0"),
        (lambda: ip.explain(pair_game(), budget=50, method="laso"), "unknown method 'laso'. Did you mean 'lasso'?"),
        (lambda: ip.explain(lambda m: m.sum(1), budget=50), "a plain function needs labels"),
        (lambda: ip.explain(lambda m: m.sum(1), labels=0, budget=50), "at least one feature, but there are 0 labels"),
        (lambda: ip.explain(lambda m: m.sum(1), labels="ab", budget=50), "not the text 'ab'"),
        (lambda: ip.explain(pair_game(), labels=3, budget=50), "3 labels for a game of 25 features"),
        (lambda: ip.explain(42, labels=3, budget=50), "a game must be callable on masks, but int is not"),
        (lambda: ip.explain(lambda m: m.sum(1), labels=1, budget=1), "budget of 1 is too small .*: allow at least 2"),
        (lambda: ip.design(0, 10), "number of features must be a whole number of at least 1, not 0"),
        (lambda: ip.design(2.5, 10), "number of features must be a whole number of at least 1, not 2.5"),
        (lambda: pair_game()([[True, False], [True]]), "masks must be a boolean array .*: its rows differ in length"),
        (lambda: ip.explain(pair_game(), budget=50, store=3), "a store is a Store or the path of a file, not 3"),
        (lambda: ip.design(5, 0), "budget must be at least 1 ablation, not 0"),
        (lambda: ip.fit(np.ones((4, 3)), np.ones(4)), r"masks must be boolean .*, not float64: pass masks.astype"),
        (lambda: ip.fit(np.ones(4, bool), np.ones(4)), r"masks must have shape \(N, n\), not \(4,\)"),
        (lambda: ip.fit(np.ones((0, 3), bool), np.ones(0)), "there are no masks to fit"),
        (lambda: ip.fit(np.ones((4, 0), bool), np.ones(4)), "masks have no columns"),
        (lambda: ip.fit(np.ones((4, 3), bool), np.ones(4), labels=2), "2 labels, but the masks have 3 columns"),
        (lambda: pair_game()(np.ones((2, 24), bool)), "masks have 24 columns, but there are 25 features"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_value_and_the_way_out(call: object, message: str) -> None:
    with pytest.raises(ip.InputError, match=message):
        call()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda m: np.ones(len(m) + 1), r"8 masks gave values of shape \(9,\): return shape \(8,\)"),
        (lambda m: np.ones((len(m), 0)), "no outputs at all"),
        (lambda m: np.ones((len(m), 2, 2)), r"values of shape \(8, 2, 2\)"),
        (
            lambda m: np.where(m[:, 0], np.nan, 1.0),
            r"NaN for 4 of 8 masks: rows .* kept\).*finite number",
        ),
        (lambda m: np.where(m.all(1), np.inf, 1.0), r"infinite values for 1 of 8 masks: rows 7 \(3 of 3 kept\)"),
        (lambda m: m.sum(1) + 1j, "values must be real numbers, but they are complex128"),
        (lambda m: ["good"] * len(m), "values must be real numbers, but they are <U4"),
        (lambda m: [None] * len(m), "values must be real numbers, but they are object"),
        (lambda m: 1.0, r"8 masks gave values of shape \(\)"),
        (
            lambda m: [[1.0, 2.0], *[[1.0]] * (len(m) - 1)],
            r"the list returned cannot become \(its rows differ in length",
        ),
    ],
)
def test_a_game_that_returns_no_finite_real_numbers_is_named(value: object, message: str) -> None:
    with pytest.raises(ip.AblationError, match=message):
        ip.explain(value, labels=3, budget=8)


def test_an_unknown_index_is_answered_with_the_nearest() -> None:
    result = ip.explain(dense_game(3, 0), budget=8)
    with pytest.raises(ip.InputError, match=r"unknown index 'ksii'. Did you mean 'k-sii'?"):
        result.interactions("ksii")
    for said, meant in {"shapely": "sv", "Banzhaf": "bv", "faith_shap": "fsii", "möbios": "mobius"}.items():
        with pytest.raises(ip.InputError, match=f"unknown index '{said}'. Did you mean '{meant}'?"):
            result.interactions(said)
    for order in (0, 2.5, "2"):
        with pytest.raises(ip.InputError, match=f"order must be a whole number of at least 1, not {order!r}"):
            result.interactions("fbii", order=order)
    with pytest.raises(ip.InputError, match=r"top must be a whole number of at least 0, not 1\.5"):
        result.interactions("fbii", top=1.5)
    assert result.interactions("K_SII").index == "k-sii"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "not a saved explanation: it lacks the field 'interplay'"),
        ('{"interplay": 99}', "saved in format 99, but this version of interplay reads up to 1: upgrade"),
        ('{"interplay": 1}', "damaged"),
        ('{"interplay": true}', "not a saved explanation"),
        ('{"interplay": NaN}', "NaN is no number"),
        ("[" * 100_000 + "]" * 100_000, "is not JSON"),
    ],
)
def test_a_file_that_is_no_explanation_of_this_version_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "saved.json"
    path.write_text(content)
    with pytest.raises(ip.InputError, match=message):
        ip.load(path)


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ip.InputError, match=r"cannot read .*absent.json: No such file"):
        ip.load(tmp_path / "absent.json")
    with pytest.raises(ip.InputError, match=r"cannot write .*No such file"):
        ip.explain(dense_game(2, 0), budget=4).save(tmp_path / "no" / "folder.json")


def test_a_damaged_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    ip.explain(dense_game(2, 0), budget=4).save(path)
    parts = json.loads(path.read_text()) | {"layout": {"kind": "hologram"}}
    path.write_text(json.dumps(parts))
    with pytest.raises(ip.InputError, match="unknown layout 'hologram'"):
        ip.load(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda parts: parts["fits"][0]["spectrum"]["coefficients"].append([1, 2, 3]),
        lambda parts: parts["fits"][0]["spectrum"]["coefficients"].append([[0], "x"]),
        lambda parts: parts["fits"][0]["faithfulness"].update(r2="good"),
        lambda parts: parts.update(fits=[]),
        lambda parts: parts.update(labels=["only one"]),
        lambda parts: parts.update(curve=[[]]),
        lambda parts: parts["fits"][0]["spectrum"].update(coefficients=[[[0], 10**400]]),
        lambda parts: parts["fits"][0].update(evidence=[[[0], json.loads("[" * 50 + "]" * 50)]]),
        lambda parts: parts.update(full=[10**400]),
        lambda parts: parts.update(labels=[None, "b"]),
        lambda parts: parts.update(labels=5),
        lambda parts: parts.update(notes=5),
        lambda parts: parts.update(outputs={"a": 1}),
        lambda parts: parts.update(fits=parts["fits"] * 2),
        lambda parts: parts.update(layout={"kind": "grid", "rows": ["a"], "columns": ["b"], "cells": [[0, 9], [0, 0]]}),
        lambda parts: parts.update(layout={"kind": "text", "text": "ab", "spans": [[0, 1]]}),
        lambda parts: parts.update(
            layout={"kind": "image", "picture": ["000000"], "segments": [[0]], "shape": [1, 1], "grid": [2, 10**9]}
        ),
    ],
)
def test_a_damaged_file_is_one_sentence_wherever_the_damage_is(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "saved.json"
    ip.explain(dense_game(2, 0), budget=4).save(path)
    parts = json.loads(path.read_text())
    damage(parts)
    path.write_text(json.dumps(parts))
    with pytest.raises(ip.InputError, match=r"saved.json: this saved explanation is damaged"):
        ip.load(path)


@pytest.mark.parametrize("scale", [1e-160, 1e160])
def test_values_whose_squares_leave_the_range_of_numbers_are_an_error_that_says_what_to_do(scale: float) -> None:
    masks = ip.design(20, 50)
    with pytest.raises(ip.InputError, match=r"values .* (multiply|divide) them by a constant"):
        ip.fit(masks, scale * masks.sum(axis=1), method="lasso")


def test_the_question_of_a_game_is_kept_by_its_explanation(tmp_path: Path) -> None:
    asked = ip.explain(ip.Game(lambda masks: 1.0 * masks[:, 0], 3, question="Which of the three?"), budget=8)
    asked.save(tmp_path / "asked.json")
    assert ip.load(tmp_path / "asked.json").question == asked.question == "Which of the three?"
    game = ip.lenses.text(lambda texts: [float(len(t)) for t in texts], "One. Two.", unit="sentence", ablate="_")
    assert game.question == "Which sentences drive the score?"
