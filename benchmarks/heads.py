"""Throughput of ablated forward passes: ours, the bare model, other tools, and one mask at a time.

    python benchmarks/heads.py                                   # a small GPT-2 with random weights
    python benchmarks/heads.py --config llama-1b --device cuda --dtype bfloat16 --rows 256 --tokens 128

Every contender ablates the same heads of the same model with the same weights in a batch of the same shape, each
row its own mask; its values are compared before it is timed. All take turns, and medians are printed. TransformerLens
and nnsight take part where they are installed (``pip install transformer-lens nnsight``; they may want an
environment of their own, with this repository's ``src`` on PYTHONPATH).
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import interplay as ip

TARGET = 7


def build(config: str, device: str, dtype: torch.dtype) -> Any:
    import transformers

    if config == "llama-1b":  # the shape of Llama 3.2 1B
        made = transformers.LlamaConfig(
            hidden_size=2048,
            num_hidden_layers=16,
            num_attention_heads=32,
            num_key_value_heads=8,
            head_dim=64,
            intermediate_size=8192,
            vocab_size=128_256,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
        )
    else:
        made = transformers.GPT2Config(
            n_embd=384, n_layer=6, n_head=12, vocab_size=5_000, n_positions=256, bos_token_id=1, eos_token_id=1
        )
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(made, dtype=dtype).to(device).eval()


def contenders(model: Any, tokens: torch.Tensor, masks: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """By name, what returns the target's logit under every mask, in one batch where it can."""
    rows = len(masks)
    inputs = {"input_ids": tokens}
    batch = tokens.expand(rows, -1).contiguous()
    metric = ip.lenses.metrics.logit(TARGET)
    game = ip.lenses.heads(model, inputs, metric, batch_size=rows)
    depth = len(game.layout.rows)
    third = range(depth - depth // 3, depth)
    late = ip.lenses.heads(model, inputs, metric, layers=third, batch_size=rows)
    assert not late.notes

    def bare() -> np.ndarray:
        with torch.no_grad():
            return np.asarray(model(input_ids=batch, use_cache=False).logits[:, -1, TARGET].float().cpu().numpy())

    def bare_last() -> np.ndarray:
        with torch.no_grad():
            logits = model(input_ids=batch, use_cache=False, logits_to_keep=1).logits
        return np.asarray(logits[:, -1, TARGET].float().cpu().numpy())

    found = {
        "bare model, nothing ablated": bare,
        "bare model, last logit only": bare_last,  # the fair contender: it computes what is read and no more
        "interplay": lambda: game(masks),
        "interplay, last third of the layers": lambda: late(masks[:, -late.n :]),
        "one mask at a time, plain hooks": lambda: one_at_a_time(model, tokens, masks),
    }
    if model.config.model_type == "gpt2" and importlib.util.find_spec("transformer_lens"):
        found["TransformerLens"] = transformer_lens(model, batch, masks)
    if model.config.model_type == "gpt2" and importlib.util.find_spec("nnsight"):
        found["nnsight"] = nnsight(model, batch, masks)
    return found


def projections(model: Any) -> list[Any]:
    if model.config.model_type == "gpt2":
        return [block.attn.c_proj for block in model.transformer.h]
    return [layer.self_attn.o_proj for layer in model.model.layers]


def one_at_a_time(model: Any, tokens: torch.Tensor, masks: np.ndarray) -> np.ndarray:
    """The plain way: for every mask, hooks that zero slices, and a pass of a single row."""
    values = []
    layers = projections(model)
    for mask in masks.reshape(len(masks), len(layers), -1):
        handles = []
        for layer, kept in zip(layers, mask, strict=True):
            keep = torch.from_numpy(kept).to(tokens.device)

            def zero(_module: Any, args: Any, keep: torch.Tensor = keep) -> Any:
                x = args[0]
                return ((x.unflatten(-1, (len(keep), -1)) * keep[:, None]).flatten(-2),)

            handles.append(layer.register_forward_pre_hook(zero))
        with torch.no_grad():
            values.append(float(model(input_ids=tokens, use_cache=False).logits[0, -1, TARGET]))
        for handle in handles:
            handle.remove()
    return np.array(values)


def transformer_lens(model: Any, batch: torch.Tensor, masks: np.ndarray) -> Callable[[], np.ndarray]:
    """A bridge around a copy of the model; a hook on every layer's ``z`` zeroes by the rows' masks."""
    from transformer_lens.model_bridge import TransformerBridge

    with tempfile.TemporaryDirectory() as folder:  # it reads the configuration from a folder or the hub
        model.save_pretrained(folder)
        bridge = TransformerBridge.boot_transformers(folder, hf_model=copy.deepcopy(model))
    bridge.eval()
    config = model.config
    keep = torch.from_numpy(masks.reshape(len(masks), config.n_layer, config.n_head)).to(batch.device)
    size = config.n_embd // config.n_head
    weights = keep.repeat_interleave(size, dim=-1).to(model.dtype)  # (rows, layers, width), made once

    def hook(i: int) -> Callable[..., torch.Tensor]:
        return lambda z, hook: z * (by_head[:, i][:, None, :, None] if z.ndim == 4 else weights[:, i][:, None])  # noqa: ARG005

    by_head = keep.to(model.dtype)
    hooks = [(f"blocks.{i}.attn.hook_z", hook(i)) for i in range(config.n_layer)]

    def ablated() -> np.ndarray:
        with torch.no_grad():
            logits = bridge.run_with_hooks(batch, fwd_hooks=hooks, use_cache=False)
        return np.asarray(logits[:, -1, TARGET].float().cpu().numpy())

    return ablated


def nnsight(model: Any, batch: torch.Tensor, masks: np.ndarray) -> Callable[[], np.ndarray]:
    """One trace whose interventions multiply every layer's projection input by the rows' masks."""
    from nnsight import NNsight

    traced = NNsight(model)
    layers = model.config.n_layer
    size = model.config.n_embd // model.config.n_head
    keep = torch.from_numpy(masks.reshape(len(masks), layers, -1)).to(batch.device)
    weights = keep.repeat_interleave(size, dim=-1).to(model.dtype)  # (rows, layers, width), made once

    def ablated() -> np.ndarray:
        with torch.no_grad(), traced.trace(input_ids=batch, use_cache=False):
            for i in range(layers):
                projection = traced.transformer.h[i].attn.c_proj
                projection.input = projection.input * weights[:, i].unsqueeze(1)
            logits = traced.output.logits[:, -1, TARGET].save()
        return np.asarray(logits.float().cpu().numpy())

    return ablated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="gpt2", choices=["gpt2", "llama-1b"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--slow", type=int, default=8, help="rows of the one-at-a-time contender")
    options = parser.parse_args()

    model = build(options.config, options.device, getattr(torch, options.dtype))
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.integers(10, 5_000, (1, options.tokens))).to(options.device)
    heads = sum(1 for _ in projections(model)) * model.config.num_attention_heads
    masks = rng.random((options.rows, heads)) < 0.5
    runs = contenders(model, tokens, masks)
    slow = "one mask at a time, plain hooks"
    runs[slow] = lambda: one_at_a_time(model, tokens, masks[: options.slow])
    rows = {name: options.slow if name == slow else options.rows for name in runs}

    expected = runs["interplay"]()
    scale = float(np.abs(expected).max())
    late = "interplay, last third of the layers"
    early = heads - heads // len(projections(model)) * (len(projections(model)) // 3)
    only_late = masks | (np.arange(heads) < early)
    wanted = {late: ip.lenses.heads(model, {"input_ids": tokens}, ip.lenses.metrics.logit(TARGET))(only_late)}
    for name, run in runs.items():
        if not name.startswith("bare model"):
            error = float(np.abs(run() - wanted.get(name, expected)[: rows[name]]).max())
            assert error < (1e-4 if options.dtype == "float32" else 0.1) * scale, (name, error)

    # On one thread of a shared machine, processor time; a GPU works beside the processor.
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(options.repeats + 1):
        order = list(runs.items())
        for name, run in order[repeat % len(order) :] + order[: repeat % len(order)]:  # none always follows the same
            began = clock()
            run()
            if repeat:  # the first round warms up
                seconds[name].append((clock() - began) / rows[name])
    bare = statistics.median(seconds["bare model, nothing ablated"])
    print(f"{options.config}, {heads} heads, {options.rows} rows of {options.tokens} tokens, {options.dtype},")
    print(f"{options.device}, torch {torch.__version__}, median of {options.repeats}\n")
    print("| contender | rows a second | of the bare model |\n|---|---|---|")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"| {name} | {1 / median:,.0f} | {bare / median:.2f}x |")


if __name__ == "__main__":
    main()
