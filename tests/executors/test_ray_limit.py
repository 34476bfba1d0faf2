"""Ray's workers that hang. A file of its own: a local Ray that other tests hold has no cores left for these."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay.ablate import measure
from interplay.estimators import all_masks

pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_a_worker_that_hangs_is_replaced_and_one_that_always_hangs_is_one_sentence(tmp_path: Path) -> None:
    hung = tmp_path / "hung"

    def value(masks: np.ndarray) -> np.ndarray:
        if masks.all(axis=1).any() and not hung.exists():
            hung.touch()
            time.sleep(3600)
        return masks @ np.arange(6.0)

    def never(masks: np.ndarray) -> np.ndarray:
        time.sleep(3600)
        return masks[:, 0] * 1.0

    masks = all_masks(6)
    with ip.executors.ray(1, limit=15.0) as executor:
        done = measure(ip.Game(value, 6, batch_size=4), masks, executor=executor)
        np.testing.assert_array_equal(done.values, masks @ np.arange(6.0))
        assert hung.exists()
    said = pytest.raises(ip.AblationError, match="took more than 3 s on 3 workers in turn")
    with ip.executors.ray(1, limit=3.0) as executor, said:
        measure(ip.Game(never, 3), ip.design(3, 4), executor=executor)
    with pytest.raises(ip.InputError, match="limit must be a number of seconds above 0, not 0"):
        ip.executors.ray(1, limit=0)
