"""What makes a loaded model this one, by content: the same in another process, on another machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from interplay._networks.behaviour import config_of
from interplay._networks.hub import require_torch
from interplay._networks.state import adapters, weights_of, worn

_BLOCK = 32  # words of 8 bytes that are added up where a model is looked at again: a third of the time of hashing them
_PART = 2048  # blocks at a time, so that what is computed on the way stays small
_ODD = 0x2545F4914F6CDD1D  # multiplying by an odd number loses nothing of a word

_hashed: WeakKeyDictionary[Any, tuple[object, str]] = WeakKeyDictionary()
"""By model, what its weights looked like when they were hashed, and the hash."""

_tokenizers: dict[bytes, str] = {}
"""By hash of a tokenizer as it writes itself, what identifies it: sorting a vocabulary takes a third of a second."""


def model_identity(model: Any, tokenizer: Any) -> dict[str, Any] | None:
    """A model's weights, adapters, configuration and tokenizer, each by content.

    None where content cannot tell: of modules without a configuration, of weights that are not in memory or no plain
    numbers (quantised, sparse), and of models that wear hooks or another forward method, as what those do is not known.
    """
    config, tensors = config_of(model), model.state_dict()
    if not hasattr(config, "to_dict") or not all(map(_is_plain, tensors.values())):
        return None
    dispatched = {path for path, module in model.named_modules() if hasattr(module, "_hf_hook")}  # by accelerate
    if any(path not in dispatched for path, _, _ in worn(model)):
        return None
    configuration = {key: value for key, value in config.to_dict().items() if not key.startswith("_")}
    configuration.pop("transformers_version", None)
    return {
        "class": type(model).__name__,
        "weights": _weights_identity(model, tensors),
        "adapters": list(adapters(model)),
        "configuration": json.loads(json.dumps(configuration, sort_keys=True, default=str)),
        "tokenizer": _tokenizer_identity(tokenizer),
    }


def _weights_identity(model: Any, tensors: Mapping[str, Any]) -> str:
    """The hash of all weights; of a model seen before, anew only where they do not look the same.

    Counters of writes do not tell all: what is written through ``tensor.data`` is not counted.
    """
    look = (weights_of(model), _look(tensors))
    known = _hashed.get(model)
    if known is None or known[0] != look:
        known = _hashed[model] = (look, _hash(tensors))
    return known[1]


def _hash(tensors: Mapping[str, Any]) -> str:
    weights = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        weights.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        weights.update(_bytes(tensor).cpu().numpy().data)
    return weights.hexdigest()


def _look(tensors: Mapping[str, Any]) -> str:
    """A hash of the sums of all blocks of weights, added up where they lie, as whole numbers: no change is too small.

    Every place in a block weighs otherwise, so that weights cannot change places unseen, and words are mixed before
    they are added, so that changes of many signs, the highest bits, do not cancel.
    """
    torch = require_torch()
    sums = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        content = _bytes(tensor)
        if content.storage_offset() % 8:  # words of 8 bytes start at multiples of 8
            content = content.clone()
        whole = len(content) // (8 * _BLOCK) * (8 * _BLOCK)
        sums.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        weight = (2 * torch.arange(_BLOCK, device=content.device) + 1) * _ODD
        for part in content[:whole].view(torch.int64).view(-1, _BLOCK).split(_PART):
            mixed = part * weight  # modulo 2^64
            mixed ^= mixed >> 31
            sums.update(mixed.sum(dim=1).cpu().numpy().data)
        sums.update(content[whole:].cpu().numpy().data)
    return sums.hexdigest()


def _is_plain(given: Any) -> bool:
    """Whether it is a tensor that lies in memory as its numbers, one after the other."""
    torch = require_torch()
    if not isinstance(given, torch.Tensor) or given.is_meta or given.is_quantized or given.layout != torch.strided:
        return False
    return not (given.is_conj() or given.is_neg())


def _bytes(tensor: Any) -> Any:
    """A tensor's content where it lies, as bytes, because NumPy has no bfloat16."""
    torch = require_torch()
    flat = tensor.detach().contiguous().flatten()
    return flat.view(torch.uint8) if flat.numel() else flat.new_empty(0, dtype=torch.uint8)


def _tokenizer_identity(tokenizer: Any) -> str:
    if tokenizer is None:
        return "none"
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return _hash_of({"class": type(tokenizer).__name__, "vocabulary": sorted(tokenizer.get_vocab().items())})
    written = backend.to_str()
    key = hashlib.sha256(written.encode()).digest()
    if key not in _tokenizers:
        parts = json.loads(written)
        parts.pop("padding", None)  # left over from the last call, not part of what the tokenizer is
        parts.pop("truncation", None)
        _tokenizers[key] = _hash_of(parts)
    return _tokenizers[key]


def _hash_of(parts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
