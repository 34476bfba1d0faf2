"""Replacing a found set: what it becomes, what is measured, and which sets it is compared with."""

from __future__ import annotations

import numpy as np
import pytest

import interplay as ip

TEXT = "please pull the old red lever now and push nothing else today"


class Alarm:
    """Rings when four words meet; counts what it reads."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, texts: list[str]) -> list[float]:
        self.read += texts
        return [
            1.0 * all(word in text.split() for word in ("pull", "red", "lever", "now")) + 0.05 * ("please" in text)
            for text in texts
        ]


def test_replacing_any_part_of_the_trigger_ends_the_failure_and_replacing_others_does_not() -> None:
    game = ip.lenses.text(Alarm(), TEXT, ablate="[GONE]")
    explanation = ip.explain(game, budget=600, progress=False)
    done = ip.actions.replace(game, explanation, "neutral", below=0.5, variants=8)
    assert len(done.found.features[0]) == 1
    assert game.labels[done.found.features[0][0]] in ("pull", "red", "lever", "now")
    assert (done.found.failures, done.found.rate) == (0, 0.0)
    assert done.found.low == 0.0 < done.found.high < 0.5
    whole = ip.actions.replace(game, explanation, ["x", "y"], features=(1, 4), below=0.5, variants=3)
    assert len(whole.found.outputs) == 3
    assert len(set(whole.found.texts)) == 3
    assert all(not set(key) & {1, 4} for key in whole.others.features)


def test_each_output_is_the_scorers_of_the_text_that_stood_there() -> None:
    alarm = Alarm()
    game = ip.lenses.text(alarm, TEXT, ablate="delete")
    explanation = ip.explain(game, budget=300, progress=False)
    options = {"pull": ["see", "touch"], "lever": ["door"]}
    done = ip.actions.replace(game, explanation, options, features=[1, 5], below=0.5, variants=9)
    assert done.found.texts == (("see", "door"), ("touch", "door"))
    for arm in (done.found, done.others, done.first_order):
        for features, words, output in zip(arm.features, arm.texts, arm.outputs, strict=True):
            expected = TEXT.split()
            for part, word in zip(features, words, strict=True):
                expected[part] = word
            assert " ".join(expected) in alarm.read
            assert Alarm()([" ".join(expected)]) == [output]
    assert done.to_frame()["fails"].sum() == sum(arm.failures for arm in (done.found, done.others, done.first_order))
    assert "pull + lever" in str(done)


def test_the_same_seed_gives_the_same_variants_and_a_store_pays_once() -> None:
    class Named(Alarm):
        def identity(self) -> dict[str, str]:
            return {"scorer": "alarm"}

    game = ip.lenses.text(Named(), TEXT, ablate="delete")
    with ip.Store(":memory:") as store:
        explanation = ip.explain(game, budget=300, progress=False, store=store)
        first = ip.actions.replace(game, explanation, "neutral", features=[1], below=0.5, store=store)
        again = ip.actions.replace(game, explanation, "neutral", features=[1], below=0.5, store=store)
    assert again.from_store == again.measured == first.measured
    assert again.to_dict()["arms"] == first.to_dict()["arms"]


def test_a_set_is_named_by_labels_or_numbers() -> None:
    game = ip.lenses.text(Alarm(), TEXT, ablate="delete")
    explanation = ip.explain(game, budget=200, progress=False)
    given = ([5, 1], ["pull", "lever"], [1, "lever"], (np.int64(1), 5), iter(["lever", 1]))
    done = [ip.actions.replace(game, explanation, ["x"], features=one, below=0.5) for one in given]
    assert {one.found.features for one in done} == {((1, 5),)}


@pytest.mark.parametrize(
    ("replacements", "options", "words"),
    [
        ("neutral", {"features": ["charming"]}, "unknown part 'charming'"),
        ("neutral", {"features": [99]}, "no part 99: ids run from 0 to 11"),
        ("neutral", {"features": [-1]}, "no part -1"),
        ("neutral", {"features": [1.0]}, "no part 1.0"),
        ("neutral", {"features": [True]}, "no part True"),
        ("neutral", {"features": 1}, r"features must be a list of ids or labels, not 1: pass \[1\]"),
        ("neutral", {"features": "pull"}, r"pass \['pull'\]"),
        ("neutral", {"features": []}, "features is empty"),
        ("neutral", {"features": [1, 1]}, r"features holds part 1 \('pull'\) more than once"),
        ("neutral", {"features": [1, "pull"]}, "more than once"),
        ("neutral", {"features": range(12)}, "holds every part"),
        ("neutral", {"seed": -1}, "seed must be"),
        ("neutrall", {}, "unknown replacements 'neutrall'"),
        (3, {}, "at least one text for 'please', not 3"),
        (lambda label: None, {}, "at least one text for 'please', not None"),
        (["pull"], {}, "the same word"),
    ],
)
def test_a_mistake_is_named_before_anything_is_paid(
    replacements: object, options: dict[str, object], words: str
) -> None:
    alarm = Alarm()
    game = ip.lenses.text(alarm, TEXT, ablate="delete")
    explanation = ip.explain(game, budget=200, progress=False)
    alarm.read.clear()
    with pytest.raises(ip.InputError, match=words):
        ip.actions.replace(game, explanation, replacements, **({"below": 0.5} | options))
    assert alarm.read == []


@pytest.mark.parametrize(
    ("replacements", "options", "words"),
    [
        ("bland", {}, "unknown replacements 'bland'"),
        (["pull"], {"features": [1]}, "the same word"),
        (lambda label: [], {"features": [1]}, "at least one text"),
        ("neutral", {"features": range(12)}, "holds every part"),
        ("neutral", {"variants": 0}, "variants must be"),
        ("neutral", {"below": -3}, "there is no set to replace"),
    ],
)
def test_a_mistake_gets_one_sentence(replacements: object, options: dict[str, object], words: str) -> None:
    game = ip.lenses.text(Alarm(), TEXT, ablate="delete")
    explanation = ip.explain(game, budget=200, progress=False)
    with pytest.raises(ip.InputError, match=words):
        ip.actions.replace(game, explanation, replacements, **({"below": 0.5} | options))
    plain = ip.Game(lambda masks: masks.sum(axis=1), 3)
    with pytest.raises(ip.InputError, match="only parts of a text"):
        ip.actions.replace(plain, ip.explain(plain, budget=8, progress=False), "neutral", below=1)


def test_the_first_order_set_is_of_the_same_size_and_strongest_alone() -> None:
    game = ip.lenses.text(
        lambda texts: [len(text.split()) + 5.0 * ("red" in text) for text in texts], TEXT, ablate="delete"
    )
    explanation = ip.explain(game, budget=300, progress=False)
    done = ip.actions.replace(game, explanation, ["x"], features=[0, 1], below=12)
    effects = explanation.interactions("bv")
    strongest = sorted(range(game.n), key=lambda part: -effects.get((part,), 0.0))[:2]
    assert done.first_order.features[0] == tuple(sorted(strongest))
    assert np.isclose(done.untouched, 17)
