"""Measuring: each distinct mask once, checked, retried, written down, whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay.ablate import Progress, Store, measure


def weigh(masks: np.ndarray) -> np.ndarray:
    return masks @ np.arange(1.0, masks.shape[1] + 1)


def masks_of(count: int, n: int = 12, seed: int = 0) -> np.ndarray:
    return ip.design(n, count, method="lasso", seed=seed)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interplay.ablate._attempt._PAUSE", 0.001)


def test_repeated_masks_are_measured_once_and_values_return_in_the_order_asked() -> None:
    asked: list[np.ndarray] = []

    def game(masks: np.ndarray) -> np.ndarray:
        asked.append(masks.copy())
        return weigh(masks)

    masks = masks_of(50)
    rows = np.random.default_rng(0).integers(0, 50, 200)
    result = measure(ip.Game(game, 12), masks[rows])
    np.testing.assert_array_equal(result.values, weigh(masks[rows]))
    seen = np.concatenate(asked)
    assert len(np.unique(seen, axis=0)) == len(seen) == result.measured == len(np.unique(rows))


def test_batches_never_exceed_the_games_size_and_start_small() -> None:
    sizes: list[int] = []

    def game(masks: np.ndarray) -> np.ndarray:
        sizes.append(len(masks))
        return weigh(masks)

    measure(ip.Game(game, 12, batch_size=30), masks_of(100))
    assert sizes == [8, 8, 30, 30, 24]
    sizes.clear()
    measure(ip.Game(game, 12, batch_size=1), masks_of(5))
    assert sizes == [1] * 5


@pytest.mark.parametrize("outputs", [0, 1, 3])
def test_values_keep_their_shape_in_and_out_of_the_store(outputs: int) -> None:
    def game(masks: np.ndarray) -> np.ndarray:
        return np.repeat(weigh(masks)[:, None], outputs, axis=1) if outputs else weigh(masks)

    masks = masks_of(20)
    with Store(":memory:") as store:
        named = ip.Game(game, 12, name="g")
        first, second = measure(named, masks, store=store), measure(named, masks, store=store)
    assert first.values.shape == second.values.shape == ((20, outputs) if outputs else (20,))
    np.testing.assert_array_equal(first.values, second.values)
    assert (second.from_store, second.measured) == (20, 0)


def test_a_game_that_fails_now_and_then_is_tried_again_and_the_result_says_so() -> None:
    calls = 0

    def game(masks: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls % 3:
            raise ConnectionError("try later")
        return weigh(masks)

    result = ip.explain(game, labels=12, budget=40, method="lasso")
    assert any("succeeded only when tried again" in note for note in result.notes)


def test_a_game_that_keeps_failing_stops_the_run_and_what_was_measured_stays(tmp_path: Path) -> None:
    calls = 0

    def game(masks: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise TimeoutError("no answer")
        return weigh(masks)

    path = tmp_path / "runs.db"
    with pytest.raises(
        ip.AblationError, match=r"failed 4 times .* TimeoutError: no answer\. 16 of 40 ablations are kept"
    ):
        ip.explain(ip.Game(game, 12, name="g"), budget=40, method="lasso", store=path)
    result = ip.explain(ip.Game(weigh, 12, name="g"), budget=40, method="lasso", store=path)
    assert result.from_store == 16


def test_a_programming_error_in_the_game_is_raised_at_once_as_it_is() -> None:
    calls = 0

    def game(masks: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        raise TypeError("unsupported operand")

    with pytest.raises(TypeError, match="unsupported operand"):
        ip.explain(game, labels=12, budget=40)
    assert calls == 1


def test_finite_values_beside_a_nan_are_kept(tmp_path: Path) -> None:
    def game(masks: np.ndarray) -> np.ndarray:
        values = weigh(masks)
        values[3] = np.nan
        return values

    masks = masks_of(8)
    with Store(tmp_path / "runs.db") as store:
        with pytest.raises(
            ip.AblationError, match=r"NaN for 1 of 8 masks: rows 3 .* 7 of 8 ablations are kept in .*runs.db"
        ):
            measure(ip.Game(game, 12, name="g"), masks, store=store)
        result = measure(ip.Game(weigh, 12, name="g"), masks, store=store)
    assert (result.from_store, result.measured) == (7, 1)


def test_a_game_that_changes_its_number_of_outputs_is_named() -> None:
    calls = 0

    def game(masks: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        return np.ones((len(masks), calls))

    with pytest.raises(ip.AblationError, match="same number of outputs for every mask"):
        measure(ip.Game(game, 12), masks_of(30))
    with pytest.raises(ip.AblationError, match="the game names 3 outputs but gave values of shape"):
        measure(ip.Game(weigh, 12, outputs=["a", "b", "c"]), masks_of(30))


def test_ctrl_c_carries_what_was_measured_and_says_how_to_go_on(tmp_path: Path) -> None:
    calls = 0

    def game(masks: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return weigh(masks)

    with pytest.raises(ip.InterruptionError, match=r"16 of 40 ablations were measured; with store='runs.db'") as caught:
        ip.explain(game, labels=12, budget=40, method="lasso")
    np.testing.assert_array_equal(caught.value.values, weigh(caught.value.masks))
    assert len(caught.value.masks) == 16
    assert isinstance(caught.value, KeyboardInterrupt)

    calls = 0
    with pytest.raises(ip.InterruptionError, match=r"16 of 40 ablations are kept in .*runs.db; run the same again"):
        ip.explain(ip.Game(game, 12, name="g"), budget=40, method="lasso", store=tmp_path / "runs.db")
    assert (
        ip.explain(ip.Game(weigh, 12, name="g"), budget=40, method="lasso", store=tmp_path / "runs.db").from_store == 16
    )


def test_ctrl_c_while_fitting_keeps_what_was_measured_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    game = ip.Game(weigh, 12, name="g")
    with monkeypatch.context() as patched:
        patched.setattr("interplay.estimators._lasso.lasso.Lasso.fit", interrupted)
        with pytest.raises(ip.InterruptionError, match=r"all 40 ablations are .* kept in .*runs.db; run the same"):
            ip.explain(game, budget=40, method="lasso", store=tmp_path / "runs.db")
        with pytest.raises(ip.InterruptionError, match=r"pass them to interplay.fit") as caught:
            ip.explain(game, budget=40, method="lasso")
    assert len(caught.value.masks) == 40
    np.testing.assert_array_equal(caught.value.values, weigh(caught.value.masks))
    assert ip.explain(game, budget=40, method="lasso", store=tmp_path / "runs.db").from_store == 40


def test_progress_counts_up_to_the_total_with_an_estimate() -> None:
    states: list[Progress] = []

    def game(masks: np.ndarray) -> np.ndarray:
        time.sleep(0.001 * len(masks))
        return weigh(masks)

    measure(ip.Game(game, 12, batch_size=10), masks_of(60), progress=states.append)
    assert [state.done for state in states] == [0, 8, 16, 26, 36, 46, 56, 60]
    assert states[0].eta is None
    assert states[-1].eta == 0
    assert 0.5 < states[3].eta / (0.001 * (60 - 26)) < 20


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_executors_give_the_same_values_as_measuring_in_turn(pool: type, tmp_path: Path) -> None:
    masks = masks_of(150)
    game = ip.Game(weigh, 12, name="g", batch_size=10)
    options = {} if pool is ThreadPoolExecutor else {"mp_context": __import__("multiprocessing").get_context("spawn")}
    with pool(2, **options) as executor, Store(tmp_path / "runs.db") as store:
        first = measure(game, masks, executor=executor, store=store)
        again = measure(game, masks, executor=executor, store=store)
    np.testing.assert_array_equal(first.values, weigh(masks))
    assert (first.measured, again.measured) == (150, 0)


FORKING = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import numpy as np
import torch
import interplay as ip
from interplay.ablate import measure

def game(masks):
    weights = torch.ones(600, 600) @ torch.ones(600, 600)  # large enough for several threads
    rows = torch.nn.functional.layer_norm(torch.ones(len(masks), 600, 600), (600,))
    return np.asarray(masks) @ np.arange(5.0) + weights.numpy()[0, 0] + rows.sum().item()

torch.set_num_threads(2)
masks = np.eye(5, dtype=bool)
expected = game(masks)
with ProcessPoolExecutor(1, get_context("fork")) as executor:
    np.testing.assert_array_equal(measure(ip.Game(game, 5), masks, executor=executor).values, expected)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
def test_a_pool_that_forks_does_not_wait_for_threads_that_its_parent_kept() -> None:
    pytest.importorskip("torch")
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_a_closure_travels_to_processes_and_a_game_that_cannot_is_named() -> None:
    weights, lock = np.arange(1.0, 13.0), threading.Lock()

    def locked(masks: np.ndarray) -> np.ndarray:
        with lock:
            return masks @ weights

    with ip.executors.processes(1) as executor:
        found = measure(ip.Game(lambda masks: masks @ weights, 12), masks_of(20), executor=executor)
        with pytest.raises(ip.InputError, match="cannot be sent to another process"):
            measure(ip.Game(locked, 12), masks_of(20), executor=executor)
    np.testing.assert_array_equal(found.values, weigh(masks_of(20)))


def test_with_an_executor_a_failure_keeps_what_the_others_measure(tmp_path: Path) -> None:
    bad = masks_of(40)[20]

    def game(masks: np.ndarray) -> np.ndarray:
        if (masks == bad).all(axis=1).any():
            raise TypeError("this mask")
        return weigh(masks)

    with ThreadPoolExecutor(2) as executor, Store(tmp_path / "runs.db") as store:
        named = ip.Game(game, 12, name="g", batch_size=1)
        with pytest.raises(TypeError, match="this mask"):
            measure(named, masks_of(40), executor=executor, store=store)
        rest = measure(ip.Game(weigh, 12, name="g"), masks_of(40), store=store)
    assert rest.from_store >= 20


def test_masks_of_another_width_or_none_at_all_are_refused() -> None:
    with pytest.raises(ip.InputError, match="masks have 5 columns, but there are 12 features"):
        measure(ip.Game(weigh, 12), np.ones((3, 5), dtype=bool))
    with pytest.raises(ip.InputError, match="no masks to measure"):
        measure(ip.Game(weigh, 12), np.ones((0, 12), dtype=bool))


def test_what_goes_wrong_says_in_a_note_what_was_being_measured() -> None:
    game = ip.Game(lambda masks: masks["none"], 12, question="Which of them?")
    for failing, kind in ((game, IndexError), (ip.Game(lambda masks: [0.0], 12), ip.AblationError)):
        with pytest.raises(kind) as caught:
            measure(failing, masks_of(3))
        (note,) = caught.value.__notes__
        assert note.startswith("while measuring a game of 12 features")
        assert (": Which of them?" in note) == (failing is game)
