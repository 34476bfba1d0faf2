"""Where a transformer's parts are: its layers, and in each the attention heads and the MLP, found by structure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
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
MLP = (
    "mlp",
    "ffn",
    "feed_forward",
    "block_sparse_moe",
    "moe",
    "shared_mlp",
    "experts",
    "shared_expert",
    "shared_experts",
)
"""Names of whole MLPs, for mixtures of experts, which have no single last linear layer, and MLPs beside others."""
INNER = re.compile(r"(fc|ffn?|lin(ear)?|intermediate|dense|w)(_?\d\w*)?$|router$|gate$", re.IGNORECASE)
"""How the first linear layers of an MLP are called that has no module of its own, and what chooses its experts."""
NORM = re.compile(r"norm|ln|dropout|act", re.IGNORECASE)
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

    ``mlps`` are the modules whose outputs the MLP adds to the stream: one, or several side by side. ``neurons`` is the
    one whose input are its ``width`` neurons; None where there is none. ``rest`` are the modules with weights that are
    neither attention nor MLP nor norm, and ``uncovered`` the share of the layer's weights that is theirs.
    """

    stack: str
    index: int
    path: str
    attentions: tuple[Attention, ...]
    mlps: tuple[str, ...]
    neurons: str | None
    width: int
    rest: tuple[str, ...] = ()
    uncovered: float = 0.0


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
        mlps, neurons = _mlps(modules, inside)
        if attentions or mlps:
            stack, _, index = path.rpartition(".")
            width = _width(modules[neurons]) if neurons else None
            rest, share = _rest(modules, path, inside, attentions, mlps)
            layers.append(
                Layer(stack, int(index), path, attentions, mlps, neurons if width else None, width or 0, rest, share)
            )
    return tuple(layers)


def staying(layers: Iterable[Layer], paths: Iterable[str]) -> str | None:
    """What of the layers that hold ``paths`` no part but the whole layer covers, in one sentence; None for nothing."""
    held = set(paths)
    left = [
        layer
        for layer in layers
        if layer.rest and layer.path not in held and any(path.startswith(layer.path + ".") for path in held)
    ]
    if not left:
        return None
    names = dict.fromkeys(path.rpartition(".")[2] for layer in left for path in layer.rest)
    most = max(layer.uncovered for layer in left)
    return (
        f"in {len(left)} of the layers something stays on that is neither attention nor MLP: {', '.join(names)}, up to "
        f"{most:.0%} of a layer's weights; select layers, or its path"
    )


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


def _mlps(modules: dict[str, Any], inside: list[str]) -> tuple[tuple[str, ...], str | None]:
    """The modules whose outputs are the MLP's contribution, and the one whose input are its neurons."""
    outside = [path for path in inside if not ATTENTION.search(path)]
    last = [
        path
        for path in outside
        if any(path.endswith("." + name) for name in MLP_OUT) and _width(modules[path]) is not None
    ]
    named = [path for path in outside if path.rpartition(".")[2] in MLP]
    if last:  # ALBERT's first linear layer is called ffn
        named = [path for path in named if _width(modules[path]) is None]
    whole = [path for path in named if not any(path.startswith(other + ".") for other in named)]
    if len(last) == 1:
        beside = [path for path in whole if not last[0].startswith(path + ".")]
        own = [path for path in whole if path not in beside]
        if not any("expert" in path for path in outside if not own or path.startswith(own[0] + ".")):
            return (last[0], *beside), last[0] if not beside else None
    return tuple(whole), None


def _rest(
    modules: dict[str, Any], layer: str, inside: list[str], attentions: tuple[Attention, ...], mlps: tuple[str, ...]
) -> tuple[tuple[str, ...], float]:
    """The modules of a layer that no kind of part but the whole layer covers, and their share of its weights."""
    # A part found by its last linear layer is all that comes before it: the branch of the layer that it stands in.
    found = [*(attention.path for attention in attentions), *mlps]
    covered = {_branch(path, layer) for path in found}
    covered |= {path for path in inside if ATTENTION.search(path.removeprefix(layer))}
    size = {path: sum(one.numel() for one in modules[path].parameters(recurse=False)) for path in inside}
    total = sum(size.values()) or 1
    rest: dict[str, int] = {}
    for path in inside:
        branch = _branch(path, layer)
        name, first = path.rpartition(".")[2], branch.rpartition(".")[2]
        # MLPs of some models (OPT, BERT) are no modules: linear layers before the last are theirs, too.
        if size[path] and path != layer and not NORM.search(name) and not INNER.match(first):
            rest[branch] = rest.get(branch, 0) + (0 if _is_covered(path, covered) else size[path])
    rest = {path: count for path, count in rest.items() if count}
    return tuple(rest), sum(rest.values()) / total


def _branch(path: str, layer: str) -> str:
    """The module right inside a layer that holds ``path``, or is it."""
    return ".".join([layer, *path.removeprefix(layer + ".").split(".")[:1]])


def _is_covered(path: str, covered: set[str]) -> bool:
    return any(path == other or path.startswith(other + ".") for other in covered)


def _width(module: Any) -> int | None:
    """How many inputs a linear layer takes; None for other modules. GPT-2's Conv1D is a linear layer, too."""
    if isinstance(getattr(module, "in_features", None), int):  # quantized ones may keep their weights in another form
        return int(module.in_features)
    weight = getattr(module, "weight", None)
    return int(weight.shape[0]) if weight is not None and hasattr(module, "nf") else None
