"""`CausalLM.choice`: a language model as a classifier, each answer in all its ways to be written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import interplay as ip
from tests.models.test_causal import TEXTS, lm


@pytest.fixture(scope="module")
def model() -> ip.models.CausalLM:
    return lm("llama")


def chances(model: ip.models.CausalLM, *ways: str) -> np.ndarray:
    """The probability of any of some continuations."""
    return np.sum([np.exp(model.logprob(way)(TEXTS)) for way in ways], axis=0)


def test_an_answer_is_as_likely_as_its_ways_together(model: ip.models.CausalLM) -> None:
    yes, no = chances(model, " cat", " dog"), chances(model, " mat")
    answers = {"animal": [" cat", " dog"], "thing": " mat"}
    assert model.choice(answers)(TEXTS) == pytest.approx(np.log(yes / no), abs=1e-3)
    assert model.choice(answers, scale="probability")(TEXTS) == pytest.approx(yes / (yes + no), abs=1e-3)


def test_of_three_answers_each_is_an_output_against_the_others(model: ip.models.CausalLM) -> None:
    scorer = model.choice({"a": " cat", "b": " dog", "c": " mat"}, scale="probability")
    found = scorer(TEXTS)
    assert tuple(scorer.outputs or ()) == ("a", "b", "c")
    assert found.sum(axis=1) == pytest.approx(np.ones(len(TEXTS)))
    every = chances(model, " cat", " dog", " mat")
    assert found[:, 1] == pytest.approx(chances(model, " dog") / every, abs=1e-3)


def test_answers_that_the_model_would_hardly_give_are_noted(model: ip.models.CausalLM) -> None:
    rare = ip.lenses.text(model.choice({"a": " to the cat", "b": " to the mat"}), TEXTS[0])
    share = chances(model, " to the cat", " to the mat")[0]
    assert any(f"the answers hold {share:.1%} of the model's probability" in note for note in rare.notes)


def test_choices_of_other_answers_or_scales_have_other_identities(model: ip.models.CausalLM) -> None:
    known = [
        model.choice({"a": " cat", "b": " dog"}).identity(),
        model.choice({"a": " cat", "b": " mat"}).identity(),
        model.choice({"a": [" cat", " mat"], "b": " dog"}).identity(),
        model.choice({"a": " cat", "b": " dog"}, scale="probability").identity(),
        model.margin(" cat", " dog").identity(),
    ]
    assert all(one is None or one not in known[:i] for i, one in enumerate(known))


@pytest.mark.parametrize(
    ("answers", "scale", "message"),
    [
        ({"yes": "yes"}, "log-odds", "at least two answers by name"),
        (["yes", "no"], "log-odds", "at least two answers by name"),
        ({"yes": [], "no": "no"}, "log-odds", "'yes' needs at least one text"),
        ({"yes": "yes", "no": ""}, "log-odds", "'no' needs at least one text"),
        ({"yes": ["yes", "yes."], "no": "no"}, "log-odds", "'yes.' begins with 'yes', and would be counted twice"),
        ({"yes": "yes", "no": "yes"}, "log-odds", "would be counted twice"),
        ({"yes": "yes", "no": "no"}, "odds", "unknown scale 'odds'"),
    ],
)
def test_a_mistake_is_one_sentence(model: ip.models.CausalLM, answers: Any, scale: Any, message: str) -> None:
    with pytest.raises(ip.InputError, match=message):
        model.choice(answers, scale=scale)
