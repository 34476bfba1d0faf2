"""The store under faults: flipped bits, a full disk, passing failures, and processes that share the work."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay.ablate import Store, _claims, measure
from interplay.ablate._claims import Claims
from interplay.ablate._store import opened, sealed


def weigh(masks: np.ndarray) -> np.ndarray:
    return masks @ np.arange(1.0, masks.shape[1] + 1)


def masks_of(count: int, n: int = 12) -> np.ndarray:
    return ip.design(n, count, method="lasso")


@pytest.mark.parametrize("value", [np.array(0.1), np.array([1.5, -2.0])])
def test_any_flipped_bit_of_a_value_its_mask_or_its_game_is_noticed(value: np.ndarray) -> None:
    stored = sealed("game", b"mask", value)
    found = opened("game", b"mask", stored)
    assert found is not None
    assert found.shape == value.shape
    np.testing.assert_array_equal(found, value)
    for bit in range(8 * len(stored)):
        torn = bytearray(stored)
        torn[bit // 8] ^= 1 << bit % 8
        assert opened("game", b"mask", bytes(torn)) is None
    for game, mask, content in (("gamf", b"mask", stored), ("game", b"masc", stored), ("game", b"mask", stored[:-8])):
        assert opened(game, mask, content) is None
    assert opened("game", b"mask", "text") is None


def test_a_damaged_value_is_measured_again_and_the_result_says_so(tmp_path: Path) -> None:
    path, game = tmp_path / "runs.db", ip.Game(weigh, 12, name="g")
    clean = ip.explain(game, budget=40, method="lasso", store=path)
    with sqlite3.connect(path) as database:
        ((mask, value),) = database.execute("SELECT mask, value FROM ablation LIMIT 1").fetchall()
        torn = bytes([*value[:8], value[8] ^ 0x80, *value[9:]])
        database.execute("UPDATE ablation SET value = ? WHERE mask = ?", (torn, mask))
    database.close()
    again = ip.explain(game, budget=40, method="lasso", store=path)
    assert again.spectrum == clean.spectrum
    assert again.from_store == 39
    assert any("1 values in the store" in note for note in again.notes)
    assert not any("damaged" in note for note in ip.explain(game, budget=40, method="lasso", store=path).notes)


def test_a_store_without_checksums_is_sealed_once_and_keeps_its_values(tmp_path: Path) -> None:
    path, masks = tmp_path / "runs.db", masks_of(20)
    games = [ip.Game(weigh, 12, name="one"), ip.Game(lambda m: np.c_[weigh(m), -weigh(m)], 12, name="two")]
    with Store(path) as store:
        for game in games:
            measure(game, masks, store=store)
        store.database.create_function("bare", 1, lambda value: value[1:-4])
        store.database.execute("UPDATE ablation SET value = bare(value)")
        store.database.execute("DROP TABLE claim")
        store.database.execute("PRAGMA user_version = 1")
    with Store(path) as store:
        for game in games:
            found = measure(game, masks, store=store)
            assert found.measured == 0
            np.testing.assert_array_equal(found.values, game(masks))


def test_on_a_full_disk_nothing_paid_for_is_lost(tmp_path: Path) -> None:
    calls = 0
    factors = np.append(1.0, np.random.default_rng(0).random(199))  # rows that compressing makes no shorter

    def game(masks: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += len(masks)
        return weigh(masks)[:, None] * factors

    path, masks = tmp_path / "runs.db", masks_of(120)
    named = ip.Game(game, 12, name="g", batch_size=10)
    with Store(path) as store:
        measure(named, masks[:20], store=store)
        pages = store.database.execute("PRAGMA page_count").fetchone()[0]
        store.database.execute(f"PRAGMA max_page_count = {pages + 5}")
        found = measure(named, masks, store=store)
        assert calls == 120
        np.testing.assert_array_equal(found.values[:, 0], weigh(masks))
        (note,) = (note for note in found.notes if "could not be written" in note)
        assert "disk is full" in note
        assert "save this result" in note
        assert measure(named, masks, store=store).measured == 0  # a later round has them
        store.database.execute("PRAGMA max_page_count = 100000")  # there is room again
    with Store(path) as store:
        assert measure(named, masks, store=store).measured == 0
    assert calls == 120


def test_what_failed_is_not_tried_again_in_the_same_run_but_in_the_next(tmp_path: Path) -> None:
    calls, broken = 0, True

    def fit(kept: object) -> object:
        nonlocal calls
        calls += 1
        if broken and calls % 25 == 0:
            raise OSError("No space left on device")
        return kept

    def score(kept: np.ndarray) -> float:
        return float(np.random.default_rng(kept.tolist()).normal())  # so that no round reaches the goal

    def run() -> ip.Explanation:
        game = ip.lenses.training(fit, score, 20, name="mine")
        return ip.explain(game, budget=200, method="lasso", store=tmp_path / "runs.db", until=0.99)

    found = run()
    assert len(found.curve) > 1  # several rounds, each of which asks for all ablations so far
    assert calls == found.used
    assert any("failed" in note for note in found.notes)
    failed, calls, broken = calls // 25, 0, False
    again = run()
    assert calls == failed
    assert not any("fail" in note or "space" in note for note in again.notes)


def other_store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs.db")


def test_two_runs_at_once_share_the_work_and_each_ends_with_all_values(tmp_path: Path) -> None:
    paid: list[bytes] = []

    def slow(masks: np.ndarray) -> np.ndarray:
        paid.extend(row.tobytes() for row in masks)
        time.sleep(0.002 * len(masks))
        return weigh(masks)

    masks, found = masks_of(200), []

    def work() -> None:
        with other_store(tmp_path) as store:
            found.append(measure(ip.Game(slow, 12, name="g", batch_size=8), masks, store=store))

    other_store(tmp_path).close()
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paid) == len(set(paid)) == 200
    assert sum(one.measured for one in found) == 200
    assert min(one.measured for one in found) > 0
    for one in found:
        np.testing.assert_array_equal(one.values, weigh(masks))
    with other_store(tmp_path) as store:
        assert store.database.execute("SELECT count(*) FROM claim").fetchone() == (0,)


def test_claims_keep_others_off_until_they_are_given_back_or_their_lease_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    game, masks = ip.Game(weigh, 12, name="g"), masks_of(10)
    with other_store(tmp_path) as a, other_store(tmp_path) as b, Claims(b.of(game)) as later:
        with Claims(a.of(game)) as first:
            assert first.take(masks[:6]) == [True] * 6
            assert later.take(masks) == [False] * 6 + [True] * 4
            first.release(masks[:2])
            assert later.take(masks[:3]) == [True, True, False]
        assert later.take(masks) == [True] * 10
        monkeypatch.setattr(_claims, "LEASE", -1.0)
        with Claims(a.of(game)) as late:
            assert late.take(masks) == [False] * 10
            assert later.take(masks) == [True] * 10  # renewed, with a lease that is over
            assert late.take(masks) == [True] * 10


_CLAIMANT = """
    import sys, time
    import numpy as np
    import interplay as ip

    def stuck(masks):
        print("measuring", flush=True)
        time.sleep(1000)

    ip.explain(ip.Game(stuck, 12, name="g", batch_size=8), budget=40, method="lasso", store=sys.argv[1])
"""


@pytest.mark.parametrize("fatal", [True, False])
def test_claims_of_a_process_that_was_killed_or_stopped_hold_nobody_up_for_good(
    tmp_path: Path, fatal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_claims, "LEASE", 2.0)
    script = textwrap.dedent(_CLAIMANT)
    if not fatal:
        script = script.replace("import interplay as ip", "import interplay as ip\nip.ablate._claims.LEASE = 2.0")
    command = [sys.executable, "-c", script, str(tmp_path / "runs.db")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "measuring\n"
        process.send_signal(signal.SIGKILL if fatal else signal.SIGSTOP)
        if fatal:
            process.wait()
        began = time.monotonic()
        found = ip.explain(ip.Game(weigh, 12, name="g"), budget=40, method="lasso", store=tmp_path / "runs.db")
        assert found.used == 40
        assert found.from_store == 0
        if fatal:
            assert time.monotonic() - began < 2.0 + 60  # known to be dead, whatever its lease
    finally:
        process.kill()
        process.communicate()


def test_a_path_that_cannot_be_one_is_refused_in_one_sentence(tmp_path: Path) -> None:
    result = ip.explain(ip.Game(weigh, 4), budget=16)
    for path in ("nul\0.db", str(tmp_path / ("x" * 300)), "~nobody-of-this-name/x"):
        with pytest.raises(ip.StoreError, match="cannot open the store"):
            Store(path)
        with pytest.raises(ip.InputError, match="cannot write"):
            result.save(path)
        with pytest.raises(ip.InputError, match="cannot read"):
            ip.load(path)
