"""Ablated heads equal edited weights in every family of models, and the model is left as it was."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pytest

import interplay as ip

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from networks import FAMILIES, HEADS, by_edited_weights, mixers, network, score, tokens  # noqa: E402

NAMES = list(FAMILIES)


def some_masks(n: int, count: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, n)) < 0.6


def hooks_on(model: Any) -> int:
    worn = sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) + ("forward" in vars(module))
        for module in model.modules()
    )
    return worn


@pytest.mark.parametrize("name", NAMES)
def test_ablated_heads_equal_edited_weights_one_model_at_a_time(name: str) -> None:
    model, inputs = network(name), tokens(name)
    game = ip.lenses.heads(model, inputs, score)
    assert game.n == HEADS * len(mixers(name))
    masks = some_masks(game.n)
    masks[0] = False
    single = np.ones((2, game.n), dtype=bool)
    single[0, 1] = single[1, -1] = False
    masks = np.concatenate([masks, single])
    values = game(masks)
    expected = by_edited_weights(name, model, inputs, masks)
    np.testing.assert_allclose(values, expected, atol=1e-5)
    assert np.ptp(expected) > 1e-3  # the heads matter here, or the test could not fail


@pytest.mark.parametrize("name", NAMES)
def test_all_kept_is_exactly_the_untouched_model(name: str) -> None:
    model, inputs = network(name), tokens(name)
    game = ip.lenses.heads(model, inputs, score, each=True, batch_size=3)  # the batch shape of the plain call
    with torch.no_grad():
        expected = score(model(**inputs, use_cache=False)).double().numpy()
    assert (game(np.ones((1, game.n), dtype=bool))[0] == expected).all()


@pytest.mark.parametrize("name", NAMES)
def test_attention_implementations_agree(name: str) -> None:
    masks = some_masks(HEADS * len(mixers(name)))
    eager, sdpa = (
        ip.lenses.heads(network(name, attention), tokens(name), score)(masks) for attention in ("eager", "sdpa")
    )
    np.testing.assert_allclose(eager, sdpa, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_reuse_of_early_layers_changes_nothing(name: str) -> None:
    model, inputs = network(name), tokens(name)
    every = ip.lenses.heads(model, inputs, score)
    late = ip.lenses.heads(model, inputs, score, layers=-1)
    assert late.notes == ()
    reuse = late.value.reuse
    # Of an encoder-decoder the encoder's last layer comes first, and the decoder's layers after it.
    assert len(reuse.skipped) == 2
    masks = np.ones((5, every.n), dtype=bool)
    columns = [every.labels.index(label) for label in late.labels]
    masks[:, columns] = some_masks(late.n, 5)
    np.testing.assert_allclose(late(masks[:, columns]), every(masks), atol=1e-6)
    assert hooks_on(model) == 0


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_ablating_only_the_decoder_runs_the_encoder_once(name: str) -> None:
    model, inputs = network(name), tokens(name)
    calls = []
    first = model.get_submodule(mixers(name)[0])
    handle = first.register_forward_hook(lambda *_: calls.append(1))
    select = ip.lenses.Select.heads(layers=[1, 2], stack="decoder")
    game = ip.lenses.components(model, select, inputs, score)
    before = len(calls)
    values = game(some_masks(game.n))
    assert len(calls) == before + 1  # one input untouched, in case the model has changed
    handle.remove()
    every = ip.lenses.heads(model, inputs, score)
    masks = np.ones((6, every.n), dtype=bool)
    masks[:, [every.labels.index(label) for label in game.labels]] = some_masks(game.n)
    np.testing.assert_allclose(values, by_edited_weights(name, model, inputs, masks), atol=1e-5)


def test_grouped_query_attention_has_one_feature_per_query_head() -> None:
    game = ip.lenses.heads(network("llama"), tokens("llama"), score, layers=[0])
    assert game.labels == ("L0.H0", "L0.H1", "L0.H2", "L0.H3")
    assert network("llama").config.num_key_value_heads == 2


def test_encoder_decoder_heads_are_named_by_stack_and_kind() -> None:
    game = ip.lenses.heads(network("t5"), tokens("t5"), score)
    assert game.labels[0] == "encoder.L0.H0"
    assert game.labels[-1] == "decoder.L2.X3"
    assert game.layout.rows == tuple(f"{s}.L{i}" for s in ("encoder", "decoder") for i in range(3))
    assert game.layout.columns == tuple(f"{kind}{i}" for kind in "HX" for i in range(4))


@pytest.mark.parametrize("name", ["gpt2", "bert", "t5"])
def test_training_mode_dropout_and_caches_cannot_leak_in(name: str) -> None:
    model, inputs = network(name), tokens(name)
    masks = some_masks(HEADS * len(mixers(name)))
    expected = ip.lenses.heads(model, inputs, score)(masks)
    model.train()
    odd = next(module for module in model.modules() if type(module).__name__ == "Dropout")
    odd.eval()  # a single module in another mode than the rest comes back in it
    modes = [module.training for module in model.modules()]
    model.config.use_cache = True
    game = ip.lenses.heads(model, inputs, score)
    seen = []
    handle = model.register_forward_hook(lambda _m, _a, output: seen.append(output.get("past_key_values")))
    np.testing.assert_array_equal(game(masks), game(masks))
    handle.remove()
    np.testing.assert_allclose(game(masks), expected, atol=1e-6)
    assert seen
    assert set(seen) == {None}
    assert [module.training for module in model.modules()] == modes
    assert model.config.use_cache is True
    assert torch.is_grad_enabled()


def test_weights_and_gradients_are_untouched() -> None:
    model = network("llama")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    game = ip.lenses.heads(model, tokens("llama"), score)
    game(some_masks(game.n))
    assert all((model.state_dict()[name] == tensor).all() for name, tensor in before.items())
    score(model(**tokens("llama"))).sum().backward()  # nothing left behind keeps it from being trained


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, torch.OutOfMemoryError])
def test_hooks_come_off_whatever_happens(error: type[BaseException]) -> None:
    model, inputs = network("gpt2").train(), tokens("gpt2")
    armed = False

    def fail(*_: object) -> None:
        if armed:
            raise error("in the middle of a pass")

    handle = model.transformer.h[2].mlp.register_forward_hook(fail)
    game = ip.lenses.heads(model, inputs, score, layers=[1, 2], batch_size=3)
    armed = True
    with pytest.raises(ip.AblationError if error is torch.OutOfMemoryError else error):
        game(some_masks(game.n))
    armed = False
    assert hooks_on(model) == 1  # the test's own
    assert model.training
    assert np.isfinite(game(some_masks(game.n))).all()  # and the model is free for use again
    handle.remove()


def test_ctrl_c_while_hooks_come_off_still_takes_off_all() -> None:
    from interplay.lenses._components.hooks import take_off

    off: list[str] = []

    def interrupted_once() -> None:
        if "first" not in off:
            off.append("first")
            raise KeyboardInterrupt
        off.append("second")

    undo = [lambda: off.append("last"), interrupted_once, lambda: off.append("zero")]
    with pytest.raises(KeyboardInterrupt):
        take_off(undo)
    assert off == ["zero", "first", "second", "last"]


def test_concurrent_use_is_refused_and_the_model_not_harmed() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    inside, go_on = threading.Event(), threading.Event()

    def slow(output: Any) -> Any:
        if waits:
            inside.set()
            go_on.wait(20)
        return score(output)

    waits = False
    first = ip.lenses.heads(model, inputs, slow)
    second = ip.lenses.heads(model.transformer, inputs, lambda output: output.last_hidden_state.mean((1, 2)))
    masks = some_masks(first.n)
    expected = first(masks)
    waits = True
    found: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: found.append(first(masks)))
    thread.start()
    assert inside.wait(20)
    with pytest.raises(ip.AblationError, match="being ablated by another game or thread"):
        second(masks)
    go_on.set()
    thread.join(20)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    assert np.isfinite(second(masks)).all()


def test_another_thread_that_calls_the_model_gets_an_error_not_an_ablated_output() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    game = ip.lenses.heads(model, inputs, score)
    raised: list[BaseException] = []

    def call() -> None:
        try:
            model(**inputs)
        except ip.AblationError as error:
            raised.append(error)

    def intrude(*_: object) -> None:
        if armed and threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=call)
            thread.start()
            thread.join(20)

    armed = True
    handle = model.transformer.wte.register_forward_hook(intrude)
    game(some_masks(game.n, 1))
    handle.remove()
    assert "another thread called this model while its parts are ablated" in str(raised[0])


def test_a_metric_that_calls_the_model_gets_it_unablated() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    with torch.no_grad():
        untouched = score(model(**inputs, use_cache=False))

    def effect(output: Any) -> Any:
        return score(output) - score(model(**inputs, use_cache=False))

    game = ip.lenses.heads(model, inputs, effect, batch_size=3)
    plain = ip.lenses.heads(model, inputs, score, batch_size=3)
    masks = some_masks(game.n)
    np.testing.assert_allclose(game(masks), plain(masks) - float(untouched.double().mean()), atol=1e-6)


def test_a_model_whose_heads_are_not_found_says_what_was_looked_for_and_how_to_go_on() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    with pytest.raises(ip.InputError) as caught:
        ip.lenses.heads(model, torch.ones(3, 8), lambda output: output[:, 0])
    message = str(caught.value)
    assert "Select.heads() found nothing in Sequential" in message
    assert "o_proj" in message
    assert "'attn' or 'attention'" in message
    assert "Select.at('2', side='input', slices=number of heads)" in message


def test_heads_selected_by_path_equal_heads_found() -> None:
    model, inputs = network("gpt2"), tokens("gpt2")
    found = ip.lenses.heads(model, inputs, score)
    select = ip.lenses.Select.at("transformer.h.*.attn.c_proj", side="input", slices=HEADS)
    by_path = ip.lenses.components(model, select, inputs, score)
    masks = some_masks(found.n)
    assert by_path.n == found.n
    np.testing.assert_allclose(by_path(masks), found(masks), atol=1e-7)
