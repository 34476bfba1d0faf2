"""Worker processes that do not fight over cores, and games that travel to each of them once."""

from __future__ import annotations

import concurrent.futures as futures
import multiprocessing.context
import os
import signal
import sys
from typing import Any

from interplay._errors import InputError
from interplay.ablate import is_measuring
from interplay.executors._threads import cores, limit_threads


def processes(workers: int | None = None, *, threads: int = 1) -> futures.ProcessPoolExecutor:
    """An executor of worker processes, each held to so many threads: for ``executor=`` of `interplay.explain`.

    Without the limit every worker would start a thread per core in its linear algebra, and they would wait for one
    another. Games may be lambdas and closures. A script that uses it must guard its main code with
    ``if __name__ == "__main__":``, as the workers import it. Values do not depend on the number of workers.

    >>> with ip.executors.processes(2) as executor:                       # doctest: +SKIP
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
    chosen = cores() if workers is None else workers
    for what, number in (("workers", chosen), ("threads", threads)):
        if number < 1:
            raise InputError(f"{what} must be at least 1, not {number}.")
    # A fork of a process that has started threads, as PyTorch and OpenMP do, can lock up: workers start afresh.
    return futures.ProcessPoolExecutor(chosen, _Spawned(), initializer=_begin, initargs=(threads,))


class _Process(multiprocessing.context.SpawnProcess):
    """A process that does not try to import a main module which came from no file, as in ``python - < script.py``."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        main = sys.modules["__main__"]
        file = getattr(main, "__file__", None)
        nowhere = file is not None and not os.path.exists(file)
        if nowhere:
            del main.__file__
        try:
            return multiprocessing.context.SpawnProcess._Popen(process_obj)
        finally:
            if nowhere:
                main.__file__ = file


class _Spawned(multiprocessing.context.SpawnContext):
    Process = _Process


def _begin(threads: int) -> None:
    """What a worker does first: hold itself to ``threads``, and leave Ctrl-C to the process that it works for."""
    limit_threads(threads)
    signal.signal(signal.SIGINT, _interrupted)


def _interrupted(number: int, frame: object) -> None:  # noqa: ARG001
    """Ctrl-C reaches workers, too: it stops what one is measuring; one that waits for work stays, and stays silent."""
    if is_measuring():
        raise KeyboardInterrupt
