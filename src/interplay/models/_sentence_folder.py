"""What a sentence-transformers folder says beside its model: how token vectors become one, and how much is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from interplay._errors import InputError
from interplay._networks.hub import Source

_FLAGS = {  # in the order in which their vectors are put one behind the other
    "cls_token": "cls",
    "max_tokens": "max",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt",
    "weightedmean_tokens": "weighted",
    "lasttoken": "last",
}
_POOLINGS = _FLAGS | {"cls": "cls", "max": "max", "mean": "mean", "weightedmean": "weighted"}  # version 6's names
_TRANSFORMERS = ("sentence_bert", "sentence_roberta", "sentence_distilbert", "sentence_camembert", "sentence_xlnet")


@dataclass(frozen=True)
class Stated:
    """What is done to a text and to its tokens' vectors; see `interplay.models.Encoder`."""

    pooling: str = "mean"
    max_length: int | None = None
    lowercase: bool = False
    prefix: str = ""


def stated(source: Source) -> Stated:
    """What the folder states; the mean of all tokens where it is none of sentence-transformers'.

    Raises
    ------
    InputError
        For steps that are not those of an `interplay.models.Encoder`.
    """
    modules = _read(source, "modules.json") or [{"type": "Pooling", "path": "1_Pooling"}]
    pooling = "mean"
    prefix = _prefix(source)
    for position, module in enumerate(modules):
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind == "Pooling":
            pooling = _pooling(source, f"{module.get('path')}/config.json", prefix)
        elif kind != "Normalize" and not (kind == "Transformer" and position == 0 and not module.get("path")):
            raise InputError(
                f"the model in {source.path!r} goes through {kind} ({module.get('path')!r}), which an Encoder has not: "
                "score texts by a function of your own that calls SentenceTransformer(...).encode."
            )
    limits: dict[str, Any] = next(
        (found for name in _TRANSFORMERS if (found := _read(source, f"{name}_config.json"))), {}
    )
    longest = limits.get("max_seq_length")
    return Stated(pooling, longest if isinstance(longest, int) else None, bool(limits.get("do_lower_case")), prefix)


def _pooling(source: Source, file: str, prefix: str) -> str:
    said: dict[str, Any] = _read(source, file) or {}
    if prefix and said.get("include_prompt") is False:
        raise InputError(
            f"the model in {source.path!r} leaves its prompt {prefix!r} out of the pooling, which an Encoder does not: "
            "score texts by a function of your own that calls SentenceTransformer(...).encode."
        )
    given = said.get("pooling_mode") or [name for name in _FLAGS if said.get(f"pooling_mode_{name}")]
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        if name not in _POOLINGS:
            raise InputError(f"the model in {source.path!r} pools by {name!r}, which an Encoder does not.")
    return "+".join(_POOLINGS[name] for name in names) or "mean"


def _prefix(source: Source) -> str:
    """The prompt that goes before every text if none is asked for."""
    said: dict[str, Any] = _read(source, "config_sentence_transformers.json") or {}
    return str((said.get("prompts") or {}).get(said.get("default_prompt_name")) or "")


def _read(source: Source, name: str) -> Any:
    file = source.file(name)
    if file is None:
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read ({type(error).__name__}): repair it, or load another model."
        ) from error
