"""A game's function on its way to a worker, which gets it once."""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from interplay._errors import InputError
from interplay._game.game import Game
from interplay._game.masks import Masks

_SMALL = 1 << 14  # bytes; a smaller game is cheaper to send along than to read from a file
_measuring = False  # whether this worker has something to interrupt


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
