"""Workers of Ray, on this machine or in a cluster, behind the interface of the standard library."""

from __future__ import annotations

import concurrent.futures as futures
import os
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any

from interplay._errors import AblationError, InputError, MissingExtraError
from interplay.executors._threads import cores, limit_threads

_DEATHS = 3  # workers that one call may cost before it is taken for their killer
_QUICK = 0.1  # seconds: after calls that took less, the next waits at the worker, as Ray takes some ms to hand it over


def ray(
    workers: int | None = None,
    gpus: float = 0,
    address: str | None = None,
    *,
    threads: int = 1,
    limit: float | None = None,
) -> futures.Executor:
    """An executor over Ray workers, on this machine or in a cluster: for ``executor=`` of `interplay.explain`.

    Every worker is an actor that gets the game once, has its GPUs for itself and is restarted when it dies: what it had
    not yet answered (the batch that it was measuring and, where batches are quick, one beside it) is measured again, so
    that nothing is lost and no other batch is paid twice.
    Games may be lambdas and closures. Values do not depend on the number of workers. A Ray that this process has
    started before is used and left running; one that is started here ends with the executor.

    >>> with ip.executors.ray(2) as executor:                             # doctest: +SKIP
    ...     result = ip.explain(game, budget=1000, executor=executor)

    Parameters
    ----------
    workers
        How many; as many as there are cores or, with ``gpus``, GPUs for when left out.
    gpus
        The GPUs of each worker, which sees no others; a fraction lets several share one.
    address
        A cluster's, such as ``"10.0.0.1:6379"`` or ``"auto"``, whose machines have interplay installed, too; None
        starts Ray on this machine.
    threads
        The cores of each worker: the most threads that it may use in BLAS, OpenMP and PyTorch.
    limit
        The most seconds that a batch may take, loading a model included: a worker that takes longer is taken to hang,
        and is replaced; None for no limit.

    Raises
    ------
    InputError
        For numbers out of range, more than there are cores or GPUs for, or a cluster that does not answer.
    MissingExtraError
        Without Ray.
    """
    for what, number in (("workers", 1 if workers is None else workers), ("threads", threads)):
        if number < 1:
            raise InputError(f"{what} must be at least 1, not {number}.")
    if gpus < 0:
        raise InputError(f"gpus must be at least 0, not {gpus}.")
    if limit is not None and not limit > 0:
        raise InputError(f"limit must be a number of seconds above 0, not {limit}.")
    return _RayExecutor(workers, threads, gpus, address, limit)


class _RayExecutor(futures.ThreadPoolExecutor):
    """Threads of which each waits for one call of a Ray actor; made by `interplay.executors.ray`."""

    def __init__(
        self, workers: int | None, threads: int, gpus: float, address: str | None, limit: float | None = None
    ) -> None:
        library = _library()
        self._limit = limit
        self._owned = not library.is_initialized()
        if self._owned:
            _start(address, None if workers is None else workers * threads)
        try:
            chosen = _fitting(workers, threads, gpus, library.available_resources())
            actor = library.remote(_Worker).options(
                num_cpus=threads,
                num_gpus=gpus,
                max_restarts=-1,
                max_task_retries=_DEATHS - 1,
                max_concurrency=2,  # one call is unpacked, and its answer sent, while the other is measured
            )
            self._actors = [actor.remote(threads) for _ in range(chosen)]
        except BaseException:
            if self._owned:
                library.shutdown()
            raise
        # What waits at a worker counts against its limit, too.
        self._turns = _Turns(self._actors, ahead=limit is None)
        super().__init__(2 * chosen if limit is None else chosen, thread_name_prefix="interplay-ray")

    def share(self, content: bytes) -> Callable[[Any], Any]:
        """A pickled function, put where every worker reads it once, as something small to submit."""
        return _Shared(_library().put(content))

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        """Run ``function(*args, **kwargs)`` on a worker that is free."""
        return super().submit(self._call, function, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers: with ``wait`` when they have done what was submitted, without at once."""
        if wait:
            super().shutdown(wait=True, cancel_futures=cancel_futures)
        library = _library()
        actors, self._actors = self._actors, []
        if library.is_initialized():
            for actor in actors:
                library.kill(actor)
        if not wait:
            super().shutdown(wait=True, cancel_futures=True)
        if self._owned:
            self._owned = False
            library.shutdown()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers; after Ctrl-C, which does not reach them, without waiting for what they measure."""
        self.shutdown(wait=not isinstance(error, KeyboardInterrupt))

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        library = _library()
        actor, began = self._turns.take(), time.monotonic()
        try:
            return self._answer(actor, function, args, kwargs)
        except library.exceptions.RayTaskError as error:  # what the function raised, as it would be raised here
            raise error.cause from None
        except library.exceptions.RayActorError as error:
            raise AblationError(
                f"the same batch of ablations ended {_DEATHS} workers in turn, perhaps for lack of memory: use a "
                "smaller batch_size or fewer workers."
            ) from error
        finally:
            self._turns.give_back(actor, time.monotonic() - began)

    def _answer(self, actor: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the actor's function returns; one that takes longer than the limit is replaced and asked again."""
        library = _library()
        for _ in range(_DEATHS):
            running = actor.run.remote(function, args, kwargs)
            try:
                return library.get(running, timeout=self._limit)
            except library.exceptions.GetTimeoutError:
                # Without a retry by Ray of its own, which would take the next turn's place.
                library.cancel(running, recursive=False)
                library.kill(actor, no_restart=False)
        raise AblationError(
            f"the same batch of ablations took more than {self._limit:g} s on {_DEATHS} workers in turn: raise limit, "
            "or use a smaller batch_size."
        )


class _Turns:
    """Who works next: the actor with the fewest calls, of which a second waits there where calls are quick."""

    def __init__(self, actors: Sequence[Any], *, ahead: bool) -> None:
        self._calls = dict.fromkeys(actors, 0)
        self._ahead, self._most = ahead, 1
        self._changed = threading.Condition()

    def take(self) -> Any:
        """An actor, once one has room."""
        with self._changed:
            while True:
                actor = min(self._calls, key=self._calls.__getitem__)
                if self._calls[actor] < self._most:
                    self._calls[actor] += 1
                    return actor
                self._changed.wait()

    def give_back(self, actor: Any, seconds: float) -> None:
        """An actor whose call took so long, the waiting there included."""
        with self._changed:
            self._calls[actor] -= 1
            self._most = 2 if self._ahead and seconds < _QUICK * self._most else 1
            self._changed.notify_all()


class _Worker:
    """What runs in a Ray actor: one call at a time, in whichever of its threads."""

    def __init__(self, threads: int) -> None:
        limit_threads(threads)  # by the environment, too, before anything else is loaded
        self._threads = threads
        self._turn = threading.Lock()
        self._limited: set[int] = set()

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self._turn:
            if threading.get_ident() not in self._limited:  # OpenMP counts threads for each that starts them
                limit_threads(self._threads)
                self._limited.add(threading.get_ident())
            return function(*args, **kwargs)


@dataclass(frozen=True)
class _Shared:
    """A function in Ray's object store, read once by each worker that calls it."""

    reference: Any

    def __call__(self, masks: Any) -> Any:
        return _read(self.reference)(masks.copy())  # what Ray hands over is read-only, and a game may write into masks


@lru_cache(maxsize=1)
def _read(reference: Any) -> Callable[[Any], Any]:
    function: Callable[[Any], Any] = pickle.loads(_library().get(reference))  # written by our own driver
    return function


def _library() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError.of("Ray", "ray") from error
    return ray


def _start(address: str | None, cpus: int | None) -> None:
    """Start Ray here, or reach a cluster: without its dashboard, its log lines and its reports of usage."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # without GPUs asked for, leave them as they are
    os.environ.setdefault("RAY_worker_niceness", "0")  # the measuring is what this machine is for
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address is None:
            _library().init(
                address="local", num_cpus=cores() if cpus is None else cpus, include_dashboard=False, **options
            )
        else:
            _library().init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = "on this machine" if address is None else f"at {address}"
        raise InputError(f"Ray could not be reached {where} ({str(error).splitlines()[0]}).") from error


def _fitting(workers: int | None, threads: int, gpus: float, free: dict[str, float]) -> int:
    """How many workers to start: those asked for if there is room for them, otherwise as many as there is room for."""
    room = int(free.get("CPU", 0) // threads)
    if gpus:
        room = min(room, int(free.get("GPU", 0) / gpus + 1e-9))
    wanted = max(room, 1) if workers is None else workers
    if wanted > room:
        raise InputError(
            f"Ray has {free.get('CPU', 0):g} cores and {free.get('GPU', 0):g} GPUs free, too few for {wanted} workers "
            f"of {threads} threads and {gpus:g} GPUs: ask for fewer."
        )
    return wanted
