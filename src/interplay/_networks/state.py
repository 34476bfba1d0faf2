"""Whether a network is still the one that something was computed with."""

from __future__ import annotations

from typing import Any, TypeAlias

State: TypeAlias = tuple[object, ...]

_ADAPTER = ("_active_adapter", "_disable_adapters", "merged_adapters", "scaling")
"""What PEFT's modules hold beside their weights: which adapters are on, and how strongly."""


_WATCHES = "transformers.utils.output_capturing"  # hooks that change nothing, and stay once they were asked for


def state_of(model: Any) -> State:
    """What to compare in order to know that a model has changed: weights written to or exchanged, hooks, adapters.

    It costs no forward pass. What it cannot see is what a hook or a module keeps to itself.
    """
    return (weights_of(model), worn(model), adapters(model))


def weights_of(model: Any) -> State:
    """Which tensors a model computes with, and how often each was written to: a training step changes it."""
    # Tensors made in inference mode count no writes.
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return tuple((name, id(one), -1 if one.is_inference() else one._version) for name, one in tensors)


def worn(model: Any) -> tuple[tuple[str, tuple[int, ...], int], ...]:
    """By path of a module, the hooks on it and what replaces its forward method."""
    found = []
    for path, module in model.named_modules():
        both = [*module._forward_pre_hooks.items(), *module._forward_hooks.items()]
        hooks = [number for number, hook in both if getattr(hook, "__module__", None) != _WATCHES]
        instead = vars(module).get("forward")
        if hooks or instead is not None:
            found.append((path, tuple(hooks), id(instead)))
    return tuple(found)


def adapters(model: Any) -> tuple[str, ...]:
    """Which adapters (PEFT) are on, in words that are the same in another process."""
    return tuple(
        f"{path}.{name}={vars(module)[name]!r}"
        for path, module in model.named_modules()
        for name in _ADAPTER
        if name in vars(module)
    )
