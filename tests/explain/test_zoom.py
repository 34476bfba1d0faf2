"""Zooming: coarse parts are opened where they matter, within one budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import interplay as ip


def flat(n: int) -> list[ip.Part]:
    return [ip.Part(f"s{i}", "sentence", i, i + 1) for i in range(n)]


def planted(n: int, ids: list[int], rule: str = "all", noise: float = 0.0) -> ip.Game:
    """A game of n leaves in blocks, of which a few decide."""
    rules = {"all": lambda x: x.all(axis=1), "any": lambda x: x.any(axis=1), "unless": lambda x: x[:, 0] & ~x[:, 1]}

    def value(masks: np.ndarray) -> np.ndarray:
        noisy = np.random.default_rng(int(masks.sum())).normal(size=len(masks))
        return rules[rule](masks[:, ids]).astype(float) + noise * noisy

    return ip.Game(value, [f"s{i}" for i in range(n)], name=f"{n} {ids} {rule} {noise}").zoomed()


def test_a_coarse_mask_is_the_fine_one_that_it_stands_for() -> None:
    words = ip.Game(lambda masks: masks @ [1.0, 2.0, 4.0, 8.0], 4)
    halves = words.zoomed(
        [ip.Part("a", "half", 0, 2, tuple(flat(4)[:2])), ip.Part("b", "half", 2, 4, tuple(flat(4)[2:]))]
    )
    assert halves(np.array([[True, False], [False, True]])).tolist() == [3.0, 12.0]
    finer = halves.refine([1])
    assert finer.labels == ("half: a", "s2", "s3")
    assert finer(np.array([[False, True, False]])).tolist() == [4.0]
    assert finer.finest.n == 4


def test_games_made_of_one_are_told_apart_in_a_store() -> None:
    game = planted(40, [3, 30])
    prints = {one.fingerprint for one in (game, game.refine([0]), game.finest)}
    assert len(prints) == 3
    assert game.finest.fingerprint == ip.Game(len, 40, name="40 [3, 30] all 0.0").fingerprint


@pytest.mark.parametrize(("rule", "sign"), [("all", 1), ("any", -1), ("unless", -1)])
def test_two_sentences_of_many_are_found_with_their_interaction(rule: str, sign: int) -> None:
    found = ip.explain(planted(1000, [137, 760], rule), budget=200)
    pair = found.interactions("mobius")[found.labels.index("s137"), found.labels.index("s760")]
    assert pair == pytest.approx(sign, abs=0.1)
    assert found.faithfulness.r2 > 0.98
    assert found.used <= 200


def test_what_does_not_matter_stays_closed_and_the_notes_bound_what_it_hides() -> None:
    found = ip.explain(planted(1000, [137, 760], noise=0.05), budget=200)
    assert found.n < 100
    assert any("stayed closed; what they hide is at most" in note for note in found.notes)
    assert any("of 1000 finest parts" in note for note in found.notes)


def test_effects_that_cancel_in_a_closed_part_are_noticed() -> None:
    """Neighbours that cancel: no coarse mask shows them, random openings do."""
    game = ip.Game(lambda m: 1.0 * m[:, 300] - m[:, 301] + 0.2 * m[:, 10], [f"s{i}" for i in range(400)]).zoomed()
    found = ip.explain(game, budget=400)
    hidden = [note for note in found.notes if "stayed closed" in note]
    assert {"s300", "s301"} <= set(found.labels) or not any("at most 0%" in note for note in hidden)


def test_values_are_stored_by_leaf_and_a_second_run_pays_nothing(tmp_path: Path) -> None:
    calls: list[int] = []

    def value(masks: np.ndarray) -> np.ndarray:
        calls.append(len(masks))
        return masks[:, [5, 77]].all(axis=1).astype(float)

    game = ip.Game(value, 300, name="counted").zoomed()
    first = ip.explain(game, budget=120, store=tmp_path / "runs.db")
    paid = sum(calls)
    again = ip.explain(game, budget=120, store=tmp_path / "runs.db")
    assert sum(calls) == paid == first.used - first.from_store
    assert again.used == again.from_store == first.used
    assert again.spectrum == first.spectrum


def test_several_outputs_open_what_any_of_them_needs() -> None:
    game = ip.Game(
        lambda m: np.column_stack([m[:, 4], m[:, 250]]).astype(float), [f"s{i}" for i in range(300)], outputs=["a", "b"]
    )
    found = ip.explain(game.zoomed(), budget=160)
    assert {"s4", "s250"} <= set(found.labels)


def test_a_goal_ends_it_early() -> None:
    found = ip.explain(planted(300, [7, 200]), budget=2000, until=0.9)
    assert found.used < 600
    assert any("as soon as the goal was reached" in note for note in found.notes)


def test_a_text_is_cut_into_units_within_units() -> None:
    text = "One fish. Two fish.\n\nThe fish is red."
    game = ip.lenses.text(len, text, unit=("paragraph", "sentence", "word"), ablate="delete")
    assert game.labels == ("paragraph: One fish. Two fish.", "sentence: The fish is red.")
    inner = game.refine([0, 1])
    assert [part.level for part in inner.tree.parts] == ["sentence", "sentence", "word", "word", "word", "word"]
    assert game.inputs([[False, True]]) == [" .  .\n\nThe fish is red."]
    assert [inner.layout.text[a:b] for a, b in inner.layout.spans][:2] == ["One fish", "Two fish"]


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (("word", "sentence"), "from coarse to fine"),
        (("sentence", "wrd"), "Did you mean 'word'"),
        (("word", "word"), "coarse to fine"),
    ],
)
def test_mistaken_tuples_of_units_are_one_sentence(unit: tuple[str, ...], words: str) -> None:
    with pytest.raises(ip.InputError, match=words):
        ip.lenses.text(len, "One fish. Two fish.", unit=unit)


def test_mistakes_of_opening_are_one_sentence() -> None:
    game = planted(40, [3, 30])
    with pytest.raises(ip.InputError, match="there is no feature 99"):
        game.refine([99])
    with pytest.raises(ip.InputError, match="the finest part"):
        game.refine([0]).refine([0])
    with pytest.raises(ip.InputError, match="have no parts to open"):
        game.finest.refine([0])
    with pytest.raises(ip.InputError, match="side by side"):
        game.finest.zoomed(flat(39))
    with pytest.raises(ip.InputError, match="needs its own ablations"):
        ip.explain(game, budget=100, method="spex")
    with pytest.raises(ip.InputError, match="in a zoom"):
        ip.explain(game, budget=100, index="sv")
    with pytest.raises(ip.InputError, match="change from round to round"):
        ip.explain(game, budget=100, labels=[f"part {i}" for i in range(game.n)])
    for wrong in (0, ["s3"], [0.5]):
        with pytest.raises(ip.InputError, match="must be a list of numbers"):
            game.refine(wrong)
    with pytest.raises(ip.InputError, match="unit is empty"):
        ip.lenses.text(len, "One fish.", unit=())
    found = ip.explain(game, budget=40)
    for wrong, words in ((0.5, "by ids or labels"), (-1, "no feature -1"), ([0, 0], "names a feature twice")):
        with pytest.raises(ip.InputError, match=words):
            found.zoom(wrong, budget=20)


def test_parts_of_one_name_are_told_apart() -> None:
    text = "\n\n".join(["It rains. It ends.", "It rains. It ends.", "It shines. It ends.", "All is well. It ends."] * 9)

    def length(texts: list[str]) -> list[int]:
        return [len(one) for one in texts]

    found = ip.explain(ip.lenses.text(length, text, unit=("paragraph", "sentence"), ablate="delete"), budget=40)
    alike = [i for i, label in enumerate(found.labels) if found.labels.count(label) > 1 and ": " in label]
    assert len(alike) > 1
    with pytest.raises(ip.InputError, match="features are called"):
        found.zoom(found.labels[alike[0]], budget=8)
    assert found.zoom(alike[:2], budget=8).n > found.n


def test_where_nothing_opens_it_is_explained_as_any_other_game() -> None:
    one = ip.explain(ip.Game(lambda masks: 2.0 * masks[:, 0], 1).zoomed(), budget=60)
    assert one.interactions("mobius")[(0,)] == 2.0
    words = ip.lenses.text(lambda texts: [len(text) for text in texts], "One. Two. Three.", unit=("sentence", "word"))
    assert ip.explain(words, budget=60, index="sv").index == "sv"


def test_a_reader_goes_deeper_with_all_that_was_measured(tmp_path: Path) -> None:
    game = planted(300, [7, 200], noise=0.05)
    found = ip.explain(game, budget=100)
    closed = next(label for label in found.labels if " … " in label)
    more = found.zoom(closed, budget=60)
    assert closed not in more.labels
    assert found.used < more.used <= found.used + 60
    assert more.from_store == 0
    with pytest.raises(ip.InputError, match="the finest part"):
        found.zoom("s7", budget=60)
    with pytest.raises(ip.InputError, match="Did you mean"):
        found.zoom("s77777", budget=60)
    found.save(tmp_path / "saved.json")
    with pytest.raises(ip.InputError, match="no game here"):
        ip.load(tmp_path / "saved.json").zoom(0, budget=60)
