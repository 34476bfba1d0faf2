"""Throughput of scored prompts: ours, the bare model, no reuse of the fixed part, context-cite and captum.

    python benchmarks/prompts.py                                 # a small Llama with random weights, one thread
    python benchmarks/prompts.py --config llama-1b --device cuda --dtype bfloat16 --prompts 256

The prompts are sentences of this repository's pages, left out at random, and every contender scores the same target
after them with the same model; values are compared before anything is timed. All take turns, and medians are printed:
of the time of one thread's processor, or of the clock on a GPU.
context-cite and captum take part where they are installed (``pip install context-cite captum``; they may want an
environment of their own, with this repository's ``src`` on PYTHONPATH).
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import interplay as ip
from interplay._units import sentence_spans
from interplay.models._causal import likelihood as _likelihood

PAGES = sorted((Path(__file__).parent.parent / "docs").glob("*.md"))
TEMPLATE = "Context: {context}\n\nQuery: {query}"
CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}{{ '\\nAnswer:' }}"
QUERY = "What does the page say of ablations?"
TARGET = " They are drawn at random, and measured once."


def tokenizer(pages: list[str], size: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(pages, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>", chat_template=CHAT, padding_side="left"
    )


def build(config: str, device: str, dtype: torch.dtype) -> Any:
    import transformers

    shape: dict[str, Any] = {  # small enough for a processor; its vocabulary is, too
        "hidden_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "intermediate_size": 768,
        "vocab_size": 8_000,
    }
    if config == "llama-1b":  # the shape of Llama 3.2 1B
        shape = {
            "hidden_size": 2048,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 64,
            "intermediate_size": 8192,
            "vocab_size": 128_256,
        }
    made = transformers.LlamaConfig(**shape, max_position_embeddings=8192, bos_token_id=None, eos_token_id=0)
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(made, dtype=dtype).to(device).eval()


def sentences(pages: list[str], count: int) -> list[str]:
    """Plain sentences of the pages, in order."""
    found = [page[a:b] for page in pages for a, b in sentence_spans(page)]
    plain = [s for s in found if 40 < len(s) < 200 and "\n" not in s and not set(s) & set("|`[]#>")]
    return [plain[i % len(plain)] for i in range(count)]


class Bare:
    """The model's forward pass and nothing else, on tokens that are ready, in batches of so many tokens."""

    def __init__(self, lm: ip.models.CausalLM, texts: list[str], batch_tokens: int) -> None:
        rows = sorted((lm.tokenizer(text + TARGET)["input_ids"] for text in texts), key=len)
        self.model, self.batches = lm.model, []
        while rows:
            count = max(1, batch_tokens // len(rows[-1]))
            batch, rows = rows[-count:], rows[:-count]
            width = max(map(len, batch))
            padded = [row + [0] * (width - len(row)) for row in batch]
            self.batches.append(torch.tensor(padded, device=lm.model.device))

    def __call__(self, *, logits: bool = True) -> None:
        network = self.model if logits else self.model.base_model
        with torch.inference_mode():
            for batch in self.batches:
                network(input_ids=batch, use_cache=False)
        if batch.device.type == "cuda":
            torch.cuda.synchronize()


def without_reuse(score: Callable[[], Any]) -> Callable[[], Any]:
    def call() -> Any:
        worth = dict(_likelihood._WORTH)
        _likelihood._WORTH.update(dict.fromkeys(worth, 10**9))
        try:
            return score()
        finally:
            _likelihood._WORTH.update(worth)

    return call


def context_cite(lm: ip.models.CausalLM, units: list[str], masks: np.ndarray, batch: int) -> Callable[[], np.ndarray]:
    """Its own loop over masks, batches and logits; only what chooses the masks is replaced, to have the same ones."""
    from context_cite import ContextCiter, utils
    from context_cite.context_partitioner import BaseContextPartitioner

    class Given(BaseContextPartitioner):
        sources = property(lambda _self: units)
        num_sources = property(lambda _self: len(units))

        def split_context(self) -> None: ...
        def get_source(self, index: int) -> str:
            return units[index]

        def get_context(self, mask: Any = None) -> str:
            return _context(units, np.ones(len(units), bool) if mask is None else mask)

    whole = _context(units, np.ones(len(units), bool))
    utils._create_mask = lambda _n, _alpha, seed: masks[seed]
    utils.tqdm = lambda loader: loader
    answer = lm.tokenizer(TARGET)["input_ids"]

    def score() -> np.ndarray:
        citer = ContextCiter(
            lm.model, lm.tokenizer, whole, QUERY, num_ablations=len(masks), batch_size=batch, partitioner=Given(whole)
        )
        prompt = citer._get_prompt_ids(return_prompt=True)[1]
        citer._cache["output"] = prompt + TARGET
        assert citer._response_ids == answer
        logits = torch.tensor(citer._logit_probs)
        return np.asarray(torch.nn.functional.logsigmoid(logits).sum(1), dtype=float)

    return score


def captum(lm: ip.models.CausalLM, units: list[str], masks: np.ndarray) -> Callable[[], np.ndarray]:
    """Its forward function, one mask at a time, which is all that it can; its faster way, the target in one pass."""
    from captum.attr import KernelShap, LLMAttribution, TextTemplateInput

    def template(*kept: str) -> str:
        return _prompt(_join(kept))

    attribution = LLMAttribution(KernelShap(lm.model), lm.tokenizer)
    given = TextTemplateInput(template, units, baselines=[""] * len(units))
    target = torch.tensor(lm.tokenizer(TARGET)["input_ids"], device=lm.model.device)

    def score() -> np.ndarray:
        with torch.inference_mode():
            rows = torch.tensor(masks, dtype=torch.float, device=lm.model.device)
            scores = [attribution._forward_func(row[None], given, target, False, None, False) for row in rows]
        return np.array([float(one) for one in scores])

    return score


def _join(units: Any) -> str:
    return " ".join(units)


def _context(units: list[str], mask: np.ndarray) -> str:
    return _join(unit if keep else "" for unit, keep in zip(units, mask))


def _prompt(context: str) -> str:
    return TEMPLATE.format(context=context, query=QUERY) + "\nAnswer:"


def take_turns(contenders: dict[str, Callable[[], Any]], turns: int, clock: Callable[[], float]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns + 1):
        for name, call in contenders.items():
            began = clock()
            call()
            if turn:  # the first one warms up
                times[name].append(clock() - began)
    return {name: statistics.median(taken) for name, taken in times.items()}


def show(title: str, seconds: dict[str, float], prompts: int) -> None:
    print(f"\n{title}\n| contender | seconds | prompts a second | times the first |\n|---|---|---|---|")
    first = next(iter(seconds.values()))
    for name, taken in seconds.items():
        print(f"| {name} | {taken:.2f} | {prompts / taken:.1f} | {first / taken:.2f}x |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="small", choices=["small", "llama-1b"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--sentences", type=int, default=16)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    clock = time.process_time if options.device == "cpu" else time.perf_counter  # others may use this processor

    pages = [page.read_text(encoding="utf-8") for page in PAGES]
    model = build(options.config, options.device, getattr(torch, options.dtype))
    lm = ip.models.CausalLM(
        model, tokenizer(pages, min(8000, model.config.vocab_size)), batch_tokens=options.batch_tokens
    )
    scorer = lm.logprob(TARGET)
    tolerance = 1e-3 if options.dtype == "float32" else 1.0
    masks = np.random.default_rng(0).random((options.prompts, options.sentences)) < 0.5

    units = sentences(pages, options.sentences)
    texts = [_prompt(_context(units, mask)) for mask in masks]
    tokens = [len(lm.tokenizer(text + TARGET)["input_ids"]) for text in texts]
    values = scorer(texts)
    bare = Bare(lm, texts, options.batch_tokens)
    rows = max(1, options.batch_tokens // max(tokens))
    contenders: dict[str, Callable[[], Any]] = {
        "bare model on the same tokens": bare,
        "bare model without its head": lambda: bare(logits=False),
        "interplay, texts to values": lambda: scorer(texts),
    }
    if importlib.util.find_spec("context_cite"):
        contenders[f"context-cite, {rows} rows a batch"] = context_cite(lm, units, masks, rows)
    if importlib.util.find_spec("captum"):
        contenders["captum, target in one pass"] = captum(lm, units, masks)
    for name, call in contenders.items():
        if "-cite" in name or "captum" in name:
            print(f"{name}: values differ by at most {np.abs(call() - values).max():.1e}")
            assert np.allclose(call(), values, atol=tolerance)
    print(f"{options.prompts} prompts of {min(tokens)} to {max(tokens)} tokens, {sum(tokens)} in all")
    show("All sentences ablated", take_turns(contenders, options.turns, clock), len(texts))

    many = sentences(pages, 5 * options.sentences)
    fixed, free = many[: -options.sentences], many[-options.sentences :]  # four fifths of the sentences stay
    texts = [_prompt(_join(fixed) + " " + _context(free, mask)) for mask in masks]
    plain = without_reuse(lambda: scorer(texts))
    assert np.allclose(plain(), scorer(texts), atol=tolerance)
    assert lm._likelihood.reuses
    tokens = [len(lm.tokenizer(text + TARGET)["input_ids"]) for text in texts]
    share = len(lm.tokenizer("Context: " + _join(fixed))["input_ids"]) / np.mean(tokens)
    print(f"\n{len(texts)} prompts of {min(tokens)} to {max(tokens)} tokens, of which {share:.0%} are fixed")

    def afresh() -> None:
        lm.__dict__.pop("_likelihood", None)  # nothing computed before
        ip.models.CausalLM(lm.model, lm.tokenizer, batch_tokens=options.batch_tokens).logprob(TARGET)(texts)

    bare = Bare(lm, texts, options.batch_tokens)
    contenders = {
        "interplay without reuse": plain,
        "bare model on the same tokens": bare,
        "interplay, the first call, which tries the model out": afresh,
        "interplay, later calls": lambda: scorer(texts),
    }
    show("The fixed part first", take_turns(contenders, options.turns, clock), len(texts))


if __name__ == "__main__":
    main()
