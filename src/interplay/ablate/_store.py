"""One SQLite file that remembers every ablation ever measured, by game and mask."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary
from zlib import compress, crc32, decompress

import numpy as np
import numpy.typing as npt

from interplay._checks import as_path
from interplay._errors import InputError, StoreError
from interplay._game.game import Game
from interplay._game.masks import Masks, Values
from interplay._game.slopes import Sloped

_APPLICATION = 0x1B7E_4F1A  # marks the file as ours; an unmarked, non-empty database is somebody else's
_FORMAT = 2
_LONG = 512  # bytes of a row from which it is compressed
_CHUNK = 500  # masks per query, below SQLite's limit on parameters

_CLAIMS = """
CREATE TABLE claim (
    game INTEGER NOT NULL REFERENCES game(id), mask BLOB NOT NULL, owner TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (game, mask)
) WITHOUT ROWID
"""
_SCHEMA = f"""
CREATE TABLE game (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, features INTEGER NOT NULL, outputs INTEGER,
    labels TEXT NOT NULL
);
CREATE TABLE ablation (
    game INTEGER NOT NULL REFERENCES game(id), mask BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (game, mask)
) WITHOUT ROWID;
{_CLAIMS};
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_FORMAT};
"""


class Store:
    """Values of ablations in one SQLite file, addressed by the game's fingerprint and the mask.

    Several processes may share it, and the work. A value is durable once its batch is written: a process killed later
    loses nothing of it. Each has a checksum: one that was damaged is measured again.

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
        self.damaged = 0  # values read whose checksum was wrong
        self.unwritten: dict[int, dict[bytes, bytes]] = {}  # by game and mask, what the file could not take
        self.trouble = ""  # why
        self._anonymous: WeakKeyDictionary[Game, int] = WeakKeyDictionary()
        self._numbers = count()
        if self.path != ":memory:":
            try:
                file = as_path(self.path)
            except InputError as error:
                raise StoreError(f"cannot open the store {error}") from None
            if not file.parent.is_dir():
                raise StoreError(f"cannot open the store {self.path}: the folder {file.parent} does not exist.")
            if file.is_dir():
                raise StoreError(f"cannot open the store {self.path}: it is a folder; name a file in it.")
        with self.explained("open"):
            self.database = sqlite3.connect(
                self.path if self.path == ":memory:" else file,
                timeout=60.0,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            with self.explained("open"):
                self._prepare()
        except BaseException:
            self.database.close()
            raise

    def _prepare(self) -> None:
        self.database.execute("PRAGMA busy_timeout = 60000")
        application, version = self._mark()
        if (application, version) == (0, 0):
            with self.transaction():  # another process may be making it at this moment
                application, version = self._mark()
                if (application, version) == (0, 0):
                    if self.database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                        raise StoreError(
                            f"{self.path} is an SQLite database, but not an interplay store: choose another file."
                        )
                    for statement in _SCHEMA.split(";"):
                        self.database.execute(statement)
                    application, version = self._mark()
        if application != _APPLICATION:
            raise StoreError(f"{self.path} is an SQLite database, but not an interplay store: choose another file.")
        if version == 1:
            with self.explained("upgrade"), self.transaction():
                self._seal_all()
        if version > _FORMAT:
            raise StoreError(
                f"the store {self.path} has format {version}, but this version of interplay reads up to {_FORMAT}: "
                "upgrade interplay or choose another file."
            )
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute(
            "PRAGMA synchronous = NORMAL"
        )  # a killed process loses nothing; a power cut, the last batch

    def _seal_all(self) -> None:
        """Give the values of a first store, which had no checksums, the form they have now."""
        if self._mark()[1] != 1:  # another process was faster
            return
        self.database.create_function("sealed_again", 4, _sealed_again)
        again = "SELECT sealed_again(fingerprint, outputs, mask, value) FROM game WHERE id = game"
        self.database.execute(f"UPDATE ablation SET value = ({again})")
        self.database.execute("DROP TABLE IF EXISTS failure")
        self.database.execute(_CLAIMS)
        self.database.execute(f"PRAGMA user_version = {_FORMAT}")

    def _mark(self) -> tuple[int, int]:
        application = self.database.execute("PRAGMA application_id").fetchone()[0]
        return int(application), int(self.database.execute("PRAGMA user_version").fetchone()[0])

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what follows is written, or nothing."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self.database.in_transaction:  # SQLite itself takes back one that met a full disk
                self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    @contextlib.contextmanager
    def explained(self, what: str) -> Iterator[None]:
        """SQLite's complaints as the library's own, each one sentence."""
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

    @classmethod
    @contextlib.contextmanager
    def at(cls, place: Store | str | os.PathLike[str] | None) -> Iterator[Store]:
        """A store that is given; of a path, or of nothing, one that is open, or lives, within the ``with``."""
        if isinstance(place, Store):
            yield place
        else:
            with cls(":memory:" if place is None else place) as own:
                yield own

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
        with self.explained("read"), self.transaction():
            self.database.execute(
                "INSERT OR IGNORE INTO game (fingerprint, features, labels) VALUES (?, ?, ?)",
                (fingerprint, game.n, json.dumps(game.labels)),
            )
            key, features, labels, outputs = self.database.execute(
                "SELECT id, features, labels, outputs FROM game WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
        # A game that is recognised by what it measures is the same whatever its features are called.
        if features != game.n or (game.name is not None and labels != json.dumps(game.labels)):
            detail = f"with {features} features, not {game.n}" if features != game.n else "with other labels"
            raise StoreError(
                f"the store {self.path} holds a game of this name, {game.name!r}, {detail}: give this one another name."
            )
        wanted = None if game.outputs is None else len(game.outputs) * game.repeats
        if outputs is not None and not isinstance(game.value, Sloped):
            held = max(1, outputs)  # 0 is one number for each mask
            if held % game.repeats or wanted not in (None, held):
                raise StoreError(
                    f"the store {self.path} holds a game of this name, {game.name!r}, with {held} numbers for each "
                    f"ablation, not {wanted or f'a multiple of {game.repeats}'}: give this one another name."
                )
        return Shelf(self, key, game.n, fingerprint)

    def flush(self) -> None:
        """Write what is not written yet, so far as the file takes it."""
        rows = [(game, key, value) for game, values in self.unwritten.items() for key, value in values.items()]
        try:
            with self.transaction():
                self.database.executemany("INSERT OR IGNORE INTO ablation VALUES (?, ?, ?)", rows)
                self.database.executemany(
                    "DELETE FROM claim WHERE game = ? AND mask = ?", [(game, key) for game, key, _ in rows]
                )
        except sqlite3.ProgrammingError as error:
            raise StoreError(f"cannot write the store {self.path}: it is closed; open it again.") from error
        except sqlite3.DatabaseError as error:
            self.trouble = str(error)
        else:
            self.unwritten.clear()

    def close(self) -> None:
        """Close the file; values written stay."""
        if any(self.unwritten.values()):
            self.flush()
        self.database.close()

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
    fingerprint: str

    def keys(self, masks: Masks) -> list[bytes]:
        """The masks (N, n) as the store has them."""
        return [row.tobytes() for row in np.packbits(masks, axis=1)]

    def rows(self, query: str, keys: Sequence[bytes]) -> Iterator[tuple[Any, ...]]:
        """What a query of this game finds for some masks, in no order."""
        for start in range(0, len(keys), _CHUNK):
            part = keys[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            yield from self.store.database.execute(f"{query} WHERE game = ? AND mask IN ({marks})", (self.key, *part))

    def version(self) -> int:
        """A number that changes when another process has written to the file."""
        with self.store.explained("read"):
            return int(self.store.database.execute("PRAGMA data_version").fetchone()[0])

    @property
    def _unwritten(self) -> dict[bytes, bytes]:
        return self.store.unwritten.setdefault(self.key, {})

    @property
    def unwritten(self) -> int:
        """How many values could not be written yet and live in memory only."""
        return len(self._unwritten)

    def read(self, masks: Masks) -> tuple[npt.NDArray[np.bool_], Values | None]:
        """Which masks (N, n) are known, (N,), and their values, (K,) or (K, T); None where none is.

        A value whose checksum is wrong counts as unknown and leaves the store, to be measured again.
        """
        known = np.zeros(len(masks), dtype=np.bool_)
        keys = self.keys(masks)
        with self.store.explained("read"):
            found = dict(self.rows("SELECT mask, value FROM ablation", keys)) | self._unwritten
            values = {key: opened(self.fingerprint, key, found[key]) for key in keys if key in found}
            damaged = [key for key, value in values.items() if value is None]
            if damaged:
                self.store.damaged += len(damaged)
                self.store.database.executemany(
                    "DELETE FROM ablation WHERE game = ? AND mask = ?", [(self.key, key) for key in damaged]
                )
        good = [value for key in keys if (value := values.get(key)) is not None]
        if not good:
            return known, None
        known[:] = [values.get(key) is not None for key in keys]
        if len({value.shape for value in good}) > 1:
            raise StoreError(
                f"the store {self.store.path} is damaged: its values of one game are no rows of equally many numbers; "
                "move it away to start afresh."
            )
        return known, np.array(good)

    def write(self, masks: Masks, values: Values) -> None:
        """Remember the values (N,) or (N, T) of masks (N, n), no longer claimed; one already there keeps its value.

        What cannot be written, because the disk is full, say, is kept in memory and tried again with the next ones.
        """
        fresh = {key: sealed(self.fingerprint, key, value) for key, value in zip(self.keys(masks), values, strict=True)}
        self._unwritten.update(fresh)
        self._check_outputs(values.shape[1] if values.ndim == 2 else 0)  # 0: one number per mask, not a row of one
        self.store.flush()

    def _check_outputs(self, outputs: int) -> None:
        """Note how many outputs the game has; an error where it had another number before."""
        with contextlib.suppress(sqlite3.OperationalError):  # a full disk: told when the values are written
            query = "UPDATE game SET outputs = ? WHERE id = ? AND outputs IS NULL"
            self.store.database.execute(query, (outputs, self.key))
        with self.store.explained("read"):
            row = self.store.database.execute("SELECT outputs FROM game WHERE id = ?", (self.key,)).fetchone()
        if row is not None and row[0] not in (None, outputs):
            raise StoreError(
                f"the store {self.store.path} holds this game with {max(1, row[0])} outputs per ablation, but it "
                f"now gives {max(1, outputs)}: name the game differently."
            )


def sealed(fingerprint: str, mask: bytes, value: npt.NDArray[np.float64]) -> bytes:
    """A value (), or a row (T,), as the store has it: its kind, its numbers, and a checksum of game, mask and both.

    Long rows, such as those of slopes, are compressed where that makes them shorter.
    """
    numbers = np.ascontiguousarray(value, dtype="<f8").tobytes()
    content = (b"r" if value.ndim else b"n") + numbers
    if len(numbers) > _LONG and len(packed := compress(numbers)) < len(numbers):
        content = b"z" + packed
    return content + _checksum(fingerprint, mask, content)


def opened(fingerprint: str, mask: bytes, stored: object) -> npt.NDArray[np.float64] | None:
    """The value that `sealed` closed; None where a bit of it, or of what it belongs to, has changed."""
    if not isinstance(stored, bytes) or (stored[:1] != b"z" and len(stored) % 8 != 5):
        return None
    content, checksum = stored[:-4], stored[-4:]
    if _checksum(fingerprint, mask, content) != checksum:
        return None
    if content[:1] == b"z":
        content = b"r" + decompress(content[1:])
    numbers = np.frombuffer(content[1:], dtype="<f8").astype(np.float64)
    return numbers if content[:1] == b"r" else numbers.reshape(())


def _sealed_again(fingerprint: str, outputs: int | None, mask: bytes, value: bytes) -> bytes:
    numbers = np.frombuffer(value, dtype="<f8")
    return sealed(fingerprint, mask, numbers if outputs else numbers.reshape(()))


def _checksum(fingerprint: str, mask: bytes, content: bytes) -> bytes:
    return crc32(content, crc32(mask, crc32(fingerprint.encode()))).to_bytes(4, "little")
