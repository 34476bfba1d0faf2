"""Worker processes: as many threads as allowed, the same values whatever their number, big games sent once."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

import interplay as ip
from interplay.ablate import measure
from interplay.estimators import all_masks
from interplay.executors import processes

X, y = load_iris(return_X_y=True)


class Ballast:
    """A game with a megabyte of data that counts how often a process unpacks it."""

    def __init__(self) -> None:
        self.data = np.random.default_rng(0).normal(size=1 << 17)
        self.opened = 0

    def __setstate__(self, state: dict) -> None:
        self.__dict__ = state | {"opened": state["opened"] + 1}
        with Path(state["log"]).open("a") as log:
            log.write("opened\n")

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        return masks @ self.data[: masks.shape[1]]


def threads_of_this_process(masks: np.ndarray) -> np.ndarray:
    from joblib import effective_n_jobs
    from threadpoolctl import threadpool_info

    most = max(effective_n_jobs(-1), *(library["num_threads"] for library in threadpool_info()))
    return np.full(len(masks), float(most))


def test_workers_hold_their_threads_travel_light_and_agree_with_one_process(tmp_path: Path) -> None:
    fit, score = ip.lenses.sklearn_training(RandomForestClassifier(3, n_jobs=1), X[::3], y[::3], X[1::15], y[1::15])
    game = ip.lenses.training(fit, score, 50, seeds=2, batch_size=5)
    masks = ip.design(50, 60, method="lasso")
    alone = measure(game, masks)
    ballast = Ballast()
    ballast.log = str(tmp_path / "log.txt")
    heavy = ip.Game(ballast, 30, batch_size=4)
    many = ip.design(30, 200, method="lasso")
    with processes(2) as two, processes(3) as three:
        for executor in (two, three):
            np.testing.assert_array_equal(measure(game, masks, executor=executor).values, alone.values)
        threads = measure(ip.Game(threads_of_this_process, 8, batch_size=2), ip.design(8, 20), executor=two)
        np.testing.assert_array_equal(measure(heavy, many, executor=two).values, ballast(many))
    assert set(threads.values) == {1.0}
    assert (tmp_path / "log.txt").read_text().count("opened") <= 2  # one per worker, not one per batch
    assert len(pickle.dumps(heavy)) > 1 << 20


def signals_itself(masks: np.ndarray) -> np.ndarray:
    """Ctrl-C while it measures."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(30)
    return np.zeros(len(masks))


def process_id(masks: np.ndarray) -> np.ndarray:
    return np.full(len(masks), float(os.getpid()))


def dies(masks: np.ndarray) -> np.ndarray:
    os._exit(1)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_stops_what_is_measured_and_leaves_a_waiting_worker_alone(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    masks = ip.design(3, 8)
    with processes(1) as executor:
        first = measure(ip.Game(process_id, 3), masks, executor=executor)
        os.kill(int(first.values[0]), signal.SIGINT)  # it waits for work
        with pytest.raises(ip.InterruptionError, match="0 of 8 ablations"):
            measure(ip.Game(signals_itself, 3), masks, executor=executor)
        again = measure(ip.Game(process_id, 3), masks, executor=executor)
        assert set(again.values) == set(first.values)
        with pytest.raises(ip.AblationError, match="a worker process died while it measured"):
            measure(ip.Game(dies, 3), masks, executor=executor)
    assert "Traceback" not in capfd.readouterr().err


def _die_on_the_last_mask(masks: np.ndarray) -> np.ndarray:
    if masks.all(axis=1).any():
        os._exit(1)
    return 1.0 * masks[:, 0]


def test_a_worker_that_dies_is_one_sentence_and_what_was_measured_stays(tmp_path: Path) -> None:
    game = ip.Game(_die_on_the_last_mask, 6, name="deadly", batch_size=2)
    masks = all_masks(6)  # the last keeps every feature
    with ip.Store(tmp_path / "runs.db") as store, processes(1) as executor:
        with pytest.raises(ip.AblationError, match=r"a worker process died.* of 64 ablations are kept in .*runs.db"):
            measure(game, masks, store=store, executor=executor)
        assert measure(game, masks[:40], store=store).from_store == 40


def test_numbers_below_one_are_refused() -> None:
    with pytest.raises(ip.InputError, match="workers must be at least 1, not 0"):
        processes(0)
    with pytest.raises(ip.InputError, match="threads must be at least 1, not 0"):
        processes(1, threads=0)


SCRIPT = """
import interplay as ip
with ip.executors.processes(1) as executor:
    game = ip.Game(lambda masks: masks.sum(axis=1) * 1.0, 3)
    print(ip.ablate.measure(game, ip.design(3, 8), executor=executor).values.sum())
"""


def test_a_script_from_standard_input_has_workers() -> None:
    ran = subprocess.run([sys.executable, "-"], input=SCRIPT, capture_output=True, text=True, check=False)
    assert ran.stdout == "12.0\n", ran.stderr


def test_a_script_that_guards_nothing_is_told_so(tmp_path: Path) -> None:
    file = tmp_path / "unguarded.py"
    file.write_text(SCRIPT)
    ran = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode
    assert "AblationError: a worker process died" in ran.stderr
    assert "if __name__ == '__main__'" in ran.stderr.split("AblationError")[-1]
