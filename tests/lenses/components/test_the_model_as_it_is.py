"""A game's values are those of the model as it is when it is measured, bare or wrapped, in place or not."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import interplay as ip
from interplay.lenses import Select, metrics

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from networks import FAMILIES, network, score, tokenizer, tokens  # noqa: E402

PROMPTS = ["the cat runs", "never here", "the dog sleeps fast here"]


def kept(game: ip.Game) -> Any:
    return game(np.ones((1, game.n), dtype=bool))[0]


# What is remembered of the model -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ablate", ["zero", "mean", "resample"])
def test_a_hook_put_on_later_is_seen_or_the_game_refused(ablate: Any) -> None:
    model, inputs = network("llama"), tokens("llama")
    every = ip.lenses.heads(model, inputs, score)
    late = ip.lenses.heads(model, inputs, score, layers=-1, ablate=ablate)
    handle = model.model.layers[0].register_forward_hook(lambda _m, _a, output: output + 2.0)
    with torch.no_grad():
        hooked = float(score(model(**inputs)).mean())
    assert kept(every) == pytest.approx(hooked, abs=1e-5)  # nothing is remembered: the game follows
    with pytest.raises(ip.InputError, match="hooks or adapters of the model have changed since this game was made"):
        kept(late)
    handle.remove()
    assert abs(kept(late) - hooked) > 1e-3


def test_what_a_hook_keeps_to_itself_is_noticed_by_what_the_model_says() -> None:
    model, inputs, shift = network("llama"), tokens("llama"), [0.0]
    handle = model.model.layers[0].register_forward_hook(lambda _m, _a, output: output + shift[0])
    game = ip.lenses.heads(model, inputs, score, layers=-1)
    kept(game)
    shift[0] = 2.0
    with pytest.raises(ip.InputError, match=r"with nothing ablated the metric of the first input is .* now, but was"):
        kept(game)
    handle.remove()


def test_a_model_that_wears_hooks_has_no_identity_of_its_own() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    plain = ip.lenses.heads(model, inputs, metrics.logit(7)).fingerprint
    handle = model.transformer.h[0].register_forward_hook(lambda _m, _a, _o: None)
    assert ip.lenses.heads(model, inputs, metrics.logit(7)).fingerprint is None
    handle.remove()
    assert ip.lenses.heads(model, inputs, metrics.logit(7)).fingerprint == plain is not None


# In place ------------------------------------------------------------------------------------------------------------


class Layer(torch.nn.Module):
    """It goes on in place with what its linear layer returned and with what it was given, or it does not."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.linear, self.in_place = torch.nn.Linear(8, 8), in_place

    def forward(self, x: Any) -> Any:
        if not self.in_place:
            return (self.linear(x) + x * 0.5).tanh() + x * 0.5
        out = self.linear(x)
        x *= 0.5
        out += x
        return out.tanh().add_(x)


class Net(torch.nn.Module):
    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([Layer(in_place) for _ in range(3)])
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        x = x.clone()
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


@pytest.mark.parametrize("ablate", ["zero", "mean", "resample"])
@pytest.mark.parametrize(
    "select",
    [
        Select.at("layers.*.linear"),
        Select.at("layers.*.linear", side="input"),
        Select.at("layers.2.linear"),
        Select.at("layers.*"),
    ],
    ids=str,
)
def test_layers_that_go_on_in_place_are_as_those_that_do_not(select: Select, ablate: Any) -> None:
    torch.manual_seed(0)
    one, other, x = Net(True).eval(), Net(False).eval(), torch.randn(5, 8)
    other.load_state_dict(one.state_dict())
    games = [
        ip.lenses.components(net, select, x, lambda output: output[:, 0], ablate=ablate, each=True)
        for net in (one, other)
    ]
    masks = np.array(list(itertools.product([True, False], repeat=games[0].n)))
    np.testing.assert_allclose(games[0](masks), games[1](masks), atol=1e-6)
    assert np.ptp(games[0](masks)) > 1e-3


def test_an_update_is_measured_from_what_a_layer_was_given_though_it_writes_over_it() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 8)

    class Stream(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList([Shift() for _ in range(2)])

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return x

    class Shift(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mlp = torch.nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            added = self.mlp(x)
            x += added
            return x

    class Fed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stream = Stream()

        def forward(self, x: Any) -> Any:
            return self.stream(x.clone())

    game = ip.lenses.components(Fed().eval(), "layers", x, lambda output: output[:, 0], each=True)
    np.testing.assert_allclose(game(np.zeros((1, game.n), dtype=bool))[0], x[:, 0].numpy(), atol=1e-6)


# Experts, and all that is a layer's MLP --------------------------------------------------------------------------


class Routed(torch.nn.Module):
    """A layer of two experts that are modules, each of which sees the tokens that were routed to it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = torch.nn.Linear(8, 2)
        self.experts = torch.nn.ModuleList([torch.nn.Linear(8, 8) for _ in range(2)])

    def forward(self, h: Any) -> Any:
        flat, out = h.reshape(-1, 8), torch.zeros_like(h.reshape(-1, 8))
        chosen = self.gate(flat).argmax(-1)
        for number, expert in enumerate(self.experts):
            rows = (chosen == number).nonzero()[:, 0]
            if len(rows):
                out[rows] = expert(flat[rows])
        return h + out.reshape(h.shape)


def test_experts_that_see_only_some_tokens_are_refused_or_right() -> None:
    class Mixture(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.layers = torch.nn.Embedding(50, 8), torch.nn.Sequential(Routed(), Routed())

        def forward(self, ids: Any) -> Any:
            return self.layers(self.embed(ids)).mean(1)

    refused = 0
    for seed in range(12):
        torch.manual_seed(seed)
        net, ids = Mixture().eval(), torch.randint(0, 50, (1, 6))
        try:
            game = ip.lenses.components(net, "layers.*.experts.?", ids, lambda output: output[:, 0])
            values = game(np.array(list(itertools.product([True, False], repeat=game.n))))
        except ip.InputError:
            refused += 1
            continue
        for mask, value in zip(itertools.product([True, False], repeat=game.n), values, strict=True):
            hooks = [
                net.get_submodule(path).register_forward_hook(lambda _m, _a, output: torch.zeros_like(output))
                for path, keep in zip(game.labels, mask, strict=True)
                if not keep
            ]
            with torch.no_grad():
                assert value == pytest.approx(float(net(ids)[0, 0]), abs=1e-5)
            for hook in hooks:
                hook.remove()
    assert refused > 6


def _sizes(**more: Any) -> dict[str, Any]:
    return {**FAMILIES["llama"].options, "num_hidden_layers": 2, **more}


def test_mlps_side_by_side_are_all_of_a_layers_mlps() -> None:
    config = transformers.GraniteMoeSharedConfig(
        **_sizes(num_local_experts=4, num_experts_per_tok=2, shared_intermediate_size=24)
    )
    torch.manual_seed(0)
    says = SimpleNamespace(model=transformers.GraniteMoeSharedForCausalLM(config).eval(), tokenizer=tokenizer())
    parts, layers = (
        ip.lenses.components(says, select, PROMPTS, metrics.logprob(" Paris"))
        for select in (["attention", "mlps"], "layers")
    )
    assert [label for label in parts.labels if label.startswith("L1")] == ["L1.attn", "L1.MLP", "L1.shared_mlp"]
    off = [game(np.zeros((1, game.n), dtype=bool))[0] for game in (parts, layers)]
    assert off[0] == pytest.approx(off[1], abs=1e-5)
    assert not any("stays on" in note for note in parts.notes)


def test_what_no_part_covers_is_noted_with_its_share_of_a_layer() -> None:
    config = transformers.FalconH1Config(**_sizes(mamba_d_ssm=16, mamba_n_heads=4, mamba_d_state=4, mamba_d_head=4))
    torch.manual_seed(0)
    model = transformers.FalconH1ForCausalLM(config).eval()
    game = ip.lenses.components(model, ["attention", "mlps"], tokens("llama"), metrics.logit(7))
    (note,) = game.notes
    assert note.startswith("in 2 of the layers something stays on that is neither attention nor MLP: mamba, up to ")
    whole = ip.lenses.components(model, "layers", tokens("llama"), metrics.logit(7))
    assert not whole.notes


# Wrappers ------------------------------------------------------------------------------------------------------------


def _masked() -> tuple[Any, Any, Any, float]:
    torch.manual_seed(0)
    model = transformers.BertForMaskedLM(transformers.BertConfig(**FAMILIES["bert"].options)).eval()
    with torch.no_grad():
        said = model(input_ids=torch.tensor([[5, 3, 8, 10]])).logits[0, 1].log_softmax(-1)
    return model, ["the [MASK] runs fast"], metrics.logprob("cat"), float(said[6])


def _judging() -> tuple[Any, Any, Any, float]:
    torch.manual_seed(0)
    names = {"bad": 0, "good": 1}
    config = transformers.BertConfig(**FAMILIES["bert"].options, label2id=names, id2label={0: "bad", 1: "good"})
    model = transformers.BertForSequenceClassification(config).eval()
    with torch.no_grad():
        said = model(input_ids=torch.tensor([[5, 6, 8]])).logits[0]
    return model, PROMPTS[:1], metrics.logit("good"), float(said[1])


def _adapted(model: Any) -> Any:
    peft = pytest.importorskip("peft")
    return peft.get_peft_model(model, peft.LoraConfig(target_modules=["query"], r=2)).eval()


ours = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch.compile's and PEFT's


@ours
@pytest.mark.parametrize("made", [_masked, _judging])
@pytest.mark.parametrize("wrap", [torch.nn.DataParallel, torch.compile, _adapted], ids=["parallel", "compiled", "peft"])
def test_what_a_model_answers_is_known_in_any_wrapper(made: Any, wrap: Any) -> None:
    model, inputs, metric, expected = made()
    for given in (model, wrap(model)):
        game = ip.lenses.heads(SimpleNamespace(model=given, tokenizer=tokenizer()), inputs, metric)
        assert kept(game) == pytest.approx(expected, abs=1e-4)
        assert game(np.zeros((1, game.n), dtype=bool))[0] != pytest.approx(expected, abs=1e-6)


@ours
def test_a_tuned_prompt_shifts_no_position() -> None:
    peft = pytest.importorskip("peft")
    tuned = peft.get_peft_model(
        network("llama"), peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    ).eval()
    with torch.no_grad():
        logits = tuned(input_ids=torch.tensor([[5, 6, 8, 13]])).logits[0]
    assert len(logits) == 7
    expected = float(logits[5].log_softmax(-1)[13] + logits[6].log_softmax(-1)[14])
    lm = ip.models.CausalLM(tuned, tokenizer())
    assert lm.logprob(" Paris London")(PROMPTS[:1])[0] == pytest.approx(expected, abs=1e-4)
    for texts in (PROMPTS[:1], PROMPTS * 3):  # few rows, and many, whose other logits are not computed
        game = ip.lenses.heads(lm, texts, metrics.logprob(" Paris London"), each=True)
        assert kept(game)[0] == pytest.approx(expected, abs=1e-4)


# Before anything runs ------------------------------------------------------------------------------------------------


def test_a_selection_shows_what_it_would_select_of_a_bare_or_held_model() -> None:
    model = network("llama")
    select = Select.heads(layers=0) + Select.mlps(layers=-1) + Select.layers(-1) + Select.neurons(layers=1, groups=12)
    shown = select.show(model)
    assert shown == select.show(SimpleNamespace(model=model, tokenizer=tokenizer()))
    assert shown.splitlines() == [
        "18 parts of LlamaForCausalLM",
        "L0  H0 H1 H2 H3  input of model.layers.0.self_attn.o_proj, columns of 4",
        "L2  MLP          output of model.layers.2.mlp.down_proj",
        "L2  layer        update of model.layers.2",
        "L1  N0 to N11    input of model.layers.1.mlp.down_proj, columns of 2",
    ]
    with pytest.raises(ip.InputError, match="found nothing in Linear"):
        Select.heads().show(torch.nn.Linear(2, 2))
