"""Texts, targets and names of kinds that nobody means are refused in one sentence: no value is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import interplay as ip

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from networks import network, tokenizer  # noqa: E402

metrics = ip.lenses.metrics
PROMPTS = ["the cat runs", "the cat sleeps"]
HALF = " Par\ud800is"


@pytest.fixture(scope="module")
def lm() -> ip.models.CausalLM:
    return ip.models.CausalLM(network("llama"), tokenizer())


def masked() -> ip.models.Encoder:
    return ip.models.Encoder(network("bert"), tokenizer())


@pytest.mark.parametrize("texts", [{"the cat": 1}, {"the cat"}, 3, None], ids=str)
def test_a_scorer_takes_texts_in_an_order(lm: ip.models.CausalLM, texts: Any) -> None:
    with pytest.raises(ip.InputError, match="a scorer takes a list of texts"):
        lm.logprob(" Paris")(texts)


def test_texts_that_can_be_read_once_only_are_all_scored(lm: ip.models.CausalLM) -> None:
    score = lm.logprob(" Paris")
    np.testing.assert_array_equal(score(text for text in PROMPTS), score(PROMPTS))
    np.testing.assert_array_equal(lm.logprob(token for token in (5, 6))(PROMPTS), lm.logprob([5, 6])(PROMPTS))


ODD = [memoryview(b"ab"), {5: 1}, {5, 6}, b"ab", [2**70], [-1], [2**31]]


@pytest.mark.parametrize("target", ODD, ids=lambda odd: type(odd).__name__)
def test_odd_targets_are_refused_by_scorers_and_metrics_alike(lm: ip.models.CausalLM, target: Any) -> None:
    for ask in (lm.logprob, lm.loss, lambda one: lm.margin(one, " Paris")):
        with pytest.raises(ip.InputError, match="target"):
            ask(target)
    for metric in (metrics.logprob, metrics.logit, metrics.accuracy, lambda one: metrics.margin(" Paris", one)):
        with pytest.raises(ip.InputError, match="target"):
            ip.lenses.heads(lm, PROMPTS[: len(target)], metric(target), layers=[2])


@pytest.mark.parametrize("pair", [(" Paris", " Paris"), (5, np.int64(5)), ([5, 6], [7, 6])], ids=str)
def test_a_margin_between_an_answer_and_itself_is_refused(lm: ip.models.CausalLM, pair: tuple[Any, Any]) -> None:
    with pytest.raises(ip.InputError, match="the two answers of a margin are both"):
        ip.lenses.heads(lm, PROMPTS, metrics.margin(*pair), layers=[2])


READS: dict[str, Callable[[ip.models.CausalLM], Any]] = {
    "prompt": lambda lm: lm.logprob(" Paris")([HALF]),
    "target": lambda lm: lm.logprob(HALF)(PROMPTS),
    "response": lambda lm: lm.respond(HALF),
    "encoder": lambda _: masked().similarity("the cat")([HALF]),
    "input": lambda lm: ip.lenses.heads(lm, [HALF], metrics.logprob(" Paris")),
    "answer": lambda lm: ip.lenses.heads(lm, PROMPTS, metrics.logprob(HALF)),
    "encoded": lambda _: ip.lenses.heads(masked(), [(HALF, "the cat")], metrics.similarity()),
}


@pytest.mark.parametrize("where", READS)
def test_half_a_character_is_refused_by_its_place(lm: ip.models.CausalLM, where: str) -> None:
    with pytest.raises(ip.InputError, match=r"half a character \('\\ud800' at place 4\)"):
        READS[where](lm)


def test_a_decoder_that_classifies_without_a_padding_id_is_refused_before_anything_is_spent() -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 20, "n_positions": 32}
    torch.manual_seed(0)
    config = transformers.GPT2Config(**sizes, num_labels=2, bos_token_id=2, eos_token_id=2)
    encoder = ip.models.Encoder(transformers.GPT2ForSequenceClassification(config).eval(), tokenizer())
    texts = ["the cat", "the cat runs fast"]
    for inputs in (texts, texts[:1]):
        with pytest.raises(ip.InputError, match=r"set model\.config\.pad_token_id"):
            ip.lenses.heads(encoder, inputs, metrics.logit(1))
    encoder.model.config.pad_token_id = 0
    game = ip.lenses.heads(encoder, texts, metrics.logit(1), each=True)
    np.testing.assert_allclose(game(np.ones((1, game.n), dtype=bool))[0], encoder.label(1)(texts), atol=1e-5)


def test_a_pytorch_module_is_no_predict_function() -> None:
    net = torch.nn.Linear(3, 1)
    with pytest.raises(ip.InputError, match="predict is a PyTorch module"):
        ip.lenses.tabular(net, np.zeros(3), np.zeros((4, 3)))
    with pytest.raises(ip.InputError, match="predict is a PyTorch module"):
        ip.lenses.image(net, np.zeros((4, 4, 3)), grid=(2, 2))


@pytest.mark.parametrize("names", ["xy", {"x", "y"}, [None, "y"]], ids=lambda odd: type(odd).__name__)
def test_outputs_have_names_in_an_order(names: Any) -> None:
    with pytest.raises(ip.InputError, match="outputs"):
        ip.Game(lambda masks: masks[:, :2] * 1.0, 3, outputs=names)


def test_labels_have_an_order() -> None:
    with pytest.raises(ip.InputError, match="labels are a set, which has no order"):
        ip.Game(lambda masks: masks[:, 0] * 1.0, {"a", "b"})


@pytest.mark.parametrize("name", [5, b"g", ("g",)], ids=str)
def test_a_name_is_a_text(name: Any) -> None:
    with pytest.raises(ip.InputError, match="a game's name must be a text"):
        ip.Game(lambda masks: masks[:, 0] * 1.0, 2, name=name)


@pytest.mark.parametrize("odd", [5, b"{documents}", None], ids=str)
def test_templates_and_messages_are_texts(odd: Any) -> None:
    def lengths(texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    for options in ({"template": odd}, {"template": "{documents}", "form": odd}):
        with pytest.raises(ip.InputError, match="must be a text, not"):
            ip.lenses.documents(lengths, ["one", "two"], **options)
    messages = [{"role": "user", "content": odd}, {"role": "user", "content": "What?"}]
    if odd is not None:  # beside tool calls, say
        with pytest.raises(ip.InputError, match="the content of message 0 must be a text"):
            ip.lenses.chat(lengths, messages)
