"""A zoom that is stored, stopped, run by workers, or whose ablations fail gives what it gives undisturbed."""

from __future__ import annotations

import concurrent.futures as futures
from pathlib import Path

import numpy as np
import pytest

import interplay as ip


def pair(masks: np.ndarray) -> np.ndarray:
    return 1.0 * masks[:, [7, 200]].all(axis=1) + 0.3 * masks[:, 90]


def game(value: object = pair, **options: object) -> ip.Game:
    return ip.Game(value, [f"s{i}" for i in range(300)], name="three of 300", **options).zoomed()


def test_a_stopped_zoom_goes_on_where_it_was(tmp_path: Path) -> None:
    """The same ablations, none of them measured twice, and the same result, wherever it stopped."""
    whole = ip.explain(game(), budget=120, store=tmp_path / "whole.db")
    for stop in (20, 60, 100):
        measured: list[bytes] = []

        def value(masks: np.ndarray, stop: int = stop, measured: list[bytes] = measured) -> np.ndarray:
            if stop and len(measured) >= stop:
                raise KeyboardInterrupt
            measured.extend(row.tobytes() for row in masks)
            return pair(masks)

        store = tmp_path / f"{stop}.db"
        with pytest.raises(ip.InterruptionError):
            ip.explain(game(value, batch_size=8), budget=120, store=store)
        before = len(measured)
        value.__defaults__ = (0, measured)
        again = ip.explain(game(value, batch_size=8), budget=120, store=store)
        assert again.from_store == before
        assert len(measured) == len(set(measured)) == whole.used
        assert again.spectrum == whole.spectrum
        assert again.labels == whole.labels


def test_workers_change_nothing() -> None:
    alone = ip.explain(game(), budget=120)
    with futures.ThreadPoolExecutor(3) as threads:
        together = ip.explain(game(batch_size=4), budget=120, executor=threads)
    assert together.spectrum == alone.spectrum
    assert together.outline == alone.outline


def test_ablations_that_fail_are_left_out_and_told() -> None:
    def fragile(masks: np.ndarray) -> object:
        failed = {i: "too short" for i, mask in enumerate(masks) if np.packbits(mask).sum() % 17 == 0}
        values = pair(masks)
        return ip.Partial(np.delete(values, list(failed)), failed) if failed else values

    found = ip.explain(game(fragile, failures=0.5), budget=200)
    assert any("failed" in note for note in found.notes)
    assert {"s7", "s200"} <= {name for names, _ in found.interactions(top=4).named() for name in names}
    with pytest.raises(ip.AblationError, match="failed"):
        ip.explain(game(fragile), budget=200)


def test_repeats_are_averaged_and_their_noise_is_told() -> None:
    rng = np.random.default_rng(0)
    noisy = game(lambda masks: pair(masks)[:, None] + 0.05 * rng.normal(size=(len(masks), 3)), repeats=3)
    found = ip.explain(noisy, budget=150)
    assert any("noise" in note for note in found.notes)
    assert {"s7", "s200"} <= set(found.labels)


def test_a_saved_zoom_keeps_its_levels_and_can_be_taken_up_again(tmp_path: Path) -> None:
    found = ip.explain(game(), budget=120, store=tmp_path / "runs.db")
    found.save(tmp_path / "found.json")
    read = ip.load(tmp_path / "found.json")
    assert read.outline == found.outline
    assert game().opened(read.outline).labels == found.labels
    further = ip.explain(game().opened(read.outline), budget=160, store=tmp_path / "runs.db")
    assert set(further.labels) >= {"s7", "s200"}
    damaged = (tmp_path / "found.json").read_text().replace('"s7", "feature", ', '"s7", "feature", 1')
    (tmp_path / "found.json").write_text(damaged)
    with pytest.raises(ip.InputError, match="outline"):
        ip.load(tmp_path / "found.json")


def test_tolerance_and_until_hold() -> None:
    near = ip.explain(game(), budget=2000, tolerance=0.05)
    assert near.used < 2000
    assert near.faithfulness.high - near.faithfulness.low <= 0.1
    short = ip.explain(game(), budget=60, until=0.9999)
    assert any("before the goal was reached" in note or "as soon as" in note for note in short.notes)


def test_effects_that_cancel_altogether_are_found_inside_closed_parts() -> None:
    """Alike and alone, one for and one against: no ablation of whole blocks shows anything."""
    cancelling = ip.Game(lambda m: 1.0 * m[:, 300] - m[:, 301], [f"s{i}" for i in range(400)]).zoomed()
    found = ip.explain(cancelling, budget=500)
    assert {"s300", "s301"} <= set(found.labels)
    few = ip.explain(cancelling, budget=60)
    hidden = [note for note in few.notes if "closed parts hide effects that cancel" in note]
    assert hidden or {"s300", "s301"} <= set(few.labels)


def test_effects_spread_evenly_are_told() -> None:
    even = ip.Game(lambda m: m[:, ::2].mean(axis=1), 2000).zoomed()
    found = ip.explain(even, budget=100)
    assert any("spread over more parts than the budget can open" in note for note in found.notes)
