"""What stands in for an absent unit of a text: one string, nothing, or one after another of several alternatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._game.partial import Partial
from interplay._units import Span
from interplay.models import Infill, Scorer

StandIn: TypeAlias = str | Sequence[str]
"""One string, or alternatives over which the score is averaged."""
Ablate: TypeAlias = StandIn | Mapping[str, StandIn] | Callable[[str], StandIn] | Infill
"""What an ablated unit becomes: the same for all, for each by its text or a function of it, or by what surrounds it."""

MEND, ATTENTION = "mend", "attention"
_CLOSES = tuple(".,;:!?)]}’”…")
_UNKNOWN = "[UNK]"


def suiting(scorer: Scorer) -> str:
    """What suits a model that was told nothing: its unknown token, else nothing at all.

    A tokenizer that does not know "[UNK]" would read it as three or four tokens of plain text.
    """
    return _UNKNOWN if scorer.special_tokens is None or _UNKNOWN in scorer.special_tokens else MEND


def replacements_for(
    scorer: Scorer, ablate: Ablate, units: tuple[str, ...], places: Sequence[tuple[str, Sequence[Span]]]
) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """What each unit becomes when it is ablated, in each of the worlds to average over; and notes for a reader.

    Units take their alternatives side by side: the first of each is one world, the second another, and those with
    fewer begin again. ``places`` says where they stand: texts, and the ranges of units in each.
    """
    if ablate == ATTENTION and not scorer.hides:
        raise InputError(
            "ablate='attention' hides words from a language model's attention, which this scorer cannot do: it takes "
            "one of ip.models.CausalLM (a decoder), and is for ip.lenses.text."
        )
    if ablate in ("delete", MEND, ATTENTION):
        return (("",) * len(units),), ()
    if ablate == "mask":
        if scorer.mask_token is None:
            raise InputError("this scorer has no mask token: choose ablate='delete' or a string such as '[UNK]'.")
        return ((scorer.mask_token,) * len(units),), ()
    if isinstance(ablate, Infill):
        given = tuple(filled for text, spans in places for filled in ablate(text, spans))
        if len(given) != len(units):
            raise InputError(
                f"the infill gave {len(given)} fillings for {len(units)} units: it must give one for each."
            )
    else:
        given = _given(ablate, units)
    sets = [_alternatives(one, unit) for one, unit in zip(given, units, strict=True)]
    most = max(map(len, sets))
    worlds = tuple(tuple(one[world % len(one)] for one in sets) for world in range(most))
    if scorer.special_tokens is None:
        return worlds, ()
    known = ", ".join(sorted(scorer.special_tokens))
    return worlds, tuple(
        f"{text!r} is not a special token of this tokenizer ({known}): it is read as plain text"
        for text in dict.fromkeys(text for one in sets for text in one)
        if text.startswith(("[", "<")) and text.endswith(("]", ">")) and text not in scorer.special_tokens
    )


def _alternatives(given: object, unit: str) -> tuple[str, ...]:
    found = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, (list, tuple)) else ()
    if not found or not all(isinstance(one, str) for one in found):
        raise InputError(f"ablate must say in a string, or a list of them, what {unit[:40]!r} becomes, not {given!r}.")
    return found


def _given(ablate: Ablate, units: tuple[str, ...]) -> tuple[Any, ...]:
    """What the user says that each unit becomes, whatever it is."""
    if isinstance(ablate, (str, list, tuple)):
        return (ablate,) * len(units)
    if isinstance(ablate, Mapping):
        for unit in ablate:
            if unit not in units:
                raise unknown("unit in ablate", unit, dict.fromkeys(units))
        for unit in units:
            if unit not in ablate:
                raise InputError(f"ablate says nothing of the unit {unit[:40]!r}: give a string for every unit.")
        return tuple(ablate[unit] for unit in units)
    if not callable(ablate):
        raise InputError(
            "ablate must be 'delete', 'mend', 'mask' or the string that an ablated unit becomes, a list of such, a "
            f"mapping from units to strings, or a function of a unit, not {ablate!r}."
        )
    assert not isinstance(ablate, Infill)  # which is asked with what surrounds the units
    return tuple(ablate(unit) for unit in units)


def mended(between: Sequence[str], gone: Sequence[bool]) -> list[str]:
    """What lies between units, without the blanks that a deleted one would leave doubled or dangling.

    ``between`` holds what precedes each unit, and what follows the last.
    """
    pieces = list(between)
    begins = True  # whether nothing stands yet on the line
    for i, is_gone in enumerate(gone):
        before, after = pieces[i], pieces[i + 1]
        begins = is_gone and ((begins and not before) or before.endswith("\n"))
        if begins:
            pieces[i + 1] = after.lstrip(" \t")
        elif is_gone and (not after or after[0].isspace() or after.startswith(_CLOSES)):
            pieces[i] = before.rstrip(" \t")
    return pieces


def averaged(found: Sequence[Any]) -> npt.NDArray[np.float64] | Partial:
    """The mean of a scorer's answers, one for each world; an ablation that failed in one has failed."""
    if not any(isinstance(one, Partial) for one in found):
        return np.asarray(np.mean([np.asarray(one, dtype=np.float64) for one in found], axis=0))
    parts = [one if isinstance(one, Partial) else Partial(one, {}) for one in found]
    failures = {row: why for part in parts for row, why in part.failures.items()}
    kept = []
    for part in parts:
        values = np.asarray(part.values, dtype=np.float64)
        rows = [row for row in range(len(values) + len(part.failures)) if row not in part.failures]
        kept.append(values[[i for i, row in enumerate(rows) if row not in failures]])
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    return Partial(np.mean(kept, axis=0), failures, notes)
