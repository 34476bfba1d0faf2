"""A SQLite file of one kind that the threads of a process share: what is kept beside a model or a server."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence

from interplay._checks import as_path
from interplay._errors import InputError, StoreError


class KeptFile:
    """The file, opened, and made where it is not there yet; ":memory:" for one that dies with the process.

    Parameters
    ----------
    path
        The file.
    what
        What it holds, for errors: "answers".
    mark
        The application id of such files, by which one of another kind is told.
    tables
        Its tables, each as ``CREATE TABLE IF NOT EXISTS``.
    wal
        Whether several processes read and write it at once.

    Raises
    ------
    InputError
        For what is no path.
    StoreError
        For a file that holds something else, or that cannot be made.
    """

    def __init__(
        self, path: str | os.PathLike[str], what: str, mark: int, tables: Sequence[str], *, wal: bool = False
    ) -> None:
        try:
            self.path = os.fsdecode(path)
        except TypeError:
            raise InputError(f"{what} are kept in a file: pass its path, not {path!r}.") from None
        self._what, self._lock = what, threading.RLock()
        if self.path != ":memory:" and not as_path(self.path).parent.is_dir():
            raise StoreError(f"cannot keep {what} in {self.path}: its folder does not exist.")
        with self._explained():
            self._database = sqlite3.connect(self.path, timeout=60.0, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, self._database.close)  # nobody else closes it: models and scorers have no end
            (known,) = self._database.execute("PRAGMA application_id").fetchone()
            count = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if known != mark and (known or count):
                raise StoreError(f"{self.path} holds something else than {what}: choose another file for them.")
            if not count:
                if wal:
                    self._database.execute("PRAGMA journal_mode = WAL")
                with self._changed():  # another process may be making it at this moment
                    for table in tables:
                        self._database.execute(table)
                    self._database.execute(f"PRAGMA application_id = {mark}")

    @contextlib.contextmanager
    def _changed(self) -> Iterator[None]:
        """While it lasts, a transaction: all of it is written, or nothing."""
        with self._lock, self._explained():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """While it lasts, errors of the database say which file they are about."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"cannot keep {self._what} in {self.path}: {error}") from error
