"""The boundary to a user's ``predict``: what its outputs are called, and that it gave one value per row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from interplay._errors import AblationError, InputError
from interplay._game.masks import Values, as_array

_OF_CLASSES = ("predict_proba", "predict_log_proba")


def output_names(predict: Callable[[Any], Any], outputs: Sequence[str] | None) -> tuple[str, ...] | None:
    """The names given, or where ``predict`` is a fitted estimator's ``predict_proba``, its classes.

    Raises
    ------
    InputError
        For a ``predict`` that cannot be called, or a single text as names.
    """
    if not callable(predict):
        raise InputError(
            f"predict must be a function, but {type(predict).__name__} is not: pass its method, such as predict_proba."
        )
    if hasattr(predict, "named_modules"):
        raise InputError(
            f"predict is a PyTorch module ({type(predict).__name__}), which takes tensors and may be in training mode: "
            "pass a function from an array to an array, such as lambda rows: model.eval()(torch.tensor(rows)).detach()."
        )
    if isinstance(outputs, str):
        raise InputError(f"outputs must be a list of names, not the text {outputs!r}.")
    if outputs is not None:
        return tuple(str(output) for output in outputs)
    if getattr(predict, "__name__", "") not in _OF_CLASSES:
        return None
    classes = getattr(getattr(predict, "__self__", None), "classes_", None)
    return tuple(map(str, classes)) if isinstance(classes, np.ndarray) else None


def predicted(predict: Callable[[Any], Any], rows: Any, count: int, what: str) -> Values:
    """What ``predict`` makes of ``count`` rows (or images: ``what``), (count,) or (count, T).

    Raises
    ------
    AblationError
        For anything but one number, or T, per row.
    """
    array = as_array(predict(rows))
    if array.ndim not in (1, 2) or len(array) != count:
        raise AblationError(
            f"predict returned shape {array.shape} for {count} {what}: return shape ({count},), or ({count}, T) for T "
            "outputs."
        )
    if array.dtype.kind not in "fiub":
        seen = f" such as {array.flat[0]!r}" if array.size else ""
        raise AblationError(
            f"predict returned {array.dtype}{seen}, not real numbers: pass predict_proba or the like, or a function "
            f"that makes one float of each of the {what}."
        )
    return array.astype(np.float64)
