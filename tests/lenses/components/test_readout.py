"""With all parts kept, a game of heads and the scorer of texts give the same number: there is one readout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import interplay as ip
from interplay.lenses import metrics

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from networks import FAMILIES, network, tokenizer  # noqa: E402

PROMPTS = ["the cat runs", "never here", "the dog sleeps fast here"]
SPEAKING = [name for name, family in FAMILIES.items() if family.kind != "encoder"]
READING = [name for name, family in FAMILIES.items() if family.kind == "encoder"]
TEMPLATE = "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} {% endfor %}here :"


def kept(model: Any, inputs: Any, metric: Any) -> Any:
    """The metric of every input with nothing ablated."""
    game = ip.lenses.heads(model, inputs, metric, each=True)
    return game(np.ones((1, game.n), dtype=bool))[0]


def by_text(scorer: ip.models.Scorer) -> list[float]:
    """The text lens's value of every prompt as it is."""
    games = [ip.lenses.text(scorer, prompt, ablate="the") for prompt in PROMPTS]
    return [float(game(np.ones((1, game.n), dtype=bool))[0]) for game in games]


Pair = tuple[Any, Callable[[ip.models.CausalLM], ip.models.Scorer]]
READOUTS: dict[str, Pair] = {
    "log-probability of a word": (metrics.logprob(" Paris"), lambda lm: lm.logprob(" Paris")),
    "log-probability of several": (metrics.logprob(" London never runs"), lambda lm: lm.logprob(" London never runs")),
    "margin": (metrics.margin(" Paris", " never here"), lambda lm: lm.margin(" Paris", " never here")),
    "loss": (metrics.loss(" London never"), lambda lm: lm.loss(" London never")),
    "a token id": (metrics.logprob(7), lambda lm: lm.logprob([7])),
}


@pytest.mark.parametrize("family", SPEAKING)
def test_every_readout_of_a_target_is_the_scorers(family: str) -> None:
    lm = ip.models.CausalLM(network(family), tokenizer())
    for what, (metric, scorer) in READOUTS.items():
        values = kept(lm, PROMPTS, metric)
        np.testing.assert_allclose(values, by_text(scorer(lm)), atol=1e-4, err_msg=what)
        assert np.ptp(values) > 1e-3, what


@pytest.mark.parametrize("family", SPEAKING)
def test_a_chat_and_its_system_message_are_read_in_both(family: str) -> None:
    words = tokenizer()
    words.chat_template = TEMPLATE
    plain = ip.models.CausalLM(network(family), words)
    chat = ip.models.CausalLM(plain.model, words, chat=True, system="never fast")
    values = kept(chat, PROMPTS, metrics.logprob(" Paris"))
    np.testing.assert_allclose(values, by_text(chat.logprob(" Paris")), atol=1e-4)
    assert np.abs(values - kept(plain, PROMPTS, metrics.logprob(" Paris"))).max() > 1e-3


def test_a_function_and_a_reference_see_the_chat_too() -> None:
    words = tokenizer()
    words.chat_template = TEMPLATE
    chat = ip.models.CausalLM(network("llama"), words, chat=True)
    rendered = [f"user : {prompt} here :" for prompt in PROMPTS]

    def last(output: Any) -> Any:
        return output.logits[:, 0, 7]

    plain = ip.models.CausalLM(chat.model, words)
    np.testing.assert_allclose(kept(chat, PROMPTS, last), kept(plain, rendered, last), atol=1e-5)
    games = [
        ip.lenses.heads(lm, texts[:1], metrics.logprob(" Paris"), ablate="mean", reference=texts)
        for lm, texts in ((chat, PROMPTS), (plain, rendered))
    ]
    nothing = np.zeros((1, games[0].n), dtype=bool)
    np.testing.assert_allclose(games[0](nothing), games[1](nothing), atol=1e-5)


def test_a_forced_first_token_is_part_of_what_a_decoder_begins_with_in_both() -> None:
    model = network("bart")
    model.generation_config.forced_bos_token_id = 9
    lm = ip.models.CausalLM(model, tokenizer())
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[5, 6, 8]]), decoder_input_ids=torch.tensor([[2, 9]])).logits
    expected = float(logits[0, 1].log_softmax(-1)[13])
    assert kept(lm, PROMPTS[:1], metrics.logprob("Paris"))[0] == pytest.approx(expected, abs=1e-4)
    assert lm.logprob("Paris")(PROMPTS[:1])[0] == pytest.approx(expected, abs=1e-4)


def test_a_target_that_merges_with_its_prompt_is_refused_in_both() -> None:
    lm = ip.models.CausalLM(network("llama"), tokenizer())
    for ask in (lambda: lm.logprob("fast")(PROMPTS), lambda: kept(lm, PROMPTS, metrics.logprob("fast"))):
        with pytest.raises(ip.InputError, match="the target 'fast' starts inside a token, 'runsfast'"):
            ask()


def test_a_loss_is_a_sum_over_its_target_and_the_sum_of_its_parts() -> None:
    lm = ip.models.CausalLM(network("gpt2"), tokenizer())
    target = " London never runs"
    whole = kept(lm, PROMPTS, metrics.loss(target))
    np.testing.assert_allclose(whole, -kept(lm, PROMPTS, metrics.logprob(target)), atol=1e-6)
    np.testing.assert_allclose(whole, lm.loss(target, per="token")(PROMPTS).sum(axis=1), atol=1e-4)


@pytest.mark.parametrize("family", READING)
@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "max", "weighted", "mean_sqrt", "mean+max"])
def test_a_similarity_is_the_encoders_in_every_pooling(family: str, pooling: str) -> None:
    encoder = ip.models.Encoder(network(family), tokenizer(), pooling)
    values = kept(encoder, PROMPTS, metrics.similarity("London sleeps"))
    np.testing.assert_allclose(values, by_text(encoder.similarity("London sleeps")), atol=1e-5)


@pytest.mark.parametrize("kind", ["BertForSequenceClassification", "GPT2ForSequenceClassification"])
def test_labels_are_the_encoders(kind: str) -> None:
    import transformers

    family = FAMILIES["bert" if kind.startswith("Bert") else "gpt2"]
    names = {0: "bad", 1: "fair", 2: "good"}
    torch.manual_seed(0)
    config = getattr(transformers, family.config)(**family.options, id2label=names, pad_token_id=0)
    config.label2id = {name: number for number, name in names.items()}
    encoder = ip.models.Encoder(getattr(transformers, kind)(config).eval(), tokenizer())
    for metric, scorer in (
        (metrics.logit("good"), encoder.label("good")),
        (metrics.margin("good", "bad"), encoder.margin("good", "bad")),
    ):
        np.testing.assert_allclose(kept(encoder, PROMPTS, metric), by_text(scorer), atol=1e-5)
