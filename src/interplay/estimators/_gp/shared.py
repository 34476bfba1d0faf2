"""Gaussian processes for many outputs of the same ablations: what they share, and what each of them needs alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from interplay._game.masks import Values
from interplay.estimators._gp.hyper import Hyper, Signs, Vector
from interplay.estimators._gp.inverse import solved
from interplay.estimators._gp.kernel import Evidence, kernel, maximise
from interplay.estimators._validation import folds, is_constant

_SEARCHED = 600  # ablations from which hyper-parameters are searched: a step takes the cube of them
_PROBES = 4  # outputs that show whether to start from the common hyper-parameters loses any evidence
_LOSS = 2.0  # of log evidence, in the mean of the probes: what a start near the end may cost
_BLIND = 8  # outputs that are refitted to four fifths, to see how far leave-one-out flatters
_GAIN = 5e-4  # of the evidence: a step that gains less is the last


class Common(NamedTuple):
    """What the searches of many outputs have in common: where they start, and how far leave-one-out flatters."""

    start: Vector | None
    flatters: float


def common(signs: Signs, targets: Values, seed: int) -> Common:
    """From standardised ``targets`` (N, T) at ``signs`` (N, n).

    The hyper-parameters that are most probable for all outputs together are where each search starts, if that loses
    no evidence against the usual start on a few of them.
    """
    rows = searched(len(signs), seed)
    few, values = signs[rows], targets[rows]
    pooled = maximise(Evidence(few, np.ascontiguousarray(values), light=True))
    lost = 0.0
    for t in _some(targets.shape[1], _PROBES):
        evidence = Evidence(few, np.ascontiguousarray(values[:, t]), light=True)
        near, far = (maximise(evidence, start=start, gain=_GAIN) for start in (pooled, None))
        lost += evidence(near)[0] - evidence(far)[0]
    start = pooled if lost <= _LOSS * min(_PROBES, targets.shape[1]) else None
    return Common(start, _flattery(signs, targets, start, seed))


def own(signs: Signs, target: Vector, start: Vector | None, seed: int) -> Hyper:
    """The most probable hyper-parameters of one output's standardised values (N,), searched in single precision."""
    rows = searched(len(signs), seed)
    evidence = Evidence(signs[rows], np.ascontiguousarray(target[rows]), light=True)
    return Hyper.unpacked(maximise(evidence, start=start, gain=_GAIN), signs.shape[1])


def searched(count: int, seed: int) -> npt.NDArray[np.intp]:
    """Which of ``count`` ablations the searches look at."""
    if count <= _SEARCHED:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, 0x6A]).permutation(count)[:_SEARCHED])


def _flattery(signs: Signs, targets: Values, start: Vector | None, seed: int) -> float:
    """By how much leave-one-out with hyper-parameters that saw all is too small, at least 1.

    The geometric mean over some outputs of the error on a fifth that everything was blind to, over leave-one-out's.
    """
    out = folds(len(signs), seed) == 0
    ratios = []
    for t in _some(targets.shape[1], _BLIND):
        target = np.ascontiguousarray(targets[:, t])
        if is_constant(target[~out]):
            continue
        alpha, inverse = solved(signs, target, own(signs, target, start, seed))
        claimed = float(np.mean((alpha / inverse.diagonal) ** 2))
        centre, scale = target[~out].mean(), target[~out].std()
        hyper = own(signs[~out], (target[~out] - centre) / scale, start, seed)
        alpha, _ = solved(signs[~out], (target[~out] - centre) / scale, hyper)
        predicted = centre + scale * (kernel(signs[out], signs[~out], hyper) @ alpha)
        ratios.append(float(np.mean((predicted - target[out]) ** 2)) / max(claimed, 1e-300))
    return max(1.0, float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-6)))))) if ratios else 1.0


def _some(outputs: int, most: int) -> list[int]:
    spaced = np.linspace(0, outputs - 1, min(most, outputs)).round().astype(int)
    return [int(t) for t in np.unique(spaced)]
