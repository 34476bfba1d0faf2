"""Compute once what no ablation can change: the layers before the first ablated one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from interplay.lenses._components.anatomy import layer_of
from interplay.lenses._components.hooks import Hooks
from interplay.lenses._components.sites import Site


@dataclass(frozen=True, eq=False)
class Reuse:
    """What the early layers return for each of the R rows of the inputs.

    Parameters
    ----------
    skipped
        By path of each layer that need not run, the path of the last such layer of its stack.
    outputs
        What those last layers returned for all rows of the inputs.
    rows
        R.
    """

    skipped: Mapping[str, str]
    outputs: Mapping[str, Any]
    rows: int

    def add_to(self, hooks: Hooks, sources: Any) -> None:
        """Let the skipped layers return what they once returned for the rows ``sources`` (B,)."""
        ready = {path: _of_rows(output, sources, self.rows) for path, output in self.outputs.items()}
        for path, last in self.skipped.items():
            # What a skipped layer returns is read by the next skipped one only, which ignores it.
            hooks.instead(path, partial(_return, ready[last]))


class Watcher:
    """Notes, in forward passes without ablations, which layers run in what order, and what they return."""

    def __init__(self, model: Any, sites: Sequence[Site]) -> None:
        self.model = model
        self.outside = [site.path for site in sites if layer_of(site.path) is None]  # they may come before any layer
        self.ablated = {layer_of(site.path) or site.path for site in sites}
        self.layers = [path for path, _ in model.named_modules() if path and layer_of(path) == path]
        self.order: list[str] = []
        self.blocks: list[tuple[Any, dict[str, Any]]] = []

    def add_to(self, hooks: Hooks, sources: Any) -> None:
        """Note the layers' outputs for the rows ``sources`` (B,)."""
        self.order = []
        seen: dict[str, Any] = {}
        self.blocks.append((sources, seen))

        def begin(path: str, _args: Any, _kwargs: Any) -> None:
            self.order.append(path)

        def note(path: str, _args: Any, _kwargs: Any, output: Any) -> None:
            self.order.append(path)
            early = self._early()
            if early and early[-1] == path:
                # Only the last early layer of a stack is ever read: the others' outputs need not be kept.
                stack = path.rpartition(".")[0]
                for other in [other for other in seen if other.rpartition(".")[0] == stack]:
                    del seen[other]
                seen[path] = _copied(output)  # the next layer may go on in place with it

        for path in dict.fromkeys(self.outside):
            hooks.before(path, partial(begin, path))
        for path in self.layers:
            hooks.after(path, partial(note, path))

    def _early(self) -> list[str]:
        """The layers that had run before the first ablated part or layer."""
        early: list[str] = []
        for path in self.order:
            if path in self.ablated:
                break
            early.append(path)
        return early

    def reuse(self, rows: int) -> Reuse | None:
        """What can be reused in later passes; None where nothing can."""
        early = self._early()
        if not early or len(set(self.order)) < len(self.order):  # a layer that runs twice has two outputs
            return None
        last = {path.rpartition(".")[0]: path for path in early}
        outputs = {path: _joined([seen[path] for _, seen in self.blocks], self._sizes()) for path in last.values()}
        return Reuse({path: last[path.rpartition(".")[0]] for path in early}, outputs, rows)

    def _sizes(self) -> list[int]:
        return [len(sources) for sources, _ in self.blocks]


def _return(value: Any, *_args: Any, **_kwargs: Any) -> Any:
    return value


def _copied(value: Any) -> Any:
    """``value`` with a copy of every tensor in it."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, Mapping):
        return type(value)(**{name: _copied(one) for name, one in value.items()})
    if isinstance(value, (tuple, list)):
        return type(value)(_copied(one) for one in value)
    return value


def _of_rows(value: Any, sources: Any, rows: int) -> Any:
    """``value`` with the rows ``sources`` of every tensor that has one row for each of ``rows``."""
    import torch

    if isinstance(value, torch.Tensor):
        return value[sources.to(value.device)] if value.ndim and len(value) == rows else value.clone()
    if isinstance(value, Mapping):
        return type(value)(**{name: _of_rows(one, sources, rows) for name, one in value.items()})
    if isinstance(value, (tuple, list)):
        return type(value)(_of_rows(one, sources, rows) for one in value)
    return value


def _joined(blocks: Sequence[Any], sizes: Sequence[int]) -> Any:
    """Outputs for blocks of rows, of those sizes, as one for all rows."""
    import torch

    first = blocks[0]
    if isinstance(first, torch.Tensor):
        by_row = all(block.ndim and len(block) == size for block, size in zip(blocks, sizes, strict=True))
        return torch.cat(list(blocks)) if by_row else first
    if isinstance(first, Mapping):
        return type(first)(**{name: _joined([block[name] for block in blocks], sizes) for name in first})
    if isinstance(first, (tuple, list)):
        return type(first)(_joined(list(one), sizes) for one in zip(*blocks, strict=True))
    return first
