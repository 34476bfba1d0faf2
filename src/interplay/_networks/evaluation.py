"""A network as it is when it is used: in evaluation mode, without gradients, and afterwards as it was."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

_lock = threading.Lock()
_inside: dict[int, tuple[int, list[Any]]] = {}  # by model: how many are inside, and which modules were in training


@contextlib.contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """The model in evaluation mode (no dropout), eagerly run and without gradients; in training mode again afterwards.

    Several threads may be inside at once: the last one to leave puts the model back.
    """
    import torch

    with _lock:
        count, training = _inside.get(id(model), (0, []))
        training = training + [module for module in model.modules() if module.training]
        _inside[id(model)] = (count + 1, training)
        _set_training(training, False)
    try:
        # inference_mode would leave unusable tensors in models that cache some in buffers
        with torch.no_grad(), _eagerly():
            yield
    finally:
        with _lock:
            count, training = _inside.pop(id(model))
            if count > 1:
                _inside[id(model)] = (count - 1, training)
            else:
                _set_training(training, True)


def _eagerly() -> contextlib.AbstractContextManager[Any]:
    """What is compiled does not see hooks put on later: it is run as it was written."""
    if "torch._dynamo" not in sys.modules:  # then nothing was compiled, and loading it takes seconds
        return contextlib.nullcontext()
    import torch

    eager: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return eager


def _set_training(modules: list[Any], mode: bool) -> None:
    for module in modules:
        module.training = mode
