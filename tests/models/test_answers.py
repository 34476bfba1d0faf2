"""A model's own answers: written as one prompt at a time would, kept, and read in several ways without asking again."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interplay as ip
from planted_lm import TASKS

JOINT = TASKS[0]
MASKS = np.random.default_rng(0).random((6, 10)) < 0.6
MASKS[0] = True


@pytest.fixture(scope="module")
def lm(planted: Path) -> ip.models.CausalLM:
    return ip.models.CausalLM.load(planted, device="cpu")


def prompts() -> list[str]:
    return [JOINT.text(JOINT.sentences, row.tolist()) for row in MASKS]


def refused(*_: Any, **__: Any) -> Any:
    raise AssertionError("the model was asked again")


@pytest.mark.model
def test_answers_written_together_are_those_of_one_prompt_at_a_time(lm: ip.models.CausalLM) -> None:
    together = lm.write(prompts(), max_tokens=8)
    assert [one.text for (one,) in together] == [lm.respond(prompt, max_tokens=8) for prompt in prompts()]
    assert together[0][0].text == JOINT.target
    assert lm.reader.decoded(together[0][0].tokens) == JOINT.target


@pytest.mark.model
def test_draws_have_the_model_s_probabilities_and_do_not_depend_on_their_neighbours(lm: ip.models.CausalLM) -> None:
    samples = 200
    together = lm.write(prompts()[:2], max_tokens=4, temperature=1.0, samples=samples, seeds=[5, 6])
    alone = lm.write(prompts()[1:2], max_tokens=4, temperature=1.0, samples=samples, seeds=[6])
    assert together[1] == alone[0]
    said = np.mean([one.text.startswith(" gold") for one in together[0]])
    truth = float(np.exp(lm.logprob(" gold")(prompts()[:1])[0]))
    assert abs(said - truth) < 4 * np.sqrt(truth * (1 - truth) / samples)


@pytest.mark.model
def test_another_reading_of_kept_answers_asks_no_model(
    lm: ip.models.CausalLM, planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "answers.db"
    first = ip.lenses.text(
        ip.models.Answers(lm, max_tokens=8, kept=kept).exact("gold"),
        JOINT.context,
        template=JOINT.template,
        unit="sentence",
        ablate="delete",
    )
    values = first(MASKS)
    assert values.tolist() == [float(lm.respond(text, max_tokens=8).strip() == "gold") for text in first.inputs(MASKS)]

    other = ip.models.CausalLM.load(planted, device="cpu")  # as a later process would
    monkeypatch.setattr(ip.models.CausalLM, "write", refused)
    answers = ip.models.Answers(other, max_tokens=8, kept=kept)
    for scorer in (
        answers.matches("gold|treasure"),
        answers.judge(lambda texts: ["gold" in text for text in texts], name="holds gold"),
        answers.among({"gold": "gold", "map": ["map", "chart"]}),
    ):
        game = ip.lenses.text(scorer, JOINT.context, template=JOINT.template, unit="sentence", ablate="delete")
        assert game(MASKS).reshape(len(MASKS), -1)[:, 0].tolist() == values.tolist()
    with pytest.raises(AssertionError, match="asked again"):  # another length is another answer
        ip.models.Answers(other, max_tokens=7, kept=kept)(prompts()[:1])


@pytest.mark.model
def test_sampled_answers_are_explained_by_their_mean_with_the_r2_that_noise_leaves(lm: ip.models.CausalLM) -> None:
    answers = ip.models.Answers(lm, max_tokens=4, temperature=1.0, samples=8)
    game = ip.lenses.text(
        answers.exact("gold"), JOINT.context, template=JOINT.template, unit="sentence", ablate="delete"
    )
    assert game.repeats == 8
    chances = np.exp(lm.logprob(" gold")(game.inputs(MASKS)))
    assert game(MASKS) == pytest.approx(chances, abs=0.6)
    result = ip.explain(game, budget=48, method="lasso")
    assert any(note.startswith("noise: ") and "8 repeats" in note for note in result.notes)
    assert ip.lenses.text(answers.among({"a": "gold", "b": "map"}), "Ann.", template=JOINT.template)(
        [[True], [False]]
    ).shape == (2, 2)


@pytest.mark.model
def test_a_server_s_answers_are_kept_too(llama_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "answers.db"
    server = ip.models.Server(llama_url, "planted")
    found = ip.models.Answers(server, max_tokens=8, kept=kept).exact("gold")(prompts())
    assert list(found) == list(server.exact("gold", max_tokens=8)(prompts()))
    monkeypatch.setattr(ip.models.Server, "write", refused)
    again = ip.models.Answers(ip.models.Server(llama_url, "planted"), max_tokens=8, kept=kept)
    assert list(again.matches("^ ?gold")(prompts())) == list(found)


class Said(ip.models.Answers):
    """Answers that are given beforehand."""

    def __call__(self, prompts: Any) -> Any:
        return [(ip.models.Answer(prompt),) for prompt in prompts]


@pytest.mark.model
@pytest.mark.parametrize(
    ("text", "options", "value"),
    [
        ('Here: {"a": {"b": 3}} done', {"path": "a.b"}, 3.0),
        ('{"a": {"b": "x"}}', {"path": "a.b", "equals": "x"}, 1.0),
        ('{"a": {"b": "x"}}', {"path": "a.b", "missing": -1.0}, -1.0),
        ('{broken {"a": true}', {"path": "a"}, 1.0),
        ("nothing", {"path": "a", "missing": 7.0}, 7.0),
        ('{"a": 1}', {"path": "a.b.c"}, 0.0),
    ],
)
def test_a_json_field_is_read_wherever_it_stands(
    lm: ip.models.CausalLM, text: str, options: dict[str, Any], value: float
) -> None:
    assert Said(lm).field(**options)([text]).tolist() == [value]


@pytest.mark.model
def test_an_answer_is_of_the_class_that_it_names_first(lm: ip.models.CausalLM) -> None:
    among = Said(lm).among({"yes": ["yes", "true"], "no": "no"})
    assert among.outputs == ("yes", "no")
    assert among(["Yes, not no.", "No.", "It is true", "?"]).tolist() == [[1, 0], [0, 1], [1, 0], [0, 0]]


@pytest.mark.model
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples": 3}, "3 samples at temperature 0"),
        ({"temperature": -1}, "temperature must be a number from 0"),
        ({"max_tokens": 0}, "max_tokens must be a whole number"),
    ],
)
def test_what_cannot_be_asked_is_refused(lm: ip.models.CausalLM, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ip.InputError, match=words):
        ip.models.Answers(lm, **options)


@pytest.mark.model
def test_other_files_are_left_alone(lm: ip.models.CausalLM, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE mine (x)")
    with pytest.raises(ip.StoreError, match="holds something else than answers"):
        ip.models.Answers(lm, kept=tmp_path / "other.db")
    ip.Store(tmp_path / "runs.db")
    with pytest.raises(ip.StoreError, match="something else"):
        ip.models.Answers(lm, kept=tmp_path / "runs.db")
    with pytest.raises(ip.InputError, match="not of str"):
        ip.models.Answers("a model")  # type: ignore[arg-type]
    with pytest.raises(ip.InputError, match="no regular expression"):
        ip.models.Answers(lm).matches("(")
