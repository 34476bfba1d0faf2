"""The features of a model's training: its examples, or groups of them; to ablate them is to train without them."""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._errors import AblationError, InputError, InterplayError
from interplay._game.game import Game, Partial
from interplay._game.layout import Gallery, TrainingLayout
from interplay._game.masks import Masks

Indices: TypeAlias = npt.NDArray[np.intp]
"""Positions of training examples, ascending."""
Examples: TypeAlias = int | Sequence[str] | Sequence[Sequence[int]] | Mapping[str, Sequence[int]]

# What trying another subset would only repeat: mistakes in the code of fit or score, not in a retraining.
_MISTAKES = (TypeError, AttributeError, NameError, NotImplementedError, AssertionError, InterplayError)


def training(
    fit: Callable[..., Any],
    score: Callable[[Any], Any],
    examples: Examples,
    *,
    always: Sequence[int] = (),
    targets: Gallery | Sequence[str] | None = None,
    show: Gallery | None = None,
    keep: float = 0.5,
    seeds: int = 1,
    seed: int = 0,
    failures: float = 0.05,
    batch_size: int = 8,
    name: str | None = None,
) -> Game:
    """A game whose features are training examples or groups of them; each ablation trains on what is kept.

    One retraining serves all T outputs of ``score`` at once. ``budget`` counts subsets: each costs ``seeds``
    retrainings. What a subset gives depends on the subset and ``seed`` alone, so neither the order of work, nor the
    number of workers, nor a run that was stopped changes any value.

    >>> import numpy as np, interplay as ip
    >>> heights = np.array([1.0, 2.0, 2.0, 9.0])
    >>> game = ip.lenses.training(lambda kept: heights[kept].max(initial=0.0), lambda model: model, examples=4)
    >>> ip.explain(game, budget=16).interactions("mobius", top=2).named()
    [(('example 3',), 9.0), (('example 1',), 2.0)]

    Parameters
    ----------
    fit
        ``fit(indices, seed) -> model``, or ``fit(indices) -> model`` where training is deterministic: trains on the
        examples at ``indices`` (ascending, possibly none). With a method ``fit.together(jobs) -> models`` on a list
        of ``(indices, seed)``, the subsets of a batch are trained in one call.
    score
        ``score(model)``, one float or T of them: what the model makes of T test points, or T metrics.
    examples
        How many examples there are, a name for each, or groups as features: lists of indices, by name if in a
        mapping (`groups_of` and `near_duplicates` make them). Groups must not overlap.
    always
        Examples that every ablation keeps, besides the features.
    targets
        What the T outputs are: names, or a `Gallery` that also holds classes and pictures.
    show
        What the features are, for reports: a `Gallery` of one item per feature.
    keep
        The probability of keeping each feature; 0.5 lets interactions be seen best, a higher one stays closer to
        the model trained on everything.
    seeds
        Retrainings per subset, each with a seed of its own, averaged; from 2 on their noise is reported.
    seed
        Of all retrainings' seeds.
    failures
        The share of subsets that may fail (an exception, a score that is not finite) before the run stops; they are
        recorded and left out. Exceptions that mean a mistake in the code, such as TypeError, stop it at once.
    batch_size
        Subsets per batch: the most that a killed run loses, and how many ``fit.together`` trains at once.
    name
        The game's identity in a store, needed where ``fit`` or ``score`` is a plain function.

    Raises
    ------
    InputError
        For groups that are empty or overlap, or options that cannot be used.
    """
    if not callable(fit) or not callable(score):
        wrong = fit if not callable(fit) else score
        raise InputError(f"fit and score must be callable, but {type(wrong).__name__} is not.")
    labels, groups = _features(examples)
    kept = _check_indices(always, "always")
    if shared := set(kept.tolist()) & {i for group in groups for i in group.tolist()}:
        raise InputError(f"example {min(shared)} is both a feature and always kept: leave it out of one of them.")
    if isinstance(seeds, bool) or not isinstance(seeds, (int, np.integer)) or seeds < 1:
        raise InputError(f"seeds must be a whole number of at least 1, not {seeds!r}.")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed must be a whole number of at least 0, not {seed!r}.")
    takes_seed = _takes_seed(fit)
    if seeds > 1 and not takes_seed:
        raise InputError(f"seeds={seeds} needs a fit(indices, seed), but this fit takes the indices alone.")
    if show is not None and len(show.names) != len(labels):
        raise InputError(f"show holds {len(show.names)} items for {len(labels)} features: give one for each.")
    if targets is None:
        targets = getattr(score, "targets", None)
    outputs = None if targets is None else targets if isinstance(targets, Gallery) else Gallery(tuple(targets))
    retraining = _Retraining(fit, score, groups, kept, int(seeds), int(seed), takes_seed)
    notes = (f"each ablation is the mean of {seeds} retrainings",) if seeds > 1 else ()

    def identity() -> dict[str, Any] | None:
        fitted, scored = getattr(fit, "identity", None), getattr(score, "identity", None)
        if fitted is None or scored is None:
            return None
        told = fitted(), scored()
        if None in told:  # one of them cannot tell itself from others: only a name can
            return None
        parts = {"lens": "training", "fit": told[0], "score": told[1], "seeds": int(seeds), "seed": int(seed)}
        return parts | {"groups": [group.tolist() for group in groups], "always": kept.tolist()}

    return Game(
        retraining,
        labels if show is None else show.names,
        outputs=None if outputs is None else outputs.names,
        name=name,
        identity=identity if hasattr(fit, "identity") and hasattr(score, "identity") else None,
        layout=TrainingLayout(
            show or Gallery(labels),
            outputs,
            lower_is_better=bool(getattr(score, "lower_is_better", False)),
            neutral=bool(getattr(score, "neutral", False)),
        ),
        batch_size=batch_size,
        notes=notes,
        keep=keep,
        repeats=int(seeds),
        failures=failures,
        question="Which training examples drive the outputs?",
    )


@dataclass(frozen=True, eq=False)
class _Retraining:
    """Masks to subsets to models to scores; (N, T * seeds), the seeds of an output side by side."""

    fit: Callable[..., Any] = field(repr=False)
    score: Callable[[Any], Any] = field(repr=False)
    groups: tuple[Indices, ...] = field(repr=False)
    always: Indices = field(repr=False)
    seeds: int
    seed: int
    takes_seed: bool

    def indices(self, mask: npt.NDArray[np.bool_]) -> Indices:
        """The examples that a mask (n,) keeps, ascending."""
        return np.sort(np.concatenate([self.always, *(self.groups[i] for i in np.flatnonzero(mask))]))

    def seed_of(self, indices: Indices, repeat: int) -> int:
        """The seed of one retraining: 31 bits of a hash of what it trains on, so no order of work can change it."""
        content = f"{self.seed} {repeat} {','.join(map(str, indices.tolist()))}"
        return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4], "big") >> 1

    def __call__(self, masks: Masks) -> Any:
        subsets = [self.indices(mask) for mask in masks]
        jobs = [(subset, self.seed_of(subset, repeat)) for subset in subsets for repeat in range(self.seeds)]
        scores: dict[int, list[npt.NDArray[Any]]] = {}
        failures: dict[int, str] = {}
        for job, outcome in enumerate(self._scores(jobs)):
            if isinstance(outcome, str):
                failures.setdefault(job // self.seeds, outcome)
            else:
                scores.setdefault(job // self.seeds, []).append(outcome)
        rows = [scores[row] for row in range(len(masks)) if row not in failures]
        shapes = {part.shape for row in rows for part in row}
        if len(shapes) > 1:
            raise AblationError(f"score gave values of shapes {sorted(shapes)}: return as many for every model.")
        values = np.array(rows)  # (K, seeds) or (K, seeds, T)
        if values.ndim == 3:
            values = values.transpose(0, 2, 1).reshape(len(values), -1)
        elif self.seeds == 1 and values.ndim == 2:
            values = values[:, 0]
        return Partial(values, failures) if failures else values

    def _scores(self, jobs: list[tuple[Indices, int]]) -> Iterator[npt.NDArray[Any] | str]:
        """What each retraining scores, or why it failed."""
        together = getattr(self.fit, "together", None)
        models: list[Any] | None = None
        if together is not None and len(jobs) > 1:
            try:
                models = list(together(jobs))
            except _MISTAKES:
                raise
            except Exception:  # one of them failed: train each alone, to know which
                models = None
        for position, (indices, seed) in enumerate(jobs):
            try:
                if models is not None:
                    model = models[position]
                else:
                    model = self.fit(indices, seed) if self.takes_seed else self.fit(indices)
                outcome = np.asarray(self.score(model))
            except _MISTAKES:
                raise
            except Exception as error:
                yield _sentence(error)
                continue
            if outcome.dtype.kind in "fiub" and not np.isfinite(outcome).all():
                yield "the score was not finite"
            elif outcome.dtype.kind not in "fiub" or outcome.ndim > 1:
                raise AblationError(
                    f"score gave {outcome.dtype} of shape {outcome.shape}: return a float, or a row of T floats."
                )
            else:
                yield outcome


def _sentence(error: Exception) -> str:
    """An exception in one line."""
    message = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {message[:117] + '...' if len(message) > 120 else message}"


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


def _features(examples: Examples) -> tuple[tuple[str, ...], tuple[Indices, ...]]:
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
    checked = tuple(_check_indices(group, label) for label, group in zip(labels, groups, strict=True))
    for label, group in zip(labels, checked, strict=True):
        if not len(group):
            raise InputError(f"the group {label!r} is empty: leave it out.")
    position, count = Counter(i for group in checked for i in group.tolist()).most_common(1)[0]
    if count > 1:
        raise InputError(f"example {position} is in {count} groups: groups must not overlap.")
    return labels, checked


def _singles(count: int) -> tuple[Indices, ...]:
    return tuple(np.arange(count).reshape(-1, 1))


def _check_indices(given: Sequence[int], what: str) -> Indices:
    array = np.atleast_1d(np.asarray(given))
    if not array.size:
        return np.empty(0, dtype=np.intp)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array < 0).any():
        raise InputError(f"{what!r} must be a list of positions of examples from 0, not {given!r}.")
    return np.unique(array).astype(np.intp)
