"""Answers that a model wrote, kept in one SQLite file: text and tokens, by model, prompt and how it was asked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from interplay.models._kept_file import KeptFile

_APPLICATION = 0x1B7E_4F1B  # the mark of such a file, beside that of a store of ablations
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answer (
    prompt TEXT NOT NULL, sample INTEGER NOT NULL, text TEXT NOT NULL, tokens TEXT, PRIMARY KEY (prompt, sample)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Answer:
    """One answer: its text, and its token ids where these are known."""

    text: str
    tokens: tuple[int, ...] | None = None


class Book(KeptFile):
    """Answers by a digest of all that they depend on; ":memory:" for a book that dies with the process."""

    def __init__(self, path: str | os.PathLike[str] = ":memory:") -> None:
        super().__init__(path, "answers", _APPLICATION, [_SCHEMA], wal=True)

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
