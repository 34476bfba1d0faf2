"""Which beginnings of rows are computed once: what that saves, and that nothing is lost or read twice."""

from __future__ import annotations

import numpy as np
import pytest

from interplay._networks.continuation import Ask
from interplay.models._causal.rows import Row, groups_of, rows_of

PARTS, LONG = 16, 120  # parts of a prompt, and tokens of each


def without_one_each() -> list[Row]:
    """Rows of a prompt of 16 parts, each row without another one, and a question after them."""
    parts = [tuple(range(LONG * i, LONG * (i + 1))) for i in range(PARTS)]
    asks = []
    for gone in range(PARTS):
        ids = (7, *(token for i, part in enumerate(parts) if i != gone for token in part), 9, 8)
        asks.append(Ask(ids, len(ids) - 1))
    return rows_of(asks)


def computed(rows: list[Row], enough: int | None) -> int:
    """Tokens that a model reads: what is left of each row, and of each prefix what the one before did not have."""
    total, held = 0, ()
    for length, group in groups_of(rows, 128, enough):
        prefix = group[0].ids[:length]
        assert all(row.ids[:length] == prefix for row in group)
        assert all(length <= row.first for row in group)
        common = next((i for i, (a, b) in enumerate(zip(held, prefix, strict=False)) if a != b), None)
        known = min(len(held), len(prefix)) if common is None else common
        total += len(prefix) - known + sum(len(row.ids) - length for row in group)
        held = prefix if length else held
    return total


def test_rows_without_one_part_each_read_what_stands_before_it_once() -> None:
    rows = without_one_each()
    plain = sum(len(row.ids) for row in rows)
    assert computed(rows, 256) < 0.9 * computed(rows, None) < 0.9 * 0.75 * plain
    assert computed(rows, 10**6) == computed(rows, None)


@pytest.mark.parametrize("enough", [None, 1, 256])
def test_every_row_is_in_one_group(enough: int | None) -> None:
    rng = np.random.default_rng(0)
    parts = [tuple(rng.integers(0, 50, 40).tolist()) for _ in range(8)]
    masks = np.unique(rng.random((60, 8)) < 0.5, axis=0)
    asks = []
    for mask in masks:
        ids = (7, *(token for part, kept in zip(parts, mask, strict=True) if kept for token in part), 51, 52)
        asks.append(Ask(ids, len(ids) - 1))
    rows = rows_of(asks)
    grouped = [row for _, group in groups_of(rows, 16, enough) for row in group]
    assert sorted(map(id, grouped)) == sorted(map(id, rows))
    assert computed(rows, enough) <= sum(len(row.ids) for row in rows)
