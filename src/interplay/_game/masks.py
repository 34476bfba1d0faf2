"""Masks and values: what goes into a game and what comes out, checked."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._errors import AblationError, InputError

Masks: TypeAlias = npt.NDArray[np.bool_]
"""(N, n) booleans: True keeps a feature, False ablates it."""


Values: TypeAlias = npt.NDArray[np.float64]
"""(N,) or, for T outputs per ablation, (N, T)."""


def check_masks(masks: object, n: int | None = None) -> Masks:
    """``masks`` as a boolean (N, n) array, or an `InputError` that says what it is instead."""
    try:
        array = np.asarray(masks)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"masks must be a boolean array of shape (N, n), which these cannot become: {_why_no_array(error)}."
        ) from error
    if array.dtype != np.bool_:
        raise InputError(
            f"masks must be boolean (True = kept), not {array.dtype}: pass masks.astype(bool) if 1 means kept in yours."
        )
    if array.ndim != 2:
        raise InputError(f"masks must have shape (N, n), not {array.shape}: one row per ablation.")
    if n is not None and array.shape[1] != n:
        raise InputError(f"masks have {array.shape[1]} columns, but there are {n} features: pass shape (N, {n}).")
    if array.shape[1] == 0:
        raise InputError("masks have no columns: there must be at least one feature to ablate.")
    return array


def _why_no_array(error: Exception) -> str:
    words = " ".join(str(error).split()).rstrip(".")
    return "its rows differ in length" if "inhomogeneous" in words else words


def as_array(values: object) -> npt.NDArray[Any]:
    """``values`` as an array of whatever type, or an `AblationError`: rows of several lengths, say."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # the last by tensors that belong to a graph
        reason = _why_no_array(error)
        raise AblationError(
            f"values must be an array of real numbers, which the {type(values).__name__} returned cannot become "
            f"({reason}): return one float per mask, or one row of T floats."
        ) from error


def check_values(values: object, masks: Masks) -> Values:
    """``values`` as a finite float64 array with one row per mask, or an `AblationError` that says which fail."""
    array = as_array(values)
    if array.dtype.kind not in "fiub":
        raise AblationError(
            f"values must be real numbers, but they are {array.dtype}: return one float per mask, "
            "or one row of T floats."
        )
    if array.ndim not in (1, 2) or len(array) != len(masks):
        raise AblationError(
            f"{len(masks)} masks gave values of shape {array.shape}: return shape ({len(masks)},), "
            f"or ({len(masks)}, T) for T outputs."
        )
    if array.ndim == 2 and array.shape[1] == 0:
        raise AblationError(f"values have shape {array.shape}, no outputs at all: return at least one.")
    array = array.astype(np.float64)
    bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    if bad.any():
        rows = np.flatnonzero(bad)
        shown = ", ".join(f"{r} ({int(masks[r].sum())} of {masks.shape[1]} kept)" for r in rows[:5])
        more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
        kind = "NaN" if np.isnan(array[bad]).any() else "infinite values"
        raise AblationError(
            f"the game gave {kind} for {len(rows)} of {len(masks)} masks: rows {shown}{more}. "
            "Have it return a finite number there (clip it, or use log-probabilities in higher precision)."
        )
    return array


def averaged(values: Values, repeats: int) -> Values:
    """The mean over ``repeats`` adjacent columns: (N, T * repeats) to (N, T), or to (N,) where T is 1."""
    if repeats == 1:
        return values
    mean: Values = values.reshape(len(values), values.shape[1] // repeats, repeats).mean(axis=2)
    return mean[:, 0] if mean.shape[1] == 1 else mean
