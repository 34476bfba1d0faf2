"""One note where every retraining would warn: that it stopped before it had converged."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

_lock = threading.Lock()
_inside = 0  # how many trainings are under way, in all threads
_filters = contextlib.ExitStack()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Show no warnings of convergence: filters belong to the whole process, so the first in and the last out set them.

    (`warnings.catch_warnings` in each of several threads would restore what another one has set.)
    """
    from sklearn.exceptions import ConvergenceWarning

    global _inside
    with _lock:
        if not _inside:
            _filters.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", ConvergenceWarning)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _filters.close()


def unconverged(model: Any) -> str | None:
    """The estimator in ``model`` that used up its iterations, by name; None where there is none."""
    for part in [step for _, step in getattr(model, "steps", [])] or [model]:
        used, most = getattr(part, "n_iter_", None), getattr(part, "max_iter", None)
        if used is not None and isinstance(most, int) and 0 < most <= np.max(used):
            return type(part).__name__
    return None
