"""Worker processes that do not fight over cores, and games that travel to each of them once."""

from __future__ import annotations

import concurrent.futures as futures
import multiprocessing
import signal

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
    context = multiprocessing.get_context("spawn")
    return futures.ProcessPoolExecutor(chosen, context, initializer=_begin, initargs=(threads,))


def _begin(threads: int) -> None:
    """What a worker does first: hold itself to ``threads``, and leave Ctrl-C to the process that it works for."""
    limit_threads(threads)
    signal.signal(signal.SIGINT, _interrupted)


def _interrupted(number: int, frame: object) -> None:  # noqa: ARG001
    """Ctrl-C reaches workers, too: it stops what one is measuring; one that waits for work stays, and stays silent."""
    if is_measuring():
        raise KeyboardInterrupt
