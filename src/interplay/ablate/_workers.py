"""Worker processes that do not fight over cores, and games that travel to each of them once."""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
import multiprocessing
import os
import pickle
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from interplay._errors import InputError
from interplay._game import Game, Masks

_SMALL = 1 << 14  # bytes; a smaller game is cheaper to send along than to read from a file
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",  # what n_jobs=-1 means to scikit-learn
)
_measuring = False  # whether this worker has something to interrupt


def processes(workers: int | None = None, *, threads: int = 1) -> futures.ProcessPoolExecutor:
    """An executor of worker processes, each held to so many threads: for ``executor=`` of `interplay.explain`.

    Without the limit every worker would start a thread per core in its linear algebra, and they would wait for one
    another. A script that uses it must guard its main code with ``if __name__ == "__main__":``, as the workers
    import it. Values do not depend on the number of workers.

    >>> from interplay.ablate import processes
    >>> with processes(2) as executor:                       # doctest: +SKIP
    ...     result = ip.explain(game, budget=1000, executor=executor)

    Parameters
    ----------
    workers
        How many processes; one per core that this process may use when left out.
    threads
        The most threads that each may use in BLAS, OpenMP and PyTorch, and what ``n_jobs=-1`` means to scikit-learn.

    Raises
    ------
    InputError
        For numbers below 1.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    chosen = count if workers is None else workers
    for what, number in (("workers", chosen), ("threads", threads)):
        if number < 1:
            raise InputError(f"{what} must be at least 1, not {number}.")
    # A fork of a process that has started threads, as PyTorch and OpenMP do, can lock up: workers start afresh.
    context = multiprocessing.get_context("spawn")
    return futures.ProcessPoolExecutor(chosen, context, initializer=_begin, initargs=(threads,))


def _begin(threads: int) -> None:
    """What a worker does first: hold itself to ``threads``, and leave Ctrl-C to the process that it works for."""
    _limit_threads(threads)
    signal.signal(signal.SIGINT, _interrupted)


def _interrupted(number: int, frame: object) -> None:  # noqa: ARG001
    """Ctrl-C reaches workers, too: it stops what one is measuring; one that waits for work stays, and stays silent."""
    if _measuring:
        raise KeyboardInterrupt


def _limit_threads(threads: int) -> None:
    """Hold this process to ``threads``: libraries not yet loaded by the environment, those loaded by threadpoolctl."""
    for name in _THREADS:
        os.environ[name] = str(threads)
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=threads)


@dataclass(frozen=True)
class Sent:
    """What a worker needs of a game: its function, without labels, layout and identity."""

    function: Callable[[Masks], Any]

    def value(self, masks: Masks) -> Any:
        """The game's raw values."""
        global _measuring
        _measuring = True
        try:
            return self.function(masks)
        finally:
            _measuring = False


@dataclass(frozen=True)
class _Filed:
    """A game's function in a file, read once by each process that calls it."""

    path: str

    def __call__(self, masks: Masks) -> Any:
        return _read(self.path)(masks)


@lru_cache(maxsize=1)
def _read(path: str) -> Callable[[Masks], Any]:
    value: Callable[[Masks], Any] = pickle.loads(Path(path).read_bytes())  # our own file, written a moment ago
    return value


@contextlib.contextmanager
def sent(game: Game, executor: futures.Executor) -> Iterator[Sent]:
    """What to hand to an executor's workers: for processes, a function with much data is filed, not sent each time.

    Raises
    ------
    InputError
        For a game that cannot be sent to another process.
    """
    if not isinstance(executor, futures.ProcessPoolExecutor):
        yield Sent(game.value)
        return
    try:
        content = pickle.dumps(game.value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise InputError(
            f"this game cannot be sent to another process ({error}): define its function at the top level "
            "of a module, or use a ThreadPoolExecutor."
        ) from error
    if len(content) < _SMALL:
        yield Sent(game.value)
        return
    with tempfile.TemporaryDirectory(prefix="interplay-") as folder:
        path = Path(folder) / "game"
        path.write_bytes(content)
        yield Sent(_Filed(str(path)))
