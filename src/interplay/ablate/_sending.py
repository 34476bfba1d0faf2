"""A game's function on its way to a worker, which gets it once."""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
import multiprocessing
import multiprocessing.context
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

from interplay._errors import InputError
from interplay._game.game import Game
from interplay._game.masks import Masks

_SMALL = 1 << 14  # bytes; a smaller game is cheaper to send along than to read from a file
_measuring = False  # whether this worker has something to interrupt
_Forked: Any = getattr(multiprocessing.context, "ForkProcess", ())  # systems without forks have no such class


def is_measuring() -> bool:
    """Whether this process is calling a game right now, so that Ctrl-C has something to interrupt."""
    return _measuring


@dataclass(frozen=True)
class Sent:
    """What a worker needs of a game: its function, without labels, layout and identity."""

    function: Callable[[Masks], Any]

    def value(self, masks: Masks) -> Any:
        """The game's raw values."""
        global _measuring
        _hold_a_fork_to_one_thread()
        _measuring = True
        try:
            return self.function(masks)
        finally:
            _measuring = False


@lru_cache(maxsize=1)
def _hold_a_fork_to_one_thread() -> None:
    """Keep a forked worker off thread pools whose threads stayed behind in its parent: it would wait for them forever.

    A plain ``ProcessPoolExecutor`` forks on Linux below Python 3.14, and a fork has none of the threads that OpenMP
    started for PyTorch or scikit-learn, yet believes that it has. With one thread nothing is handed to them.
    """
    if isinstance(multiprocessing.current_process(), _Forked):
        from threadpoolctl import threadpool_limits

        threadpool_limits(limits=1)
        if "torch" in sys.modules:  # its MKL is linked in, where threadpoolctl cannot see it
            sys.modules["torch"].set_num_threads(1)


class _Sharing(Protocol):
    """An executor with a way of its own to bring a function to each worker once."""

    def share(self, content: bytes) -> Callable[[Masks], Any]:
        """The pickled function, as something small to submit."""
        ...


@dataclass(frozen=True)
class _Packed:
    """A pickled function, unpacked once by each process that calls it."""

    content: bytes

    def __call__(self, masks: Masks) -> Any:
        return _unpack(self.content)(masks)


@dataclass(frozen=True)
class _Carried:
    """A function that is called as it is where it stays, and packed once where an executor sends it elsewhere."""

    function: Callable[[Masks], Any]
    game: Game

    def __call__(self, masks: Masks) -> Any:
        return self.function(masks)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Packed, (self._content,)

    @cached_property
    def _content(self) -> bytes:
        return _packed(self.game)


@dataclass(frozen=True)
class _Filed:
    """A pickled function in a file, read once by each process that calls it."""

    path: str

    def __call__(self, masks: Masks) -> Any:
        return _read(self.path)(masks)


@lru_cache(maxsize=1)
def _unpack(content: bytes) -> Callable[[Masks], Any]:
    value: Callable[[Masks], Any] = pickle.loads(content)  # our own, from the process that started this one
    return value


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
    share = getattr(executor, "share", None)
    if share is not None:
        yield Sent(share(_packed(game)))
        return
    if not isinstance(executor, futures.ProcessPoolExecutor):
        yield Sent(_Carried(game.value, game))
        return
    content = _packed(game)
    if len(content) < _SMALL:
        yield Sent(_Packed(content))
        return
    with tempfile.TemporaryDirectory(prefix="interplay-") as folder:
        path = Path(folder) / "game"
        path.write_bytes(content)
        yield Sent(_Filed(str(path)))


def _packed(game: Game) -> bytes:
    """The game's function, with what it closes over; lambdas and functions of a notebook are sent as they are."""
    import cloudpickle

    try:
        content: bytes = cloudpickle.dumps(game.value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise InputError(
            f"this game cannot be sent to another process ({error}): let its function close over plain data and "
            "models, not over open files, locks or connections, or use a ThreadPoolExecutor."
        ) from error
    return content
