"""Every action takes a store, or the path of one, and pays for no ablation twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interplay as ip

TEXT = "a charming film that is never dull"

read: list[str] = []


def mood(texts: list[str]) -> list[float]:
    read.extend(texts)
    return [1.0 * ("charming" in text) + 1.0 * ("never" in text and "dull" in text) - 0.5 for text in texts]


def game() -> ip.Game:
    return ip.lenses.text(mood, TEXT, ablate="_", name="moods")


ACTIONS: dict[str, Callable[[ip.Explanation, Path], object]] = {
    "flip": lambda found, path: ip.actions.flip(game(), found, below=0, store=path),
    "suffice": lambda found, path: ip.actions.suffice(game(), found, above=0, store=path),
    "replace": lambda found, path: ip.actions.replace(game(), found, "neutral", features=[1], below=0.9, store=path),
    "prune": lambda found, path: ip.actions.prune(game(), found, keep=4, held_out=game(), store=path),
    "curate": lambda found, path: ip.actions.curate(game(), found, remove=2, held_out=game(), store=path),
    "audit": lambda found, path: ip.actions.audit(lambda case: game(), [1, 2, 3], budget=300, store=path),
}


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("kind", [str, Path])
def test_an_action_takes_the_path_of_a_store_and_pays_once(name: str, kind: type, tmp_path: Path) -> None:
    found = ip.explain(game(), budget=128, progress=False)
    path = kind(tmp_path / "runs.db")
    read.clear()
    first = ACTIONS[name](found, path)
    assert read
    read.clear()
    again = ACTIONS[name](found, path)
    assert read == []
    assert _told(first) == _told(again)


def _told(done: Any) -> dict[str, Any]:
    """A result without what says how much of it was known before."""
    return {
        key: value for key, value in done.to_dict().items() if key not in ("from_store", "retrainings", "explanations")
    }


def test_what_is_no_store_is_one_sentence() -> None:
    found = ip.explain(game(), budget=128, progress=False)
    with pytest.raises(ip.InputError, match="a store is a Store or the path of a file, not 3"):
        ip.actions.flip(game(), found, below=0, store=3)  # type: ignore[arg-type]
    with pytest.raises(ip.InputError, match="a store is a Store or the path of a file, not 3"):
        ip.ablate.measure(game(), np.ones((1, game().n), dtype=bool), store=3)  # type: ignore[arg-type]
