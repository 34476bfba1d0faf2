"""A store's upkeep: whether every value is as it was written, less room on the disk, and values of other stores."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

from interplay._checks import as_path
from interplay._errors import StoreError
from interplay.ablate._store import Store, opened, sealed

_FORMAT = "interplay store"  # what the first line of an exported file holds, with its version
_GAMES = "SELECT fingerprint, features, outputs, labels FROM game"
_BLOCK = 10_000  # values in memory at a time


@dataclass(frozen=True)
class Verified:
    """How many games and values a store holds, and how many of the values are damaged."""

    games: int
    values: int
    damaged: int


def verify(store: Store) -> Verified:
    """Read every value and hold it against its checksum; nothing is changed.

    Raises
    ------
    StoreError
        For a file whose structure is damaged.
    """
    with store.explained("read"):
        broken = store.database.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if broken != "ok":
            raise StoreError(f"the store {store.path} is damaged ({broken}): merge what can be read into a new one.")
        games = store.database.execute("SELECT count(*) FROM game").fetchone()[0]
        values = damaged = 0
        for block in _blocks(store):
            values += len(block)
            damaged += sum(opened(game, mask, value) is None for game, mask, value in block)
    return Verified(games, values, damaged)


def compact(store: Store) -> None:
    """Give room that is no longer used back to the disk."""
    with store.explained("compact"):
        store.database.execute("VACUUM")
        store.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def merge(store: Store, other: Store) -> int:
    """Copy the values of ``other`` that are sound and not in ``store`` yet; how many these were.

    Raises
    ------
    StoreError
        Where both have a game of the same name with other features, labels or outputs; nothing is copied then.
    """
    with store.explained("write"), other.explained("read"), store.transaction():
        for game in other.database.execute(_GAMES).fetchall():
            _join(store, game, other.path)
        before = store.database.total_changes
        for block in _blocks(other):
            _add(store, [(mask, value, game) for game, mask, value in block if opened(game, mask, value) is not None])
        return store.database.total_changes - before


def export_values(store: Store, path: str | os.PathLike[str]) -> int:
    """Write all sound values as lines of JSON, compressed where the name ends in ``.gz``; how many these were.

    The first line says what the file is. A line of a game has its ``fingerprint``, ``features``, ``labels`` and
    ``outputs`` (null until known, 0 for one number per mask); the lines of its values follow, each with the features
    that were kept, as ``mask`` of 0 and 1, and the ``value``: a number or a row of them, to the last digit.

    Raises
    ------
    StoreError
        For a file that cannot be written.
    """
    count = 0
    with _file(path, "wt") as file, store.explained("read"):
        _write(file, {_FORMAT: 1})
        for game in store.database.execute(_GAMES).fetchall():
            fingerprint, features, outputs, labels = game
            _write(
                file,
                {"fingerprint": fingerprint, "features": features, "outputs": outputs, "labels": json.loads(labels)},
            )
            for block in _blocks(store, fingerprint):
                for _, mask, sealed_value in block:
                    value = opened(fingerprint, mask, sealed_value)
                    if value is not None:
                        bits = np.unpackbits(np.frombuffer(mask, dtype=np.uint8), count=features)
                        _write(file, {"mask": "".join(map(str, bits.tolist())), "value": value.tolist()})
                        count += 1
    return count


def import_values(store: Store, path: str | os.PathLike[str]) -> int:
    """Read what `export_values` wrote; how many values were not in ``store`` yet.

    Raises
    ------
    StoreError
        For a file that `export_values` did not write, or a game that the store holds with other features, labels or
        outputs; nothing is added then.
    """
    game: tuple[str, int] | None = None
    block: list[tuple[bytes, bytes, str]] = []
    with _file(path, "rt") as file, store.explained("write"), store.transaction():
        before = store.database.total_changes
        games = 0
        for number, line in enumerate(file, start=1):
            try:
                entry = json.loads(line)
                if number == 1:
                    if entry[_FORMAT] != 1:
                        raise ValueError
                elif "fingerprint" in entry:
                    joined = (entry["fingerprint"], entry["features"], entry["outputs"], json.dumps(entry["labels"]))
                    changes = store.database.total_changes
                    _join(store, joined, os.fspath(path))
                    games += store.database.total_changes - changes
                    game = (str(entry["fingerprint"]), int(entry["features"]))
                else:
                    block.append(_entry(game, entry))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise StoreError(f"line {number} of {path} is not of an exported store: nothing was added.") from error
            if len(block) >= _BLOCK:
                _add(store, block)
                block = []
        _add(store, block)
        return store.database.total_changes - before - games


def _entry(game: tuple[str, int] | None, entry: Any) -> tuple[bytes, bytes, str]:
    """A value's line as the store has it: mask, sealed value, fingerprint."""
    if game is None:
        raise ValueError
    fingerprint, features = game
    bits, value = entry["mask"], np.array(entry["value"], dtype=np.float64)
    if len(bits) != features or set(bits) - {"0", "1"} or value.ndim > 1 or not np.isfinite(value).all():
        raise ValueError
    mask = np.packbits(np.frombuffer(bits.encode(), dtype=np.uint8) - ord("0")).tobytes()
    return mask, sealed(fingerprint, mask, value), fingerprint


def _join(store: Store, game: tuple[str, int, int | None, str], source: str) -> None:
    """Make the game known to the store; an error where it knows another one by that name."""
    store.database.execute(
        "INSERT OR IGNORE INTO game (fingerprint, features, outputs, labels) VALUES (?, ?, ?, ?)", game
    )
    own = store.database.execute(f"{_GAMES} WHERE fingerprint = ?", game[:1]).fetchone()
    if own != game and own != (game[0], game[1], None, game[3]):
        raise StoreError(
            f"{store.path} and {source} both hold a game of one name, with other features, labels or outputs: they "
            "cannot be merged."
        )


def _add(store: Store, rows: list[tuple[bytes, bytes, str]]) -> None:
    """Add masks with their values, by fingerprint; one that is there keeps its value."""
    store.database.executemany("INSERT OR IGNORE INTO ablation SELECT id, ?, ? FROM game WHERE fingerprint = ?", rows)


def _write(file: TextIO, entry: dict[str, Any]) -> None:
    file.write(json.dumps(entry) + "\n")


@contextlib.contextmanager
def _file(path: str | os.PathLike[str], mode: str) -> Iterator[TextIO]:
    try:
        opener = gzip.open if os.fsdecode(path).endswith(".gz") else open
        with opener(as_path(path), mode, encoding="utf-8") as file:
            yield file  # type: ignore[misc]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot {'write' if mode == 'wt' else 'read'} {path} ({error}).") from error


def _blocks(store: Store, fingerprint: str | None = None) -> Iterator[list[tuple[str, bytes, bytes]]]:
    """All values, or one game's, with their fingerprints and their masks, in blocks that fit into memory."""
    query = "SELECT fingerprint, mask, value FROM ablation JOIN game ON game.id = ablation.game"
    one = () if fingerprint is None else (fingerprint,)
    cursor = store.database.execute(query + (" WHERE fingerprint = ?" if one else ""), one)
    while block := cursor.fetchmany(_BLOCK):
        yield block
