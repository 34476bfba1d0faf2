"""A GGUF file is parsed once, and its names are mapped once, however many parts of a model are read from it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any


@contextlib.contextmanager
def parsed_once() -> Iterator[None]:
    """While it lasts, transformers' readers of a GGUF file share one parsed file and one table of names.

    transformers parses the whole file, its vocabulary of some ten thousand tokens included, for the configuration, the
    tokenizer and the weights anew, and makes the same table of names for each module of the network: more than half of
    the time that reading a small model takes.
    """
    try:
        import gguf
    except ImportError:  # whoever reads the file says so
        yield
        return
    library: dict[str, Any] = vars(gguf)
    kept: dict[str, Any] = {name: library[name] for name in ("GGUFReader", "get_tensor_name_map") if name in library}
    library.update({name: lru_cache(maxsize=4)(plain) for name, plain in kept.items()})
    try:
        yield
    finally:
        library.update(kept)
