"""How long a run's fits will take, from one small fit timed on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from interplay._explain.explain import design, fit
from interplay._explain.goal import Goal
from interplay.estimators import get_estimator

if TYPE_CHECKING:
    from interplay._game.game import Game
    from interplay.cli._options import Options

_TRIAL = 32  # ablations of the trial
_OPENED = 64  # parts that a zoom ends with, or so
_GROWTH = 0.85  # seconds grew with ablations to this power for auto: 1.4, 2.7, 4.5, 10 and 8 s at 32, 64, 128, 256, 600


def fit_seconds(game: Game, options: Options) -> float:
    """About how long the fits of all outputs and all rounds will take, at most.

    A fit of as many features is timed on few ablations with values drawn at random. Its time grows with the number of
    ablations, but slower than in proportion, as the larger part goes into searches of fixed length.
    """
    n = game.n if game.tree is None else min(game.finest.n, max(game.n, _OPENED))
    if options.budget >= 1 << min(n, 60):  # everything is measured, and there is nothing to search for
        return 0.0
    import lightgbm  # noqa: F401 - loaded once, whatever the number of fits
    import sklearn.linear_model  # noqa: F401

    estimator = get_estimator(options.method)
    rounds = Goal(options.until, None).rounds(n, options.budget, estimator.fewest(n))
    count = min(options.budget, max(_TRIAL, estimator.fewest(n)))
    masks = design(n, count, method=options.method, seed=options.seed, keep=game.keep)
    rng = np.random.default_rng(0)
    values = masks @ rng.normal(size=n) + rng.normal(size=len(masks))
    began = time.perf_counter()
    fit(masks, values, method=options.method, order=options.order, seed=options.seed, keep=game.keep)
    each = time.perf_counter() - began
    outputs = 1 if game.outputs is None else len(game.outputs)
    fits = sum(max(1.0, ablations / len(masks)) ** _GROWTH for ablations in rounds)
    return float(outputs * each * fits)
