"""One SQLite file that remembers every ablation ever measured, by game and mask."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError, StoreError
from interplay._game.game import Game
from interplay._game.masks import Masks, Values

_APPLICATION = 0x1B7E_4F1A  # marks the file as ours; an unmarked, non-empty database is somebody else's
_FORMAT = 1
_CHUNK = 500  # masks per query, below SQLite's limit on parameters

_SCHEMA = f"""
CREATE TABLE game (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, features INTEGER NOT NULL, outputs INTEGER,
    labels TEXT NOT NULL
);
CREATE TABLE ablation (
    game INTEGER NOT NULL REFERENCES game(id), mask BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (game, mask)
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_FORMAT};
"""
# Made where it is missing: a version that does not know it merely measures those masks again.
_FAILURES = """
CREATE TABLE IF NOT EXISTS failure (
    game INTEGER NOT NULL REFERENCES game(id), mask BLOB NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (game, mask)
) WITHOUT ROWID
"""


class Store:
    """Values of ablations in one SQLite file, addressed by the game's fingerprint and the mask.

    Several processes may share it. A value is durable once its batch is written: a process killed later loses
    nothing of it.

    >>> import interplay as ip
    >>> with ip.Store(":memory:") as store:
    ...     game = ip.Game(lambda masks: masks.sum(axis=1), labels=4, name="count")
    ...     first = ip.explain(game, budget=16, store=store)
    ...     again = ip.explain(game, budget=16, store=store)
    >>> first.from_store, again.from_store
    (0, 16)

    Parameters
    ----------
    path
        The file, made when it does not exist; ":memory:" for one that dies with the process.

    Raises
    ------
    StoreError
        For a file that is damaged, is not a store, or comes from a later version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self.path = os.fsdecode(path)
        except TypeError:
            raise InputError(f"a store is a Store or the path of a file, not {path!r}.") from None
        self._anonymous: WeakKeyDictionary[Game, int] = WeakKeyDictionary()
        self._numbers = count()
        if self.path != ":memory:":
            parent = Path(self.path).expanduser().absolute().parent
            if not parent.is_dir():
                raise StoreError(f"cannot open the store {self.path}: the folder {parent} does not exist.")
            if Path(self.path).is_dir():
                raise StoreError(f"cannot open the store {self.path}: it is a folder; name a file in it.")
        with self._explained("open"):
            self._db = sqlite3.connect(
                self.path if self.path == ":memory:" else Path(self.path).expanduser(),
                timeout=60.0,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            with self._explained("open"):
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        self._db.execute("PRAGMA busy_timeout = 60000")
        application, version = self._mark()
        if (application, version) == (0, 0):
            with self._transaction():  # another process may be making it at this moment
                application, version = self._mark()
                if (application, version) == (0, 0):
                    if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                        raise StoreError(
                            f"{self.path} is an SQLite database, but not an interplay store: choose another file."
                        )
                    for statement in _SCHEMA.split(";"):
                        self._db.execute(statement)
                    application, version = self._mark()
        if application != _APPLICATION:
            raise StoreError(f"{self.path} is an SQLite database, but not an interplay store: choose another file.")
        if version > _FORMAT:
            raise StoreError(
                f"the store {self.path} has format {version}, but this version of interplay reads up to {_FORMAT}: "
                "upgrade interplay or choose another file."
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(_FAILURES)
        self._db.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing; a power cut, the last batch

    def _mark(self) -> tuple[int, int]:
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        return int(application), int(self._db.execute("PRAGMA user_version").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError as error:
            raise StoreError(f"cannot {what} the store {self.path}: it is closed; open it again.") from error
        except sqlite3.OperationalError as error:
            raise StoreError(f"cannot {what} the store {self.path}: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path} is not an interplay store, or it is damaged ({error}): choose another file, or move "
                "this one away to start afresh."
            ) from error

    def of(self, game: Game) -> Shelf:
        """The part of the store that holds this game's values.

        Raises
        ------
        StoreError
            For a game that cannot be identified, or another one stored under the same name.
        """
        fingerprint = game.fingerprint
        if fingerprint is None:
            if self.path != ":memory:":
                raise StoreError(
                    "this game cannot be recognised in a store, because nothing says which function it measures: "
                    "name it yourself, ip.Game(function, labels, name='...') or game.named('...')."
                )
            # Not its address, which the next game may have when this one is gone.
            fingerprint = f"anonymous {self._anonymous.setdefault(game, next(self._numbers))}"
        with self._explained("read"), self._transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO game (fingerprint, features, labels) VALUES (?, ?, ?)",
                (fingerprint, game.n, json.dumps(game.labels)),
            )
            key, features, labels = self._db.execute(
                "SELECT id, features, labels FROM game WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
        if (features, tuple(json.loads(labels))) != (game.n, game.labels):
            detail = f"with {features} features, not {game.n}" if features != game.n else "with other labels"
            raise StoreError(
                f"the store {self.path} holds a game of this name, {game.name!r}, {detail}: give this one another name."
            )
        return Shelf(self, key, game.n)

    def close(self) -> None:
        """Close the file; values written stay."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.path!r})"


@dataclass(frozen=True)
class Shelf:
    """One game's values in a store."""

    store: Store
    key: int
    n: int

    def _keys(self, masks: Masks) -> list[bytes]:
        return [row.tobytes() for row in np.packbits(masks, axis=1)]

    def version(self) -> int:
        """A number that changes when another process has written to the file."""
        with self.store._explained("read"):
            return int(self.store._db.execute("PRAGMA data_version").fetchone()[0])

    def read(self, masks: Masks) -> tuple[npt.NDArray[np.bool_], Values | None]:
        """Which masks (N, n) are known, (N,), and their values, (K,) or (K, T); None where none is."""
        known = np.zeros(len(masks), dtype=np.bool_)
        found: list[bytes] = []
        keys = self._keys(masks)
        with self.store._explained("read"):
            for start in range(0, len(keys), _CHUNK):
                part = keys[start : start + _CHUNK]
                marks = ",".join("?" * len(part))
                query = f"SELECT mask, value FROM ablation WHERE game = ? AND mask IN ({marks})"
                rows = dict(self.store._db.execute(query, (self.key, *part)).fetchall())
                for offset, key in enumerate(part):
                    if key in rows:
                        known[start + offset] = True
                        found.append(rows[key])
        if not found:
            return known, None
        lengths = set(map(len, found))
        if len(lengths) > 1 or not lengths.pop() % 8 == 0:
            raise StoreError(
                f"the store {self.store.path} is damaged: its values of one game are no rows of equally many numbers; "
                "move it away to start afresh."
            )
        values = np.frombuffer(b"".join(found), dtype="<f8").astype(np.float64).reshape(len(found), -1)
        return known, values[:, 0] if self._outputs() == 0 else values

    def _outputs(self) -> int | None:
        row = self.store._db.execute("SELECT outputs FROM game WHERE id = ?", (self.key,)).fetchone()
        return None if row is None else row[0]

    def write(self, masks: Masks, values: Values) -> None:
        """Remember the values (N,) or (N, T) of masks (N, n); a mask already there keeps its value."""
        outputs = values.shape[1] if values.ndim == 2 else 0  # 0: one number per mask, not a row of one
        rows = np.ascontiguousarray(values, dtype="<f8").reshape(len(values), -1)
        pairs: Sequence[tuple[int, bytes, bytes]] = [
            (self.key, key, row.tobytes()) for key, row in zip(self._keys(masks), rows, strict=True)
        ]
        with self.store._explained("write"), self.store._transaction():
            stored = self._outputs()
            if stored is None:
                self.store._db.execute("UPDATE game SET outputs = ? WHERE id = ?", (outputs, self.key))
            elif stored != outputs:
                raise StoreError(
                    f"the store {self.store.path} holds this game with {max(1, stored)} outputs per ablation, but it "
                    f"now gives {max(1, outputs)}: name the game differently."
                )
            self.store._db.executemany("INSERT OR IGNORE INTO ablation VALUES (?, ?, ?)", pairs)

    def read_failures(self, masks: Masks) -> dict[int, str]:
        """Which of the masks (N, n) failed before: their rows, and why."""
        keys = self._keys(masks)
        with self.store._explained("read"):
            query = "SELECT mask, reason FROM failure WHERE game = ?"
            reasons = dict(self.store._db.execute(query, (self.key,)).fetchall())
        return {row: reasons[key] for row, key in enumerate(keys) if key in reasons} if reasons else {}

    def write_failures(self, masks: Masks, reasons: Sequence[str]) -> None:
        """Remember that the masks (N, n) failed, and why."""
        rows = [(self.key, key, reason) for key, reason in zip(self._keys(masks), reasons, strict=True)]
        with self.store._explained("write"), self.store._transaction():
            self.store._db.executemany("INSERT OR REPLACE INTO failure VALUES (?, ?, ?)", rows)
