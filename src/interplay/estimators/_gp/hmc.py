"""Plausible hyper-parameters, drawn from their posterior by Hamiltonian Monte Carlo.

With fewer ablations than a few times the features, the most probable hyper-parameters overfit: they switch features
off that a few more masks would show to matter, and their leave-one-out error does not notice. Averaging over draws
from the posterior predicts better and knows what it does not know. (Duane et al. 1987; Neal 2011, arXiv 1206.1901.)
"""

from __future__ import annotations

import numpy as np

from interplay.estimators._gp.hyper import Vector
from interplay.estimators._gp.kernel import _FREEDOM, Evidence, spread_prior

_SPREADS = np.array([0.5, 0.7, 1.0, 1.4, 2.0, 2.8])  # the scales of log h that are considered, equally likely
_STRIDES = 8  # leapfrog steps per proposal: more carry further, and cost one evidence each
# The share of accepted proposals that the step size is tuned to. Long chains do best near .65 (Neal 2011); chains of
# a hundred proposals cannot afford to be stuck, and take shorter steps.
_ACCEPT = 0.75
_FIRST_STEP = 0.2  # where tuning starts


def sample(evidence: Evidence, start: Vector, *, proposals: int, rng: np.random.Generator) -> list[Vector]:
    """The states (n + 2 + D,) after each of ``proposals``; an initial quarter tunes the step and is not returned."""
    n = evidence.n
    burn = max(1, proposals // 4)
    spread = 1.0
    theta = start
    value, gradient = evidence(theta, spread)
    step = np.log(_FIRST_STEP)
    drawn: list[Vector] = []
    for turn in range(proposals):
        # A Gibbs step for the spread, then a Hamiltonian step for everything else given the spread.
        changed = _draw_spread(theta[:n], rng)
        if changed != spread:
            # Only the prior of log h depends on the spread, so no new evidence is needed.
            (old, old_slope), (new, new_slope) = spread_prior(theta[:n], spread), spread_prior(theta[:n], changed)
            gradient = gradient.copy()
            gradient[:n] += new_slope - old_slope
            value, spread = value + new - old, changed
        momentum = rng.standard_normal(len(start))
        energy = value + 0.5 * momentum @ momentum
        stride = np.exp(step) * rng.uniform(0.8, 1.2)  # varied, for a fixed one can go round in circles
        place, slope, height = theta, gradient, value
        for leap in range(_STRIDES):  # leapfrog: half a kick first, whole ones between moves, half a kick last
            momentum = momentum - (0.5 if leap == 0 else 1.0) * stride * slope
            place = place + stride * momentum
            height, slope = evidence(place, spread)
            if not np.isfinite(height):
                break
        momentum = momentum - 0.5 * stride * slope
        gain = energy - height - 0.5 * momentum @ momentum
        chance = float(np.exp(min(0.0, gain))) if np.isfinite(height) else 0.0
        if rng.random() < chance:
            theta, value, gradient = place, height, slope
        if turn < burn:
            # Stochastic approximation (Robbins & Monro 1951): steps that fade, but whose sum does not converge.
            step += 1.5 * (chance - _ACCEPT) / (turn + 3) ** 0.6
        else:
            drawn.append(theta)
    return drawn


def _draw_spread(log_h: Vector, rng: np.random.Generator) -> float:
    """The spread given log h (n,): exact, since few are considered."""
    away = (log_h - log_h.mean())[:, None] ** 2
    log_density = -(_FREEDOM + 1) / 2 * np.log1p(away / (_FREEDOM * _SPREADS**2)).sum(axis=0)
    log_density -= len(log_h) * np.log(_SPREADS)
    chances = np.exp(log_density - log_density.max())
    return float(rng.choice(_SPREADS, p=chances / chances.sum()))
