"""The store: nothing is paid for twice, by whatever process, and no foreign file is touched."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay.ablate import Store, measure

_GAME = """
    import sys, time
    from pathlib import Path
    import numpy as np
    import interplay as ip

    log = Path(sys.argv[2])

    def slow(masks):
        with log.open("a") as out:
            for mask in masks:
                out.write("".join("01"[int(kept)] for kept in mask) + "\\n")
        time.sleep(float(sys.argv[3]))
        return masks @ np.arange(20.0)

    game = ip.Game(slow, 20, name="slow", batch_size=5)
    result = ip.explain(game, budget=200, method="lasso", store=sys.argv[1])
    print(result.used, result.from_store)
"""


def run_slow(folder: Path, pause: float) -> subprocess.Popen[str]:
    script = folder / "slow.py"
    if not script.exists():  # another process may be reading it
        script.write_text(textwrap.dedent(_GAME))
    command = [sys.executable, str(script), str(folder / "runs.db"), str(folder / "calls.txt"), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_run_resumes_and_nothing_is_paid_for_twice(tmp_path: Path) -> None:
    calls = tmp_path / "calls.txt"
    process = run_slow(tmp_path, pause=0.05)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not calls.exists() or calls.read_text().count("\n") < 60):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    paid_before = calls.read_text().splitlines()
    assert 60 <= len(paid_before) < 200

    process = run_slow(tmp_path, pause=0.0)
    out, _ = process.communicate(timeout=60)
    used, from_store = map(int, out.split())
    assert used == 200
    paid = calls.read_text().splitlines()
    # Only the batch in which the process died can have been asked for again: it was never answered.
    assert len(set(paid)) == 200
    assert len(paid) - 200 <= 5
    assert from_store >= len(paid_before) - 5

    process = run_slow(tmp_path, pause=0.0)
    assert process.communicate(timeout=60)[0].split() == ["200", "200"]
    assert len(calls.read_text().splitlines()) == len(paid)


@pytest.mark.slow
def test_processes_share_a_store_without_errors_or_damage(tmp_path: Path) -> None:
    processes = [run_slow(tmp_path, pause=0.01) for _ in range(3)]
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert out.split()[0] == "200"
    assert len(set((tmp_path / "calls.txt").read_text().splitlines())) == 200
    with closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM ablation").fetchone() == (200,)


def count_game(name: str | None = None, n: int = 10, **options: object) -> ip.Game:
    return ip.Game(lambda masks: masks.sum(axis=1), n, name=name, **options)


def test_a_rerun_costs_no_call_and_a_larger_budget_only_the_difference(tmp_path: Path) -> None:
    rows = 0

    def game(masks: np.ndarray) -> np.ndarray:
        nonlocal rows
        rows += len(masks)
        return masks.sum(axis=1)

    named = ip.Game(game, 30, name="count")
    for budget, paid in ((60, 60), (60, 60), (100, 100)):
        result = ip.explain(named, budget=budget, method="lasso", store=tmp_path / "runs.db")
        assert rows == paid
        assert result.used == budget


def test_games_in_one_file_never_see_each_others_values(tmp_path: Path) -> None:
    masks = ip.design(10, 50, method="lasso")
    with Store(tmp_path / "runs.db") as store:
        measure(count_game("one"), masks, store=store)
        other = ip.Game(lambda masks: -1.0 * masks.sum(axis=1), 10, name="two")
        result = measure(other, masks, store=store)
    assert result.from_store == 0
    np.testing.assert_array_equal(result.values, -1.0 * masks.sum(axis=1))


def test_a_game_without_identity_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(ip.StoreError, match=r"cannot be recognised .* name it yourself, ip.Game\(function"):
        ip.explain(count_game(), budget=20, store=tmp_path / "runs.db")
    assert ip.explain(count_game().named("count"), budget=20, method="lasso", store=tmp_path / "runs.db").used == 20


def test_games_without_identity_never_see_each_others_values_in_memory_either() -> None:
    with Store(":memory:") as store:
        for scale in range(1, 30):  # a game's address in memory may be that of one before
            result = ip.explain(lambda masks, s=scale: s * masks[:, 0], labels=3, budget=8, store=store)
            assert result.from_store == 0
            assert result.interactions("mobius")[0,] == pytest.approx(scale)


def test_a_store_of_damaged_values_or_that_is_closed_is_named(tmp_path: Path) -> None:
    game = ip.Game(lambda masks: 1.0 * masks[:, 0], 3, name="g")
    path = tmp_path / "runs.db"
    ip.explain(game, budget=8, store=path)
    database = sqlite3.connect(path)
    database.execute("UPDATE ablation SET value = x'010203'")
    database.commit()
    database.close()
    again = ip.explain(game, budget=8, store=path)
    assert again.from_store == 0
    assert any("8 values in the store" in note and "were damaged" in note for note in again.notes)
    assert ip.explain(game, budget=8, store=path).from_store == 8
    store = Store(tmp_path / "other.db")
    store.close()
    with pytest.raises(ip.StoreError, match=r"other.db: it is closed"):
        ip.explain(game, budget=8, store=store)


def test_a_game_that_is_recognised_may_call_its_features_otherwise(tmp_path: Path) -> None:
    lengths = ip.models.Scorer(lambda texts: [1.0 * len(t) for t in texts], "length", identity=lambda: {"of": "length"})
    path, game = tmp_path / "runs.db", ip.lenses.text(lengths, "It is late.")
    first = ip.explain(game, budget=8, store=path)
    again = ip.explain(game.relabelled([f"part {i}" for i in range(game.n)]), budget=8, store=path)
    assert again.from_store == again.used == first.used
    assert again.labels[0] == "part 0"


def test_another_game_under_the_same_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    ip.explain(count_game("same"), budget=20, method="lasso", store=path)
    with pytest.raises(
        ip.StoreError, match="a game of this name, 'same', with 10 features, not 11: give this one another"
    ):
        ip.explain(count_game("same", 11), budget=20, method="lasso", store=path)
    with pytest.raises(ip.StoreError, match="with other labels"):
        ip.explain(count_game("same").relabelled(list("abcdefghij")), budget=20, method="lasso", store=path)
    rows = ip.Game(lambda masks: masks[:, :3] * 1.0, 10, name="same")
    with pytest.raises(ip.StoreError, match=r"of shape \('N',\) for this game, but it now gives \('N', 3\): name it"):
        ip.explain(rows, budget=40, method="lasso", store=path)


def test_another_number_of_outputs_or_repeats_under_the_same_name_is_refused(tmp_path: Path) -> None:
    def named(columns: int, **options: object) -> ip.Game:
        return ip.Game(lambda masks: masks[:, :columns] * 1.0, 4, name="g", **options)  # type: ignore[arg-type]

    masks, path = ip.design(4, 8), tmp_path / "runs.db"
    with Store(path) as store:
        first = measure(named(2, outputs=["x", "y"]), masks, store=store).values
        again = measure(named(3), masks, store=store)  # believed by its name, as nothing says that it has three
        assert again.from_store == 8
        assert (again.values == first).all()
        for other in (named(3, outputs=["x", "y", "z"]), named(3, repeats=3), named(4, outputs=["x", "y"], repeats=2)):
            with pytest.raises(ip.StoreError, match="holds a game of this name, 'g', with 2 numbers"):
                measure(other, masks, store=store)


def test_identity_is_by_content() -> None:
    def game(**parts: object) -> ip.Game:
        return count_game(identity=parts)

    assert game(text="a", spans=[1]).fingerprint == game(spans=[1], text="a").fingerprint
    assert game(text="a").fingerprint != game(text="b").fingerprint
    assert count_game(identity=lambda: {"text": "a"}).fingerprint == game(text="a").fingerprint
    assert count_game(identity=lambda: None).fingerprint is None
    assert count_game("a").fingerprint != game(text="a").fingerprint


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE songs (title TEXT)")


def later(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 9")


def truncated(path: Path) -> None:
    with Store(path) as store:
        measure(count_game("count"), ip.design(10, 500, method="lasso"), store=store)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\x00" * (len(content) - 4096))


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: path.write_text("dear diary, " * 100), "not an interplay store, or it is damaged"),
        (
            lambda path: path.write_bytes(b"SQLite format 3\x00" + b"\x07" * 500),
            "not an interplay store, or it is damaged",
        ),
        (truncated, "damaged|malformed"),
        (foreign, "is an SQLite database, but not an interplay store: choose another file"),
        (later, "has format 9, but this version of interplay reads up to 2: upgrade"),
        (lambda path: path.mkdir(), "it is a folder; name a file in it"),
    ],
)
def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path, prepare: object, message: str) -> None:
    path = tmp_path / "runs.db"
    prepare(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ip.StoreError, match=message):
        ip.explain(count_game("count"), budget=20, method="lasso", store=path)
    assert before is None or path.read_bytes() == before


def test_a_store_in_a_folder_that_does_not_exist_or_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ip.StoreError, match=r"the folder .*absent does not exist"):
        Store(tmp_path / "absent" / "runs.db")
    if os.geteuid() != 0:  # root may write anywhere
        tmp_path.chmod(0o500)
        with pytest.raises(ip.StoreError, match="cannot open the store"):
            Store(tmp_path / "runs.db")
