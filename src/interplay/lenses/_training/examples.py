"""Training examples as features: so many, by name, or in groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game.tree import Part, in_blocks

Indices: TypeAlias = npt.NDArray[np.intp]
"""Positions of training examples, ascending."""
Given: TypeAlias = int | Sequence[str] | Sequence[Sequence[int]] | Mapping[str, Sequence[int]]


@dataclass(frozen=True, eq=False)
class Examples:
    """Features by label, and the ``groups`` of training examples behind each."""

    labels: tuple[str, ...]
    groups: tuple[Indices, ...] = field(repr=False)

    @classmethod
    def of(cls, given: Given) -> Examples:
        """A number of examples, names, or groups of indices.

        Raises
        ------
        InputError
            For no examples, and for groups that are empty, overlap or hold no positions.
        """
        return cls(*_features(given))

    @property
    def one_by_one(self) -> Examples:
        """The same examples each by itself, group by group."""
        every = [i for group in self.groups for i in group.tolist()]
        named = len(every) == len(self.labels)
        labels = self.labels if named else tuple(f"example {i}" for i in every)
        return Examples(labels, tuple(np.array([[i] for i in every], dtype=np.intp)))

    def parts(self, names: Sequence[str]) -> tuple[Part, ...]:
        """The groups as parts of the examples one by one, whose ``names`` are given group by group."""
        found, at = [], 0
        for label, group in zip(self.labels, self.groups, strict=True):
            leaves = [Part(names[at + k], "example", at + k, at + k + 1) for k in range(len(group))]
            inner = in_blocks(leaves)
            found.append(Part(label, "group", at, at + len(group), inner) if len(group) > 1 else leaves[0])
            at += len(group)
        return tuple(found)


def _features(examples: Given) -> tuple[tuple[str, ...], tuple[Indices, ...]]:
    """Labels, and the examples behind each."""
    if isinstance(examples, str):
        raise InputError(f"examples must be a number, names, or groups of indices, not the text {examples!r}.")
    if isinstance(examples, (int, np.integer)) and not isinstance(examples, bool):
        if examples < 1:
            raise InputError(f"there must be at least one example to ablate, not {examples}.")
        return tuple(f"example {i}" for i in range(int(examples))), _singles(int(examples))
    if isinstance(examples, Mapping):
        labels, groups = tuple(str(label) for label in examples), list(examples.values())
    else:
        try:
            items: list[Any] = list(examples)  # type: ignore[arg-type]
        except TypeError:
            raise InputError(f"examples must be a number, names, or groups of indices, not {examples!r}.") from None
        if items and all(isinstance(item, str) for item in items):
            return tuple(items), _singles(len(items))
        labels, groups = tuple(f"group {i}" for i in range(len(items))), items
    if not groups:
        raise InputError("there must be at least one example to ablate, but there are none.")
    checked = tuple(check_indices(group, label) for label, group in zip(labels, groups, strict=True))
    for label, group in zip(labels, checked, strict=True):
        if not len(group):
            raise InputError(f"the group {label!r} is empty: leave it out.")
    position, count = Counter(i for group in checked for i in group.tolist()).most_common(1)[0]
    if count > 1:
        raise InputError(f"example {position} is in {count} groups: groups must not overlap.")
    return labels, checked


def _singles(count: int) -> tuple[Indices, ...]:
    return tuple(np.arange(count).reshape(-1, 1))


def check_indices(given: Sequence[int], what: str) -> Indices:
    """Positions of examples, ascending and once each."""
    array = np.atleast_1d(np.asarray(given))
    if not array.size:
        return np.empty(0, dtype=np.intp)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array < 0).any():
        raise InputError(f"{what!r} must be a list of positions of examples from 0, not {given!r}.")
    return np.unique(array).astype(np.intp)
