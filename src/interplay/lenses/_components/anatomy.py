"""Where a transformer's parts are: its layers, and in each the attention heads and the MLP, found by structure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
CROSS = re.compile(r"cross|encdec|encoder_att", re.IGNORECASE)
ATTENTION_OUT = ("o_proj", "out_proj", "c_proj", "dense", "out_lin", "wo", "Wo", "o", "proj")
"""Names of the linear layer that mixes the heads: its input is the heads' outputs, one after the other."""
MLP_OUT = (
    "down_proj",
    "c_proj",
    "fc2",
    "fc_out",
    "dense_4h_to_h",
    "output.dense",
    "ffn_output",
    "lin2",
    "linear2",
    "wo",
    "Wo",
    "w2",
)
"""Names of an MLP's last linear layer: its input is the neurons, its output what the MLP adds to the stream."""
MLP = ("mlp", "ffn", "feed_forward", "block_sparse_moe", "moe")
"""Names of whole MLPs, for mixtures of experts, which have no single last linear layer."""
# Linear attention counts its value heads apart: its output is theirs.
_HEAD_COUNTS = ("num_v_heads", "num_heads", "num_attention_heads", "n_heads", "n_head")


@dataclass(frozen=True)
class Attention:
    """One attention of a layer: ``path`` is its output projection, whose input has ``heads`` slices of ``size``."""

    path: str
    heads: int
    size: int
    cross: bool


@dataclass(frozen=True)
class Layer:
    """One layer of one stack; ``path`` is the module whose input and output are the residual stream.

    ``mlp`` is the module whose output the MLP adds to the stream, ``neurons`` the one whose input are its ``width``
    neurons; None where there is none.
    """

    stack: str
    index: int
    path: str
    attentions: tuple[Attention, ...]
    mlp: str | None
    neurons: str | None
    width: int


def find_layers(model: Any) -> tuple[Layer, ...]:
    """The layers of every stack that has attention or an MLP, in the model's own order."""
    modules = dict(model.named_modules())
    found: dict[str, list[str]] = {}
    for path in modules:
        layer = layer_of(path)
        if layer is not None:
            found.setdefault(layer, []).append(path)
    layers = []
    for path, inside in found.items():
        attentions = tuple(_attentions(model, modules, inside))
        mlp, neurons = _mlp(modules, inside)
        if attentions or mlp:
            stack, _, index = path.rpartition(".")
            width = _width(modules[neurons]) if neurons else None
            layers.append(Layer(stack, int(index), path, attentions, mlp, neurons if width else None, width or 0))
    return tuple(layers)


def layer_of(path: str) -> str | None:
    """The path of the numbered module that holds ``path``, or is it: "model.layers.3" of "model.layers.3.mlp"."""
    match = re.match(r"(?:[^.]*[^.\d][^.]*\.)*?\d+(?=\.|$)", path)
    return match.group() if match else None


def stack_names(layers: tuple[Layer, ...]) -> dict[str, str]:
    """A short name of each stack's path: "" where there is one, the distinguishing segment where there are several."""
    paths = list(dict.fromkeys(layer.stack for layer in layers))
    if len(paths) == 1:
        return {paths[0]: ""}
    segments = [path.split(".") for path in paths]
    names = {}
    for path, parts in zip(paths, segments, strict=True):
        own = [part for part in parts if not all(part in other for other in segments)]
        names[path] = own[0] if own else path
    return names if len(set(names.values())) == len(names) else {path: path for path in paths}


def _attentions(model: Any, modules: dict[str, Any], inside: list[str]) -> Iterator[Attention]:
    for path in inside:
        holder, _, name = path.rpartition(".")
        within = holder.split(".")
        places = [i for i, segment in enumerate(within) if ATTENTION.search(segment)]
        if name not in ATTENTION_OUT or not places:
            continue
        width = _width(modules[path])
        if width is None:
            continue
        chain = [".".join(within[: i + 1]) for i in range(places[0], len(within))]
        heads = _head_count(model, modules, chain, width)
        if heads is not None:
            cross = any(CROSS.search(within[i]) for i in places)
            yield Attention(path, heads, width // heads, cross)


def _head_count(model: Any, modules: dict[str, Any], chain: list[str], width: int) -> int | None:
    """How many heads the attention in the modules ``chain`` has, by its own word, else by the configuration's."""
    owners = [modules[path] for path in reversed(chain)]
    owners += [child for owner in owners for child in owner.children()]
    config = getattr(model, "config", None)
    for owner in [*owners, *(getattr(owner, "config", None) for owner in owners), config]:
        for name in _HEAD_COUNTS:
            count = getattr(owner, name, None)
            if isinstance(count, int) and count > 0 and width % count == 0:
                return count
        size = getattr(owner, "head_dim", None)
        if isinstance(size, int) and size > 0 and width % size == 0:
            return width // size
    return None


def _mlp(modules: dict[str, Any], inside: list[str]) -> tuple[str | None, str | None]:
    """The modules whose output and whose input are the MLP's contribution and its neurons."""
    outside = [path for path in inside if not ATTENTION.search(path)]
    last = [
        path
        for path in outside
        if any(path.endswith("." + name) for name in MLP_OUT) and _width(modules[path]) is not None
    ]
    if len(last) == 1 and not any("expert" in path for path in outside):
        return last[0], last[0]
    whole = [path for path in outside if path.rpartition(".")[2] in MLP]
    return (whole[0], None) if whole else (None, None)


def _width(module: Any) -> int | None:
    """How many inputs a linear layer takes; None for other modules. GPT-2's Conv1D is a linear layer, too."""
    if isinstance(getattr(module, "in_features", None), int):  # quantized ones may keep their weights in another form
        return int(module.in_features)
    weight = getattr(module, "weight", None)
    return int(weight.shape[0]) if weight is not None and hasattr(module, "nf") else None
