"""The key-value cache of a prefix that many rows share, computed once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from interplay._networks.head import only


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with in common."""
    shortest = min(len(one), len(other))
    if one[:shortest] == other[:shortest]:
        return shortest
    low, high = 0, shortest  # common up to low, not up to high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle)
    return low


class Prefix:
    """The prefix computed last, and copies of its cache for any number of rows, for as long as a call lasts.

    A prefix that the cached one begins with is cut from it; of another one only what they do not share is computed.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.ids: tuple[int, ...] = ()
        self._cache: Any = None

    def cover(self, ids: tuple[int, ...]) -> None:
        """Have the cache begin with ``ids``, computing no more of them than is missing."""
        import torch
        from transformers import DynamicCache

        held = shared_length(self.ids, ids)
        if held == len(ids):
            return
        # Without the configuration, so that layers with a sliding window keep every token, too: what is kept
        # for one row may not be what another needs, and the attention mask, not the cache, makes the window.
        cache = self._cut(held) if held else DynamicCache()
        rest = torch.tensor([ids[held:]], device=self.model.device)
        self.ids, self._cache = (), None  # freed first, and not kept where the pass fails
        with only(self.model, [0], [rest.shape[1] - 1], rest.shape[1]):
            self._cache = self.model(input_ids=rest, past_key_values=cache, use_cache=True).past_key_values
        self.ids = tuple(ids)

    def rows(self, length: int, count: int) -> Any:
        """A cache of the first ``length`` tokens for ``count`` rows, which a forward pass may change."""
        cache = self._cut(length)
        cache.batch_repeat_interleave(count)
        return cache

    def row_bytes(self, length: int) -> int:
        """The memory of one row's cache of ``length`` tokens."""
        held = sum(tensor.numel() * tensor.element_size() for pair in self._layers() for tensor in pair)
        return int(held) * length // max(1, len(self.ids))

    def _layers(self) -> list[tuple[Any, Any]]:
        layers = getattr(self._cache, "layers", None)
        if layers is None:  # transformers before 4.54
            return list(zip(self._cache.key_cache, self._cache.value_cache, strict=True))
        return [(layer.keys, layer.values) for layer in layers]

    def _cut(self, length: int) -> Any:
        cache = copy.deepcopy(self._cache)
        if length < len(self.ids):
            cache.crop(length - len(self.ids))  # negative: so many tokens less
        return cache
