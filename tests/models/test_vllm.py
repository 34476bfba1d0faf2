"""vLLM's offline engine, as far as a stand-in with its calls can tell: the values of transformers, what is refused."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
import vllm_stand_in
from planted_lm import TASKS


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", vllm_stand_in)


def test_values_are_those_of_the_same_model_in_transformers(planted: Path) -> None:
    task = TASKS[0]
    ours, theirs = (
        ip.models.VLLM(planted, tensor_parallel=2, options={"dtype": "float32"}),
        ip.models.CausalLM.load(planted),
    )
    texts = [task.text(task.sentences, row) for row in np.eye(10, dtype=bool)[:4].tolist()]
    for score in (lambda lm: lm.margin(task.target, task.rival), lambda lm: lm.logprob(task.target)):
        np.testing.assert_allclose(score(ours)(texts), score(theirs)(texts), atol=1e-4)
    assert ours.engine.options == (2, "float32", True)
    assert ours.engine.asked == [8, 4]  # one call for all prompts, each distinct text once
    ours.margin(task.target, task.rival)([texts[0]] * 5)
    assert ours.engine.asked[-1] == 2
    (written,) = ours.write([task.prompt], max_tokens=2)
    assert written[0].text == theirs.write([task.prompt], max_tokens=2)[0][0].text


@pytest.mark.slow
def test_a_game_of_it_is_explained_and_travels_without_its_engine(planted: Path) -> None:
    task = TASKS[0]
    lm = ip.models.VLLM(planted)
    game = ip.lenses.text(lm.margin(task.target, task.rival), task.context, template=task.template, unit="sentence")
    found = ip.explain(game, budget=200).interactions("mobius", top=1)
    assert set(found) == {max(task.mobius, key=lambda key: abs(task.mobius[key]))}
    before = vllm_stand_in.LLM.loaded
    back = pickle.loads(pickle.dumps(lm))
    assert vllm_stand_in.LLM.loaded == before  # loaded when it is first needed
    assert back.known() == lm.known()


def test_what_cannot_be_is_one_sentence(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ip.InputError, match="tensor_parallel must be a whole number of at least 1, not 0"):
        ip.models.VLLM(planted, tensor_parallel=0)
    with pytest.raises(ip.InputError, match="a system message needs chat=True"):
        ip.models.VLLM(planted, system="Be brief.")
    short = ip.models.VLLM(planted, options={"max_model_len": 8})
    with pytest.raises(ip.InputError, match="7"):
        short.logprob(" yes")(["one two three four five six seven eight nine ten"])
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ip.MissingExtraError, match=r"pip install 'interplay\[vllm\]'"):
        ip.models.VLLM(planted).logprob(" yes")


def test_answers_about_other_tokens_are_not_believed(planted: Path) -> None:
    lm = ip.models.VLLM(planted)
    scorer = lm.logprob(TASKS[0].target)
    honest = lm.engine.generate

    def cut(prompts: list[dict[str, list[int]]], *rest: object, **more: object) -> list[vllm_stand_in.RequestOutput]:
        return honest([{"prompt_token_ids": one["prompt_token_ids"][1:]} for one in prompts], *rest, **more)

    lm.engine.generate = cut
    with pytest.raises(ip.AblationError, match="it changes what it is given"):
        scorer([TASKS[0].prompt])
