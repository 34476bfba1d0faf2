"""A store's upkeep: damage is counted, room is given back, and stores are merged without a value lost or spoilt."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay.ablate import Store, compact, export_values, import_values, measure, merge, verify

Run = Callable[..., tuple[int, str, str]]


def weigh(masks: np.ndarray) -> np.ndarray:
    return masks @ np.arange(1.0, masks.shape[1] + 1)


def game(name: str, n: int = 12) -> ip.Game:
    return ip.Game(weigh, n, name=name)


def filled(path: Path, name: str, rows: slice, n: int = 12) -> Path:
    with Store(path) as store:
        measure(game(name, n), ip.design(n, 100, method="lasso")[rows], store=store)
    return path


def damage(path: Path, count: int) -> None:
    with Store(path) as store:
        store.database.create_function("torn", 1, lambda value: value[:3] + bytes([value[3] ^ 4]) + value[4:])
        store.database.execute(
            "UPDATE ablation SET value = torn(value) WHERE mask IN (SELECT mask FROM ablation LIMIT ?)", (count,)
        )


def test_damage_is_counted_and_left_where_it_is(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db", "one", slice(0, 40))
    damage(path, 3)
    with Store(path) as store:
        for _ in range(2):
            found = verify(store)
            assert (found.games, found.values, found.damaged) == (1, 40, 3)


def test_merged_stores_hold_what_either_held_and_nothing_damaged(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a.db", "one", slice(0, 40)), filled(tmp_path / "b.db", "one", slice(30, 100))
    filled(b, "two", slice(0, 10))
    damage(b, 2)
    with Store(a) as store, Store(b) as other:
        sound = verify(other).values - verify(other).damaged
        copied = merge(store, other)
        assert sound - 10 <= copied <= sound
        assert merge(store, other) == 0
        assert verify(store).damaged == 0
        masks = ip.design(12, 100, method="lasso")
        found = measure(game("one"), masks, store=store)
        assert found.measured <= 2
        np.testing.assert_array_equal(found.values, weigh(masks))


def test_stores_that_contradict_each_other_are_not_merged(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a.db", "one", slice(0, 40)), filled(tmp_path / "b.db", "one", slice(0, 40), n=13)
    with Store(a) as store, Store(b) as other:
        with pytest.raises(ip.StoreError, match="both hold a game of one name"):
            merge(store, other)
        assert verify(store).values == 40


def test_a_compact_store_is_smaller_and_whole(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db", "one", slice(0, 100))
    with Store(path) as store:
        store.database.execute("CREATE TABLE ballast AS SELECT zeroblob(1000000) AS b")
        store.database.execute("DROP TABLE ballast")
        compact(store)
        assert verify(store).values == 100
    assert path.stat().st_size < 200_000


def test_the_command_line_verifies_compacts_and_merges(run: Run, tmp_path: Path) -> None:
    filled(tmp_path / "a.db", "one", slice(0, 40))
    filled(tmp_path / "b.db", "one", slice(40, 50))
    status, _, err = run("store", "merge", "new.db", "a.db", "b.db")
    assert (status, "copied     40 values of a.db" in err, "copied     10 values of b.db" in err) == (0, True, True)
    assert "values     50\ndamaged    0" in run("store", "verify", "new.db")[2]
    assert "bytes" in run("store", "compact", "new.db")[2]
    damage(tmp_path / "new.db", 1)
    status, _, err = run("store", "verify", "new.db")
    assert (status, "1 values of new.db are damaged" in err) == (2, True)
    status, _, err = run("store", "verify", "absent.db")
    assert (status, err) == (2, "interplay: there is no store absent.db.\n")
    assert not (tmp_path / "absent.db").exists()


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
def test_what_is_exported_comes_back_to_the_last_digit(tmp_path: Path, name: str) -> None:
    masks = ip.design(12, 60, method="lasso")
    rows = np.random.default_rng(0).standard_normal((12, 100))  # long enough to be compressed
    wide = ip.Game(lambda kept: kept @ rows / 3.0, ["ä", '"b"', *map(str, range(10))], name="wide")
    path = filled(tmp_path / "a.db", "one", slice(0, 40))
    with Store(path) as store:
        measure(wide, masks, store=store)
        assert export_values(store, tmp_path / name) == 100
    with Store(tmp_path / "b.db") as other:
        assert import_values(other, tmp_path / name) == 100
        assert import_values(other, tmp_path / name) == 0
        found = measure(wide, masks, store=other)
        assert found.measured == 0
        np.testing.assert_array_equal(found.values, masks @ rows / 3.0)
        assert measure(game("one"), ip.design(12, 100, method="lasso")[:40], store=other).measured == 0


def test_of_what_is_no_export_nothing_is_added(tmp_path: Path) -> None:
    good = tmp_path / "good.jsonl"
    with Store(filled(tmp_path / "a.db", "one", slice(0, 20))) as store:
        export_values(store, good)
    lines = good.read_text().splitlines()
    bad = tmp_path / "bad.jsonl"
    with Store(tmp_path / "b.db") as other:
        for broken, where in (
            (['{"other": 1}', *lines[1:]], 1),
            ([lines[0], *lines[2:]], 2),
            ([*lines[:5], lines[5][:-4]], 6),
            ([*lines[:5], lines[5].replace('"mask": "', '"mask": "1')], 6),
            ([*lines[:5], '{"mask": "000000000000", "value": NaN}'], 6),
        ):
            bad.write_text("\n".join(broken))
            with pytest.raises(ip.StoreError, match=rf"line {where} of .* is not of an exported store"):
                import_values(other, bad)
            assert verify(other).values == verify(other).games == 0
        with pytest.raises(ip.StoreError, match="cannot read"):
            import_values(other, tmp_path / "nowhere.jsonl")
        measure(ip.Game(weigh, [f"w{i}" for i in range(12)], name="one"), ip.design(12, 9), store=other)
        with pytest.raises(ip.StoreError, match="with other features, labels or outputs"):
            import_values(other, good)


@pytest.mark.slow
def test_many_values_pass_in_bounded_memory(tmp_path: Path) -> None:
    """A block of values at a time, whatever their number."""
    fingerprint, count = "many", 60_000
    with Store(tmp_path / "a.db") as store, Store(tmp_path / "b.db") as other:
        shelf = store.of(ip.Game(weigh, 40, name=fingerprint))
        masks = np.random.default_rng(0).random((count, 40)) < 0.5
        for first in range(0, count, 10_000):
            shelf.write(masks[first : first + 10_000], weigh(masks[first : first + 10_000]))
        tracemalloc.start()
        assert export_values(store, tmp_path / "many.gz") == count
        assert import_values(other, tmp_path / "many.gz") == count
        assert verify(other).values == count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 12 << 20  # all of them would take 25 MiB
