"""Which set of features somebody asks for: by ids, or by labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._spectrum.characters import Features


class NotThereError(InputError, KeyError):
    """A set whose value is not known, asked of a mapping."""


def asked_set(asked: object, labels: Sequence[str], numbered: Callable[[], Sequence[str]]) -> Features:
    """The ascending ids of the set that ``asked`` names: an id, a label, or a tuple of either.

    ``numbered`` makes the labels as they are shown, repeated ones told apart ("the#2").

    Raises
    ------
    InputError
        For an id or label that there is not, and for a label that several features have.
    """
    members = asked if isinstance(asked, (tuple, list, frozenset, set)) else (asked,)
    found = sorted(_id_of(member, labels, numbered) for member in members)
    if len(set(found)) < len(found):
        raise InputError(f"{asked!r} names a feature twice: name each once.")
    return tuple(found)


def _id_of(member: object, labels: Sequence[str], numbered: Callable[[], Sequence[str]]) -> int:
    if isinstance(member, str):
        alike = [i for i, label in enumerate(labels) if label == member]
        if len(alike) > 1:
            shown = ", ".join(repr(numbered()[i]) for i in alike[:3])
            raise InputError(f"{len(alike)} features are called {member!r}: ask for {shown}, ... or by their ids.")
        if not alike and member in (shown_as := list(numbered())):
            alike = [shown_as.index(member)]
        if not alike:
            raise unknown("label", member, labels if len(labels) <= 20 else _near(member, labels))
        return alike[0]
    if isinstance(member, bool) or not isinstance(member, (int, np.integer)):
        raise InputError(f"ask for a set by ids or labels, such as (0, 1) or {tuple(labels[:2])!r}, not by {member!r}.")
    if not 0 <= member < len(labels):
        raise InputError(f"there is no feature {member}: there are {len(labels)}, counted from 0.")
    return int(member)


def _near(member: str, labels: Sequence[str]) -> list[str]:
    """The labels to offer where there are many: those that begin alike, else the first."""
    alike = [label for label in labels if label[:2].lower() == member[:2].lower()]
    return list(dict.fromkeys([*alike, *labels]))[:20]
