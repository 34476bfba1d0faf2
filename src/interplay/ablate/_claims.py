"""Who measures what, where several processes work on one store: claims on ablations, with a lease."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from interplay._errors import StoreError
from interplay._game.masks import Masks
from interplay.ablate._store import Shelf

LEASE = 30.0  # seconds that a claim outlives the last sign of life of a process that is stopped or out of reach


class Claims:
    """The claims of one run on one game's ablations; given back at the end, however it ends.

    A claim holds as long as its process lives and renews the lease. That of a process known to be dead counts no
    longer; that of one stopped, or on another machine, until its lease runs out.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.owner = f"{socket.gethostname()} {os.getpid()} {_started(os.getpid())} {uuid.uuid4().hex}"
        self._left = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, masks: Masks) -> list[bool]:
        """Which of the masks (N, n) this run may measure: neither known by now nor claimed by another run."""
        keys, now = self.shelf.keys(masks), time.time()
        store = self.shelf.store
        try:
            with store.explained("write"), store.transaction():
                known = {mask for (mask,) in self.shelf.rows("SELECT mask FROM ablation", keys)}
                held = self.shelf.rows("SELECT mask, owner, until FROM claim", keys)
                taken = {
                    mask for mask, owner, until in held if owner != self.owner and until > now and not _is_dead(owner)
                }
                free = [key not in known and key not in taken for key in keys]
                rows = [
                    (self.shelf.key, key, self.owner, now + LEASE) for key, mine in zip(keys, free, strict=True) if mine
                ]
                store.database.executemany("INSERT OR REPLACE INTO claim VALUES (?, ?, ?, ?)", rows)
        except StoreError:  # a full disk, say: to measure twice is better than not at all
            return [True] * len(keys)
        if self._heart is None:
            self._heart = threading.Thread(target=self._renew, name="interplay-claims", daemon=True)
            self._heart.start()
        return free

    def release(self, masks: Masks) -> None:
        """Give back the masks (N, n), which were not measured after all."""
        self._delete("mask = ? AND owner = ?", [(key, self.owner) for key in self.shelf.keys(masks)])

    def _delete(self, where: str, parameters: Sequence[tuple[object, ...]]) -> None:
        store = self.shelf.store
        with contextlib.suppress(StoreError), store.explained("write"), store.transaction():
            store.database.executemany(
                f"DELETE FROM claim WHERE game = ? AND {where}", [(self.shelf.key, *given) for given in parameters]
            )

    def _renew(self) -> None:
        """Show now and then that this process is alive, over a connection of its own: the other one may be busy."""
        path = Path(self.shelf.store.path).expanduser()
        while not self._left.wait(LEASE / 3):
            with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=LEASE)) as own:
                own.execute("UPDATE claim SET until = ? WHERE owner = ?", (time.time() + LEASE, self.owner))
                own.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._delete("owner = ?", [(self.owner,)])


def _is_dead(owner: str) -> bool:
    """Whether a claim's process is known to have ended: on this machine, where processes can be asked after."""
    host, number, started, _ = owner.rsplit(" ", 3)
    if host != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(int(number), 0)  # no signal, only the question whether one could be sent
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _started(int(number)) != started  # another process has its number by now


def _started(process: int) -> str:
    """When a process began, in the kernel's ticks; "?" where the machine does not say."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return "?"
