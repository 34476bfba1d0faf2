"""A language model's scores are those of one text at a time, and what cannot be scored is one clear sentence."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interplay as ip
import networks
import planted_lm
from interplay.models._causal import likelihood as _likelihood
from interplay.models._causal import rows as _rows

FAMILIES = ["gpt2", "llama", "qwen2", "qwen3", "mistral", "mixtral", "gemma", "phi", "gpt_neox", "opt", "t5", "bart"]
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {  # what attends to few tokens, or carries a state instead
    "mistral, window of 6": ("MistralConfig", {**networks._GROUPED, "sliding_window": 6}),
    "gemma2, window of 6": (
        "Gemma2Config",
        {**networks._SIZES, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 6},
    ),
    "mamba": ("MambaConfig", {"hidden_size": 16, "state_size": 4, "num_hidden_layers": 2, "vocab_size": 60}),
    "bloom": ("BloomConfig", {"hidden_size": 16, "n_layer": 2, "n_head": 4, "vocab_size": 60}),
    "mpt": ("MptConfig", {"d_model": 16, "n_layers": 2, "n_heads": 4, "vocab_size": 60, "max_seq_len": 64}),
}
TEXTS = [
    "so the cat sat on the mat and the dog ran",
    "so the cat sat on the mat and the cat",
    "so the cat sat on the mat",
    "so the cat sat on the dog and then the mat ran",
    "so the cat sat on the mat and the dog ran",
]
TARGET = " to the cat"


@cache
def tokenizer() -> Any:
    """Fifty-odd tokens: letters, spaces and a few merged words, with the space before a word in the word's token."""
    pytest.importorskip("tokenizers")
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?[a-z]+|[^a-z]"), "isolated")
    backend.decoder = decoders.Fuse()
    trainer = trainers.BpeTrainer(
        vocab_size=networks.VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>", "<unk>"],
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz .!"),
        show_progress=False,
    )
    backend.train_from_iterator([*TEXTS, TARGET, " mat"] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@cache
def built(family: str) -> Any:
    if family in networks.FAMILIES:
        return networks.network(family, "sdpa")
    import torch
    import transformers

    config, options = OTHERS[family]
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, config)(**networks._TOKENS | options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.25 * torch.randn(parameter.shape))
    return model.eval()


def lm(family: str, **options: Any) -> ip.models.CausalLM:
    return ip.models.CausalLM(built(family), tokenizer(), **options)


def one_at_a_time(model: Any, text: str, target: str) -> np.ndarray:
    """The log-probability of each token of the target, from one unpadded pass over one text."""
    import torch

    prompt, said = tokenizer()(text)["input_ids"], tokenizer()(target)["input_ids"]
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            begins = [model.config.decoder_start_token_id]
            forced = model.generation_config.forced_bos_token_id
            begins += [] if forced is None else [forced]
            ids = torch.tensor([begins + said])
            logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=ids, use_cache=False).logits
        else:
            begins = prompt
            ids = torch.tensor([prompt + said])
            logits = model(input_ids=ids, use_cache=False).logits
    scores = logits[0].double().log_softmax(-1)
    places = range(len(begins) - 1, len(begins) + len(said) - 1)
    return np.array([float(scores[place, ids[0, place + 1]]) for place in places])


def share_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have whatever two rows share computed once, though it may not pay."""
    monkeypatch.setitem(_likelihood._WORTH, "cpu", 2)
    monkeypatch.setattr(_rows, "_SHARE", 0.0)


@pytest.fixture(params=[2, 10**6], ids=["with reuse", "without"])
def worth(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """From how many shared tokens on a prefix is computed once."""
    if request.param == 2:
        share_all(monkeypatch)
    else:
        monkeypatch.setitem(_likelihood._WORTH, "cpu", request.param)
    return int(request.param)


@pytest.mark.parametrize("family", [*FAMILIES, *OTHERS])
def test_values_are_those_of_one_text_at_a_time(family: str, worth: int) -> None:
    model = lm(family)
    expected = [one_at_a_time(model.model, text, TARGET).sum() for text in TEXTS]
    other = [one_at_a_time(model.model, text, " mat").sum() for text in TEXTS]
    assert np.ptp(expected) > 0.01  # or any value would do
    for padding_side in ("left", "right"):  # the tokenizer's own side changes nothing
        model.tokenizer.padding_side = padding_side
        np.testing.assert_allclose(model.logprob(TARGET)(TEXTS), expected, atol=1e-4)
        np.testing.assert_allclose(model.margin(TARGET, " mat")(TEXTS), np.subtract(expected, other), atol=1e-4)
        np.testing.assert_allclose(model.loss(TARGET)(TEXTS[:1]), -np.array(expected[:1]), atol=1e-4)
    can = not model.model.config.is_encoder_decoder and family != "mamba"
    assert model._likelihood.reuses is (can if worth == 2 else None if can else False)


def test_short_and_long_texts_do_not_meet_where_a_model_reads_them_otherwise(worth: int) -> None:
    import torch
    from transformers import Phi3Config, Phi3ForCausalLM

    turning = 8
    rotations = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.0], "long_factor": [1.0, 8.0]}
    options = {**networks._GROUPED, "original_max_position_embeddings": turning, "rope_parameters": rotations}
    torch.manual_seed(0)
    network = Phi3ForCausalLM(Phi3Config(**networks._TOKENS | options)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.25 * torch.randn(parameter.shape))
    texts = ["the cat", "the cat sat", "the cat sat on", "the cat sat on the mat", "the cat sat on the mat and the dog"]
    answers = (" mat", TARGET)

    def alone(text: str, answer: str) -> tuple[int, float]:
        """How many tokens are read, all but the last one, and what they say of the answer."""
        prompt, said = tokenizer()(text)["input_ids"], tokenizer()(answer)["input_ids"]
        read = [*prompt, *said][:-1]
        with torch.no_grad():
            scores = network(input_ids=torch.tensor([read]), use_cache=False).logits[0].double().log_softmax(-1)
        return len(read), sum(float(scores[len(prompt) - 1 + i, token]) for i, token in enumerate(said))

    lengths, expected = np.moveaxis([[alone(text, answer) for answer in answers] for text in texts], 2, 0)
    assert ((lengths <= turning).any(0) & (lengths > turning).any(0)).all()
    assert ((lengths[:, 0] <= turning) & (lengths[:, 1] > turning)).any()  # of one text only the second reaches over
    model = ip.models.CausalLM(network, tokenizer())
    for _ in range(2):
        np.testing.assert_allclose(model.logprob(TARGET)(texts), expected[:, 1], atol=1e-4)
        np.testing.assert_allclose(model.margin(*answers)(texts), expected[:, 0] - expected[:, 1], atol=1e-4)
    assert model._likelihood.reuses is (True if worth == 2 else None)
    assert ip.models.CausalLM(built("llama"), tokenizer())._likelihood._turning is None


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
def test_values_are_those_of_a_batch_padded_on_the_left(family: str) -> None:
    import torch

    model = lm(family)
    rows = [tokenizer()(text + TARGET)["input_ids"] for text in TEXTS]
    said, width = len(tokenizer()(TARGET)["input_ids"]), max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    places = {} if family == "opt" else {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    with torch.no_grad():
        scores = model.model(input_ids=ids, attention_mask=mask, **places).logits.double().log_softmax(-1)
    chosen = scores[:, -said - 1 : -1].gather(-1, ids[:, -said:, None])[..., 0].sum(1)
    np.testing.assert_allclose(model.logprob(TARGET)(TEXTS), chosen, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_half_precision_stays_within_its_rounding(family: str, worth: int) -> None:
    import torch

    half = ip.models.CausalLM(copy.deepcopy(built(family)).to(torch.bfloat16), tokenizer())
    single = [one_at_a_time(half.model, text, TARGET).sum() for text in TEXTS]
    np.testing.assert_allclose(half.logprob(TARGET)(TEXTS), single, rtol=0.03)  # bfloat16 has 8 bits
    np.testing.assert_allclose(half.logprob(TARGET)(TEXTS), lm(family).logprob(TARGET)(TEXTS), rtol=0.03)


def test_a_target_is_scored_part_by_part_from_the_same_pass() -> None:
    model = lm("llama")
    said = " the cat! the mat ran! a dog!"
    each = np.array([one_at_a_time(model.model, text, said) for text in TEXTS[:3]])
    np.testing.assert_allclose(model.logprob(said, per="token")(TEXTS[:3]), each, atol=1e-4)
    by_sentence = model.loss(said, per="sentence")(TEXTS[:3])
    assert by_sentence.shape == (3, 3)
    np.testing.assert_allclose(by_sentence.sum(axis=1), -each.sum(axis=1), atol=1e-4)
    first = len(tokenizer()(" the cat!")["input_ids"])
    np.testing.assert_allclose(by_sentence[:, 0], -each[:, :first].sum(axis=1), atol=1e-4)
    game = ip.lenses.text(model.loss(said, per="sentence"), TEXTS[0], ablate="delete")
    assert game.outputs == ("the cat!", "the mat ran!", "a dog!")
    tokens = ip.lenses.text(model.logprob(said, per="token"), TEXTS[0], ablate="delete")
    assert tokens.outputs is not None
    assert len(tokens.outputs) == each.shape[1] == len(set(tokens.outputs))


@pytest.mark.parametrize("family", ["gpt2", "mamba", "bart"])
def test_the_models_own_response_to_the_full_prompt_is_the_target(family: str) -> None:
    import torch

    model = ip.models.CausalLM(copy.deepcopy(built(family)), tokenizer())
    settings = model.model.generation_config  # which change what is said, and not what is likely
    settings.repetition_penalty, settings.no_repeat_ngram_size, settings.min_length = 9.0, 1, 30
    settings.return_dict_in_generate = True
    prompt = "so the cat " + TEXTS[2]
    ids = tokenizer()(prompt)["input_ids"]
    said: list[int] = []
    begins = list(model.reader.opening or ids)
    for _ in range(5):  # the most likely token after the other
        with torch.no_grad():
            if family == "bart":
                read = {"input_ids": torch.tensor([ids]), "decoder_input_ids": torch.tensor([begins + said])}
            else:
                read = {"input_ids": torch.tensor([begins + said])}
            said.append(int(model.model(**read, use_cache=False).logits[0, -1].argmax()))
        if said[-1] == 2:
            break
    game = ip.lenses.text(model.logprob(max_tokens=5), prompt, ablate="delete")
    expected = model.logprob([token for token in said if token != 2])
    np.testing.assert_allclose(game(np.ones((1, game.n), dtype=bool)), expected([prompt]), atol=1e-6)
    assert model.respond(prompt, max_tokens=5) in game.notes[0]
    assert game.fingerprint == ip.lenses.text(expected, prompt, ablate="delete").fingerprint
    with pytest.raises(ip.InputError, match="the model's own response to the full prompt, which only a lens knows"):
        model.logprob()([prompt])


def test_no_prompts_have_no_values() -> None:
    assert lm("gpt2").logprob(TARGET)([]).shape == (0,)


def test_a_prompt_of_no_tokens_is_scored_after_the_token_that_begins_texts() -> None:
    import torch

    model = lm("gpt2")
    said = tokenizer()("cat")["input_ids"]
    with torch.no_grad():
        scores = model.model(input_ids=torch.tensor([[1, *said]])).logits[0].double().log_softmax(-1)
    expected = sum(float(scores[i, token]) for i, token in enumerate(said))
    assert model.logprob("cat")([""])[0] == pytest.approx(expected, abs=1e-4)


def test_special_tokens_that_the_tokenizer_adds_come_before_the_prompt_and_not_before_the_target() -> None:
    adding = copy.deepcopy(tokenizer())
    from tokenizers.processors import TemplateProcessing

    adding._tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    model = ip.models.CausalLM(built("llama"), adding)
    (ask,) = model.reader.asks(["the cat"], [" sat"])[0]
    plain = tokenizer()("the cat sat")["input_ids"]
    assert ask.ids == (1, *plain)
    assert ask.start == 1 + len(tokenizer()("the cat")["input_ids"])


def test_a_chat_puts_the_prompt_into_the_template_and_ablates_inside_it() -> None:
    speaking = copy.deepcopy(tokenizer())
    speaking.chat_template = (
        "{% for m in messages %}{{ m['role'] }} {{ m['content'] | trim }}. {% endfor %}"
        "{% if add_generation_prompt %}so{% endif %}"
    )
    chat = ip.models.CausalLM(built("llama"), speaking, chat=True, system="a cat")
    plain = ip.models.CausalLM(built("llama"), speaking)
    scored = chat.logprob(" the mat")(["the dog ran "])
    assert scored == pytest.approx(plain.logprob(" the mat")(["system a cat. user the dog ran. so"]), abs=1e-5)
    games = [ip.lenses.text(model.logprob(" the mat"), "the dog ran") for model in (chat, plain)]
    assert any("has a chat template, but the prompt is read as plain text" in note for note in games[1].notes)
    assert not any("chat template" in note for note in games[0].notes)
    assert games[0].fingerprint != games[1].fingerprint
    with pytest.raises(ip.InputError, match="no chat template: leave out chat=True"):
        lm("llama", chat=True)


# What is computed, and how often


class Counted:
    """How many tokens a model reads while it is watched."""

    def __init__(self, model: Any, monkeypatch: pytest.MonkeyPatch, most: int = 10**9) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.logits: list[int] = []
        forward = model.forward

        def counting(*args: Any, **kwargs: Any) -> Any:
            shape = tuple(kwargs["input_ids"].shape)
            if shape[0] * shape[1] > most:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            self.shapes.append(shape)
            output = forward(*args, **kwargs)
            self.logits.append(output.logits.shape[0] * output.logits.shape[1])
            return output

        monkeypatch.setattr(model, "forward", counting)

    @property
    def tokens(self) -> int:
        return sum(rows * width for rows, width in self.shapes)


def test_duplicates_and_single_token_answers_share_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lm("gpt2")
    watched = Counted(model.model, monkeypatch)
    one, two = ("a", "b")
    for _ in range(2):  # what was not met before is tried out first
        watched.shapes.clear()
        watched.logits.clear()
        model.margin(one, two)(["the cat ", "the cat ", "the dog "])
    assert [rows for rows, _ in watched.shapes] == [2]
    assert watched.logits == [2]  # at the last position of each, and nowhere else


def test_answers_of_several_tokens_share_their_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_likelihood._WORTH, "cpu", 8)
    model = lm("llama")
    scorer = model.margin(" to the cat", " on a dog")
    expected = [one_at_a_time(model.model, t, " to the cat").sum() for t in TEXTS]
    expected = np.subtract(expected, [one_at_a_time(model.model, t, " on a dog").sum() for t in TEXTS]).tolist()
    np.testing.assert_allclose(scorer(TEXTS), expected, atol=1e-4)
    watched = Counted(model.model, monkeypatch)
    for _ in range(2):
        watched.shapes.clear()
        np.testing.assert_allclose(scorer(TEXTS), expected, atol=1e-4)
    shared = watched.tokens
    watched.shapes.clear()
    monkeypatch.setitem(_likelihood._WORTH, "cpu", 10**6)
    scorer(TEXTS)
    assert shared < 0.7 * watched.tokens


def test_the_shared_prefix_is_computed_once_and_cut_or_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    share_all(monkeypatch)
    model = lm("llama")
    scorer, plain = model.logprob(" cat"), lm("llama")
    fixed = "so the cat sat on the mat"
    length = len(tokenizer()(fixed)["input_ids"])
    first = [f"{fixed} and the dog{end}" for end in (" ran", " a", " to")]
    watched = Counted(model.model, monkeypatch)
    scorer(first)
    watched.shapes.clear()
    scorer(first)
    (one, whole), (rows, rest) = watched.shapes  # the prefix, and only what differs
    assert (one, rows) == (1, 3)
    assert whole > length > rest
    shorter = [f"{fixed}{end}" for end in (" ran", " a", " to")]
    watched.shapes.clear()
    scorer([*first, *shorter])  # a longer one goes on from it
    assert sum(width for rows, width in watched.shapes if rows == 1) <= whole
    other = [f"so the cat ran {end}" for end in ("to", "on", "a")]
    values = scorer([*first, *other])  # and these part from it early
    monkeypatch.setitem(_likelihood._WORTH, "cpu", 10**6)
    np.testing.assert_allclose(values, plain.logprob(" cat")([*first, *other]), atol=1e-4)
    assert length > 4


def test_a_cache_that_changes_values_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    share_all(monkeypatch)
    model = ip.models.CausalLM(copy.deepcopy(built("llama")), tokenizer())
    expected = [one_at_a_time(model.model, text, TARGET).sum() for text in TEXTS]
    forward = model.model.forward

    def forgetful(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("past_key_values") is not None and kwargs["past_key_values"].get_seq_length():
            kwargs["past_key_values"].layers[0].keys.mul_(0.5)
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.model, "forward", forgetful)
    np.testing.assert_allclose(model.logprob(TARGET)(TEXTS), expected, atol=1e-4)
    assert model._likelihood.reuses is False


def test_out_of_memory_halves_the_batch_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = lm("gpt2").logprob(TARGET)(TEXTS)
    model = lm("gpt2")
    watched = Counted(model.model, monkeypatch, most=60)
    np.testing.assert_allclose(model.logprob(TARGET)(TEXTS), expected, atol=1e-4)
    assert max(rows * width for rows, width in watched.shapes) <= 60
    tight = lm("gpt2")
    Counted(tight.model, monkeypatch, most=5)
    with pytest.raises(ip.AblationError, match="fits into memory: shorten"):
        tight.logprob(TARGET)(TEXTS)


def test_batches_hold_tokens_and_not_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lm("gpt2", batch_tokens=40)
    watched = Counted(model.model, monkeypatch)
    model.logprob(" a")(["the " * k + "cat" for k in range(1, 13)])
    assert max(rows * width for rows, width in watched.shapes) <= 40
    assert len({rows for rows, _ in watched.shapes}) > 1


def test_threads_and_other_processes_get_the_same_values() -> None:
    import pickle
    from concurrent.futures import ThreadPoolExecutor

    scorer = lm("llama").logprob(TARGET)
    expected = scorer(TEXTS)
    with ThreadPoolExecutor(3) as pool:
        for values in pool.map(scorer, [TEXTS] * 6):
            np.testing.assert_allclose(values, expected, atol=1e-5)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(scorer.score))(TEXTS), expected, atol=1e-5)


def test_a_model_is_read_by_one_thread_at_a_time_whoever_made_the_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that each make their own scorer at once, of one `CausalLM` or of two that hold the same module."""
    import threading
    import time
    from concurrent.futures import ThreadPoolExecutor

    model = built("llama")
    expected = ip.models.CausalLM(model, tokenizer()).logprob(TARGET)(TEXTS)
    forward, under_way, most = model.forward, [0], [0]

    def counted(*args: Any, **kwargs: Any) -> Any:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        time.sleep(0.005)  # others come meanwhile
        try:
            return forward(*args, **kwargs)
        finally:
            under_way[0] -= 1

    monkeypatch.setattr(model, "forward", counted)
    both = [ip.models.CausalLM(model, tokenizer()) for _ in range(2)]
    together = threading.Barrier(4, timeout=60)

    def ask(k: int) -> Any:
        together.wait()
        return both[k % 2].logprob(TARGET)(TEXTS)

    with ThreadPoolExecutor(4) as pool:
        for values in pool.map(ask, range(4)):
            np.testing.assert_allclose(values, expected, atol=1e-5)
    assert most[0] == 1


def test_threads_are_answered_by_copies_on_several_devices_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle
    import threading
    from concurrent.futures import ThreadPoolExecutor

    built("llama").save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    shared = ip.models.CausalLM.load(tmp_path, device=["cpu", "cpu"])
    prompt = "so the cat sat on the mat and the dog ran to the cat"
    games = [ip.lenses.text(model.logprob(" a"), prompt, ablate="delete") for model in (shared, lm("llama"))]
    assert games[0].fingerprint == games[1].fingerprint
    expected = ip.explain(games[1], budget=200).spectrum.coefficients
    met = threading.Barrier(2, timeout=60)  # opens only where two passes are under way at once
    seen: list[int] = []

    def watch(model: Any) -> None:
        forward = model.forward

        def first_meets(*args: Any, **kwargs: Any) -> Any:
            if id(model) not in seen:
                seen.append(id(model))
                met.wait()
            return forward(*args, **kwargs)

        monkeypatch.setattr(model, "forward", first_meets)

    for model in (shared.model, *shared.copies):
        watch(model)
    with ThreadPoolExecutor(2) as executor:
        result = ip.explain(games[0], budget=200, executor=executor, progress=False)
    assert len(seen) == 2
    assert result.spectrum.coefficients == pytest.approx(expected, abs=1e-4)
    monkeypatch.undo()
    score = shared.logprob(TARGET).score
    np.testing.assert_allclose(pickle.loads(pickle.dumps(score))(TEXTS), lm("llama").logprob(TARGET)(TEXTS), atol=1e-5)
    with pytest.raises(ip.InputError, match="device is an empty list"):
        ip.models.CausalLM.load(tmp_path, device=[])


def test_a_prompt_of_thousands_of_tokens_is_scored_exactly() -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {**networks._GROUPED, "max_position_embeddings": 4096, "num_hidden_layers": 2}
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**networks._TOKENS | sizes)).eval()
    texts = ["so the cat sat on the mat " * 250 + end for end in ("and ran", "and sat on the dog", "to")]
    scored = ip.models.CausalLM(model, tokenizer())
    assert 2000 < len(tokenizer()(texts[0])["input_ids"]) < 4000
    expected = [one_at_a_time(model, text, TARGET).sum() for text in texts]
    np.testing.assert_allclose(scored.logprob(TARGET)(texts), expected, atol=1e-4)
    assert scored._likelihood.reuses


# Mistakes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.logprob(""), "the target is empty: pass what the model could say"),
        (lambda m: m.logprob([]), "the target is empty: pass at least one token id"),
        (lambda m: m.margin("a", "a"), "the two answers of a margin are both 'a'"),
        (lambda m: m.logprob("a", per="word"), r"unknown per 'word'\. .*token, sentence"),
        (lambda m: m.logprob(max_tokens=0), "max_tokens must be at least 1, not 0"),
        (lambda m: m.logprob("t")(["the ca"]), r"'t' starts inside a token, ' cat', when it follows .*'the ca'"),
        (
            lambda m: m.logprob("cat")(["the "]),
            "'cat' starts inside a token, ' cat'.* space belongs to the beginning",
        ),
        (
            lambda m: ip.lenses.text(m.logprob(TARGET), "the cat " * 20, ablate="delete"),
            r"the prompt has \d+ tokens and the target \d+, but the model's window is 32: shorten",
        ),
        (lambda m: m.respond("the cat " * 20), r"the prompt has \d+ tokens, but the model's window is 32: there is no"),
        (lambda m: m.logprob([99, 1])(["the cat"]), "the token 99 is beyond the model's 60"),
        (lambda m: ip.models.CausalLM(m.model, m.tokenizer, system="x"), "a system message needs chat=True"),
        (lambda m: ip.models.CausalLM(m.model, m.tokenizer, batch_tokens=0), "batch_tokens must be at least 1, not 0"),
    ],
)
def test_a_mistake_is_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(ip.InputError, match=message) as raised:
        call(lm("gpt2"))
    assert "\n" not in str(raised.value)


def test_logits_that_are_no_numbers_are_refused_with_the_way_out() -> None:
    import torch

    broken = ip.models.CausalLM(copy.deepcopy(built("gpt2")), tokenizer())
    with torch.no_grad():
        broken.model.transformer.ln_f.weight.fill_(float("nan"))
    with pytest.raises(ip.AblationError, match="the model's logits are NaN in float32: its weights are damaged"):
        broken.logprob(" cat")(["the"])
    large = ip.models.CausalLM(copy.deepcopy(built("llama")).half(), tokenizer())
    with torch.no_grad():
        for layer in large.model.model.layers:
            layer.mlp.down_proj.weight.fill_(6e4)
            layer.mlp.up_proj.weight.fill_(6e4)
    with pytest.raises(ip.AblationError, match="in float16, whose numbers end at 65504: load it with dtype='bfloat16'"):
        large.logprob(" cat")(["the"])


def test_a_model_is_loaded_from_its_folder_and_one_without_a_head_is_named(tmp_path: Path) -> None:
    import torch
    import transformers

    for name, model in {"gpt2": built("gpt2"), "t5": built("t5"), "headless": built("llama").model}.items():
        model.save_pretrained(tmp_path / name)
        tokenizer().save_pretrained(tmp_path / name)
    for name in ("gpt2", "t5"):
        loaded = ip.models.CausalLM.load(tmp_path / name, device="cpu")
        np.testing.assert_allclose(loaded.logprob(TARGET)(TEXTS), lm(name).logprob(TARGET)(TEXTS), atol=1e-5)
    half = ip.models.CausalLM.load(tmp_path / "gpt2", device="cpu", dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16
    with pytest.raises(ip.InputError, match="is a LlamaModel, which has no language-modelling head"):
        ip.models.CausalLM.load(tmp_path / "headless")
    config = (tmp_path / "headless" / "config.json").read_text()
    (tmp_path / "headless" / "config.json").write_text(config.replace("LlamaModel", "LlamaForCausalLM"))
    with pytest.raises(ip.InputError, match=r"lack 1 of the model's, such as lm_head.weight: it was saved without"):
        ip.models.CausalLM.load(tmp_path / "headless")
    with pytest.raises(ip.InputError, match="GPT2Model has no language-modelling head"):
        ip.models.CausalLM(built("gpt2").transformer, tokenizer())
    with pytest.raises(ip.InputError, match="unknown dtype 'float61'"):
        ip.models.CausalLM.load(tmp_path / "gpt2", dtype="float61")
    assert isinstance(tokenizer(), transformers.PreTrainedTokenizerFast)
    assert tokenizer().pad_token is None


def test_identity_follows_model_target_and_what_is_measured() -> None:
    def fingerprint(scorer: ip.models.Scorer) -> str | None:
        return ip.lenses.text(scorer, "the cat", ablate="delete").fingerprint

    model = lm("gpt2")
    base = fingerprint(model.logprob(" a"))
    model.logprob(" a")(TEXTS)
    assert fingerprint(ip.models.CausalLM(copy.deepcopy(model.model), tokenizer()).logprob(" a")) == base
    others = [model.logprob(" to"), model.loss(" a"), model.margin(" a", " to"), model.logprob(" a", per="token")]
    others.append(lm("llama").logprob(" a"))
    assert len({base, *map(fingerprint, others)}) == 6


# The truth, through a model that has learned it


@pytest.fixture(scope="session")
def learned(planted: Path) -> ip.models.CausalLM:
    return ip.models.CausalLM.load(planted, device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("task", planted_lm.TASKS, ids=lambda task: task.name)
def test_combinations_of_sentences_that_a_model_has_learned_are_found_and_no_others(
    learned: ip.models.CausalLM, task: planted_lm.Task
) -> None:
    game = ip.lenses.text(
        learned.margin(task.target, task.rival),
        {"context": task.context, "question": task.question},
        template=planted_lm.TEMPLATE,
        region="context",
        unit="sentence",
        ablate="delete",
    )
    assert game.labels == task.sentences
    result = ip.explain(game, budget=120, seed=1)
    found = {key: value for key, value in result.interactions("mobius").items() if abs(value) > 0.5 and key}
    truth = {key: value for key, value in task.mobius.items() if key}
    assert found.keys() == truth.keys()
    for key, value in truth.items():
        assert found[key] == pytest.approx(value, abs=0.8)  # the model's own error on a margin is up to 0.5
    assert result.faithfulness.r2 > 0.98


@pytest.mark.slow
def test_the_model_answers_as_it_learned_and_the_answer_needs_the_same_sentences(
    learned: ip.models.CausalLM,
) -> None:
    task = planted_lm.TASKS[0]
    game = ip.lenses.text(learned.logprob(), task.context, template=task.template, unit="sentence", ablate="delete")
    assert game.notes[0] == "measured: log-probability of ' gold'"
    top = next(iter(ip.explain(game, budget=120).interactions("mobius", top=1)))
    assert top == tuple(sorted(task.features))


# The boundary between a prompt and its target

LETTERS = st.text("abct ehs!", max_size=12)


@given(prompt=LETTERS, target=LETTERS.filter(bool))
@settings(max_examples=200, deadline=None)
def test_a_target_begins_where_the_prompts_tokens_end_in_the_joint_text_or_is_refused(prompt: str, target: str) -> None:
    reader = lm("gpt2").reader
    alone, joint = (tokenizer()(text)["input_ids"] for text in (prompt, prompt + target))
    pieces, length = [], 0
    for token in joint:
        pieces.append(length)
        length += len(tokenizer().convert_ids_to_tokens(token))
    if len(prompt) not in pieces:
        with pytest.raises(ip.InputError, match="starts inside a token"):
            reader.asks([prompt], [target])
        return
    ((ask,),) = reader.asks([prompt], [target])
    lead = [] if alone else [1]
    assert list(ask.ids) == lead + joint
    assert "".join(tokenizer().convert_ids_to_tokens(list(ask.ids[ask.start :]))) == target


@pytest.mark.parametrize("kind", ["byte level, offsets without spaces", "metaspace"])
def test_boundaries_of_other_tokenizers_hold_too(kind: str) -> None:
    pytest.importorskip("tokenizers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    if kind == "metaspace":  # as in Llama 2 and Mistral: a space is put before the text
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        backend.decoder = decoders.Metaspace(prepend_scheme="first")
    else:  # as in RoBERTa and OPT
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        backend.post_processor = processors.ByteLevel(trim_offsets=True)
    backend.train_from_iterator(
        ["the answer is yes the answer is no 是。 否。"] * 3, trainers.BpeTrainer(vocab_size=300)
    )
    other = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>")
    reader = ip.models.CausalLM(built("gpt2"), other).reader
    ((ask,),) = reader.asks(["the answer is"], [" yes"])
    assert list(ask.ids) == other("the answer is yes")["input_ids"]
    assert ask.start == len(other("the answer is")["input_ids"])
    said = " 是。否。"
    ((ask,),) = reader.asks(["the answer is"], [said])
    pieces = reader.pieces(ask.ids[ask.start :])
    by_sentence = ["", ""]
    for piece, sentence in zip(pieces, reader.groups(ask.ids[ask.start :], said, [3, 5]), strict=True):
        by_sentence[sentence] += piece
    assert [sentence.strip() for sentence in by_sentence] == ["是。", "否。"]
    for prompt, target in [("the answer is ", "yes"), ("the answer is y", "es")]:
        with pytest.raises(ip.InputError, match="starts inside a token"):
            reader.asks([prompt], [target])
