"""The features of a model's training: its examples, or groups of them; to ablate them is to train without them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from interplay._checks import check_whole
from interplay._errors import AblationError, InputError, InterplayError
from interplay._game.cost import Cost
from interplay._game.game import Game
from interplay._game.layout import Gallery, TrainingLayout
from interplay._game.masks import Masks
from interplay._game.partial import Partial
from interplay.lenses._training.doors import Evaluator, Trainer
from interplay.lenses._training.examples import Examples, Given, Indices, check_indices
from interplay.lenses._training.slopes import Retrained

# What trying another subset would only repeat: mistakes in the code of fit or score, not in a retraining.
_MISTAKES = (TypeError, AttributeError, NameError, NotImplementedError, AssertionError, InterplayError)


def training(
    fit: Callable[..., Any],
    score: Callable[[Any], Any],
    examples: Given,
    *,
    always: Sequence[int] = (),
    targets: Gallery | Sequence[str] | None = None,
    show: Gallery | None = None,
    keep: float = 0.5,
    seeds: int = 1,
    seed: int = 0,
    failures: float = 0.05,
    batch_size: int = 8,
    zoom: bool = False,
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
        The probability with which a design keeps each feature; 0.5 lets interactions be seen best, a higher one stays
        closer to the model trained on everything.
    seeds
        Retrainings per subset, each with a seed of its own, averaged; from 2 on their noise is reported.
    seed
        Seed from which every retraining's own is made.
    failures
        The share of subsets that may fail (an exception, a score that is not finite) before the run stops; they are
        recorded and left out. Exceptions that mean a mistake in the code, such as TypeError, stop it at once.
    batch_size
        Subsets per batch: the most that a killed run loses, and how many ``fit.together`` trains at once.
    zoom
        Begin with whole groups (blocks of examples where there are none), which `interplay.explain` opens into their
        examples where they matter; ``show`` then holds an item for each example, group by group.
    name
        The game's identity in a store, needed where ``fit`` or ``score`` is a plain function.

    Raises
    ------
    InputError
        For groups that are empty or overlap, or options that cannot be used.
    """
    trainer, evaluator, groups = Trainer.of(fit), Evaluator.of(score), Examples.of(examples)
    features = groups.one_by_one if zoom else groups
    kept = check_indices(always, "always")
    if shared := set(kept.tolist()) & {i for group in features.groups for i in group.tolist()}:
        raise InputError(f"example {min(shared)} is both a feature and always kept: leave it out of one of them.")
    check_whole("seeds", seeds, least=1)
    check_whole("seed", seed, least=0)
    if seeds > 1 and not trainer.takes_seed:
        raise InputError(f"seeds={seeds} needs a fit(indices, seed), but this fit takes the indices alone.")
    if show is not None and len(show.names) != len(features.labels):
        raise InputError(f"show holds {len(show.names)} items for {len(features.labels)} features: give one for each.")
    named = evaluator.targets if targets is None else targets
    outputs = named if named is None or isinstance(named, Gallery) else Gallery(tuple(named))
    retraining = _Retraining(trainer, evaluator, features.groups, kept, int(seeds), int(seed))
    jumps = None if trainer.jumps is None else trainer.jumps(evaluator.measure)
    game = Game(
        retraining,
        features.labels if show is None else show.names,
        outputs=None if outputs is None else outputs.names,
        name=name,
        identity=retraining.identity,
        layout=TrainingLayout(show or Gallery(features.labels), outputs, evaluator.lower_is_better, evaluator.neutral),
        batch_size=batch_size,
        notes=(f"each ablation is the mean of {seeds} retrainings",) if seeds > 1 else (),
        keep=keep,
        repeats=int(seeds),
        failures=failures,
        inputs=retraining.subsets,
        price=retraining.price,
        question="Which training examples drive the outputs?",
        slopes=None if jumps is None else Retrained(retraining, jumps),
        # Of jumps that tell what they cost, in steps of a half; what others take in time is told of the result.
        slope_cost=max(2.0, math.ceil(2.0 * getattr(jumps, "cost", 2.0) - 0.5) / 2.0),
    )
    return game.zoomed(groups.parts(game.labels)) if zoom else game


@dataclass(frozen=True, eq=False)
class _Retraining:
    """Masks to subsets to models to scores; (N, T * seeds), the seeds of an output side by side."""

    fit: Trainer
    score: Evaluator
    groups: tuple[Indices, ...] = field(repr=False)
    always: Indices = field(repr=False)
    seeds: int
    seed: int

    def indices(self, mask: npt.NDArray[np.bool_]) -> Indices:
        """The examples that a mask (n,) keeps, ascending."""
        return np.sort(np.concatenate([self.always, *(self.groups[i] for i in np.flatnonzero(mask))]))

    def subsets(self, masks: Masks) -> list[list[int]]:
        """The positions of the examples that each mask (N, n) trains on."""
        return [self.indices(mask).tolist() for mask in masks]

    def price(self, ablations: int) -> Cost:
        """One retraining for each seed of each subset."""
        return Cost(ablations * self.seeds, "retrainings")

    def seed_of(self, indices: Indices, repeat: int) -> int:
        """The seed of one retraining: 31 bits of a hash of what it trains on, so no order of work can change it."""
        content = f"{self.seed} {repeat} {','.join(map(str, indices.tolist()))}"
        return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4], "big") >> 1

    def identity(self) -> dict[str, Any] | None:
        """What identifies the game in a store; None where fit or score cannot tell itself from others."""
        fitted, scored = self.fit.identity(), self.score.identity()
        if fitted is None or scored is None:
            return None
        parts = {"lens": "training", "fit": fitted, "score": scored, "seeds": self.seeds, "seed": self.seed}
        return parts | {"groups": [group.tolist() for group in self.groups], "always": self.always.tolist()}

    def __call__(self, masks: Masks) -> Any:
        subsets = [self.indices(mask) for mask in masks]
        jobs = [(subset, self.seed_of(subset, repeat)) for subset in subsets for repeat in range(self.seeds)]
        scores: dict[int, list[npt.NDArray[Any]]] = {}
        failures: dict[int, str] = {}
        remarks: dict[str, None] = {}  # once each, in order
        for job, outcome in enumerate(self._scores(jobs, remarks)):
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
        return Partial(values, failures, tuple(remarks)) if failures or remarks else values

    def _scores(self, jobs: list[tuple[Indices, int]], remarks: dict[str, None]) -> Iterator[npt.NDArray[Any] | str]:
        """What each retraining scores, or why it failed; what there is to say of the models goes to ``remarks``."""
        models: list[Any] | None = None
        if self.fit.together is not None and len(jobs) > 1:
            try:
                models = list(self.fit.together(jobs))
            except _MISTAKES:
                raise
            except Exception:  # one of them failed: train each alone, to know which
                models = None
        for position, (indices, seed) in enumerate(jobs):
            try:
                model = self.fit(indices, seed) if models is None else models[position]
                remark = None if self.fit.remark is None else self.fit.remark(model)
                outcome = np.asarray(self.score(model))
            except _MISTAKES:
                raise
            except Exception as error:
                yield _sentence(error)
                continue
            if remark is not None:
                remarks[remark] = None
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
