"""`explain`, `design` and `fit` with an ``index``: what adds up, what is closer, and what cannot be asked for."""

from __future__ import annotations

from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay.estimators import GP, all_masks

QUICK = GP(effort=0.0, blind=True)
ADDING_UP = ("sv", "k-sii", "stii", "fsii")


def saturating(masks: np.ndarray) -> np.ndarray:
    """Eleven features that help one another, the more so the fewer there are."""
    strength = np.linspace(0.1, 0.8, 11)
    return np.tanh(masks @ strength) + 0.3 * (masks[:, 0] & masks[:, 10]) - 0.2 * masks[:, 3] * masks[:, 4]


def shapley(values: np.ndarray, n: int) -> np.ndarray:
    """Shapley values by their definition."""
    masks = all_masks(n)
    sizes = masks.sum(axis=1)
    found = np.zeros(n)
    for i in range(n):
        without = np.flatnonzero(~masks[:, i])
        weight = np.array([1.0 / (n * comb(n - 1, size)) for size in sizes[without]])
        found[i] = weight @ (values[without + (1 << i)] - values[without])
    return found


@pytest.mark.parametrize("index", ADDING_UP)
@pytest.mark.parametrize("n", [3, 5, 11])
@pytest.mark.parametrize("method", ["lasso", QUICK])
def test_the_index_adds_up_to_the_measured_difference(index: str, n: int, method: str | GP) -> None:
    found = ip.explain(
        lambda masks: saturating(np.pad(masks, ((0, 0), (0, 11 - n)))),
        budget=60,
        labels=n,
        index=index,
        method=method if n == 11 else "auto",
    )
    assert found.full is not None
    assert found.empty is not None
    for order in range(1, min(n, 3) + 1):
        read_out = found.interactions(order=order)
        assert read_out.baseline == pytest.approx(found.empty[0], abs=1e-9)
        total = sum(read_out.values())
        assert total == pytest.approx(found.full[0] - found.empty[0], abs=1e-9)


def test_shapley_values_are_closer_than_from_uniform_masks() -> None:
    truth = shapley(saturating(all_masks(11)), 11)

    def error(index: str | None, seed: int) -> float:
        found = ip.explain(saturating, budget=110, labels=11, index=index, method=QUICK, seed=seed).interactions("sv")
        return float(((np.array([found.get((i,), 0.0) for i in range(11)]) - truth) ** 2).sum())

    asked, plain = (np.median([error(index, seed) for seed in range(5)]) for index in ("sv", None))
    assert asked < 0.5 * plain


def test_the_result_knows_what_it_was_made_for(tmp_path: Path) -> None:
    found = ip.explain(saturating, budget=60, labels=11, index="SII", method=QUICK)
    assert found.index == "sii"
    assert found.interactions().index == "sii"
    assert any("drawn for sii" in note and "R² speaks for such ablations" in note for note in found.notes)
    found.save(tmp_path / "found.json")
    assert ip.load(tmp_path / "found.json").index == "sii"
    assert ip.explain(saturating, budget=60, labels=11, method=QUICK).index == "bii"


def test_r_squared_is_that_of_the_spectrum_whatever_happens_at_the_ends() -> None:
    """What a fit misses beside the empty input is no business of the ablations in between."""

    def jumps(masks: np.ndarray) -> np.ndarray:
        return np.where(masks.sum(axis=1) < 2, -8.0, saturating(masks))

    found = ip.explain(jumps, budget=120, labels=11, index="sv", method=QUICK)
    masks = all_masks(11)
    masks = masks[(masks.sum(axis=1) > 1) & ~masks.all(axis=1)]
    true = jumps(masks)
    r2 = 1 - ((found.spectrum.predict(masks) - true) ** 2).mean() / true.var()
    assert r2 > 0.8
    assert sum(found.interactions().values()) == pytest.approx(found.full[0] - found.empty[0], abs=1e-9)


def test_r_squared_is_not_judged_at_the_ends() -> None:
    found = ip.explain(saturating, budget=60, labels=11, index="sv", method=QUICK)
    assert found.used == 60
    assert found.faithfulness.masks == 58


def test_what_was_measured_elsewhere_gives_the_same() -> None:
    masks = ip.design(11, 60, index="sv")
    outside = ip.fit(masks, saturating(masks), index="sv", method=QUICK)
    inside = ip.explain(saturating, budget=60, labels=11, index="sv", method=QUICK)
    assert outside.spectrum == inside.spectrum
    assert outside.faithfulness == inside.faithfulness
    assert outside.index == "sv"


def test_several_outputs_add_up_each() -> None:
    def two(masks: np.ndarray) -> np.ndarray:
        return np.stack([saturating(masks), masks[:, 0] * 1.0 - masks[:, 1]], axis=1)

    found = ip.explain(two, budget=60, labels=11, index="sv", method=QUICK)
    for output in range(2):
        one = found.for_output(output)
        assert one.full is not None
        assert one.empty is not None
        assert sum(one.interactions().values()) == pytest.approx(one.full[0] - one.empty[0], abs=1e-9)


def test_rounds_and_stores_measure_nothing_twice(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def counted(masks: np.ndarray) -> np.ndarray:
        asked.extend(mask.tobytes() for mask in masks)
        return saturating(masks)

    game = ip.Game(counted, 11, name="saturating")
    store = tmp_path / "runs.db"
    found = ip.explain(game, budget=300, index="sv", method=QUICK, until=0.9, store=store)
    assert len(asked) == len(set(asked)) == found.used < 300
    again = ip.explain(game, budget=300, index="k-sii", method=QUICK, until=0.9, store=store)
    assert len(asked) == found.used == again.from_store
    assert again.spectrum == found.spectrum


def test_a_thousand_features() -> None:
    def value(masks: np.ndarray) -> np.ndarray:
        return masks[:, :20].sum(axis=1) * 0.1 + 1.0 * (masks[:, 3] & masks[:, 900])

    found = ip.explain(value, budget=300, labels=1000, index="sv", method="lasso")
    assert sum(found.interactions().values()) == pytest.approx(3.0, abs=1e-9)


def test_pairs_of_an_additive_game_have_no_interaction() -> None:
    weights = np.arange(1.0, 8.0)
    found = ip.explain(lambda masks: masks @ weights, budget=40, labels=7, index="sii")
    read = found.interactions(order=2)
    assert [read[i,] for i in range(7)] == pytest.approx(weights.tolist())
    assert max(abs(read.get(pair, 0.0)) for pair in combinations(range(7), 2)) < 1e-6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"index": "bii"}, "leave index out and ask the result for interactions\\('bii'\\)"),
        ({"index": "shap"}, "index"),
        ({"index": "sv", "keep": 0.9}, "exclude each other"),
        ({"index": "sv", "method": "spex"}, "needs ablations of its own"),
        ({"index": "sv", "method": "exact"}, "raise it to 2048"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_a_sentence(options: dict[str, object], words: str) -> None:
    with pytest.raises(ip.InputError, match=words):
        ip.explain(saturating, budget=100, labels=11, **options)


def test_a_zoom_draws_its_own_masks() -> None:
    game = ip.lenses.text(
        lambda texts: [float(len(text)) for text in texts], "a b. c d. e f.", unit=("sentence", "word")
    )
    with pytest.raises(ip.InputError, match="in a zoom"):
        ip.explain(game, budget=64, index="sv")
