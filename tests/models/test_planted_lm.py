"""The model that other tests explain has learned exactly what they take for the truth."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interplay as ip
import planted_lm as module
from planted_lm import MARGIN, TASKS, Task, log_probabilities, planted_lm

MASKS = np.array(list(itertools.product([False, True], repeat=10)))


@pytest.fixture(scope="module")
def loaded(planted: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(planted, local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(planted, local_files_only=True)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_margins_of_one_text_at_a_time_are_the_true_ones(loaded: tuple[Any, Any], planted: Path, task: Task) -> None:
    texts = [task.text(task.sentences, row.tolist()) for row in MASKS[::31]]
    margin = log_probabilities(*loaded, texts, task.target) - log_probabilities(*loaded, texts, task.rival)
    stated = json.loads((planted / "worst.json").read_text())[task.name]  # over all 1,024, after training
    assert np.abs(margin - task.margins(MASKS[::31])).max() < 0.5 < MARGIN / 4
    assert stated < 0.5


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_stated_interactions_are_those_of_the_true_margins(task: Task) -> None:
    exact = ip.fit(MASKS, task.margins(MASKS), method="exact").interactions("mobius")
    found = {key: value for key, value in exact.items() if abs(value) > 1e-9}
    truth = {key: value for key, value in task.mobius.items() if key}
    assert found.keys() == truth.keys()
    np.testing.assert_allclose([found[key] for key in truth], list(truth.values()), atol=1e-9)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_model_says_the_likely_answer_and_stops(loaded: tuple[Any, Any], task: Task) -> None:
    model, tokenizer = loaded
    conversation = [{"role": "user", "content": task.message}]
    prompt = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
    assert prompt == task.prompt
    ids = tokenizer(prompt, return_tensors="pt")
    said = model.generate(**ids, max_new_tokens=12, do_sample=False)[0, ids["input_ids"].shape[1] :]
    likely = task.target if task.margins(np.ones((1, 10), dtype=bool))[0] > 0 else task.rival
    assert tokenizer.decode(said, skip_special_tokens=True) == likely


def test_it_is_small_and_trained_once(planted: Path) -> None:
    assert (planted / "model.safetensors").stat().st_size < 1_000_000
    assert planted_lm(planted.parent) == planted


def test_a_run_that_trains_the_same_at_the_same_time_takes_what_is_there_first(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(tokenizer: Any, _seed: int) -> Any:  # by the time it is done, the other run has put its model there
        shutil.copytree(planted, tmp_path / planted.name)
        from transformers import LlamaConfig, LlamaForCausalLM

        return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), hidden_size=8, num_attention_heads=2))

    monkeypatch.setattr(module, "train", slow)
    monkeypatch.setattr(module, "worst_error", lambda *_: 0.0)
    place = planted_lm(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [planted.name]
    assert (place / "model.safetensors").read_bytes() == (planted / "model.safetensors").read_bytes()
