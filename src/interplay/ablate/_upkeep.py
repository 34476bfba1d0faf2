"""A store's upkeep: whether every value is as it was written, less room on the disk, and values of other stores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from interplay._errors import StoreError
from interplay.ablate._store import Store, opened

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
        query = "SELECT fingerprint, features, outputs, labels FROM game"
        for game in other.database.execute(query).fetchall():
            store.database.execute(
                "INSERT OR IGNORE INTO game (fingerprint, features, outputs, labels) VALUES (?, ?, ?, ?)", game
            )
            own = store.database.execute(f"{query} WHERE fingerprint = ?", game[:1]).fetchone()
            if own != game and own != (game[0], game[1], None, game[3]):
                raise StoreError(
                    f"{store.path} and {other.path} both hold a game of one name, with other features, labels or "
                    "outputs: they cannot be merged."
                )
        before = store.database.total_changes
        for block in _blocks(other):
            sound = [(mask, value, game) for game, mask, value in block if opened(game, mask, value) is not None]
            store.database.executemany(
                "INSERT OR IGNORE INTO ablation SELECT id, ?, ? FROM game WHERE fingerprint = ?", sound
            )
        return store.database.total_changes - before


def _blocks(store: Store) -> Iterator[list[tuple[str, bytes, bytes]]]:
    """All values with their games' fingerprints and their masks, in blocks that fit into memory."""
    cursor = store.database.execute(
        "SELECT fingerprint, mask, value FROM ablation JOIN game ON game.id = ablation.game"
    )
    while block := cursor.fetchmany(_BLOCK):
        yield block
