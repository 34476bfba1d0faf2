"""Ray's workers: the same values as at home, nothing lost when one is killed, the game's own errors, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interplay as ip
from interplay.ablate import measure
from interplay.estimators import all_masks

pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    with ip.executors.ray(2) as executor:
        yield executor


def test_values_equal_those_at_home_for_closures_that_write_into_their_masks(two: object) -> None:
    weights = np.random.default_rng(0).normal(size=(8, 2))
    ballast = np.zeros(1 << 17)

    def value(masks: np.ndarray) -> np.ndarray:
        masks[:, 0] &= masks[:, 1]
        ballast[0] = 0.0
        return np.asarray(masks @ weights)

    game = ip.Game(value, 8, batch_size=16)
    masks = ip.design(8, 200)
    np.testing.assert_array_equal(measure(game, masks, executor=two).values, value(masks.copy()))
    here, there = (ip.explain(game, budget=128, method="lasso", executor=executor) for executor in (None, two))
    assert dict(here.for_output(0).interactions()) == dict(there.for_output(0).interactions())


def test_a_killed_worker_is_replaced_and_its_batch_measured_again(two: object, tmp_path: Path) -> None:
    log, killed = tmp_path / "log.txt", tmp_path / "killed"

    def value(masks: np.ndarray) -> np.ndarray:
        with log.open("a") as file:
            file.write(f"{len(masks)}\n")
        if len(masks) == 4 and masks.all(axis=1).any() and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return masks @ np.arange(6.0)

    masks = all_masks(6)
    with ip.Store(tmp_path / "runs.db") as store:
        done = measure(ip.Game(value, 6, name="killed", batch_size=4), masks, executor=two, store=store)
        assert measure(ip.Game(value, 6, name="killed"), masks, store=store).from_store == 64
    np.testing.assert_array_equal(done.values, masks @ np.arange(6.0))
    assert killed.exists()
    # That batch twice and, at most, the one before it, whose answer may not yet have left the worker; every other once.
    assert sum(map(int, log.read_text().split())) in (64 + 4, 64 + 8)


def test_a_batch_that_always_kills_is_one_sentence_and_the_workers_stay_of_use(two: object) -> None:
    def value(masks: np.ndarray) -> np.ndarray:
        os._exit(1)

    with pytest.raises(ip.AblationError, match="the same batch of ablations ended 3 workers in turn"):
        measure(ip.Game(value, 3), ip.design(3, 8), executor=two)
    assert measure(ip.Game(lambda masks: 1.0 * masks[:, 0], 3), ip.design(3, 8), executor=two).measured == 8


def test_what_the_game_raises_is_raised_as_at_home(two: object) -> None:
    def value(masks: np.ndarray) -> np.ndarray:
        raise KeyError("weights")

    def unusable(masks: np.ndarray) -> np.ndarray:
        raise ip.InputError("the text is empty.")

    with pytest.raises(KeyError, match="'weights'"):
        measure(ip.Game(value, 3), ip.design(3, 8), executor=two)
    with pytest.raises(ip.InputError, match=r"^the text is empty\."):
        measure(ip.Game(unusable, 3), ip.design(3, 8), executor=two)


def test_workers_hold_their_threads(two: object) -> None:
    def threads(masks: np.ndarray) -> np.ndarray:
        from joblib import effective_n_jobs

        return np.full(len(masks), float(effective_n_jobs(-1)))

    assert set(measure(ip.Game(threads, 3), ip.design(3, 8), executor=two).values) == {1.0}


def test_a_worker_measures_one_batch_at_a_time_with_its_own_threads_whichever_runs_it(two: object) -> None:
    def value(masks: np.ndarray) -> np.ndarray:
        import sys
        import time
        from types import SimpleNamespace

        import sklearn.ensemble  # noqa: F401 - loads OpenMP
        from threadpoolctl import threadpool_info

        state: Any = sys.modules.setdefault("inside", SimpleNamespace(count=0))  # type: ignore[arg-type]
        state.count += 1
        time.sleep(0.003)
        inside, most = state.count, max(one["num_threads"] for one in threadpool_info())
        state.count -= 1
        return np.tile([float(inside), float(most), float(threading.get_ident() % 10**6)], (len(masks), 1))

    game = ip.Game(value, 7, outputs=["inside", "threads", "thread"], batch_size=2)
    inside, most, thread = measure(game, all_masks(7), executor=two).values.T
    assert set(inside) == {1.0}
    assert set(most) == {1.0}
    assert len(set(thread)) > 2  # of two workers


def test_more_than_there_is_room_for_is_refused(two: object) -> None:
    with pytest.raises(ip.InputError, match=r"Ray has 0 cores .* too few for 1 workers"):
        ip.executors.ray(1)
    for arguments, message in (
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
        ({"gpus": -1}, "gpus must be at least 0, not -1"),
    ):
        with pytest.raises(ip.InputError, match=message):
            ip.executors.ray(**arguments)  # type: ignore[arg-type]


INTERRUPTED = """
import time
import interplay as ip
from interplay.ablate import measure


def slow(masks):
    time.sleep(0.1 if len(masks) < 8 else 600)
    return 1.0 * masks[:, 0]


with ip.executors.ray(2) as executor:
    print("ready", flush=True)
    try:
        measure(ip.Game(slow, 6, batch_size=8), ip.design(6, 60), executor=executor)
    except ip.InterruptionError as error:
        print(error, flush=True)
        raise
"""


def test_an_interrupt_ends_the_workers_without_waiting_for_what_they_measure() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(3)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "Interrupted: 0 of 60 ablations were measured" in out
    assert err.strip().endswith("the same call would go on from there.")
