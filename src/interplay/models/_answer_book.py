"""Answers that a model wrote, kept in one SQLite file: text and tokens, by model, prompt and how it was asked."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from interplay._checks import as_path
from interplay._errors import InputError, StoreError

_APPLICATION = 0x1B7E_4F1B  # the mark of such a file, beside that of a store of ablations
_SCHEMA = """
CREATE TABLE answer (
    prompt TEXT NOT NULL, sample INTEGER NOT NULL, text TEXT NOT NULL, tokens TEXT, PRIMARY KEY (prompt, sample)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Answer:
    """One answer: its text, and its token ids where these are known."""

    text: str
    tokens: tuple[int, ...] | None = None


class Book:
    """Answers by a digest of all that they depend on; ":memory:" for a book that dies with the process."""

    def __init__(self, path: str | os.PathLike[str] = ":memory:") -> None:
        try:
            self.path = os.fsdecode(path)
        except TypeError:
            raise InputError(f"answers are kept in a file: pass its path, not {path!r}.") from None
        self._lock = threading.RLock()
        if self.path != ":memory:" and not as_path(self.path).parent.is_dir():
            raise StoreError(f"cannot keep answers in {self.path}: its folder does not exist.")
        with self._explained():
            self._database = sqlite3.connect(self.path, timeout=60.0, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, self._database.close)  # nobody else closes it: models have no end
            (mark,) = self._database.execute("PRAGMA application_id").fetchone()
            tables = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if mark != _APPLICATION and (mark or tables):
                raise StoreError(f"{self.path} holds something else than answers: choose another file for them.")
            if not tables:
                self._database.execute("PRAGMA journal_mode = WAL")
                with contextlib.suppress(sqlite3.OperationalError):  # another process made it at this moment
                    self._database.execute(_SCHEMA)
                self._database.execute(f"PRAGMA application_id = {_APPLICATION}")

    def read(self, prompt: str, samples: int) -> tuple[Answer, ...] | None:
        """The first ``samples`` answers under a digest; None where fewer are kept."""
        with self._lock, self._explained():
            rows = self._database.execute(
                "SELECT text, tokens FROM answer WHERE prompt = ? AND sample < ? ORDER BY sample", (prompt, samples)
            ).fetchall()
        if len(rows) < samples:
            return None
        return tuple(Answer(text, None if tokens is None else tuple(json.loads(tokens))) for text, tokens in rows)

    def write(self, answers: Mapping[str, Sequence[Answer]]) -> None:
        """Keep answers by digest; those of another process that came first stay."""
        rows = [
            (prompt, number, one.text, None if one.tokens is None else json.dumps(one.tokens))
            for prompt, several in answers.items()
            for number, one in enumerate(several)
        ]
        with self._lock, self._explained():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany("INSERT OR IGNORE INTO answer VALUES (?, ?, ?, ?)", rows)
            finally:
                self._database.execute("COMMIT")

    def __len__(self) -> int:
        with self._lock, self._explained():
            return int(self._database.execute("SELECT count(*) FROM answer").fetchone()[0])

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"cannot keep answers in {self.path}: {error}") from error
