"""Find and load Hugging Face models, with errors a user can act on."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from interplay._checks import unknown
from interplay._errors import InputError, MissingExtraError
from interplay._networks.gguf_file import parsed_once

_HUB_NAME = re.compile(r"([\w.-]+/)?[\w.-]+")  # the oldest names, such as gpt2, have no owner
_BITS = {"8bit": "load_in_8bit", "4bit": "load_in_4bit"}


def require_torch() -> Any:
    """The torch module, or the pip line that installs it."""
    try:
        import torch
        import transformers  # noqa: F401 - both are needed, and both come with the extra
    except ImportError as error:
        raise MissingExtraError.of(error.name or "torch", "hf") from error
    return torch


@dataclass(frozen=True)
class Source:
    """Where a model lies: a folder, a GGUF file in one, or a name on the hub.

    Parameters
    ----------
    path
        The folder, or the hub name.
    gguf
        The name of the GGUF file (llama.cpp's) in the folder; None for Hugging Face's own files.
    trusted
        Whether Python files that come with the model may be run.
    """

    path: str
    gguf: str | None = None
    trusted: bool = False

    @classmethod
    def find(cls, path: str | os.PathLike[str], *, trust_remote_code: bool = False) -> Source:
        """The model at ``path``.

        Raises
        ------
        InputError
            For a folder that does not exist, or holds neither a ``config.json`` nor one GGUF file.
        MissingExtraError
            Without torch and transformers.
        """
        require_torch()
        given = os.fspath(path)
        if not given.strip():
            raise InputError("the model's path is empty: pass the folder of a saved Hugging Face model, or a hub name.")
        place = _place(given)
        if place is not None and place.is_dir():
            if (place / "config.json").is_file():
                return cls(str(place), trusted=trust_remote_code)
            found = sorted(file.name for file in place.glob("*.gguf"))
            if len(found) == 1:
                return cls(str(place), found[0], trust_remote_code)
            raise InputError(
                f"the folder {given} holds no model: it has no config.json"
                + (f" and {len(found)} GGUF files; pass the path of one of them." if found else ".")
            )
        if place is not None and place.is_file():
            if place.suffix.lower() == ".gguf":
                return cls(str(place.parent), place.name, trust_remote_code)
            raise InputError(
                f"{given} is a file: pass a GGUF file, or the folder of a saved Hugging Face model, the one with "
                "config.json."
            )
        if not _HUB_NAME.fullmatch(given) or given.startswith("."):
            raise InputError(
                f"there is no model at {given!r}: pass the folder of a saved Hugging Face model, or a hub name like "
                "'sentence-transformers/all-MiniLM-L6-v2'."
            )
        _ask_hub(given)
        return cls(given, trusted=trust_remote_code)

    def opened(self) -> contextlib.AbstractContextManager[None]:
        """While it lasts, what is read of a GGUF file is read once."""
        return contextlib.nullcontext() if self.gguf is None else parsed_once()

    def config(self) -> Any:
        """The model's configuration."""
        import transformers

        return self._load(transformers.AutoConfig)

    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        import transformers

        return self._load(transformers.AutoTokenizer)

    def file(self, name: str) -> Path | None:
        """A file that lies beside the model; None where there is none."""
        from transformers.utils.hub import cached_file

        quiet = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
        found = cached_file(self.path, name, **quiet, _raise_exceptions_for_gated_repo=False)
        return None if found is None else Path(found)

    def model(
        self,
        loader: Any,
        *,
        config: Any = None,
        device: str | None = None,
        dtype: str | None = None,
        device_map: Any = None,
        quantization: Any = None,
        spare: str | None = None,
    ) -> Any:
        """The model, made by ``loader``, on its device and in evaluation mode.

        Parameters
        ----------
        config
            Its configuration, where it has been read.
        device, dtype, device_map, quantization
            See `interplay.models.CausalLM.load`.
        spare
            The part whose weights may be missing, as nothing that is measured uses it.

        Raises
        ------
        InputError
            For a dtype or device that does not exist, or weights that lack some of the model's.
        MissingExtraError
            Where device_map or quantization need a package that is not installed.
        """
        torch = require_torch()
        if dtype is not None and not isinstance(getattr(torch, str(dtype), None), torch.dtype):
            raise unknown("dtype", dtype, ["float32", "bfloat16", "float16"])
        if device is not None and device_map is not None:
            raise InputError(f"device={device!r} and device_map={device_map!r} exclude each other: give one of them.")
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        options: dict[str, Any] = {"dtype": getattr(torch, dtype) if dtype else "auto"}
        if config is not None:
            options["config"] = config
        if quantization is not None:
            options["quantization_config"] = _quantized(quantization)
            device_map = {"": place} if device_map is None else device_map
        if device_map is not None:
            _need("accelerate", "device_map")
            options["device_map"] = device_map
        model, said = self._load(loader, output_loading_info=True, **options)
        missing = [key for key in said["missing_keys"] if spare is None or spare not in key]
        if missing:  # they were drawn at random
            raise InputError(
                f"the weights in {self.path!r} lack {len(missing)} of the model's, such as {min(missing)}: it was "
                "saved without its head, or in part."
            )
        if self.gguf is not None:
            model = _plain(model)
            model.config.name_or_path = str(Path(self.path, Path(self.gguf).stem))  # what a reader knows it by
        if device_map is not None:
            return model.eval()
        try:
            return model.to(place).eval()
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"cannot use the device {place!r}: {_one_line(error)}") from error

    def _load(self, loader: Any, **options: Any) -> Any:
        """``loader.from_pretrained``, its errors in one sentence."""
        from transformers.utils import logging

        if self.gguf is not None:
            _need("gguf", "a GGUF file")
            _need("accelerate", "a GGUF file")
            options["gguf_file"] = self.gguf
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            with _unseen_bar() if self.gguf is not None else contextlib.nullcontext():
                # Left out, transformers would ask on the terminal whether to run a model's own Python files.
                return loader.from_pretrained(self.path, trust_remote_code=self.trusted, **options)
        except Exception as error:  # readers of damaged files raise whatever they meet
            raise InputError(f"cannot load a model from {self.path!r}: {_one_line(error)}") from error
        finally:
            if shown:
                logging.enable_progress_bar()


@contextlib.contextmanager
def _unseen_bar() -> Iterator[None]:
    """No progress bar over a GGUF file's tensors, which transformers' own switch does not turn off."""
    from transformers import modeling_gguf_pytorch_utils as reading

    names: dict[str, Any] = vars(reading)
    bar = names.get("tqdm")
    if bar is not None:
        names["tqdm"] = partial(bar, disable=True)
    try:
        yield
    finally:
        if bar is not None:
            names["tqdm"] = bar


def _place(given: str) -> Path | None:
    """A file or folder that is there; None where there is none, or no path can be so called."""
    try:
        place = Path(given).expanduser()
        return place if place.exists() else None
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, or no such home
        return None


def _ask_hub(name: str) -> None:
    """One short question to the hub, because loading a missing model retries for most of a minute."""
    import huggingface_hub

    try:
        if isinstance(huggingface_hub.try_to_load_from_cache(name, "config.json"), str):
            return
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


def _plain(model: Any) -> Any:
    """A model read from a GGUF file, whose weights are plain by now, without the mark that they were quantized."""
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    made = type(model)(config).to(model.dtype)
    made.load_state_dict(model.state_dict(), assign=True)
    made.tie_weights()
    made.generation_config = model.generation_config
    return made


def _quantized(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    if given not in _BITS:
        raise unknown("quantization", given, _BITS)
    _need("bitsandbytes", f"quantization={given!r}")
    import transformers

    return transformers.BitsAndBytesConfig(**{_BITS[given]: True})


def _need(package: str, what: str) -> None:
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(f"{what} needs {package}, which is not installed: pip install {package}")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"
