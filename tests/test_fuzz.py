"""10,000 damaged saved files, odd masks, texts and tables: each works, or ends in one of the library's own errors."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import interplay as ip
from interplay._game.layout import GridLayout
from interplay.cli.csv_table import csv_training
from interplay.report import show

pytestmark = pytest.mark.slow

ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 10**9, 10**400, -(10**400), 0.5, -0.0, 1e140, 1e149, 1e308, -1e308, 5e-324),
    *("", "x", "\x1b[2J", "\ud800", "‮", "[/red]", "nan", "a" * 5000, "\x00"),
    *([], [[]], [0], [-1], [None], ["x"], [[0], 1.0], [[0, 0], 1.0], [[1, 0], 1.0], {}, {"a": 1}, {"kind": "grid"}),
]


def lengths(texts: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in texts]


def sums(rows: Any) -> Any:
    return np.asarray(rows, dtype=float).reshape(len(rows), -1).sum(axis=1)


def explanations() -> Iterator[ip.Explanation]:
    """One of each kind of layout, with one output and with several, with intervals and with evidence."""

    def two(masks: np.ndarray) -> np.ndarray:
        return np.c_[masks[:, 0] * 1.0, masks[:, 1] * 2.0 * masks[:, 0]]

    yield ip.explain(ip.Game(two, ["a", "b", "c"], outputs=["x", "y"]), budget=8)
    yield ip.explain(lambda m: m[:, 0] + m[:, 1] * m[:, 2], labels=12, budget=120, method="gp")
    yield ip.explain(lambda m: 1.0 * (m[:, 0] & m[:, 1]), labels=24, budget=700, method="spex")
    yield ip.explain(
        ip.lenses.text(lambda texts: [float(len(t)) for t in texts], "not bad at all", ablate="_"), budget=16
    )
    picture = np.arange(108, dtype=np.uint8).reshape(6, 6, 3)
    yield ip.explain(
        ip.lenses.image(lambda x: np.asarray(x).reshape(len(x), -1).sum(1), picture, grid=(2, 2)), budget=16
    )
    table = ip.lenses.tabular(
        lambda x: np.asarray(x, dtype=float).sum(axis=1), np.array([1.0, 2.0, 3.0]), np.zeros((4, 3))
    )
    yield ip.explain(table, budget=8)
    fits = ip.lenses.training(len, lambda kept: [1.0 * kept, 2.0 * kept], 5, targets=["s", "t"])
    yield ip.explain(fits, budget=32)
    layout = GridLayout(("layer 0",), ("head 0", "head 1"), ((0, 0), (0, 1)))
    yield ip.explain(ip.Game(two, ["a", "b"], outputs=["x", "y"], layout=layout), budget=4)


def places(parts: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every part of a JSON value."""
    inner = parts.items() if isinstance(parts, dict) else enumerate(parts) if isinstance(parts, list) else ()
    for key, value in inner:
        yield (*here, key)
        yield from places(value, (*here, key))


def mutated(text: str, rng: random.Random) -> str:
    """A saved file with one part replaced, repeated, moved or missing, or with a few letters changed."""
    if rng.random() < 0.15:
        at, count = rng.randrange(len(text)), rng.choice([1, 1, 5, 500])
        return text[:at] + rng.choice(["", "[", "9", '"', "\\", "NaN", "1e999"]) + text[at + count :]
    parts = json.loads(text)
    everywhere = list(places(parts))
    place = rng.choice(everywhere)
    inner = parts
    for key in place[:-1]:
        inner = inner[key]
    what = rng.random()
    if what < 0.6:
        inner[place[-1]] = rng.choice(ODD)
    elif what < 0.7:
        del inner[place[-1]]
    elif what < 0.8 and isinstance(inner[place[-1]], list):
        inner[place[-1]] = inner[place[-1]] * 2
    elif what < 0.9 and isinstance(inner[place[-1]], list):
        inner[place[-1]] = inner[place[-1]][:-1]
    else:
        other = parts
        for key in rng.choice(everywhere):
            other = other[key]
        inner[place[-1]] = json.loads(json.dumps(other))
    return json.dumps(parts)


def tried(action: Callable[[], object]) -> bool:
    """Whether an action works; anything but one of the library's own errors goes through."""
    try:
        action()
    except ip.InterplayError:
        return False
    return True


def test_damaged_saved_files_open_or_are_refused(tmp_path: Path) -> None:
    rng = random.Random(0)
    kinds = []
    for number, found in enumerate(explanations()):
        found.save(tmp_path / f"{number}.json")
        kinds.append((tmp_path / f"{number}.json").read_text())
    path = tmp_path / "x.json"

    def opened() -> None:
        found = ip.load(path)
        show(found, index=rng.choice(["bii", "fourier", "sv"]), console=Console(file=io.StringIO(), width=80))
        repr(found)
        assert ip.Explanation.from_dict(found.to_dict()).labels == found.labels

    results = []
    for _ in range(6000):
        path.write_text(mutated(rng.choice(kinds), rng))
        results.append(tried(opened))
    assert 0.05 < np.mean(results) < 0.95  # neither all harmless nor all hopeless


def masks_and_values(rng: random.Random) -> tuple[Any, Any, Any]:
    n, rows = rng.choice([0, 1, 2, 5, 30]), rng.choice([0, 1, 2, 3, 4, 40])
    source = np.random.default_rng(rng.randrange(10**6))
    masks: Any = source.random((rows, n)) < 0.5
    masks = rng.choice(
        [masks, masks, masks, masks.astype(int), masks.tolist(), masks[0:1].ravel(), masks[..., None], "x"]
    )
    values: Any = source.normal(size=rows)
    values = rng.choice(
        [
            *(values, values, values[:, None], values[:-1], values * 1e300, values * 0, values.astype(complex)),
            *(np.where(values > 1, np.nan, values), values.astype(str), None, 1.0, [[1.0], [2.0, 3.0]]),
            *(
                np.stack([values, values], axis=1),
                np.full(rows, np.inf),
                values.astype(object),
                values.astype(np.float16),
            ),
        ]
    )
    return masks, values, rng.choice([None, None, n, n + 1, 0, -1, "abc", ["a"] * n, [None] * n, 1.5, {"a": 1}])


def test_odd_masks_and_values_are_fitted_or_refused() -> None:
    rng = random.Random(1)
    results = []
    for _ in range(1500):
        masks, values, labels = masks_and_values(rng)
        order = rng.choice([1, 5, 5, 0, -1, 2.0, True, 10**6])
        results.append(tried(partial(ip.fit, masks, values, labels=labels, method="lasso", order=order)))
    assert np.mean(results) > 0.01


ALPHABET = "ab .,\n\r\t\x00\x1b\u202e\u200d\ud800é漢字ไทยခ་👩🚀🇫\ufeff'\"{}[]\\%"


def explained(text: str, **options: Any) -> None:
    found = ip.explain(ip.lenses.text(lengths, text, **options), budget=16, method="lasso")
    show(found, console=Console(file=io.StringIO(), width=60))


def test_odd_texts_are_explained_or_refused() -> None:
    rng = random.Random(2)
    results = []
    for _ in range(1500):
        text = "".join(rng.choice(ALPHABET) for _ in range(rng.choice([0, 1, 3, 10, 60])))
        unit = rng.choice(["word", "word", "sentence", "paragraph", "token", "phrase", [(0, 1)], [(0, 99)], [], None])
        ablate = rng.choice(["_", "delete", "", "mask", "\x1b", "\ud800"])
        template = rng.choice([None, None, "{text}", "{", "{text}{text}", "{other}", "", "a{text}b"])
        results.append(tried(partial(explained, text, unit=unit, ablate=ablate, template=template)))
    assert np.mean(results) > 0.05


def measured(path: Path, target: str, tests: int) -> None:
    game = csv_training(path, target, model="knn" if target == "y" else None, tests=tests)
    game(np.random.default_rng(0).random((2, game.n)) < 0.5)


def test_odd_tables_are_read_or_refused(tmp_path: Path) -> None:
    rng = random.Random(3)
    rows = [f"{i % 7},{i % 5},{'red' if i % 2 else 'blue'},{'yes' if i % 3 else 'no'}" for i in range(16)]
    clean = "a,b,c,y\n" + "\n".join(rows) + "\n"
    path = tmp_path / "rows.csv"
    results = []
    for _ in range(1000):
        text = clean
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(text) + 1)
            odd = rng.choice(
                ["", ",", "\n", '"', "\x00", "\x1b[2J", "nan", "inf", "1e999", ";", "\t", "\r", "-", "\ufeff", "y"]
            )
            text = text[:at] + odd + text[at + rng.choice([0, 0, 1, 5, 50]) :]
        path.write_bytes(text.encode() if rng.random() < 0.9 else text.encode("utf-16"))
        target, tests = rng.choice(["y", "y", "a", "absent", ""]), rng.choice([2, 2, 0, -1, 99])
        results.append(tried(partial(measured, path, target, tests)))
    assert np.mean(results) > 0.05
