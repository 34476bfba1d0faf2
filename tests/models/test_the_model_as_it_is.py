"""A scorer's values are those of the model as it is at the call, loaded as its folder states, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interplay as ip

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from networks import FAMILIES, network, tokenizer  # noqa: E402

PROMPTS = ["the cat runs", "the cat sleeps", "the cat runs fast", "never here"]
TARGET = " Paris London"
pefts = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def plainly(model: Any, prompt: str, target: str = TARGET) -> float:
    """The log-probability of a target by one plain pass in evaluation mode."""
    words = tokenizer()
    before, ids = words(prompt)["input_ids"], words(prompt + target)["input_ids"]
    mode = model.training
    with torch.no_grad():
        read = torch.tensor([ids])
        logits = model.eval()(input_ids=read, attention_mask=torch.ones_like(read)).logits[0].log_softmax(-1)
    model.train(mode)
    shift = len(logits) - len(ids)
    return sum(float(logits[shift + place - 1, ids[place]]) for place in range(len(before), len(ids)))


def agrees(model: Any, scorer: ip.models.Scorer) -> list[float]:
    values = [float(value) for value in scorer(PROMPTS)]
    np.testing.assert_allclose(values, [plainly(model, prompt) for prompt in PROMPTS], atol=1e-4)
    return values


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever two rows share is computed once, though it may not pay."""
    from interplay.models._causal import likelihood, rows

    monkeypatch.setitem(likelihood._WORTH, "cpu", 2)
    monkeypatch.setattr(rows, "_SHARE", 0.0)


# The model as it is now ----------------------------------------------------------------------------------------------


def _stepped(model: Any) -> None:
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))


def _exchanged(model: Any) -> None:
    model.lm_head = torch.nn.Linear(16, 60, bias=False)


def _hooked(model: Any) -> None:
    model.model.layers[0].register_forward_hook(lambda _m, _a, output: output + 2.0)


def _replaced(model: Any) -> None:
    forward = model.model.norm.forward
    model.model.norm.forward = lambda states: forward(states) * 1.5


@pytest.mark.parametrize("change", [_stepped, _exchanged, _hooked, _replaced])
def test_every_value_is_that_of_the_model_at_the_call(change: Callable[[Any], None], sharing: None) -> None:
    torch.manual_seed(0)
    model = network("llama")
    lm = ip.models.CausalLM(model, tokenizer())
    scorer = lm.logprob(TARGET)
    before = agrees(model, scorer)
    change(model)
    after = agrees(model, scorer)
    assert np.abs(np.subtract(before, after)).max() > 0.01
    assert agrees(model, lm.logprob(TARGET)) == after


@pefts
def test_an_adapter_that_is_switched_is_followed_and_part_of_the_identity(sharing: None) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=2, init_lora_weights=False, target_modules=["q_proj", "v_proj"])
    torch.manual_seed(0)
    model = peft.get_peft_model(network("llama"), config).eval()
    scorer = ip.models.CausalLM(model, tokenizer()).logprob(TARGET)
    on, known = agrees(model, scorer), scorer.identity()
    with model.disable_adapter():
        off = agrees(model, scorer)
        assert scorer.identity() != known is not None
    assert agrees(model, scorer) == on != off
    assert scorer.identity() == known


def test_the_reference_of_a_similarity_is_read_by_the_model_as_it_is() -> None:
    model = network("bert")
    encoder = ip.models.Encoder(model, tokenizer())
    scorer = encoder.similarity("London sleeps")
    assert scorer(["London sleeps"])[0] == pytest.approx(1.0, abs=1e-6)
    _stepped(model)
    assert scorer(["London sleeps"])[0] == pytest.approx(1.0, abs=1e-6)
    assert scorer(PROMPTS) == pytest.approx(encoder.similarity("London sleeps")(PROMPTS), abs=1e-6)


def test_training_mode_reaches_no_value_and_is_kept() -> None:
    model = network("gpt2")
    expected = [plainly(model, prompt) for prompt in PROMPTS]
    model.train()
    model.transformer.h[1].eval()
    lm = ip.models.CausalLM(model, tokenizer())
    np.testing.assert_allclose(lm.logprob(TARGET)(PROMPTS), expected, atol=1e-4)
    assert lm.respond(PROMPTS[0], max_tokens=3) == lm.respond(PROMPTS[0], max_tokens=3)
    assert model.training
    assert not model.transformer.h[1].training
    encoder = ip.models.Encoder(network("bert").train(), tokenizer())
    np.testing.assert_array_equal(encoder.embed(PROMPTS), encoder.embed(PROMPTS))
    assert encoder.model.training


def test_a_model_that_wears_hooks_needs_a_name_in_a_store() -> None:
    model = network("gpt2")
    scorer = ip.models.CausalLM(model, tokenizer()).logprob(TARGET)
    known = scorer.identity()
    handle = model.transformer.h[0].register_forward_hook(lambda _m, _a, _o: None)
    assert scorer.identity() is None
    handle.remove()
    assert scorer.identity() == known is not None


# What a model is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertLMHeadModel", "XLNetLMHeadModel"])
def test_a_model_that_reads_both_ways_is_no_causal_language_model(kind: str) -> None:
    torch.manual_seed(0)
    if kind.startswith("XLNet"):
        config = transformers.XLNetConfig(d_model=16, n_layer=2, n_head=4, d_inner=24, vocab_size=60)
    else:
        config = transformers.BertConfig(**FAMILIES["bert"].options, is_decoder=False)
    lm = ip.models.CausalLM(getattr(transformers, kind)(config).eval(), tokenizer())
    with pytest.raises(ip.InputError, match="reads both ways: what it says after a token changes with what comes"):
        lm.logprob(TARGET)(PROMPTS)
    if kind == "BertLMHeadModel":
        lm.model.config.is_decoder = True
        decoder = transformers.BertLMHeadModel(lm.model.config).eval()
        agrees(decoder, ip.models.CausalLM(decoder, tokenizer()).logprob(TARGET))


@pefts
@pytest.mark.parametrize("kind", ["PromptTuningConfig", "PrefixTuningConfig", "PromptEncoderConfig"])
def test_a_tuned_prompt_is_read_before_the_text(kind: str, sharing: None) -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    model = peft.get_peft_model(
        network("llama"), getattr(peft, kind)(task_type="CAUSAL_LM", num_virtual_tokens=3)
    ).eval()
    agrees(model, ip.models.CausalLM(model, tokenizer()).logprob(TARGET))


@pefts
def test_an_encoders_tuned_prompt_is_read_too() -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    config = peft.PromptTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=3)
    model, bare = peft.get_peft_model(network("t5"), config).eval(), network("t5")
    expected = []
    for given in (model, bare):
        read = torch.tensor([tokenizer()("the cat runs")["input_ids"]])
        with torch.no_grad():
            logits = given(input_ids=read, attention_mask=torch.ones_like(read), decoder_input_ids=torch.tensor([[0]]))
        expected.append(float(logits.logits[0, 0].log_softmax(-1)[13]))
    assert abs(expected[0] - expected[1]) > 1e-3
    for given, value in zip((model, bare), expected, strict=True):
        assert ip.models.CausalLM(given, tokenizer()).logprob("Paris")(PROMPTS)[0] == pytest.approx(value, abs=1e-4)


def test_a_mixture_of_experts_with_an_encoder_is_read_as_a_plain_pass_reads_it() -> None:
    sizes = {"vocab_size": 60, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}
    config = transformers.SwitchTransformersConfig(
        **sizes, num_decoder_layers=2, num_experts=2, decoder_start_token_id=0, pad_token_id=0
    )
    torch.manual_seed(0)
    model = transformers.SwitchTransformersForConditionalGeneration(config).eval()
    expected = []
    for prompt in PROMPTS:
        with torch.no_grad():
            read = torch.tensor([tokenizer()(prompt)["input_ids"]])
            logits = model(input_ids=read, decoder_input_ids=torch.tensor([[0]])).logits
        expected.append(float(logits[0, 0].log_softmax(-1)[13]))
    np.testing.assert_allclose(ip.models.CausalLM(model, tokenizer()).logprob("Paris")(PROMPTS), expected, atol=1e-4)


@pytest.mark.parametrize(
    "setting", ["suppress_tokens", "begin_suppress_tokens", "bad_words_ids", "forced_bos_token_id"]
)
def test_a_models_settings_for_generation_change_no_response(setting: str) -> None:
    model = network("gpt2")
    lm = ip.models.CausalLM(model, tokenizer())
    plain = lm._response(PROMPTS[0], 4)
    settings: dict[str, Any] = {"bad_words_ids": [[plain[0]]], "forced_bos_token_id": 7}
    setattr(model.generation_config, setting, settings.get(setting, [plain[0]]))
    assert lm._response(PROMPTS[0], 4) == plain
    assert getattr(model.generation_config, setting) is not None


def test_a_dated_chat_template_is_part_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    words = tokenizer()
    words.chat_template = "here {{ strftime_now('%d') }} {% for m in messages %}{{ m['content'] }}{% endfor %} fast"
    scorer = ip.models.CausalLM(network("gpt2"), words, chat=True).logprob(TARGET)
    days = iter(["01", "01", "02"])
    template = words.apply_chat_template

    def rendered(*given: Any, **options: Any) -> Any:
        return template(*given, **options).replace(template([{"content": ""}], tokenize=False)[5:7], next(days))

    monkeypatch.setattr(words, "apply_chat_template", rendered)
    one, same, later = (json.dumps(scorer.identity(), sort_keys=True) for _ in range(3))
    assert one == same != later


@pytest.mark.parametrize(
    ("texts", "shown"), [("the cat", "the single text 'the cat'"), (b"the", "single text b'the'"), (["a", 5], "is 5")]
)
def test_what_is_no_list_of_texts_is_refused(texts: Any, shown: str) -> None:
    for scorer in (
        ip.models.CausalLM(network("gpt2"), tokenizer()).logprob(TARGET),
        ip.models.Encoder(network("bert"), tokenizer()).similarity("London"),
    ):
        with pytest.raises(ip.InputError, match=f"a scorer takes a list of texts, .*{shown}"):
            scorer(texts)


@pytest.mark.parametrize("target", [b" Paris", [9.7], 4, [True], [-3], None, [None]])
def test_a_target_of_another_kind_is_refused(target: Any) -> None:
    lm = ip.models.CausalLM(network("gpt2"), tokenizer())
    with pytest.raises(ip.InputError, match="a target"):
        lm.margin(target, " Paris")
    if not isinstance(target, (int, list, type(None))):
        with pytest.raises(ip.InputError, match="a target must be a text, a token id or a label"):
            ip.lenses.heads(lm, PROMPTS, ip.lenses.metrics.logprob(target))


@pytest.mark.parametrize("label", [b"good", 1.5, True, None])
def test_a_label_of_another_kind_is_refused(label: Any) -> None:
    config = transformers.BertConfig(**FAMILIES["bert"].options, num_labels=3)
    encoder = ip.models.Encoder(transformers.BertForSequenceClassification(config).eval(), tokenizer())
    with pytest.raises(ip.InputError, match="a label must be its name or its number"):
        encoder.label(label)


@pytest.mark.parametrize("pad", [None, 2])
def test_a_decoder_with_a_classification_head_reads_each_text_as_if_alone(pad: int | None) -> None:
    torch.manual_seed(0)
    config = transformers.GPT2Config(**FAMILIES["gpt2"].options, pad_token_id=pad, num_labels=2)
    model = transformers.GPT2ForSequenceClassification(config).eval()
    with torch.no_grad():
        alone = [float(model(torch.tensor([tokenizer()(text)["input_ids"]])).logits[0, 1]) for text in PROMPTS]
    encoder = ip.models.Encoder(model, tokenizer())
    np.testing.assert_allclose(encoder.label(1)(PROMPTS), alone, atol=1e-5)
    if pad is None:
        with pytest.raises(ip.InputError, match="Cannot handle batch sizes > 1 if no padding token"):
            ip.lenses.heads(encoder, PROMPTS, ip.lenses.metrics.logit(1))
    else:
        game = ip.lenses.heads(encoder, PROMPTS, ip.lenses.metrics.logit(1), each=True)
        np.testing.assert_allclose(game(np.ones((1, game.n), dtype=bool))[0], alone, atol=1e-5)


# Folders and files ---------------------------------------------------------------------------------------------------

MODES = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]


def sentence_folder(folder: Path, pooling: dict[str, Any], **modules: str) -> Path:
    """A folder as sentence-transformers writes it."""
    network("bert").save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    named = {"": "Transformer", "1_Pooling": "Pooling", **modules, "2_Normalize": "Normalize"}
    parts = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in named.items()]
    (folder / "modules.json").write_text(json.dumps(parts))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 9, "do_lower_case": True}))
    return folder


@pytest.mark.parametrize("modes", [[mode] for mode in MODES] + [["cls_token", "lasttoken"]], ids="+".join)
def test_an_encoders_folder_pools_and_ends_as_it_states(modes: list[str], tmp_path: Path) -> None:
    folder = sentence_folder(tmp_path, {f"pooling_mode_{mode}": mode in modes for mode in MODES})
    encoder = ip.models.Encoder.load(folder, device="cpu")
    assert encoder.window == 9
    with torch.no_grad():
        states = network("bert")(torch.tensor([tokenizer()("the cat sleeps")["input_ids"]])).last_hidden_state[0]
    count = torch.arange(1, 4)[:, None]
    vectors = {"cls_token": states[0], "mean_tokens": states.mean(0), "max_tokens": states.amax(0)}
    vectors |= {"mean_sqrt_len_tokens": states.sum(0) / 3**0.5, "lasttoken": states[-1]}
    vectors |= {"weightedmean_tokens": (states * count).sum(0) / 6}
    expected = torch.nn.functional.normalize(torch.cat([vectors[mode] for mode in modes]), dim=0)
    embedded = encoder.embed(["THE cat sleeps", "never", "the dog runs fast here"])[0]
    np.testing.assert_allclose(embedded, expected.numpy(), atol=1e-5)


def test_a_folders_prompt_is_put_before_every_text_and_what_an_encoder_has_not_is_refused(tmp_path: Path) -> None:
    folder = sentence_folder(tmp_path / "one", {"pooling_mode": "mean"})
    stated = {"prompts": {"query": "never "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(stated))
    plain = ip.models.Encoder(network("bert"), tokenizer())
    encoder = ip.models.Encoder.load(folder, device="cpu")
    np.testing.assert_allclose(encoder.embed(["the cat"]), plain.embed(["never the cat"]), atol=1e-6)
    game = ip.lenses.heads(encoder, ["the cat"], ip.lenses.metrics.similarity("here"))
    kept = game(np.ones((1, game.n), dtype=bool))[0]
    assert kept == pytest.approx(encoder.similarity("here")(["the cat"])[0], abs=1e-6)
    dense = sentence_folder(tmp_path / "two", {"pooling_mode_mean_tokens": True}, **{"2_Dense": "Dense"})
    with pytest.raises(ip.InputError, match=r"goes through Dense .*which an Encoder has not"):
        ip.models.Encoder.load(dense)


def test_a_models_own_files_are_not_run_unless_they_are_trusted_by_name(tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'ran')!r}, 'w').close()\nfrom transformers import BertConfig as C\n"
    (tmp_path / "own.py").write_text(code)
    config = {"model_type": "ownmodel", "auto_map": {"AutoConfig": "own.C", "AutoModel": "own.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaders: list[Callable[..., Any]] = [
        ip.models.Encoder.load,
        ip.models.CausalLM.load,
        ip.models.load_network,
    ]
    for load in loaders:
        with pytest.raises(ip.InputError, match="cannot load a model from"):
            load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_damaged_or_lack_a_part_are_one_sentence(tmp_path: Path) -> None:
    network("bert").save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    from safetensors.torch import load_file, save_file

    weights = load_file(tmp_path / "model.safetensors")
    save_file({name: one for name, one in weights.items() if "pooler" not in name}, tmp_path / "model.safetensors")
    ip.models.Encoder.load(tmp_path, device="cpu")
    save_file({name: one for name, one in weights.items() if "layer.1" not in name}, tmp_path / "model.safetensors")
    with pytest.raises(ip.InputError, match=r"lack 16 of the model's, such as encoder\.layer\.1\."):
        ip.models.Encoder.load(tmp_path, device="cpu")
    for damage in (b"\0" * 2000, (tmp_path / "model.safetensors").read_bytes()[:900]):
        (tmp_path / "model.safetensors").write_bytes(damage)
        with pytest.raises(ip.InputError, match="cannot load a model from"):
            ip.models.Encoder.load(tmp_path, device="cpu")


def test_every_way_to_place_a_model_gives_the_same_values_or_says_what_is_missing(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    network("llama").save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    plain = ip.models.CausalLM.load(tmp_path, device="cpu").logprob(TARGET)
    spread = ip.models.CausalLM.load(tmp_path, device_map={"": "cpu"}).logprob(TARGET)
    np.testing.assert_array_equal(plain(PROMPTS), spread(PROMPTS))
    assert spread.identity() == plain.identity() is not None
    with pytest.raises(ip.InputError, match="device='cpu' and device_map='auto' exclude each other"):
        ip.models.CausalLM.load(tmp_path, device="cpu", device_map="auto")
    with pytest.raises(ip.InputError, match=r"unknown quantization '3bit'\. .*Choose one of: 8bit, 4bit"):
        ip.models.CausalLM.load(tmp_path, quantization="3bit")


@pytest.fixture
def gguf_file(tmp_path: Path) -> Path:
    """A small Llama of random weights in a folder, and as a GGUF file beside it."""
    pytest.importorskip("gguf")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from llama_server import write_gguf

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(PROMPTS * 4, trainer)
    words = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", pad_token="<end>")
    words.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    sizes = FAMILIES["llama"].options | {"vocab_size": len(words), "eos_token_id": 0, "tie_word_embeddings": False}
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).save_pretrained(tmp_path / "plain")
    words.save_pretrained(tmp_path / "plain")
    (tmp_path / "llama").mkdir()
    return write_gguf(tmp_path / "plain", tmp_path / "llama" / "model.gguf")


def test_a_gguf_file_or_its_folder_is_the_model_it_was_made_from(gguf_file: Path, tmp_path: Path) -> None:
    expected = ip.models.CausalLM.load(tmp_path / "plain", device="cpu").logprob(" here")(PROMPTS)
    for path in (gguf_file, gguf_file.parent):
        lm = ip.models.CausalLM.load(path, device="cpu")
        np.testing.assert_allclose(lm.logprob(" here")(PROMPTS), expected, atol=1e-4)
    assert getattr(lm.model.config, "quantization_config", None) is None
    lm.model.save_pretrained(tmp_path / "again")  # its weights are plain
    assert isinstance(ip.models.load_network(gguf_file, device="cpu"), ip.models.Network)
    (gguf_file.parent / "other.gguf").write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(ip.InputError, match=r"no config\.json and 2 GGUF files; pass the path of one of them"):
        ip.models.CausalLM.load(gguf_file.parent)
    with pytest.raises(ip.InputError, match="cannot load a model from"):
        ip.models.CausalLM.load(gguf_file.parent / "other.gguf")


@pytest.mark.model
def test_a_gguf_file_is_parsed_once_and_its_reader_is_left_as_it_was(
    gguf_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gguf

    plain, parsed = gguf.GGUFReader, []

    def counting(path: Any, *more: Any) -> Any:
        parsed.append(path)
        return plain(path, *more)

    monkeypatch.setattr(gguf, "GGUFReader", counting)
    ip.models.CausalLM.load(gguf_file, device="cpu")
    assert len(parsed) <= 1  # none where transformers has a reader of its own
    assert gguf.GGUFReader is counting
