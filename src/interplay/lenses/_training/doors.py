"""What the training lens asks of a fit and a score: functions, or objects that tell more of themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from interplay._checks import Attributes, are_names, is_boolean, told_by
from interplay._errors import InputError
from interplay._game.layout import Gallery
from interplay.lenses._training.examples import Indices

_IDENTITY = (callable, "a function that returns JSON-able parts, or None")
_FIT_TELLS: Attributes = {
    "identity": _IDENTITY,
    "together": (callable, "a function from a list of (indices, seed) to models"),
    "jumps": (callable, "a function from a score to one from a model and its indices to jumps, or None"),
    "remark": (callable, "a function from a model to a sentence, or None"),
}
_SCORE_TELLS: Attributes = {
    "identity": _IDENTITY,
    "targets": (lambda seen: isinstance(seen, Gallery) or are_names(seen), "a list of names or a Gallery"),
    "lower_is_better": (is_boolean, "True or False"),
    "neutral": (is_boolean, "True or False"),
}


def _unknown() -> None:
    """The identity of what only its user can name."""
    return


@dataclass(frozen=True, eq=False)
class Trainer:
    """What a training game calls to train: a function, with what a lens needs to know of it.

    A plain function is one, too: `training` reads it by `of`. ``train(indices, seed)``, or ``train(indices)`` where it
    does not take a seed; ``together(jobs)`` trains a list of ``(indices, seed)`` in one call; ``remark(model)`` says in
    a sentence what a reader should know of a trained model, None where that is nothing; ``identity`` tells a store by
    JSON-able parts what is trained, and how.
    """

    train: Callable[..., Any] = field(repr=False)
    takes_seed: bool
    together: Callable[[list[tuple[Indices, int]]], Sequence[Any]] | None = None
    remark: Callable[[Any], str | None] | None = field(default=None, repr=False)
    identity: Callable[[], dict[str, Any] | None] = field(default=_unknown, repr=False)
    jumps: Callable[[Callable[[Any], Any]], Callable[[Any, Indices], Any] | None] | None = field(
        default=None, repr=False
    )

    @classmethod
    def of(cls, given: Callable[..., Any]) -> Trainer:
        """``fit(indices, seed)`` or ``fit(indices)``, with what it tells of itself.

        Raises
        ------
        InputError
            For what cannot be called so, and for an attribute that will not do or is misspelt.
        """
        if isinstance(given, Trainer):
            return given
        _check_callable(given)
        return cls(given, _takes_seed(given), **told_by(given, "fit", _FIT_TELLS))

    def __call__(self, indices: Indices, seed: int) -> Any:
        """The model trained on the examples at ``indices``."""
        return self.train(indices, seed) if self.takes_seed else self.train(indices)


@dataclass(frozen=True, eq=False)
class Evaluator:
    """What a training game asks of a trained model: ``measure(model)``, one float or T, one for each test point.

    ``targets`` says what the outputs are; ``lower_is_better`` where they are losses, ``neutral`` where a higher one is
    neither better nor worse, as of a predicted number; ``identity`` tells a store by JSON-able parts what is measured.
    """

    measure: Callable[[Any], Any] = field(repr=False)
    targets: Gallery | Sequence[str] | None = None
    lower_is_better: bool = False
    neutral: bool = False
    identity: Callable[[], dict[str, Any] | None] = field(default=_unknown, repr=False)

    @classmethod
    def of(cls, given: Callable[[Any], Any]) -> Evaluator:
        """``score(model)``, with what it tells of itself.

        Raises
        ------
        InputError
            For what cannot be called, and for an attribute that will not do or is misspelt.
        """
        if isinstance(given, Evaluator):
            return given
        _check_callable(given)
        return cls(given, **told_by(given, "score", _SCORE_TELLS))

    def __call__(self, model: Any) -> Any:
        """One float, or T."""
        return self.measure(model)


def _check_callable(given: object) -> None:
    if not callable(given):
        raise InputError(f"fit and score must be callable, but {type(given).__name__} is not.")


def _takes_seed(fit: Callable[..., Any]) -> bool:
    """Whether ``fit`` is called with indices and a seed, or with indices alone."""
    try:
        parameters = inspect.signature(fit).parameters.values()
    except (TypeError, ValueError):  # no signature to read, as of some built-in functions
        return True
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not places:
        raise InputError("fit takes no argument: it must take the indices to train on, fit(indices, seed).")
    needed = [p for p in places if p.default is p.empty]
    if len(needed) > 2:
        raise InputError(f"fit needs {len(needed)} arguments, but it is called as fit(indices, seed).")
    return len(needed) == 2 or (len(places) >= 2 and places[1].name == "seed")
