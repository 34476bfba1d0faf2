"""Small random-weight models of many families, and ablation the slow way: edited weights, one model at a time."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

VOCABULARY = 60
WORDS = ["the", "cat", "dog", "runs", "sleeps", "fast", "never", "here", "Paris", "London"]
_SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 32,
}
_GROUPED = {**_SIZES, "num_key_value_heads": 2}
_TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


@dataclass(frozen=True)
class Family:
    """How to build one, and where its heads are mixed: paths with {} for the layer, in order of the features."""

    config: str
    options: dict[str, Any]
    kind: str  # "causal", "encoder", "seq2seq"
    mixers: tuple[str, ...]
    size: int = 4  # of a head


FAMILIES = {
    "gpt2": Family(
        "GPT2Config",
        {"n_embd": 16, "n_layer": 3, "n_head": 4, "n_positions": 32, "vocab_size": VOCABULARY},
        "causal",
        ("transformer.h.{}.attn.c_proj",),
    ),
    "llama": Family("LlamaConfig", _GROUPED, "causal", ("model.layers.{}.self_attn.o_proj",)),
    "qwen2": Family("Qwen2Config", _GROUPED, "causal", ("model.layers.{}.self_attn.o_proj",)),
    "qwen3": Family("Qwen3Config", {**_GROUPED, "head_dim": 8}, "causal", ("model.layers.{}.self_attn.o_proj",), 8),
    "mistral": Family("MistralConfig", _GROUPED, "causal", ("model.layers.{}.self_attn.o_proj",)),
    "mixtral": Family("MixtralConfig", _GROUPED, "causal", ("model.layers.{}.self_attn.o_proj",)),
    "gemma": Family(
        "GemmaConfig",
        {**_SIZES, "num_key_value_heads": 1, "head_dim": 8},
        "causal",
        ("model.layers.{}.self_attn.o_proj",),
        8,
    ),
    "phi": Family("PhiConfig", _SIZES, "causal", ("model.layers.{}.self_attn.dense",)),
    "gpt_neox": Family("GPTNeoXConfig", _SIZES, "causal", ("gpt_neox.layers.{}.attention.dense",)),
    "opt": Family(
        "OPTConfig",
        {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "ffn_dim": 24}
        | {"vocab_size": VOCABULARY, "max_position_embeddings": 32, "word_embed_proj_dim": 16},
        "causal",
        ("model.decoder.layers.{}.self_attn.out_proj",),
    ),
    "bert": Family("BertConfig", _SIZES, "encoder", ("encoder.layer.{}.attention.output.dense",)),
    "roberta": Family(
        "RobertaConfig", {**_SIZES, "pad_token_id": 0}, "encoder", ("encoder.layer.{}.attention.output.dense",)
    ),
    "distilbert": Family(
        "DistilBertConfig",
        {"dim": 16, "n_layers": 3, "n_heads": 4, "hidden_dim": 24}
        | {"vocab_size": VOCABULARY, "max_position_embeddings": 32},
        "encoder",
        ("transformer.layer.{}.attention.out_lin",),
    ),
    "modernbert": Family(
        "ModernBertConfig", {**_SIZES, "cls_token_id": 3, "sep_token_id": 4}, "encoder", ("layers.{}.attn.Wo",)
    ),
    "t5": Family(
        "T5Config",
        {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 3, "num_heads": 4, "vocab_size": VOCABULARY}
        | {"decoder_start_token_id": 0},
        "seq2seq",
        (
            "encoder.block.{}.layer.0.SelfAttention.o",
            "decoder.block.{}.layer.0.SelfAttention.o",
            "decoder.block.{}.layer.1.EncDecAttention.o",
        ),
    ),
    "bart": Family(
        "BartConfig",
        {"d_model": 16, "encoder_layers": 3, "decoder_layers": 3, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24}
        | {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
        | {"vocab_size": VOCABULARY, "max_position_embeddings": 32, "decoder_start_token_id": 2},
        "seq2seq",
        (
            "model.encoder.layers.{}.self_attn.out_proj",
            "model.decoder.layers.{}.self_attn.out_proj",
            "model.decoder.layers.{}.encoder_attn.out_proj",
        ),
    ),
}
LAYERS, HEADS = 3, 4


@cache
def _built(name: str, attention: str) -> Any:
    import torch
    import transformers

    family = FAMILIES[name]
    config = getattr(transformers, family.config)(**_TOKENS | family.options, attn_implementation=attention)
    loader = {"causal": "ForCausalLM", "encoder": "", "seq2seq": "ForSeq2SeqLM"}[family.kind]
    torch.manual_seed(0)
    model = getattr(transformers, f"AutoModel{loader}").from_config(config, attn_implementation=attention)
    with torch.no_grad():  # the usual initial weights are so small that no head matters
        for parameter in model.parameters():
            parameter.add_(0.25 * torch.randn(parameter.shape))
    return model.eval()


def network(name: str, attention: str = "eager") -> Any:
    """A model of the family, with the same weights every time, in evaluation mode."""
    return copy.deepcopy(_built(name, attention))


def tokens(name: str, rows: int = 3, seed: int = 0) -> dict[str, Any]:
    """Token ids of different lengths, padded on the right."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    lengths = [7 - row % 3 for row in range(rows)]
    ids = torch.randint(5, VOCABULARY, (rows, max(lengths)), generator=generator)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    made = {"input_ids": ids * mask, "attention_mask": mask}
    if FAMILIES[name].kind == "seq2seq":
        made["decoder_input_ids"] = torch.randint(5, VOCABULARY, (rows, 5), generator=generator)
    return made


def mixers(name: str) -> list[str]:
    """The projections that mix heads, stack by stack, layer by layer: the order of the heads' features."""
    paths = FAMILIES[name].mixers
    stacks = [[path for path in paths if "decoder" not in path or name == "opt"]]
    stacks += [[path for path in paths if path not in stacks[0]]]
    return [path.format(layer) for stack in stacks for layer in range(LAYERS) for path in stack]


def score(output: Any) -> Any:
    """A smooth number per row that depends on the whole output."""
    import torch

    first = output.logits if "logits" in output else output.last_hidden_state
    weight = torch.linspace(-1, 1, first[0].numel(), dtype=first.dtype).sin().reshape(first[0].shape)
    return (first * weight).mean((1, 2))


def by_edited_weights(name: str, model: Any, inputs: dict[str, Any], masks: np.ndarray) -> np.ndarray:
    """The mean score with each mask's heads zeroed in the weights of a copy of the model, (N,)."""
    import torch

    values = []
    for mask in masks:
        edited = copy.deepcopy(model)
        for path, kept in zip(mixers(name), mask.reshape(-1, HEADS), strict=True):
            module = edited.get_submodule(path)
            columns = torch.from_numpy(~kept).repeat_interleave(FAMILIES[name].size)
            with torch.no_grad():
                if type(module).__name__ == "Conv1D":  # inputs are rows
                    module.weight[columns] = 0
                else:
                    module.weight[:, columns] = 0
        with torch.no_grad():
            values.append(float(score(edited(**inputs, use_cache=False)).double().mean()))
    return np.array(values)


def tokenizer(closing: str | None = None) -> Any:
    """A tokenizer of ten words, token ids from 5 on; it may put a special token after every text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = {"[PAD]": 0, "[UNK]": 1, "[EOS]": 2, "[MASK]": 3}
    backend = Tokenizer(models.WordLevel(special | {word: 5 + i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if closing is not None:
        backend.post_processor = processors.TemplateProcessing(
            single=f"$A {closing}", special_tokens=[(closing, special[closing])]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]", mask_token="[MASK]"
    )
