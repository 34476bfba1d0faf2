"""What makes a loaded model this one, by content: the same in another process, on another machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from interplay._networks.behaviour import config_of
from interplay._networks.hub import require_torch
from interplay._networks.state import adapters, worn


def model_identity(model: Any, tokenizer: Any) -> dict[str, Any] | None:
    """A model's weights, adapters, configuration and tokenizer, each by content.

    None where content cannot tell: of modules without a configuration, of weights that are not in memory, and of
    models that wear hooks or another forward method, as what those do is not known.
    """
    config = config_of(model)
    if not hasattr(config, "to_dict") or any(tensor.is_meta for tensor in model.state_dict().values()):
        return None
    dispatched = {path for path, module in model.named_modules() if hasattr(module, "_hf_hook")}  # by accelerate
    if any(path not in dispatched for path, _, _ in worn(model)):
        return None
    weights = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # Viewed as bytes, because NumPy has no bfloat16.
        weights.update(tensor.detach().cpu().contiguous().flatten().view(_bytes_of(tensor)).numpy().data)
    configuration = {key: value for key, value in config.to_dict().items() if not key.startswith("_")}
    configuration.pop("transformers_version", None)
    return {
        "class": type(model).__name__,
        "weights": weights.hexdigest(),
        "adapters": list(adapters(model)),
        "configuration": json.loads(json.dumps(configuration, sort_keys=True, default=str)),
        "tokenizer": _tokenizer_identity(tokenizer),
    }


def _bytes_of(tensor: Any) -> Any:
    torch = require_torch()
    return torch.uint8 if tensor.numel() else tensor.dtype


def _tokenizer_identity(tokenizer: Any) -> str:
    if tokenizer is None:
        return "none"
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        parts = json.loads(backend.to_str())
        parts.pop("padding", None)  # left over from the last call, not part of what the tokenizer is
        parts.pop("truncation", None)
    else:
        parts = {"class": type(tokenizer).__name__, "vocabulary": sorted(tokenizer.get_vocab().items())}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
