"""Any part of a network, ablated in any way, equals the slow way: one plain model call per ablation and input."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import interplay as ip
from interplay.lenses import Select, metrics

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from networks import (  # noqa: E402
    FAMILIES,
    HEADS,
    VOCABULARY,
    WORDS,
    by_edited_weights,
    mixers,
    network,
    score,
    tokenizer,
    tokens,
)


def some_masks(n: int, count: int = 6, seed: int = 0) -> np.ndarray:
    masks = np.random.default_rng(seed).random((count, n)) < 0.6
    masks[0] = False
    return masks


@pytest.fixture(scope="module")
def speaker() -> Any:
    """A model with a tokenizer of ten words, of the family asked for."""
    return lambda model: SimpleNamespace(model=model, tokenizer=tokenizer())


# Ablations, one plain call at a time ------------------------------------------------------------------------------


def flowing(model: Any, rows: list[dict[str, Any]], paths: list[str]) -> list[dict[str, Any]]:
    """What flows into each projection for each unpadded row, by a plain hook."""
    seen: list[dict[str, Any]] = []
    for row in rows:
        found: dict[str, Any] = {}
        handles = [
            model.get_submodule(path).register_forward_pre_hook(
                lambda _m, args, path=path, found=found: found.__setitem__(path, args[0].clone())
            )
            for path in paths
        ]
        with torch.no_grad():
            model(**row, use_cache=False)
        for handle in handles:
            handle.remove()
        seen.append(found)
    return seen


def one_at_a_time(
    name: str, model: Any, rows: list[dict[str, Any]], masks: np.ndarray, replacement: Callable[[int, str], Any]
) -> np.ndarray:
    """The last logits' sine-weighted sum of each row under each mask, (N, rows)."""
    paths, size = mixers(name), FAMILIES[name].size
    values = np.empty((len(masks), len(rows)))
    for m, mask in enumerate(masks):
        for r, row in enumerate(rows):

            def replace(path: str, kept: np.ndarray, value: Any, r: int = r) -> Any:
                value = value.clone()
                for head in np.flatnonzero(~kept):
                    place = slice(head * size, (head + 1) * size)
                    value[..., place] = replacement(r, path)[..., place]
                return value

            handles = [
                model.get_submodule(path).register_forward_pre_hook(
                    lambda _m, args, path=path, kept=kept: (replace(path, kept, args[0]),)
                )
                for path, kept in zip(paths, mask.reshape(-1, HEADS), strict=True)
            ]
            with torch.no_grad():
                values[m, r] = float(last(model(**row, use_cache=False).logits[:, -1]))
            for handle in handles:
                handle.remove()
    return values


def last(logits: Any) -> Any:
    return (logits * torch.linspace(-1, 1, logits.shape[-1]).sin()).sum(-1)


def at_last_token(inputs: dict[str, Any]) -> Callable[[Any, Any], Any]:
    ends = inputs["attention_mask"].sum(1) - 1
    return lambda output, rows: last(output.logits[torch.arange(len(rows)), ends[rows]])


def unpadded(inputs: dict[str, Any]) -> list[dict[str, Any]]:
    lengths = inputs["attention_mask"].sum(1).tolist()
    return [{"input_ids": inputs["input_ids"][r : r + 1, :length]} for r, length in enumerate(lengths)]


@pytest.mark.parametrize("name", ["gpt2", "llama", "opt"])
def test_mean_ablation_puts_the_mean_over_all_real_tokens_in_place(name: str) -> None:
    model, inputs = network(name), tokens(name, rows=4)
    rows = unpadded(inputs)
    game = ip.lenses.heads(model, inputs, at_last_token(inputs), ablate="mean", each=True)
    means = {
        path: torch.cat([seen[path].reshape(-1, seen[path].shape[-1]) for seen in flowing(model, rows, mixers(name))])
        for path in mixers(name)
    }
    masks = some_masks(game.n, 4)
    expected = one_at_a_time(name, model, rows, masks, lambda _row, path: means[path].mean(0))
    np.testing.assert_allclose(game(masks), expected, atol=1e-5)
    assert np.abs(game(masks) - ip.lenses.heads(model, inputs, at_last_token(inputs), each=True)(masks)).max() > 1e-2


@pytest.mark.parametrize("own", [True, False])
def test_resampling_puts_another_input_s_part_in_place(own: bool) -> None:
    from interplay.lenses._components.inputs import Rows
    from interplay.lenses._components.replacement import draw_donors

    name = "llama"
    model, inputs, others = network(name), tokens(name, rows=4), tokens(name, rows=5, seed=7)
    source = inputs if own else others
    options = {} if own else {"reference": others}
    game = ip.lenses.heads(model, inputs, at_last_token(inputs), ablate="resample", each=True, seed=3, **options)
    donors = draw_donors(Rows(inputs), None if own else Rows(others), 3)
    assert not own or (donors != np.arange(4)).all()  # none gives to itself
    given = flowing(model, unpadded(source), mixers(name))
    lengths = inputs["attention_mask"].sum(1).tolist()

    def donated(row: int, path: str) -> Any:
        value = given[donors[row]][path][0]
        return value[np.minimum(np.arange(lengths[row]), len(value) - 1)]

    masks = some_masks(game.n, 4)
    expected = one_at_a_time(name, model, unpadded(inputs), masks, donated)
    np.testing.assert_allclose(game(masks), expected, atol=1e-5)
    again = ip.lenses.heads(model, inputs, at_last_token(inputs), ablate="resample", each=True, seed=3, **options)
    np.testing.assert_allclose(again(masks), expected, atol=1e-5)  # a game is a function of its masks and its seed


def test_rescaling_multiplies_what_is_kept_by_all_over_kept() -> None:
    name = "gpt2"
    model, inputs = network(name), tokens(name)
    game = ip.lenses.heads(model, inputs, score, rescale=True)
    masks = some_masks(game.n)
    expected = []
    for mask in masks:
        scaled = copy.deepcopy(model)
        for path in mixers(name):
            with torch.no_grad():
                scaled.get_submodule(path).weight.mul_(game.n / max(1, mask.sum()))  # the bias is no head's
        expected += by_edited_weights(name, scaled, inputs, mask[None]).tolist()
    np.testing.assert_allclose(game(masks), expected, atol=1e-5)
    # Heads outside the selection are neither ablated nor rescaled.
    some = ip.lenses.components(model, Select.heads(index=[0, 1]), inputs, score, rescale=True)
    assert some.n == 6
    full = np.ones((1, some.n), dtype=bool)
    np.testing.assert_allclose(some(full), game(np.ones((1, game.n), dtype=bool)), atol=1e-6)
    half = full.copy()
    half[0, :3] = False
    scaled = copy.deepcopy(model)
    for layer, path in enumerate(mixers(name)):
        weight = scaled.get_submodule(path).weight
        for head, feature in ((0, 2 * layer), (1, 2 * layer + 1)):
            with torch.no_grad():
                weight[4 * head : 4 * head + 4] *= 2.0 * bool(half[0, feature])
    np.testing.assert_allclose(some(half), [float(score(scaled(**inputs)).double().mean().detach())], atol=1e-5)


# Every kind of part ----------------------------------------------------------------------------------------------


def without(model: Any, edits: Callable[[Any], None], inputs: dict[str, Any]) -> float:
    edited = copy.deepcopy(model)
    with torch.no_grad():
        edits(edited)
        return float(score(edited(**inputs, use_cache=False)).double().mean())


def zeroed(path: str) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        module = model.get_submodule(path)
        module.weight.zero_()
        if module.bias is not None:
            module.bias.zero_()

    return edit


@pytest.mark.parametrize(
    ("name", "kind", "path"),
    [
        ("gpt2", "attention", "transformer.h.{}.attn.c_proj"),
        ("gpt2", "mlps", "transformer.h.{}.mlp.c_proj"),
        ("llama", "mlps", "model.layers.{}.mlp.down_proj"),
        ("opt", "mlps", "model.decoder.layers.{}.fc2"),
        ("bert", "attention", "encoder.layer.{}.attention.output.dense"),
        ("bert", "mlps", "encoder.layer.{}.output.dense"),
        ("distilbert", "mlps", "transformer.layer.{}.ffn.lin2"),
        ("gpt_neox", "attention", "gpt_neox.layers.{}.attention.dense"),
        ("phi", "mlps", "model.layers.{}.mlp.fc2"),
    ],
)
def test_attention_blocks_and_mlps_equal_zero_weights(name: str, kind: str, path: str) -> None:
    model, inputs = network(name), tokens(name)
    game = ip.lenses.components(model, kind, inputs, score)
    assert game.n == 3
    expected = [without(model, zeroed(path.format(layer)), inputs) for layer in range(3)]
    np.testing.assert_allclose(game(~np.eye(3, dtype=bool)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "stack"), [("gpt2", "transformer.h"), ("llama", "model.layers"), ("bert", "encoder.layer")]
)
def test_an_ablated_layer_is_skipped(name: str, stack: str) -> None:
    model, inputs = network(name), tokens(name)
    game = ip.lenses.components(model, "layers", inputs, score)
    assert game.labels == ("L0", "L1", "L2")

    def skip(layer: int) -> Callable[[Any], None]:
        return lambda edited: edited.get_submodule(stack).__delitem__(layer)

    expected = [without(model, skip(layer), inputs) for layer in range(3)]
    np.testing.assert_allclose(game(~np.eye(3, dtype=bool)), expected, atol=1e-5)
    full = np.ones((1, 3), dtype=bool)
    assert game(full)[0] == pytest.approx(without(model, lambda _: None, inputs), abs=1e-6)


def test_groups_of_neurons_equal_zero_columns() -> None:
    model, inputs = network("llama"), tokens("llama")
    game = ip.lenses.components(model, Select.neurons(layers=1, groups=5), inputs, score)
    edges = [0, 5, 10, 14, 19, 24]  # 24 neurons, as even as can be

    def silence(group: int) -> Callable[[Any], None]:
        place = slice(edges[group], edges[group + 1])
        return lambda edited: edited.model.layers[1].mlp.down_proj.weight[:, place].zero_()

    expected = [without(model, silence(group), inputs) for group in range(5)]
    np.testing.assert_allclose(game(~np.eye(5, dtype=bool)), expected, atol=1e-5)


def test_mixtures_of_experts_ablate_the_whole_mlp() -> None:
    model, inputs = network("mixtral"), tokens("mixtral")
    game = ip.lenses.components(model, "mlps", inputs, score, ablate="mean")
    assert game.labels == ("L0.MLP", "L1.MLP", "L2.MLP")
    assert np.ptp(game(np.array([[1, 1, 1], [0, 1, 1], [1, 0, 0]], dtype=bool))) > 1e-4


def test_selections_read_as_they_were_written_and_join() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    select = Select.heads(layers=range(1, 3), index=[0, 3]) + Select.mlps(layers=-1) + Select.layers(layers=0)
    assert (
        repr(select)
        == "Select.heads(layers=range(1, 3), index=[0, 3]) + Select.mlps(layers=-1) + Select.layers(layers=0)"
    )
    assert eval(repr(select)) == select
    game = ip.lenses.components(model, select, inputs, score)
    assert game.labels == ("L1.H0", "L1.H3", "L2.H0", "L2.H3", "L2.MLP", "L0")
    assert game.layout == ip.GridLayout(
        ("L1", "L2", "L0"), ("H0", "H3", "MLP", "layer"), ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 3))
    )
    assert ip.lenses.components(model, ["mlps", "lm_head"], inputs, score).labels[-2:] == ("L2.MLP", "lm_head")
    twice = ip.lenses.components(model, Select.mlps() + Select.mlps(layers=0), inputs, score)
    assert twice.n == 3  # the same part once


def test_any_pytorch_module_by_path() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv1d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(24, 6), torch.nn.Linear(6, 1)
    )
    inputs = torch.randn(5, 1, 8)
    select = Select.at("3", slices=3) + Select.at("0")
    game = ip.lenses.components(model, select, inputs, lambda output: output[:, 0])
    assert game.labels == ("3[0]", "3[1]", "3[2]", "0")
    masks = some_masks(4, 8)
    expected = []
    for mask in masks:
        with torch.no_grad():
            hidden = model[3](model[2](model[1](model[0](inputs) * bool(mask[3]))))
            hidden = hidden * torch.from_numpy(np.repeat(mask[:3], 2))
            expected.append(float(model[4](hidden).double().mean()))
    np.testing.assert_allclose(game(masks), expected, atol=1e-6)
    assert game.fingerprint is None
    assert game.named("mine").fingerprint is not None
    late = ip.lenses.components(model, "4", inputs, lambda output: output[:, 0])
    assert len(late.value.reuse.skipped) == 4
    np.testing.assert_allclose(late(np.array([[True]])), [float(model(inputs).detach().double().mean())], atol=1e-6)


def test_layers_that_do_not_follow_each_other_are_not_reused() -> None:
    class Branches(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(3))

        def forward(self, x: Any) -> Any:
            return sum(branch(x) for branch in self.branch)

    torch.manual_seed(0)
    model, inputs = Branches(), torch.randn(3, 4)
    game = ip.lenses.components(model, "branch.2", inputs, lambda output: output[:, 0])
    assert any("reusing what they return changed the output" in note for note in game.notes)
    with torch.no_grad():
        expected = [float((model(inputs) - model.branch[2](inputs) * (1 - kept))[:, 0].mean()) for kept in (1, 0)]
    np.testing.assert_allclose(game(np.array([[True], [False]])), expected, atol=1e-6)


# Metrics ---------------------------------------------------------------------------------------------------------


def plain_logprobs(model: Any, prompt: list[int], target: list[int]) -> Any:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + target]), use_cache=False).logits[0].double()
    return logits.log_softmax(-1)[torch.arange(len(prompt) - 1, len(prompt) + len(target) - 1), target]


def ids(text: str) -> list[int]:
    return [5 + WORDS.index(word) for word in text.split()]


PROMPTS = ["the cat runs", "never here", "the dog sleeps fast here"]


def test_metrics_of_a_causal_model_equal_plain_calls(speaker: Any) -> None:
    model = network("llama")
    says = speaker(model)
    full = np.ones((1, HEADS * 3), dtype=bool)

    def value(metric: Any, inputs: Any = PROMPTS) -> np.ndarray:
        game = ip.lenses.heads(says, inputs, metric, each=True)
        values: np.ndarray = game(full)[0]
        assert ip.lenses.heads(says, inputs, metric)(full)[0] == pytest.approx(values.mean(), abs=1e-6)
        return values

    logprobs = [plain_logprobs(model, ids(p), ids("Paris")).sum() for p in PROMPTS]
    np.testing.assert_allclose(value(metrics.logprob(" Paris")), logprobs, atol=1e-5)
    longer = [float(plain_logprobs(model, ids(p), ids(" London never runs")).sum()) for p in PROMPTS]
    np.testing.assert_allclose(value(metrics.logprob(" London never runs")), longer, atol=1e-5)
    np.testing.assert_allclose(value(metrics.loss(" London never runs")), -np.array(longer), atol=1e-5)
    margins = value(metrics.margin(" Paris", " London never runs"))
    np.testing.assert_allclose(margins, np.array(logprobs) - longer, atol=1e-5)
    targets = [" Paris", " London", " here fast"]
    each = [float(plain_logprobs(model, ids(p), ids(t)).sum()) for p, t in zip(PROMPTS, targets, strict=True)]
    np.testing.assert_allclose(value(metrics.logprob(targets)), each, atol=1e-5)
    with torch.no_grad():
        logits = [model(input_ids=torch.tensor([ids(p)]), use_cache=False).logits[0, -1] for p in PROMPTS]
    np.testing.assert_allclose(
        value(metrics.logit(" Paris")), [float(row[ids("Paris")[0]]) for row in logits], atol=1e-5
    )
    right = [int(row.argmax()) for row in logits]
    assert value(metrics.accuracy(right)).tolist() == [1, 1, 1]
    assert value(metrics.accuracy([right[0], right[1] + 1, right[2] + 1])).tolist() == [1, 0, 0]
    losses = [-float(plain_logprobs(model, ids(p)[:1], ids(p)[1:]).mean()) for p in PROMPTS]
    np.testing.assert_allclose(value(metrics.loss()), losses, atol=1e-5)


def test_metrics_of_token_ids_find_the_last_token_behind_any_padding() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    full = np.ones((1, 12), dtype=bool)
    right = ip.lenses.heads(model, inputs, metrics.logit(7), each=True)(full)[0]
    expected = []
    for row in unpadded(inputs):
        with torch.no_grad():
            expected.append(float(model(**row).logits[0, -1, 7]))
    np.testing.assert_allclose(right, expected, atol=1e-5)


def test_an_encoder_decoder_is_scored_by_what_its_decoder_says(speaker: Any) -> None:
    model = network("t5")
    game = ip.lenses.heads(speaker(model), PROMPTS, metrics.logprob("Paris never"), each=True)
    expected = []
    for prompt in PROMPTS:
        with torch.no_grad():
            logits = model(
                input_ids=torch.tensor([ids(prompt)]), decoder_input_ids=torch.tensor([[0, *ids("Paris")]])
            ).logits
        expected.append(float(logits[0].log_softmax(-1)[[0, 1], ids("Paris never")].sum()))
    np.testing.assert_allclose(game(np.ones((1, game.n), dtype=bool))[0], expected, atol=1e-5)


def test_similarity_is_that_of_both_ablated_texts(speaker: Any) -> None:
    model = network("bert")
    pairs = [("the cat runs", "the dog sleeps fast"), ("never here", "Paris")]
    game = ip.lenses.heads(speaker(model), pairs, metrics.similarity(), each=True)
    masks = some_masks(game.n, 3)
    for mask, values in zip(masks, game(masks), strict=True):
        edited = copy.deepcopy(model)
        for path, kept in zip(mixers("bert"), mask.reshape(-1, HEADS), strict=True):
            with torch.no_grad():
                edited.get_submodule(path).weight[:, np.repeat(~kept, 4)] = 0
        for pair, value in zip(pairs, values, strict=True):
            with torch.no_grad():
                one, other = (
                    edited(input_ids=torch.tensor([ids(text)])).last_hidden_state[0].mean(0).double() for text in pair
                )
            assert value == pytest.approx(float(torch.cosine_similarity(one, other, dim=0)), abs=1e-5)
    assert game.outputs == ("the cat runs | the dog sleeps fast", "never here | Paris")
    single = ip.lenses.heads(speaker(model), ["the cat runs"], metrics.similarity("the dog sleeps fast"))
    np.testing.assert_allclose(single(masks), game(masks)[:, 0], atol=1e-6)


def test_labels_of_a_classifier_are_targets(speaker: Any) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(**FAMILIES["bert"].options, id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1})
    model = BertForSequenceClassification(config).eval()
    says = speaker(model)
    full = np.ones((1, 12), dtype=bool)
    with torch.no_grad():
        logits = torch.cat([model(input_ids=torch.tensor([ids(p)])).logits for p in PROMPTS]).double()

    def value(metric: Any) -> list[float]:
        found: list[float] = ip.lenses.heads(says, PROMPTS, metric, each=True)(full)[0].tolist()
        return found

    assert value(metrics.logit("good")) == pytest.approx(logits[:, 1].tolist(), abs=1e-5)
    assert value(metrics.loss("good")) == pytest.approx((-logits.log_softmax(-1)[:, 1]).tolist(), abs=1e-5)
    assert value(metrics.margin("good", "bad")) == pytest.approx((logits[:, 1] - logits[:, 0]).tolist(), abs=1e-5)
    labels = ["good", "bad", "good"]
    expected = [float(int(row.argmax()) == (label == "good")) for row, label in zip(logits, labels, strict=True)]
    assert value(metrics.accuracy(labels)) == expected
    with pytest.raises(ip.InputError, match="unknown label 'goood'"):
        ip.lenses.heads(says, PROMPTS, metrics.logit("goood"))


def test_a_function_may_return_several_outputs() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    game = ip.lenses.heads(model, inputs, lambda output: output.logits[:, -1, :3])
    assert game(some_masks(game.n)).shape == (6, 3)
    with pytest.raises(ip.InputError, match="can only be averaged"):
        ip.lenses.heads(model, inputs, lambda output: output.logits[:, -1, :3], each=True)


# Batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, 5, 64])
def test_values_do_not_depend_on_the_batch_size(rows: int) -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    masks = some_masks(12, 9)
    expected = by_edited_weights("gpt2", model, inputs, masks)
    game = ip.lenses.heads(model, inputs, score, batch_size=rows)
    np.testing.assert_allclose(game(masks), expected, atol=1e-5)


def test_the_batch_is_halved_when_memory_runs_out_and_nothing_is_lost_or_measured_twice() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    passed: list[int] = []

    def small_device(_module: Any, args: Any) -> None:
        rows = len(args[0])
        if rows > 10:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        passed.append(rows)

    handle = model.transformer.h[0].ln_1.register_forward_pre_hook(small_device)
    game = ip.lenses.heads(model, inputs, score, batch_size=64)
    passed.clear()
    masks = some_masks(12, 40)
    values = game(masks)
    handle.remove()
    assert sum(passed) == 3 * 40
    assert max(passed) <= 10
    np.testing.assert_allclose(values, by_edited_weights("gpt2", network("gpt2"), inputs, masks), atol=1e-5)


def test_memory_too_small_for_one_ablation_is_said() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    handle = model.transformer.h[0].register_forward_pre_hook(fail_for_memory)
    with pytest.raises(ip.AblationError, match="not even one ablation of one input fits into memory"):
        ip.lenses.heads(model, inputs, score)
    handle.remove()


def fail_for_memory(*_: object) -> None:
    raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")


# Mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ablate": "zeros"}, r"unknown ablation 'zeros'\. Did you mean 'zero'\?"),
        ({"ablate": "mean", "rescale": True}, "rescale makes up for parts that are zero, but ablate is 'mean'"),
        ({"reference": ["x"]}, "a reference has no use with ablate='zero'"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1 row, not 0"),
        ({"layers": 3}, "there is no layer 3: there are 3, counted from 0"),
    ],
)
def test_a_mistaken_option_is_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ip.InputError, match=message):
        ip.lenses.heads(network("gpt2"), tokens("gpt2"), score, **options)


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("head", "unknown kind 'head'. Did you mean 'heads'"),
        ("transformer.h.9", "unknown module path 'transformer.h.9'"),
        (Select.heads(stack="encoder"), "unknown stack 'encoder'"),
        (Select.heads(index=4), "there is no head 4: there are 4"),
        (Select.at("transformer.h.0.mlp.c_fc", slices=7), "cannot be cut into 7 equal slices: .* is 64"),
        (Select.neurons(groups=100), "has 64 neurons, fewer than 100 groups"),
        (Select.mlps(layers=0) + Select.at("transformer.h.0.mlp.c_proj", slices=2), "overlap"),
        (Select.at("transformer.wpe"), "does not carry one row per input"),
        (Select.at("transformer.h"), "took no part in the forward pass"),
        ([], "the selection is empty"),
    ],
)  # fmt: skip
def test_a_selection_that_cannot_be_ablated_says_why(select: Any, message: str) -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    with pytest.raises(ip.InputError, match=message):
        ip.lenses.components(model, select, inputs, score)


def test_a_part_fused_into_its_parent_is_refused_not_ignored() -> None:
    class Fused(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.attention(x, x, x)[0]

    select = Select.at("attention.out_proj", side="input", slices=2)
    with pytest.raises(ip.InputError, match=r"attention\.out_proj took no part in the forward pass"):
        ip.lenses.components(Fused(), select, torch.randn(2, 3, 8), lambda output: output.mean((1, 2)))


@pytest.mark.parametrize(
    ("inputs", "metric", "message"),
    [
        ("the cat", metrics.logit(" Paris"), "not the single text 'the cat'"),
        ([], metrics.logit(" Paris"), "there are no inputs"),
        ([""], metrics.logit(" Paris"), "an input without any token"),
        (PROMPTS, metrics.logit(["Paris"]), "there are 1 targets for 3 inputs"),
        (PROMPTS, metrics.logit(99), "the target 99 is beyond the model's 60 outputs"),
        (PROMPTS, metrics.similarity(), "similarity needs pairs of texts"),
        (PROMPTS, lambda output: output.logits, r"the metric gave shape \(3, 5, 60\) for 3 inputs"),
        (PROMPTS, "loss", "the metric must be one of ip.lenses.metrics or a function"),
        ({"input_ids": "x"}, metrics.loss(), "must be a tensor with rows first"),
        ({"input_ids": [1]}, metrics.logit(1), "must be a tensor with rows first"),
    ],
)
def test_inputs_and_metrics_that_do_not_fit_say_why(speaker: Any, inputs: Any, metric: Any, message: str) -> None:
    with pytest.raises(ip.InputError, match=message):
        ip.lenses.heads(speaker(network("gpt2")), inputs, metric)


def test_texts_need_a_tokenizer_and_a_cache_is_refused() -> None:
    with pytest.raises(ip.InputError, match="there is no tokenizer"):
        ip.lenses.heads(network("gpt2"), PROMPTS, metrics.logit(1))
    with pytest.raises(ip.InputError, match="the inputs hold a cache"):
        ip.lenses.heads(network("gpt2"), tokens("gpt2") | {"past_key_values": object()}, score)
    with pytest.raises(ip.InputError, match="only one: pass more inputs"):
        ip.lenses.heads(network("gpt2"), tokens("gpt2", rows=1), score, ablate="resample")
    with pytest.raises(ip.InputError, match="the model must be a PyTorch module"):
        ip.lenses.heads("gpt2", PROMPTS, metrics.logit(1))


# Identity and the whole path -------------------------------------------------------------------------------------


def test_identity_follows_model_parts_inputs_metric_and_ablation(speaker: Any) -> None:
    says = speaker(network("gpt2"))

    def fingerprint(*, select: Any = "heads", inputs: Any = PROMPTS, metric: Any = None, **more: Any) -> Any:
        return ip.lenses.components(says, select, inputs, metric or metrics.logit(" Paris"), **more).fingerprint

    assert fingerprint() == fingerprint() is not None
    distinct = [
        fingerprint(),
        fingerprint(select="mlps"),
        fingerprint(inputs=PROMPTS[:2]),
        fingerprint(metric=metrics.logprob(" Paris")),
        fingerprint(metric=metrics.logit(" London")),
        fingerprint(ablate="mean"),
        fingerprint(ablate="resample"),
        fingerprint(ablate="resample", seed=1),
        fingerprint(ablate="mean", reference=["never"]),
        fingerprint(rescale=True),
        fingerprint(each=True),
    ]
    assert len(set(distinct)) == len(distinct)
    assert fingerprint(metric=lambda output: output.logits[:, -1, 0]) is None
    # Without a tokenizer the tensors themselves are what is known.
    first, same, other = (
        ip.lenses.heads(network("gpt2"), tokens("gpt2", seed=seed), metrics.logit(7)).fingerprint for seed in (0, 0, 1)
    )
    assert first == same != other
    assert first is not None


@pytest.mark.parametrize("kind", ["heads", "layers", "neurons"])
def test_a_part_that_runs_twice_in_one_pass_is_ablated_each_time(kind: str) -> None:
    from transformers import AlbertConfig, AlbertModel

    torch.manual_seed(0)
    config = AlbertConfig(**FAMILIES["bert"].options, embedding_size=16)  # its layers share one set of weights
    model, inputs = AlbertModel(config).eval(), tokens("bert")
    game = ip.lenses.components(model, kind, inputs, score)
    assert game.value.reuse is None
    assert np.ptp(game(some_masks(game.n))) > 0
    with pytest.raises(ip.InputError, match="runs 3 times in one forward pass, so what replaces it is ambiguous"):
        ip.lenses.components(model, kind, inputs, score, ablate="mean")


def test_an_explanation_finds_two_heads_that_matter_only_together() -> None:
    # Two heads of one layer write +1 and an MLP after them fires only on both: an interaction known by construction.
    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = torch.nn.Module()
            self.attn.o_proj = torch.nn.Linear(4, 4, bias=False)
            self.attn.num_heads = 4
            torch.nn.init.eye_(self.attn.o_proj.weight)

        def forward(self, x: Any) -> Any:
            written = self.attn.o_proj(x)
            return 3.0 * torch.relu(written[:, 1] + written[:, 2] - 1.0) + 0.5 * written[:, 3]

    model = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([Both()])})
    model.forward = lambda x: model["layers"][0](x)
    game = ip.lenses.heads(model, torch.ones(2, 4), lambda output: output)
    found = ip.explain(game, budget=16).interactions("mobius", top=2)
    assert found.named() == [(("L0.H1", "L0.H2"), pytest.approx(3.0)), (("L0.H3",), pytest.approx(0.5))]


def test_vocabulary_of_the_tokenizer_fits_the_models() -> None:
    assert 5 + len(WORDS) < VOCABULARY
