"""A prompt of named regions: where each lies in the text that the model reads, and which are ablated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._units import Span

Unit: TypeAlias = str | Sequence[Span]
"""The name of a unit, or ascending character ranges."""

_SLOT = re.compile(r"\{([^\W\d]\w*)\}")
_TEXT = "text"  # the only region of a prompt that is a single text


@dataclass(frozen=True)
class Prompt:
    """The text of a prompt, ``regions`` as character ranges of it, and the names of those ``ablated``, in its order.

    ``before`` and ``after`` surround the text in what the model reads, and are left out where it is shown.
    """

    text: str
    regions: Mapping[str, Span]
    ablated: tuple[str, ...]
    before: str = ""
    after: str = ""

    @property
    def whole(self) -> str:
        """What the model reads when nothing is ablated."""
        return self.before + self.text + self.after


def compose(text: str | Mapping[str, str], template: str | None, region: str | Sequence[str] | None) -> Prompt:
    """The prompt of a text or of regions in their template.

    Raises
    ------
    InputError
        For empty texts, and for names in text, template and region that do not fit together.
    """
    if isinstance(text, Mapping):
        return _composed(text, template, region)
    if not isinstance(text, str):
        raise InputError(
            f"the text must be a string, not {type(text).__name__}; or a mapping from regions' names to texts."
        )
    if not text.strip():
        raise InputError("the text is empty: there is nothing to ablate.")
    _chosen(region, (_TEXT,))
    slot = f"{{{_TEXT}}}"
    if template is not None and template.count(slot) != 1:
        raise InputError(
            f"the template must hold {slot} exactly once, but it holds it {template.count(slot)} times: {template!r}."
        )
    before, after = ("", "") if template is None else template.split(slot)
    return Prompt(text, {_TEXT: (0, len(text))}, (_TEXT,), before, after)


def units_of(prompt: Prompt, unit: Unit | Mapping[str, Unit]) -> dict[str, Unit]:
    """The unit of every ablated region: the same for all, or as given for each."""
    if not isinstance(unit, Mapping):
        if not isinstance(unit, str) and len(prompt.ablated) > 1:
            raise InputError(
                f"character ranges belong to one region, but {_listed(prompt.ablated)} are ablated: pass "
                "unit={name: ranges} or choose one region."
            )
        return dict.fromkeys(prompt.ablated, unit)
    for name in unit:
        if name not in prompt.ablated:
            raise unknown("region in unit", name, prompt.ablated)
    missing = [name for name in prompt.ablated if name not in unit]
    if missing:
        raise InputError(f"unit says nothing of the region {missing[0]!r}: give a unit for each ablated region.")
    return dict(unit)


def _composed(texts: Mapping[str, str], template: str | None, region: str | Sequence[str] | None) -> Prompt:
    names = tuple(texts)
    for name, given in texts.items():
        if not isinstance(given, str):
            raise InputError(f"the region {name!r} must be a string, not {type(given).__name__}.")
        if not _SLOT.fullmatch(f"{{{name}}}"):
            raise InputError(f"{name!r} cannot name a region: use letters, digits and underscores.")
    if not names:
        raise InputError("there are no regions: pass at least one by name.")
    if template is None:
        slots = "\\n\\n".join(f"{{{name}}}" for name in names)
        raise InputError(f"regions need a template that says where each goes, such as template='{slots}'.")
    chosen = _chosen(region, names)
    for name in chosen:
        if not texts[name].strip():
            raise InputError(f"the region {name!r} is empty: there is nothing to ablate.")
    parts, where, position = [], {}, 0
    pieces = _SLOT.split(template)  # text, name, text, name, ..., text
    for number, piece in enumerate(pieces):
        part = piece
        if number % 2:
            if piece not in texts:
                raise InputError(
                    f"the template has {{{piece}}}, but there is no such region, only {_listed(names)}: pass its text."
                )
            if piece in where:
                raise InputError(f"the template holds {{{piece}}} more than once: each region goes to one place.")
            part = texts[piece]
            where[piece] = (position, position + len(part))
        parts.append(part)
        position += len(part)
    missing = [name for name in names if name not in where]
    if missing:
        raise InputError(
            f"the template holds no {{{missing[0]}}}, only {_listed(list(where)) or 'text'}: {template!r}."
        )
    return Prompt("".join(parts), where, tuple(name for name in where if name in chosen))


def _chosen(region: str | Sequence[str] | None, names: Sequence[str]) -> tuple[str, ...]:
    if region is None:
        return tuple(names)
    chosen = (region,) if isinstance(region, str) else tuple(region)
    if not chosen:
        raise InputError(f"no region is to be ablated: choose from {_listed(names)}.")
    for name in chosen:
        if name not in names:
            raise unknown("region", name, names)
    return chosen


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
