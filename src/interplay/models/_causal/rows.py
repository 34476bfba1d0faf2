"""Which rows of tokens a language model must read to answer all asks, and which of their beginnings only once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from interplay._networks.behaviour import config_of
from interplay._networks.continuation import Ask
from interplay.models._causal.prefix import shared_length

_SHARE = 0.4  # of a group's tokens that it must save: less is lost again, to smaller batches (measured, 20 to 40%)
_LONG_SHARE = 0.1  # where what is left of every row fills a pass by itself, so that smaller batches lose nothing


@dataclass(eq=False)
class Row:
    """Tokens to read, and at which positions the log-probability of which token is wanted, for which ask."""

    ids: tuple[int, ...]
    source: tuple[int, ...] | None
    wanted: list[tuple[int, int, int]] = field(default_factory=list)  # (ask, position, token)

    @property
    def first(self) -> int:
        """The first position that is asked about."""
        return min(position for _, position, _ in self.wanted)

    @property
    def length(self) -> int:
        """How many tokens the model reads, its encoder included."""
        return len(self.ids) + len(self.source or ())


def rows_of(asks: list[Ask], turning: int | None = None) -> list[Row]:
    """The rows to compute for distinct asks: one for several where it begins with what they read.

    Not so across ``turning``, where longer rows are read otherwise.
    """
    order = sorted(range(len(asks)), key=lambda ask: (asks[ask].source or (), asks[ask].ids[:-1]), reverse=True)
    rows: list[Row] = []
    for number in order:
        ask = asks[number]
        reads = ask.ids[:-1]
        beyond = turning is not None and bool(rows) and len(reads) <= turning < len(rows[-1].ids)
        if not rows or beyond or rows[-1].source != ask.source or rows[-1].ids[: len(reads)] != reads:
            rows.append(Row(reads, ask.source))
        rows[-1].wanted += [(number, place - 1, ask.ids[place]) for place in range(ask.start, len(ask.ids))]
    return rows


def groups_of(rows: list[Row], worth: int | None, enough: int | None = None) -> Iterator[tuple[int, list[Row]]]:
    """The tree of shared prefixes: groups of rows and how many first tokens are worth computing once for each.

    They come depth first, so that the cache of one group's prefix begins that of the next. A prefix is worth it where
    it saves ``worth`` tokens beyond the prefix already computed, and a good part of all: less will do where at least
    ``enough`` tokens are left of each row, which a pass of its own computes as fast as a batch. With a ``worth`` of
    None, nothing is shared.
    """
    if worth is None or not rows:
        yield 0, rows
        return
    todo = [(0, sorted(rows, key=lambda row: row.ids))]
    while todo:
        held, group = todo.pop()
        length = _shared(group)
        held = length if _pays(group, held, worth, enough) else held
        alone: list[Row] = []
        parts = _split(group)
        while parts:
            part = parts.pop()
            if len(part) == 1:
                alone += part
            elif _pays(part, held, worth, enough):
                todo.append((held, part))
            else:
                parts += _split(part)
        if alone:
            yield held, alone


def _shared(group: list[Row]) -> int:
    """How many first tokens sorted rows share, before the first place where anything is asked of any."""
    return min(shared_length(group[0].ids, group[-1].ids), *(row.first for row in group))


def _pays(group: list[Row], held: int, worth: int, enough: int | None) -> bool:
    """Whether computing once what sorted rows share, beyond the first ``held`` tokens, is worth a pass of its own."""
    shared = _shared(group)
    saved = (len(group) - 1) * (shared - held)
    long = enough is not None and all(row.length - shared >= enough for row in group)
    return saved >= worth and saved >= (_LONG_SHARE if long else _SHARE) * sum(row.length - held for row in group)


def _split(group: list[Row]) -> list[list[Row]]:
    """Sorted rows, in the smallest number of parts that each share more than all do."""
    length = shared_length(group[0].ids, group[-1].ids)
    parts = [[group[0]]]
    for before, row in pairwise(group):
        if shared_length(before.ids, row.ids) > length:
            parts[-1].append(row)
        else:
            parts.append([row])
    return parts


def turning_length(model: Any) -> int | None:
    """The number of tokens beyond which a model turns all its positions to another scale; None where it never does.

    LongRoPE (Phi-3 and 4; Ding et al., ICML 2024) has two sets of rotations, one for texts up to the length of the
    first training and one for longer ones. transformers chooses by the longest row of a batch, padding included, so
    that a short row beside a long one would be read as no model reads it alone.
    """
    config = config_of(model).get_text_config()
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
