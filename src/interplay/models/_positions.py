"""Position encodings that depend on how long a text is, and not on where in it a token stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def turning_length(model: Any) -> int | None:
    """The number of tokens beyond which a model turns all its positions to another scale; None where it never does.

    LongRoPE (Phi-3 and 4; Ding et al., ICML 2024) has two sets of rotations, one for texts up to the length of the
    first training and one for longer ones. transformers chooses by the longest row of a batch, padding included, so
    that a short row beside a long one would be read as no model reads it alone.
    """
    config = model.config.get_text_config()
    lengths = [
        found.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None)
        for name in ("rope_parameters", "rope_scaling")  # the latter in transformers before 5
        for found in _mappings(getattr(config, name, None))
        if found.get("rope_type", found.get("type")) in ("longrope", "su")
    ]
    return min((int(length) for length in lengths if length), default=None)


def _mappings(given: Any) -> Iterator[Mapping[str, Any]]:
    """A mapping and those in it: some models have one for each kind of attention."""
    if isinstance(given, Mapping):
        yield given
        for value in given.values():
            yield from _mappings(value)
