"""What a components game tries out before it ablates: inputs, targets, references, and what may be reused."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import interplay as ip
from interplay.lenses import Select, metrics

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from networks import FAMILIES, HEADS, WORDS, network, score, tokenizer, tokens  # noqa: E402

PROMPTS = ["the cat runs", "never here", "the dog sleeps fast here"]


def speaker(model: Any, closing: str | None = None) -> Any:
    return SimpleNamespace(model=model, tokenizer=tokenizer(closing))


def some_masks(n: int, count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).random((count, n)) < 0.6


def full(game: ip.Game) -> Any:
    return game(np.ones((1, game.n), dtype=bool))[0]


def ids(text: str) -> list[int]:
    return [5 + WORDS.index(word) for word in text.split()]


# Inputs and targets ----------------------------------------------------------------------------------------------


def test_one_tensor_of_token_ids_is_scored_at_its_last_token() -> None:
    model, given = network("gpt2"), tokens("gpt2")["input_ids"][:1]
    with torch.no_grad():
        logits = model(input_ids=given).logits
    assert full(ip.lenses.heads(model, given, metrics.logit(7))) == pytest.approx(float(logits[0, -1, 7]), abs=1e-5)
    alone = full(ip.lenses.heads(model, given, metrics.loss()))
    assert alone == full(ip.lenses.heads(model, {"input_ids": given}, metrics.loss()))


def test_targets_of_any_integer_kind_are_the_same() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    given = [[7, 8, 9], np.array([7, 8, 9]), torch.tensor([7, 8, 9])]
    games = [ip.lenses.heads(model, inputs, metrics.logit(target)) for target in given]
    assert len({float(full(game)) for game in games}) == 1
    assert len({game.fingerprint for game in games}) == 1
    assert full(ip.lenses.heads(model, inputs, metrics.logit(np.int64(7)), layers=np.int64(1))) == full(
        ip.lenses.heads(model, inputs, metrics.logit(7), layers=1)
    )


def test_long_arrays_of_targets_that_differ_anywhere_differ_in_identity() -> None:
    one, other = np.zeros(3000, dtype=int), np.zeros(3000, dtype=int)
    other[1500] = 1  # where the repr of an array has dots
    assert metrics.logit(one).identity() != metrics.logit(other).identity()


def test_pooling_belongs_to_a_game_s_identity() -> None:
    made = [ip.models.Encoder(network("bert"), tokenizer(), pooling) for pooling in ("mean", "cls")]
    games = [ip.lenses.heads(one, [("the cat", "dog runs")], metrics.similarity()) for one in made]
    assert full(games[0]) != full(games[1])
    assert games[0].fingerprint != games[1].fingerprint


def test_an_answer_follows_the_prompt_not_the_token_that_ends_texts() -> None:
    model = network("gpt2")
    plain, closed = (
        ip.lenses.heads(speaker(model, closing), PROMPTS, metrics.logprob(" Paris here"), each=True)
        for closing in (None, "[EOS]")
    )
    assert tokenizer("[EOS]")("the cat")["input_ids"] == [*ids("the cat"), 2]
    assert (full(plain) == full(closed)).all()


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
@pytest.mark.parametrize("kind", ["logprob", "margin", "accuracy", "loss", "logit"])
def test_answers_of_different_lengths_stand_behind_inputs_of_different_lengths(family: str, kind: str) -> None:
    """The longest input has the shortest answer, whose row ends before places that longer answers take."""
    asked = [" ".join(WORDS[i % len(WORDS)] for i in range(length)) for length in [2, 4, 3] * 12 + [9]]
    answers = [*[" Paris London here", " here", " London here"] * 12, " Paris"]
    others = [*[" here", " London here", " cat"] * 12, " here"]
    model = ip.models.CausalLM(network(family), tokenizer())
    metric = metrics.margin(answers, others) if kind == "margin" else getattr(metrics, kind)(answers)
    game = ip.lenses.heads(model, asked, metric, each=True)
    together = game(np.ones((9, game.n), dtype=bool))  # in one pass
    for at, text in list(enumerate(asked))[-4:]:
        one = [answers[at]]
        metric = metrics.margin(one, [others[at]]) if kind == "margin" else getattr(metrics, kind)(one)
        alone = ip.lenses.heads(model, [text], metric, each=True)
        np.testing.assert_allclose(together[:, at], float(np.ravel(full(alone))[0]), atol=1e-5)
        if kind in ("logprob", "loss"):
            sign = 1 if kind == "logprob" else -1
            expected = sign * float(model.logprob(answers[at])([text])[0])
            np.testing.assert_allclose(together[0, at], expected, atol=1e-5)


def test_an_answer_has_the_tokens_that_it_has_behind_its_prompt() -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    # As in Llama 2, every text begins with a space, also an answer by itself, and its own space would be a second.
    pieces = {"[UNK]": 0, "▁": 1} | {f"▁{word}": 5 + i for i, word in enumerate(WORDS)}
    backend = Tokenizer(models.WordLevel(pieces, unk_token="[UNK]"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    says = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", pad_token="[UNK]")
    assert len(says(" Paris")["input_ids"]) == 2
    model = ip.models.CausalLM(network("llama"), says)
    expected = model.logprob(" Paris here")(PROMPTS)
    game = ip.lenses.heads(model, PROMPTS, metrics.logprob(" Paris here"), each=True)
    np.testing.assert_allclose(full(game), np.ravel(expected), atol=1e-5)


def test_linear_attention_has_as_many_heads_as_values() -> None:
    import transformers

    sizes = {"hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 60}
    sizes |= {f"linear_{part}": size for part, size in (("num_value_heads", 2), ("num_key_heads", 2))}
    sizes |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2}
    sizes |= {"moe_intermediate_size": 8, "shared_expert_intermediate_size": 8, "num_hidden_layers": 2}
    config = transformers.Qwen3NextConfig(**sizes, layer_types=["linear_attention", "full_attention"])
    parts = Select.heads().parts(transformers.Qwen3NextForCausalLM(config))
    assert [part.label for part in parts] == ["L0.H0", "L0.H1", "L1.H0", "L1.H1", "L1.H2", "L1.H3"]
    assert {len(part.columns) for part in parts} == {8}


def test_a_masked_language_model_answers_at_its_mask() -> None:
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(**FAMILIES["bert"].options)).eval()
    prompts = ["the [MASK] runs fast", "never [MASK]"]
    expected = []
    for row, place in (([5, 3, 8, 10], 1), ([11, 3], 1)):
        with torch.no_grad():
            expected.append(float(model(input_ids=torch.tensor([row])).logits[0, place].log_softmax(-1)[ids("cat")[0]]))
    says = speaker(model)
    np.testing.assert_allclose(
        full(ip.lenses.heads(says, prompts, metrics.logprob("cat"), each=True)), expected, atol=1e-5
    )
    given = dict(says.tokenizer(prompts, padding=True, return_tensors="pt"))
    given.pop("token_type_ids", None)
    from_tensors = ip.lenses.heads(says, given, metrics.logprob(ids("cat")[0]), each=True)
    np.testing.assert_allclose(full(from_tensors), expected, atol=1e-5)
    for inputs, target, message in (
        (["the cat"], "dog", r"an input has 0 mask tokens.*write '\[MASK\]' where the target goes"),
        (["[MASK] [MASK]"], "dog", "an input has 2 mask tokens"),
        (["the [MASK]"], "dog runs", "a mask stands for one token"),
    ):
        with pytest.raises(ip.InputError, match=message):
            ip.lenses.heads(says, inputs, metrics.logprob(target))
    with pytest.raises(ip.InputError, match="answers at a mask token, and which one that is is not known"):
        ip.lenses.heads(model, given, metrics.logit(7))
    with pytest.raises(ip.InputError, match="a loss without targets is that of a causal language model"):
        ip.lenses.heads(says, prompts, metrics.loss())


@pytest.mark.parametrize(
    ("inputs", "metric", "message"),
    [
        ([("the cat", "dog")], metrics.logit("Paris"), r"reads single texts, not pairs such as \('the cat', 'dog'\)"),
        ([("the cat", "dog")], score, "reads single texts, not pairs"),
        ([("the cat", "dog")], metrics.loss(), "reads single texts, not pairs"),
        ([5], score, "the inputs must be texts, pairs of texts, or a mapping of tensors"),
        (5, score, "the inputs must be a list of texts, or tensors with rows first, not int"),
        ((text for text in PROMPTS), score, "not generator"),
        ({"pixels": torch.ones(1, 3)}, score, "GPT2LMHeadModel cannot take these inputs .*input_ids"),
        (torch.tensor([[999]]), score, "cannot take these inputs .*token ids lie in the vocabulary"),
        (["the " * 99], metrics.logit(" Paris"), "cannot take these inputs .*inputs in the model's window"),
        (PROMPTS, metrics.logit(-1), "a whole number from 0 on that a model has, not -1"),
        (PROMPTS, metrics.logit(1.5), "a target must be a text, a token id or a label, or a list .* not 1.5"),
        (PROMPTS, lambda output: output.logits[:, 0, 0] * float("nan"), "with nothing ablated the metric is nan"),
    ],
)
def test_what_cannot_be_fed_or_measured_is_one_sentence_when_the_game_is_made(
    inputs: Any, metric: Any, message: str
) -> None:
    with pytest.raises(ip.InputError, match=message) as caught:
        ip.lenses.heads(speaker(network("gpt2")), inputs, metric)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("select", "message"),
    [
        (5, "the selection must be a Select, the name of a kind .* not 5"),
        (Select.heads(layers=[]), r"no layer is selected by \[\]"),
        (Select.heads(layers="0-1"), "which layers must be a number, a list or a range of numbers, not '0-1'"),
        (Select.heads(index=0.5), "which heads must be a number, a list or a range of numbers, not 0.5"),
        ("attentions", "unknown module path 'attentions'. Did you mean 'attention'. Choose a kind"),
    ],
)
def test_a_mistaken_selection_is_one_sentence(select: Any, message: str) -> None:
    with pytest.raises(ip.InputError, match=message):
        ip.lenses.components(network("gpt2"), select, tokens("gpt2"), score)


def test_logits_of_every_token_need_a_place() -> None:
    from transformers import BertConfig, BertForTokenClassification

    model = BertForTokenClassification(BertConfig(**FAMILIES["bert"].options)).eval()
    for inputs in (PROMPTS, tokens("bert")):
        with pytest.raises(ip.InputError, match="at which position the target goes is not known"):
            ip.lenses.heads(speaker(model), inputs, metrics.logit(1))


def test_a_layer_that_changes_the_shape_of_its_stream_is_refused() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 1))
    model.forward = lambda x: model[1](model[0](x))[:, 0]
    from interplay.lenses._components.select import Part
    from interplay.lenses._components.sites import Ablator, Pass, sites_of

    ablator = Ablator(model, sites_of([Part("a", "0", "update")]), 1)
    hooks = ablator.hooks(Pass(torch.ones(2, 1, dtype=torch.bool), torch.arange(2)))
    with hooks.on(), pytest.raises(ip.InputError, match=r"0 turns shape \(2, 4\) into \(2, 6\)"):
        model(torch.ones(2, 4))


# What replaces parts ---------------------------------------------------------------------------------------------


def turned(inputs: dict[str, Any]) -> dict[str, Any]:
    """The same rows with their padding on the left, and positions that count tokens."""
    mask = inputs["attention_mask"]
    shift = mask.shape[1] - mask.sum(1)
    rolled = {
        name: torch.stack([row.roll(int(by)) for row, by in zip(tensor, shift, strict=True)])
        for name, tensor in inputs.items()
    }
    return rolled | {"position_ids": (rolled["attention_mask"].cumsum(1) - 1).clamp(min=0)}


@pytest.mark.parametrize("ablate", ["mean", "resample"])
@pytest.mark.parametrize("referred", [False, True])
def test_padding_on_the_left_or_the_right_makes_no_difference(ablate: Any, referred: bool) -> None:
    model, inputs, others = network("llama"), tokens("llama", rows=4), tokens("llama", rows=5, seed=7)
    values = []
    for change in (lambda given: given, turned):
        for change_reference in (lambda given: given, turned):
            options = {"reference": change_reference(others)} if referred else {}
            game = ip.lenses.heads(model, change(inputs), metrics.logit(7), ablate=ablate, each=True, seed=1, **options)
            values.append(game(some_masks(game.n)))
    for value in values[1:]:
        np.testing.assert_allclose(value, values[0], atol=1e-5)


@pytest.mark.parametrize("ablate", ["mean", "resample"])
def test_a_reference_of_pairs_is_one_of_all_their_texts(ablate: Any) -> None:
    says, pairs = speaker(network("bert")), [("the cat runs", "never here")]
    reference = [("dog runs", "the cat sleeps fast"), ("London", "Paris here")]
    game = ip.lenses.heads(says, pairs, metrics.similarity(), ablate=ablate, reference=reference)
    masks = some_masks(game.n)
    if ablate == "mean":
        texts = [text for pair in reference for text in pair]
        alike = ip.lenses.heads(says, pairs, metrics.similarity(), ablate="mean", reference=texts)
        np.testing.assert_allclose(game(masks), alike(masks), atol=1e-6)
    assert np.ptp(game(masks)) > 0


@pytest.mark.parametrize("rows", [1, 3, 64])
@pytest.mark.parametrize("ablate", ["mean", "resample"])
def test_what_replaces_parts_does_not_depend_on_the_batches_it_was_measured_in(ablate: Any, rows: int) -> None:
    model, inputs, others = network("gpt2"), tokens("gpt2"), tokens("gpt2", rows=9, seed=7)
    games = [
        ip.lenses.heads(model, inputs, score, ablate=ablate, reference=others, batch_size=size) for size in (4, rows)
    ]
    np.testing.assert_allclose(*(game(some_masks(game.n)) for game in games), atol=1e-6)


def test_of_a_large_reference_only_donors_run_and_only_means_are_kept() -> None:
    model, inputs, others = network("gpt2"), tokens("gpt2"), tokens("gpt2", rows=50, seed=7)
    ran: list[int] = []
    handle = model.transformer.h[0].register_forward_hook(lambda _m, args, _o: ran.append(len(args[0])))
    plain = ip.lenses.heads(model, inputs, score)
    once = sum(ran)
    ran.clear()
    ip.lenses.heads(model, inputs, score, ablate="resample", reference=others)
    handle.remove()
    assert sum(ran) - once <= 3 + 1  # of three inputs there are no more donors; and one input, to know the model by
    game = ip.lenses.heads(model, inputs, score, ablate="mean", reference=others)
    held = game.value.ablator.replacements.values()
    assert {tuple(tensor.shape) for tensor in held} == {(1, 1, 16)}
    assert plain.n == game.n == 3 * HEADS


@pytest.mark.parametrize("ablate", ["mean", "resample"])
def test_a_reference_of_another_shape_says_so(ablate: Any) -> None:
    model, other = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 3), torch.nn.Flatten()), torch.ones(3, 1, 9)
    with pytest.raises(ip.InputError, match=r"the reference has the shape \(14,\) at 1, but the inputs \(12,\)"):
        ip.lenses.components(
            model, "1", torch.ones(3, 1, 8), lambda output: output[:, 0], ablate=ablate, reference=other
        )


# Reuse and batches -----------------------------------------------------------------------------------------------


class Branches(torch.nn.Module):
    """Layers that stand side by side, so that none is an input of the next: reuse would be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: Any) -> Any:
        return sum(branch(x) for branch in self.branch)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_wrong_reuse_is_noticed_in_any_precision_and_right_reuse_kept(dtype: str) -> None:
    torch.manual_seed(0)
    model = Branches().to(getattr(torch, dtype))
    inputs = torch.randn(3, 4, dtype=getattr(torch, dtype))
    game = ip.lenses.components(model, "branch.2", inputs, lambda output: output[:, 0])
    assert game.value.reuse is None
    assert "reusing what they return changed the output" in game.notes[0]
    model, inputs = network("llama").to(getattr(torch, dtype)), tokens("llama", rows=20)
    late = ip.lenses.heads(model, inputs, score, layers=-1)
    assert late.notes == ()
    assert len(late.value.reuse.skipped) == 2


def test_a_model_that_only_hands_on_what_it_does_not_name_keeps_no_cache() -> None:
    import transformers

    sizes = {"hidden_size": 16, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 24}
    config = transformers.GraniteMoeConfig(**sizes, vocab_size=60, num_local_experts=4, num_experts_per_tok=2)
    model = transformers.GraniteMoeForCausalLM(config).eval()
    with torch.no_grad():
        assert model(torch.tensor([[7, 8]])).past_key_values is not None
    seen: list[Any] = []
    handle = model.register_forward_hook(lambda _m, _a, output: seen.append(output.get("past_key_values")))
    game = ip.lenses.heads(model, tokens("llama"), metrics.logit(7), layers=-1)
    game(some_masks(game.n))
    handle.remove()
    assert set(seen) == {None}
    assert len(game.value.reuse.skipped) == 2


def test_pytorch_s_own_transformer_has_mlps_and_layers_and_says_that_its_heads_are_fused() -> None:
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    model, inputs = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), torch.randn(3, 5, 16)

    def first(output: Any) -> Any:
        return output[:, 0, 0]

    game = ip.lenses.components(model, ["mlps", "layers"], inputs, first)
    assert game.labels == ("L0.MLP", "L1.MLP", "L0", "L1")
    with torch.no_grad():
        expected = float(model.eval().layers[1](inputs)[:, 0, 0].double().mean())
    assert game(np.array([[True, True, False, True]]))[0] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ip.InputError, match=r"took no part in the forward pass.*fused into its parent"):
        ip.lenses.heads(model, inputs, first)


def test_parts_behind_the_layers_leave_them_to_be_reused_and_parts_before_do_not() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    late = ip.lenses.components(model, [Select.mlps(layers=-1), "transformer.ln_f"], inputs, score)
    assert len(late.value.reuse.skipped) == 2
    masks = np.array([[True, True], [False, True], [True, False], [False, False]])
    whole = ip.lenses.components(model, ["mlps", "transformer.ln_f"], inputs, score)
    np.testing.assert_allclose(late(masks), whole(np.insert(masks, [0, 0], True, axis=1)), atol=1e-6)
    early = ip.lenses.components(model, [Select.mlps(layers=-1), "transformer.drop"], inputs, score)
    assert early.value.reuse is None
    assert early(masks)[2] != early(masks)[0]


def test_memory_that_holds_a_single_row_is_enough_to_make_and_measure_a_game() -> None:
    model, inputs = network("gpt2"), tokens("gpt2", rows=1)

    def small_device(_module: Any, args: Any) -> None:
        if len(args[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    expected = ip.lenses.heads(model, inputs, score, layers=-1)(some_masks(HEADS))
    handle = model.transformer.h[2].register_forward_pre_hook(small_device)
    game = ip.lenses.heads(model, inputs, score, layers=-1)
    assert game.value.reuse is not None
    np.testing.assert_allclose(game(some_masks(game.n)), expected, atol=1e-6)
    handle.remove()


def test_a_batch_size_that_is_asked_for_is_used() -> None:
    model, inputs = network("gpt2"), tokens("gpt2", rows=1)
    game = ip.lenses.heads(model, inputs, metrics.logit(7), batch_size=600)
    ran: list[int] = []
    handle = model.transformer.register_forward_hook(lambda _m, _a, output: ran.append(len(output[0])))
    ip.explain(game, budget=1500, method="lasso")
    handle.remove()
    assert max(ran) == 600


def test_a_game_of_weights_that_have_changed_since_is_refused() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    game = ip.lenses.heads(model, inputs, score, layers=-1)
    game(some_masks(game.n))
    with torch.no_grad():
        model.transformer.h[0].mlp.c_fc.weight.mul_(2)  # a layer that is reused
    with pytest.raises(ip.InputError, match="the model's weights have changed since this game was made"):
        game(some_masks(game.n))
    anew = ip.lenses.heads(model, inputs, score, layers=-1)
    assert np.isfinite(anew(some_masks(anew.n))).all()


def test_logits_that_nobody_reads_are_not_computed_and_every_bit_stays() -> None:
    model, fed = network("gpt2"), torch.randint(1, 30, (3, 7), generator=torch.Generator().manual_seed(0))
    game = ip.lenses.heads(model, {"input_ids": fed}, metrics.logprob([1, 2, 3]), each=True)
    seen: list[int] = []
    handle = model.lm_head.register_forward_hook(lambda _m, _a, output: seen.append(output.shape[:-1].numel()))
    values = game(np.ones((8, game.n), dtype=np.bool_))
    handle.remove()
    assert sum(seen) == 3 * 8  # of 3 * 8 * 7 positions
    with torch.inference_mode():
        whole = model(fed.repeat(8, 1)).logits[:3, -1].log_softmax(-1)
    np.testing.assert_array_equal(values[0], whole[torch.arange(3), torch.tensor([1, 2, 3])].double().numpy())


def test_a_head_that_is_ablated_itself_is_computed_in_full() -> None:
    model, fed = network("gpt2"), torch.randint(1, 30, (2, 7), generator=torch.Generator().manual_seed(0))
    game = ip.lenses.components(model, Select.at("lm_head"), {"input_ids": fed}, metrics.logit(7))
    with torch.inference_mode():
        whole = float(model(fed).logits[:, -1, 7].mean())
    np.testing.assert_allclose(game(np.array([[True], [False]])), [whole, 0.0], atol=1e-6)
