"""A copy of a network without some of its parts: weights zeroed, or cut out."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from interplay._errors import InputError
from interplay._game.game import Game

_ATTENTION = re.compile("attn|attention", re.IGNORECASE)
_READERS = (("q_proj", "k_proj", "v_proj"), ("query", "key", "value"), ("q_lin", "k_lin", "v_lin"))


@dataclass(frozen=True)
class Cuts:
    """Where a network's parts are: ``sites`` with a module's path, its side, and (feature, columns) of each part."""

    sites: tuple[Any, ...]

    @classmethod
    def of(cls, game: Game) -> Cuts | None:
        """Those of a game of a network's parts ablated by zero; None of any other game."""
        ablator = getattr(game.value, "ablator", None)
        if ablator is None or ablator.replacements or getattr(game.value, "rescale", True):
            return None
        return cls(ablator.sites)


def pruned(model: Any, cuts: Cuts, dropped: Collection[int], *, cut: bool) -> Any:
    """A copy of ``model`` whose ``dropped`` parts contribute nothing."""
    import torch

    network = getattr(model, "model", model) if hasattr(model, "tokenizer") else model
    if not isinstance(network, torch.nn.Module):
        raise InputError(f"the model must be a PyTorch module or hold one, not {type(model).__name__}.")
    made = copy.deepcopy(network)
    modules = dict(made.named_modules())
    layers: list[str] = []
    with torch.no_grad():
        for site in cuts.sites:
            gone = [columns for feature, columns in site.slices if feature in dropped]
            if site.path not in modules:
                raise InputError(
                    f"this model has no part {site.path!r}: apply the pruning to the model it was found on."
                )
            if not gone:
                continue
            if site.side == "update":
                layers.append(site.path)
                continue
            _zero(modules[site.path], site, gone)
            if cut and site.side == "input":
                _cut(modules, site, [columns for columns in gone if columns is not None])
    for path in sorted(layers, key=lambda path: int(path.rpartition(".")[2]), reverse=True):
        _take_out(made, modules, path)
    return made


def _zero(module: Any, site: Any, gone: list[range | None]) -> None:
    weight = getattr(module, "weight", None)
    if weight is None or weight.ndim != 2:
        raise InputError(
            f"{site.path} is a {type(module).__name__}, whose output cannot be made zero by its weights: select the "
            "linear layers inside it."
        )
    # GPT-2's Conv1D keeps its weights as (inputs, outputs).
    rows_in = weight if hasattr(module, "nf") else weight.T
    bias = getattr(module, "bias", None)
    for columns in gone:
        which = slice(None) if columns is None else slice(columns.start, columns.stop)
        if site.side == "input":
            rows_in[which] = 0
            continue
        rows_in[:, which] = 0
        if bias is not None:
            bias[which] = 0


def _cut(modules: dict[str, Any], site: Any, gone: list[range]) -> None:
    """Shrink the linear layer at ``site`` and those that make its input, where they are plain linear layers."""
    import torch

    last = modules[site.path]
    if not isinstance(last, torch.nn.Linear):
        return
    if _ATTENTION.search(site.path):
        sources = _attention_readers(modules, site.path)
        if sources is None:
            return
        size = len(gone[0])
        query, key, value = sources
        shared = query.out_features // key.out_features  # query heads of one head of keys and values
        starts = {columns.start for columns in gone}
        groups = key.out_features // size
        whole = [g for g in range(groups) if all((g * shared + h) * size in starts for h in range(shared))]
        if len(whole) == groups:  # attention without any head cannot be reshaped: one group stays, its output zero
            whole = whole[1:]
        kept = [g for g in range(groups) if g not in whole]
        queries = _columns(kept, shared * size)
        _keep_outputs(query, queries)
        _keep_outputs(key, _columns(kept, size))
        _keep_outputs(value, _columns(kept, size))
        _keep_inputs(last, queries)
        return
    makers = _neuron_makers(modules, site.path, last.in_features)
    if makers:
        lost = {column for columns in gone for column in columns}
        kept = [column for column in range(last.in_features) if column not in lost] or [0]
        for maker in makers:
            _keep_outputs(maker, kept)
        _keep_inputs(last, kept)


def _columns(groups: list[int], width: int) -> list[int]:
    return [column for group in groups for column in range(group * width, (group + 1) * width)]


def _attention_readers(modules: dict[str, Any], path: str) -> tuple[Any, Any, Any] | None:
    """The linear layers that make queries, keys and values for the output projection at ``path``."""
    import torch

    holder = path.rpartition(".")[0]
    for place in (holder, holder.rpartition(".")[0]):
        for inside in (place, f"{place}.self", f"{place}.attention"):
            for names in _READERS:
                found = [modules.get(f"{inside}.{name}") for name in names]
                if all(type(module) is torch.nn.Linear for module in found):
                    query, key, value = found
                    # Modules that cut what they read into a fixed number of heads could not be shrunk.
                    fixed = getattr(modules[inside], "num_heads", None) or getattr(modules[inside], "n_heads", None)
                    return None if fixed else (query, key, value)
    return None


def _neuron_makers(modules: dict[str, Any], path: str, width: int) -> list[Any]:
    """The linear layers of the same MLP whose outputs are the neurons that ``path`` reads."""
    import torch

    holder = path.rpartition(".")[0]
    for place in (holder, holder.rpartition(".")[0]):
        if not place:
            break
        found = [
            module
            for name, module in modules.items()
            if name.startswith(f"{place}.") and name != path and not _ATTENTION.search(name)
            if type(module) is torch.nn.Linear and module.out_features == width
        ]
        if found:
            return found
    return []


def _keep_outputs(module: Any, kept: list[int]) -> None:
    import torch

    module.weight = torch.nn.Parameter(module.weight[kept].clone(), requires_grad=module.weight.requires_grad)
    if module.bias is not None:
        module.bias = torch.nn.Parameter(module.bias[kept].clone(), requires_grad=module.bias.requires_grad)
    module.out_features = len(kept)


def _keep_inputs(module: Any, kept: list[int]) -> None:
    import torch

    module.weight = torch.nn.Parameter(module.weight[:, kept].clone(), requires_grad=module.weight.requires_grad)
    module.in_features = len(kept)


def _take_out(model: Any, modules: dict[str, Any], path: str) -> None:
    """Remove a whole layer from its stack, and number those behind it anew."""
    stack, _, index = path.rpartition(".")
    layers = modules[stack]
    del layers[int(index)]
    for number, layer in enumerate(layers):
        for module in layer.modules():
            if isinstance(getattr(module, "layer_idx", None), int):
                module.layer_idx = number
    config: Any = getattr(model, "config", None)
    if hasattr(config, "num_hidden_layers"):
        config.num_hidden_layers = len(layers)
    if getattr(config, "layer_types", None):
        config.layer_types = [kind for number, kind in enumerate(config.layer_types) if number != int(index)]
