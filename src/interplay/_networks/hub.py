"""Find and load Hugging Face models, with errors a user can act on."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from interplay._checks import unknown
from interplay._errors import InputError, MissingExtraError

_HUB_NAME = re.compile(r"([\w.-]+/)?[\w.-]+")  # the oldest names, such as gpt2, have no owner


def require_torch() -> Any:
    """The torch module, or the pip line that installs it."""
    try:
        import torch
        import transformers  # noqa: F401 - both are needed, and both come with the extra
    except ImportError as error:
        raise MissingExtraError.of(error.name or "torch", "hf") from error
    return torch


def find_model(path: str | os.PathLike[str]) -> str:
    """``path`` as a folder that holds a model, or as the name of one on the hub.

    Raises
    ------
    InputError
        For a folder that does not exist or holds no ``config.json``.
    """
    given = os.fspath(path)
    if not given.strip():
        raise InputError("the model's path is empty: pass the folder of a saved Hugging Face model, or a hub name.")
    folder = Path(given).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"the folder {given} holds no model: it has no config.json.")
        return str(folder)
    if folder.is_file():
        raise InputError(f"{given} is a file: pass the folder of a saved Hugging Face model, the one with config.json.")
    if not _HUB_NAME.fullmatch(given) or given.startswith("."):
        raise InputError(
            f"there is no model at {given!r}: pass the folder of a saved Hugging Face model, or a hub name like "
            "'sentence-transformers/all-MiniLM-L6-v2'."
        )
    _ask_hub(given)
    return given


def _ask_hub(name: str) -> None:
    """One short question to the hub, because loading a missing model retries for most of a minute."""
    import huggingface_hub

    if isinstance(huggingface_hub.try_to_load_from_cache(name, "config.json"), str):
        return
    try:
        huggingface_hub.HfApi().model_info(name, timeout=5)
    except Exception as error:  # the client and its HTTP library have no common base class
        raise InputError(
            f"there is no model at {name!r}: it is no folder here, not in the local cache, and the hub could not "
            f"be asked or does not have it ({_one_line(error)})."
        ) from error


def known_as(model: Any) -> str:
    """What a reader calls a network: the last telling part of its folder's or hub name, else its class."""
    path = str(getattr(getattr(model, "config", None), "name_or_path", "") or "")
    telling = [part for part in Path(path).parts if part.strip("/.") and part.lower() not in ("model", "weights")]
    return telling[-1] if telling else type(model).__name__


def load_pretrained(loader: Any, path: str, **options: Any) -> Any:
    """``loader.from_pretrained(path)``, its errors in one sentence."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return loader.from_pretrained(path, **options)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot load a model from {path!r}: {_one_line(error)}") from error
    finally:
        if shown:
            logging.enable_progress_bar()


def load_placed(
    loader: Any, path: str, *, device: str | None = None, dtype: str | None = None, **options: Any
) -> tuple[Any, dict[str, Any]]:
    """The model in ``path`` on its device, in evaluation mode, and what loading it said (missing weights, ...).

    Raises
    ------
    InputError
        For a dtype or device that does not exist.
    """
    torch = require_torch()
    if dtype is not None and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise unknown("dtype", dtype, ["float32", "bfloat16", "float16"])
    chosen = getattr(torch, dtype) if dtype else "auto"
    model, said = load_pretrained(loader, path, dtype=chosen, output_loading_info=True, **options)
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return model.to(place).eval(), said
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"cannot use the device {place!r}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"


def model_identity(model: Any, tokenizer: Any) -> dict[str, Any]:
    """What makes a loaded model this one: its weights, configuration and tokenizer, each by content."""
    weights = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # Viewed as bytes, because NumPy has no bfloat16.
        weights.update(tensor.detach().cpu().contiguous().flatten().view(_bytes_of(tensor)).numpy().data)
    configuration = {key: value for key, value in model.config.to_dict().items() if not key.startswith("_")}
    configuration.pop("transformers_version", None)
    return {
        "class": type(model).__name__,
        "weights": weights.hexdigest(),
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
