"""Executors of other packages, and how far ahead each gets batches."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay.ablate import measure
from interplay.estimators import all_masks


@pytest.mark.filterwarnings("ignore")
def test_the_executor_of_dask_gives_the_values_of_home() -> None:
    distributed = pytest.importorskip("distributed")
    weights = np.arange(8.0)
    game = ip.Game(lambda masks: masks @ weights, 8, batch_size=5)
    masks = ip.design(8, 120)
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with distributed.Client(**options) as client:
        found = measure(game, masks, executor=client.get_executor())
    np.testing.assert_array_equal(found.values, masks @ weights)
    assert found.measured == found.distinct


MPI = """
import numpy as np
import interplay as ip
from interplay.ablate import measure
from mpi4py.futures import MPIPoolExecutor

if __name__ == "__main__":
    weights, masks = np.arange(8.0), ip.design(8, 120)
    with MPIPoolExecutor(1) as executor:
        found = measure(ip.Game(lambda masks: masks @ weights, 8, batch_size=5), masks, executor=executor)
    print((found.values == masks @ weights).all(), found.measured)
"""


@pytest.mark.slow
def test_the_executor_of_mpi_gives_the_values_of_home(tmp_path: Path) -> None:
    pytest.importorskip("mpi4py")
    launcher = shutil.which("mpiexec")
    if launcher is None:
        pytest.skip("there is no mpiexec")
    script = tmp_path / "script.py"
    script.write_text(MPI)
    command = [launcher, "-n", "2", sys.executable, "-m", "mpi4py.futures", str(script)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert ran.stdout.split() == ["True", "120"]


def test_a_closure_is_called_where_it_stays_and_travels_where_it_is_sent() -> None:
    weights, calls = np.arange(6.0), []

    class Sends(Executor):
        """Pickles what it is given, as executors that reach other machines do."""

        def submit(self, function, /, *args, **kwargs) -> Future:
            calls.append(function)
            function, args = pickle.loads(pickle.dumps((function, args)))
            done: Future = Future()
            done.set_result(function(*args, **kwargs))
            return done

    masks = all_masks(6)
    found = measure(ip.Game(lambda masks: masks @ weights, 6, batch_size=8), masks, executor=Sends())
    np.testing.assert_array_equal(found.values, masks @ weights)
    assert len(calls) == 8


class Bare(Executor):
    """Many threads behind nothing but the standard interface; counts what is in flight."""

    def __init__(self, workers: int) -> None:
        self.pool = ThreadPoolExecutor(workers)
        self.futures: list[Future] = []
        self.most = 0

    def submit(self, function, /, *args, **kwargs) -> Future:
        self.futures.append(self.pool.submit(function, *args, **kwargs))
        self.most = max(self.most, sum(not future.done() for future in self.futures))
        return self.futures[-1]


def test_as_many_batches_run_as_there_are_workers_and_few_more_wait() -> None:
    together = threading.Barrier(20, timeout=60)

    def value(masks: np.ndarray) -> np.ndarray:
        if len(masks) == 4:  # the last batch may be smaller
            together.wait()
        return 1.0 * masks[:, 0]

    executor = Bare(20)
    masks = all_masks(10)[: 4 * 160]
    with executor.pool:
        found = measure(ip.Game(value, 10, batch_size=4), masks, executor=executor)
    np.testing.assert_array_equal(found.values, masks[:, 0])
    assert executor.most <= 20 + 8


@pytest.mark.parametrize("garbage", [None, "x", np.zeros(1), np.full(4, np.nan)], ids=repr)
def test_what_one_worker_returns_as_garbage_is_measured_again(garbage: object) -> None:
    calls: list[int] = []

    def value(masks: np.ndarray) -> object:
        calls.append(len(masks))
        return garbage if len(calls) == 3 else masks @ np.arange(6.0)

    masks = all_masks(6)
    with ThreadPoolExecutor(2) as executor:
        found = measure(ip.Game(value, 6, batch_size=4), masks, executor=executor)
    np.testing.assert_array_equal(found.values, masks @ np.arange(6.0))
    assert sum(calls) == 64 + 4
    assert "measured again" in found.notes[0]


def test_a_game_that_always_returns_garbage_is_told_of_after_one_more_try() -> None:
    calls: list[int] = []

    def value(masks: np.ndarray) -> np.ndarray:
        calls.append(len(masks))
        return np.full(len(masks), np.nan)

    with ThreadPoolExecutor(1) as executor, pytest.raises(ip.AblationError):
        measure(ip.Game(value, 3, batch_size=8), all_masks(3), executor=executor)
    assert calls == [8, 8]
