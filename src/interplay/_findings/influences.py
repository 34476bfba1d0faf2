"""Training examples read out of an explanation: which help or harm a test point, which pairs act together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interplay._display import Displayed
from interplay._explain.explanation import Explanation
from interplay._game.layout import TrainingLayout
from interplay._spectrum.keep import keep_effects

KINDS = ("synergistic", "redundant", "opposed")


@dataclass(frozen=True)
class Pair:
    """Two training examples, and what keeping both adds beyond the sum of keeping each.

    ``kind``: "synergistic", worth (or harming) more together than apart; "redundant", as duplicates are, two of a
    kind that count for less together; "opposed", where one helps and the other harms.
    """

    features: tuple[int, int]
    effect: float
    kind: str


@dataclass(frozen=True)
class Influences(Displayed):
    """What the training examples do for one output, at the keep rate of the ablations; positive effects help.

    ``helpful`` and ``harmful`` are ``(feature, effect)``, the strongest first: the mean change of the output when the
    example is kept rather than left out. ``pairs`` are all pairs found, the strongest first.
    """

    output: str
    helpful: tuple[tuple[int, float], ...]
    harmful: tuple[tuple[int, float], ...]
    pairs: tuple[Pair, ...]

    def of_kind(self, kind: str) -> tuple[Pair, ...]:
        """The pairs that are "synergistic", "redundant" or "opposed"."""
        return tuple(pair for pair in self.pairs if pair.kind == kind)


def influences(explanation: Explanation, output: str | int = 0) -> Influences:
    """The helpful and harmful examples of one output, and its synergistic and redundant pairs.

    Effects are weighted Banzhaf interactions at the keep rate of the ablations (`interplay._keep`): means over the
    subsets that were trained on, not over all. Where outputs are losses their sign is turned, so that helping is
    always positive; of predicted numbers, where nothing helps or harms, "helpful" means that they are raised.

    Parameters
    ----------
    explanation
        What `interplay.explain` says of a game of `interplay.lenses.training`, or of recorded retrainings.
    output
        Name or position of a test point or metric.
    """
    one = explanation.for_output(output)
    sign = -1.0 if isinstance(one.layout, TrainingLayout) and one.layout.lower_is_better else 1.0
    effects = keep_effects(one.spectrum, one.keep, order=2)
    alone = {key[0]: sign * value for key, value in effects.items() if len(key) == 1}
    ranked = sorted(alone.items(), key=lambda item: (-abs(item[1]), item[0]))
    pairs = []
    for key, value in effects.items():
        if len(key) == 2 and value:
            first, second = (alone.get(i, 0.0) for i in key)
            effect = sign * value
            pairs.append(Pair((key[0], key[1]), effect, _kind(effect, first, second)))
    return Influences(
        (one.outputs or ("output",))[0],
        tuple(item for item in ranked if item[1] > 0),
        tuple(item for item in ranked if item[1] < 0),
        tuple(sorted(pairs, key=lambda pair: (-abs(pair.effect), pair.features))),
    )


def _kind(effect: float, first: float, second: float) -> str:
    if first * second < 0:
        return "opposed"
    return "synergistic" if effect * (first + second) >= 0 else "redundant"


@dataclass(frozen=True)
class TrainingSummary(Displayed):
    """Training examples over all T outputs.

    ``examples`` are ``(feature, mean effect, mean magnitude of its pairs)``, those that interact most first;
    ``pairs`` hold the mean effect and the kind seen most often, those of the largest mean magnitude first;
    ``magnitudes`` are theirs, in the same order; ``classes`` share the magnitude of all pairs out over pairs of
    classes, where the examples' classes are known; ``kinds`` over kinds.
    """

    outputs: int
    examples: tuple[tuple[int, float, float], ...]
    pairs: tuple[Pair, ...]
    magnitudes: tuple[float, ...]
    classes: tuple[tuple[tuple[str, str], float], ...]
    kinds: tuple[tuple[str, float], ...]


def training_summary(explanation: Explanation) -> TrainingSummary:
    """Which training examples interact most, in which pairs, across which classes, over all outputs."""
    count, n = len(explanation.fits), explanation.n
    alone: npt.NDArray[np.float64] = np.zeros(n)
    involved: npt.NDArray[np.float64] = np.zeros(n)
    total: Counter[tuple[int, int]] = Counter()
    magnitude: Counter[tuple[int, int]] = Counter()
    kinds: dict[tuple[int, int], Counter[str]] = {}
    for position in range(count):
        found = influences(explanation, position)
        for feature, effect in (*found.helpful, *found.harmful):
            alone[feature] += effect / count
        for pair in found.pairs:
            total[pair.features] += pair.effect / count  # type: ignore[assignment]
            magnitude[pair.features] += abs(pair.effect) / count  # type: ignore[assignment]
            kinds.setdefault(pair.features, Counter())[pair.kind] += abs(pair.effect)  # type: ignore[assignment]
            for feature in pair.features:
                involved[feature] += abs(pair.effect) / count
    ranked = sorted(magnitude, key=lambda key: (-magnitude[key], key))
    order = np.lexsort((np.arange(n), -np.abs(alone), -involved))
    everything = sum(magnitude.values()) or 1.0
    classes: Counter[tuple[str, str]] = Counter()
    layout = explanation.layout
    marks = layout.examples.classes if isinstance(layout, TrainingLayout) else None
    if marks is not None:
        for a, b in ranked:
            one, two = sorted((marks[a], marks[b]))
            classes[one, two] += magnitude[a, b] / everything  # type: ignore[assignment]
    shares = Counter[str]()
    for seen in kinds.values():
        for kind, weight in seen.items():
            shares[kind] += weight / count / everything  # type: ignore[assignment]
    return TrainingSummary(
        count,
        tuple((int(i), float(alone[i]), float(involved[i])) for i in order),
        tuple(Pair(key, float(total[key]), kinds[key].most_common(1)[0][0]) for key in ranked),
        tuple(float(magnitude[key]) for key in ranked),
        tuple((key, float(share)) for key, share in sorted(classes.items(), key=lambda item: (-item[1], item[0]))),
        tuple((kind, float(shares[kind])) for kind in KINDS if shares[kind]),
    )
