"""A server's noise and what it leaves to be explained; the same file there and here; chats that are echoed."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import interplay as ip
from echo_server import echo_server
from fault_proxy import proxy
from llama_server import llama_server
from planted_lm import TASKS

JOINT = TASKS[0]
SPREAD = 0.5


class Noisy:
    """Answers with noise of a known spread on every log-probability, once it is switched on."""

    def __init__(self) -> None:
        self.on, self.rng, self.lock = False, np.random.default_rng(0), threading.Lock()

    def __call__(self, _path: str, answer: dict[str, Any]) -> dict[str, Any]:
        for choice in answer.get("choices", ()) if self.on else ():
            for token in choice["logprobs"]["content"]:
                with self.lock:
                    token["logprob"] = min(0.0, token["logprob"] - 10 + SPREAD * self.rng.standard_normal())
        return answer


@pytest.mark.model
def test_the_r2_that_a_server_s_noise_leaves_goes_into_the_result(llama_url: str) -> None:
    noisy = Noisy()
    with proxy(llama_url, edit=noisy) as (url, traffic):
        server = ip.models.Server(url, "planted")
        _ = server.capabilities  # noise would be taken for a server that cannot force tokens
        noisy.on = True
        scorer = server.logprob(" yes", repeats=3)
        game = ip.lenses.text(scorer, JOINT.context, unit="sentence", ablate="_", template=JOINT.template)
        before = traffic.calls
        result = ip.explain(game, budget=20, method="lasso", progress=False)
        assert traffic.calls - before == 19 * 3  # the whole text was asked when its price was
    (told,) = [note for note in result.notes if note.startswith("noise:")]
    assert "3 repeats" in told
    best = float(told.split("about R² ")[1].split()[0])
    assert best < 0.999  # of a server without noise it is 1
    assert scorer.identity() != server.logprob(" yes").identity()


@pytest.mark.model
def test_without_noise_repeats_change_nothing(llama_url: str) -> None:
    server = ip.models.Server(llama_url, "planted", chat=False)
    texts = [JOINT.prompt, JOINT.text(JOINT.sentences[:5], [True] * 5)]
    plain = np.asarray(server.margin(JOINT.target, JOINT.rival)(texts))
    twice = np.asarray(server.margin(JOINT.target, JOINT.rival, repeats=2)(texts))
    np.testing.assert_allclose(twice, np.stack([plain, plain], axis=1), atol=1e-4)
    judged = server.judge(lambda answers: [[len(a), 1.0] for a in answers], name="two", max_tokens=3, repeats=2)
    rows = np.asarray(judged(texts))
    assert rows.shape == (2, 4)
    assert (rows[:, 0] == rows[:, 1]).all()  # the repeats of an output stand side by side
    assert (rows[:, 2:] == 1).all()
    with pytest.raises(ip.InputError, match="repeats must be"):
        server.exact("gold", repeats=0)


@pytest.mark.model
@pytest.mark.slow
def test_the_same_file_says_the_same_on_a_server_and_here(smollm: ip.models.CausalLM, tmp_path: Any) -> None:
    """llama.cpp computes with quantised weights and activations; here the weights are unpacked first."""
    link = tmp_path / "smollm.gguf"  # the server writes its log beside it
    link.symlink_to(ip.demo_model("chat"))
    prompts = [
        "The key is in the blue tin. The tin is above the stove. Where is the key?",
        "Where is the key?",
        "Name the capital of France.",
        "It rains. Name a colour.",
    ]
    with llama_server(link, alias="smollm") as url:
        server = ip.models.Server(url, "smollm", chat=True)
        for target in ("The", "The capital of France is Paris."):
            there = np.asarray(server.logprob(target)(prompts))
            here = np.asarray(smollm.logprob(target)(prompts))
            tokens = len(smollm.tokenizer(target)["input_ids"])
            assert np.abs(there - here).max() < 0.25 * tokens  # quantised to 4 bits and back
            assert np.corrcoef(there, here)[0, 1] > 0.98


@pytest.mark.model
def test_a_chat_that_tells_its_prompt_s_log_probabilities_is_read_in_one_call(planted: Any) -> None:
    """vLLM's ``prompt_logprobs``, of a server in its documented shape with numbers of the real model."""
    lm = ip.models.CausalLM.load(planted, device="cpu")
    masks = np.random.default_rng(1).random((4, 10)) < 0.5
    prompts = [JOINT.text(JOINT.sentences, row.tolist()) for row in masks]
    messages = [prompt.removesuffix("\nAnswer:") for prompt in prompts]
    with echo_server(planted) as url:
        server = ip.models.Server(url, "planted", chat=True)
        assert server.capabilities.how == "echo"
        before = server.spent.calls
        found = server.logprob(JOINT.rival)(messages)  # of several tokens
        assert server.spent.calls - before == len(set(messages)) + 1  # one checks the echoes
        np.testing.assert_allclose(found, lm.logprob(JOINT.rival)(prompts), atol=1e-4)
        begun = ip.models.Conversation(
            [{"role": "user", "content": messages[0]}, {"role": "assistant", "content": " an"}]
        )
        value = server.logprob(" old map")([begun])
        np.testing.assert_allclose(value, lm.logprob(" old map")([prompts[0] + " an"]), atol=1e-4)
    with echo_server(planted, stale=True) as url:
        lying = ip.models.Server(url, "planted", chat=True)
        assert lying.capabilities.how == "echo"
        with pytest.raises(ip.AblationError, match="are stale"):
            lying.logprob(JOINT.rival)(messages)
