"""How many rows a forward pass takes: grown while that pays, halved when memory runs out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from interplay._errors import AblationError

_FIRST = 16
_LARGEST = 1 << 14
_PAYS = 1.05  # a batch twice as large must be so much faster per row to be worth its memory

Result = TypeVar("Result")


class BatchSize:
    """The number of rows (or tokens: whatever the caller counts) to run at once, found while running.

    It doubles as long as rows get cheaper, then stays at the best size seen; out of memory it halves and never
    grows back to what did not fit. Values do not depend on it, but for rounding.

    Parameters
    ----------
    rows
        The number to stay at; found between ``first`` and ``largest`` when left out.
    """

    def __init__(self, rows: int | None = None, *, first: int = _FIRST, largest: int = _LARGEST) -> None:
        self.rows = rows or first
        self.limit = rows or largest
        self.settled = rows is not None
        self._rate = 0.0  # rows a second at half the present size
        self._warm = 0

    def run(self, rows: int, work: Callable[[], Result], least: int = 1) -> Result | None:
        """``work()`` on ``rows`` rows; None where they did not fit, and must be tried again with fewer.

        Raises
        ------
        AblationError
            Where not even ``least`` rows fit, those of one ablation of one input.
        """
        began = time.perf_counter()
        try:
            result = work()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # The error is let go here: its traceback holds every tensor of the failed pass.
        else:
            self._learn(rows, time.perf_counter() - began)
            return result
        if rows <= least:
            raise AblationError(
                "not even one ablation of one input fits into memory: shorten the inputs, load the model in half "
                "precision, or use a larger device."
            )
        _release()
        self.limit = max(least, rows // 2)
        self.rows, self.settled = min(self.rows, self.limit), True
        return None

    def _learn(self, rows: int, seconds: float) -> None:
        if self.settled or rows < self.rows:
            return
        self._warm += 1
        if self._warm < 2:  # the first pass at any size pays for memory that later ones reuse
            return
        rate = rows / max(seconds, 1e-9)
        if rate < _PAYS * self._rate:
            self.rows, self.settled = max(1, self.rows // 2), True
        elif self.rows * 2 > self.limit:
            self.settled = True
        else:
            self.rows, self._rate, self._warm = self.rows * 2, rate, 0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on whichever device."""
    words = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or "OutOfMemory" in type(error).__name__
        or any(sign in words for sign in ("out of memory", "can't allocate memory", "cublas_status_alloc_failed"))
    )


def _release() -> None:
    """Return what a failed pass left in the allocator's cache."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
