"""Which parts of different prompts are the same: by label, by slot of a template, by lemma, or by a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from interplay._checks import unknown
from interplay._errors import InputError, MissingExtraError

By: TypeAlias = str | Callable[[str], str | None] | Callable[[str, Any], str | None]
"""How parts are matched: "label", "slot", "lemma", or a function of a part's label (and of its case)."""


def namer(by: By) -> Callable[[str, Any], str | None]:
    """A function of a part's label and its case that gives the name under which the part is matched; None for none."""
    if callable(by):
        return _called(by)
    if by == "label":
        return lambda label, _case: " ".join(label.casefold().split())
    if by == "slot":
        return _slot
    if by == "lemma":
        try:
            import simplemma
        except ImportError as error:
            raise MissingExtraError.of("simplemma", "lemma") from error
        return lambda label, _case: simplemma.lemmatize(label.strip(), lang="en").casefold()
    raise unknown("way to match parts", by, ("label", "slot", "lemma"))


def check_matched(by: By, cases: Sequence[Any]) -> None:
    """An `InputError` for cases without slots where parts are matched by slot."""
    if by != "slot":
        return
    for case in cases:
        if not isinstance(case, Mapping):
            raise InputError(f"by='slot' needs cases that map slots to texts, not {type(case).__name__}.")


def _slot(label: str, case: Any) -> str | None:
    """The slot of the case that the part fills, "{name}"; its own words where it fills none."""
    own = label.casefold().split()
    for slot, filling in case.items():
        words = str(filling).casefold().split()
        if own and any(words[at : at + len(own)] == own for at in range(len(words) - len(own) + 1)):
            return f"{{{slot}}}"
    return " ".join(own)


def _called(by: Callable[..., str | None]) -> Callable[[str, Any], str | None]:
    import inspect

    places = [
        one
        for one in inspect.signature(by).parameters.values()
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty
    ]
    return by if len(places) >= 2 else lambda label, _case: by(label)
