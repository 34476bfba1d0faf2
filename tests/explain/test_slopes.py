"""Games with slopes: what they cost, when they are paid for, and what is told of them."""

import time

import numpy as np
import pytest

import interplay as ip
from interplay._explain.slopes import along
from interplay.ablate import measure_slopes
from interplay.estimators import r_squared
from tests.support.slopes import jumps_of, planted_spectrum

N = 20
SPECTRUM = planted_spectrum(N, 0)
FRESH = np.random.default_rng(5).random((1000, N)) < 0.5


class Planted:
    """A planted game that counts its calls; slopes are its jumps, or noise."""

    def __init__(self, *, honest: bool = True) -> None:
        self.honest, self.values, self.gradients = honest, 0, 0

    def value(self, masks):
        self.values += len(masks)
        return SPECTRUM.predict(masks)

    def slopes(self, masks):
        self.gradients += len(masks)
        jumps = jumps_of(SPECTRUM, masks)
        if not self.honest:
            rows = [np.random.default_rng(np.packbits(mask).tolist()).normal(size=N) for mask in masks]
            jumps = 10 * np.array(rows)
        return SPECTRUM.predict(masks), jumps

    def game(self, **options) -> ip.Game:
        return ip.Game(self.value, N, slopes=self.slopes, name=f"planted {self.honest}", **options)


def _fresh(result) -> float:
    return r_squared(SPECTRUM.predict(FRESH), result.spectrum.predict(FRESH))


def test_slopes_are_paid_from_the_budget_and_explain_more_for_it():
    planted = Planted()
    with_slopes = ip.explain(planted.game(), budget=80, method="gp", progress=False)
    spent = planted.values + 2 * planted.gradients
    assert 74 <= spent == with_slopes.used <= 80
    without = ip.explain(planted.game(), budget=80, method="gp", slopes=False, progress=False)
    assert _fresh(with_slopes) > _fresh(without) + 0.05
    assert any("true jumps" in note and "1.00 for kept" in note for note in with_slopes.notes)


def test_what_slopes_cost_is_the_games_to_say():
    planted = Planted()
    found = ip.explain(planted.game(slope_cost=4.0), budget=80, slopes=True, method="gp", progress=False)
    assert planted.values + 4 * planted.gradients == found.used <= 80


def test_slopes_that_take_far_longer_than_they_are_counted_as_are_told():
    def slow(masks):
        time.sleep(0.05 * len(masks))
        return Planted().slopes(masks)

    def value(masks):
        time.sleep(0.005 * len(masks))
        return SPECTRUM.predict(masks)

    game = ip.Game(value, N, slopes=slow)
    told = ip.explain(game, budget=60, slopes=True, method="gp", progress=False)
    (note,) = [note for note in told.notes if "times as long as one without" in note]
    assert "counted as 2: game.slopes_costing(" in note
    dearer = ip.explain(game.slopes_costing(10), budget=60, slopes=True, method="gp", progress=False)
    assert not any("times as long" in note for note in dearer.notes)
    with pytest.raises(ip.InputError, match="slope_cost"):
        game.slopes_costing(0.5)


def test_auto_stops_paying_where_slopes_say_nothing():
    planted = Planted(honest=False)
    found = ip.explain(planted.game(), budget=80, method="gp", progress=False)
    assert planted.gradients <= 10
    assert planted.values + 2 * planted.gradients == found.used
    assert any("the rest was measured without" in note for note in found.notes)


def test_few_masks_tell_whether_slopes_know_the_differences_between_values():
    masks = ip.design(N, 12, method="gp")
    values = SPECTRUM.predict(masks)
    assert along(masks, values, jumps_of(SPECTRUM, masks)) > 0.8
    noise = np.random.default_rng(0).normal(size=(100, *masks.shape))
    assert np.mean([along(masks, values, one) > 0.5 for one in noise]) < 0.1
    linear = masks @ np.arange(N)
    assert along(masks, linear, np.broadcast_to(np.arange(N), masks.shape)) == pytest.approx(1.0)


def test_a_store_holds_slopes_and_one_without_them_is_completed(tmp_path):
    planted = Planted()
    with ip.Store(tmp_path / "runs.db") as store:
        plain = ip.explain(planted.game(), budget=60, slopes=False, store=store, method="lasso", progress=False)
        assert planted.gradients == 0
        assert plain.used == 60
        ip.explain(planted.game(), budget=60, slopes=True, store=store, method="gp", progress=False)
        seen = planted.values, planted.gradients
        again = ip.explain(planted.game(), budget=60, slopes=True, store=store, method="gp", progress=False)
        assert (planted.values, planted.gradients) == seen
        assert again.from_store == again.used
        masks = ip.design(N, 10, method="gp")
        found = measure_slopes(planted.game(), masks, store=store)
    assert np.allclose(found.slopes[:, 0], jumps_of(SPECTRUM, masks), atol=1e-5)


def test_slopes_take_less_room_in_a_store_than_their_numbers_would(tmp_path):
    n, count = 200, 50
    rng = np.random.default_rng(0)
    masks = rng.random((count, n)) < 0.5
    slopes = rng.normal(size=(count, n))
    game = ip.Game(len, n, slopes=lambda asked: (asked.sum(1), slopes[: len(asked)]), name="wide", batch_size=count)
    with ip.Store(tmp_path / "runs.db") as store:
        found = measure_slopes(game, masks[:8], store=store).slopes
        rows = [row for (row,) in store.database.execute("SELECT value FROM ablation") if len(row) > 100]
        again = measure_slopes(game, masks[:8], store=store)
    assert max(map(len, rows)) < 0.75 * 8 * n
    np.testing.assert_array_equal(again.slopes, found)
    assert again.measurement.measured == 0
    np.testing.assert_allclose(found[:, 0], slopes[:8], rtol=1e-6)


def test_slopes_measured_elsewhere_join_a_fit():
    masks = ip.design(N, 40, method="gp")
    values, slopes = SPECTRUM.predict(masks), jumps_of(SPECTRUM, masks)
    plain = ip.fit(masks, values, method="gp")
    joined = ip.fit(masks, values, slopes=slopes, method="gp")
    assert _fresh(joined) > _fresh(plain) + 0.05
    several = ip.fit(
        masks, np.stack([values, -values], 1), slopes=np.stack([slopes, np.full_like(slopes, np.nan)], 1), method="gp"
    )
    assert several.fits[0].spectrum == joined.fits[0].spectrum
    assert several.fits[1].spectrum == ip.fit(masks, -values, method="gp").fits[0].spectrum
    told = ip.fit(masks, values, slopes=slopes, method="lasso")
    assert any("takes no slopes" in note for note in told.notes)


@pytest.mark.parametrize(
    ("slopes", "words"),
    [
        (lambda masks: SPECTRUM.predict(masks), "return a pair"),
        (lambda masks: (SPECTRUM.predict(masks), np.zeros((len(masks), 3))), "shape"),
        (lambda masks: (SPECTRUM.predict(masks), np.full(masks.shape, np.inf)), "not finite"),
    ],
)
def test_slopes_of_another_shape_are_refused(slopes, words):
    game = ip.Game(SPECTRUM.predict, N, slopes=slopes)
    with pytest.raises(ip.AblationError, match=words):
        ip.explain(game, budget=40, slopes=True, method="gp", progress=False)


def test_slopes_are_refused_where_there_are_none():
    with pytest.raises(ip.InputError, match="game with slopes"):
        ip.explain(ip.Game(SPECTRUM.predict, N), budget=40, slopes=True)
    with pytest.raises(ip.InputError, match="lasso takes no slopes"):
        ip.explain(Planted().game(), budget=40, slopes=True, method="lasso")
    with pytest.raises(ip.InputError, match="shape"):
        ip.fit(FRESH, SPECTRUM.predict(FRESH), slopes=np.zeros((3, N)))


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("rows", [False, True])
def test_a_store_takes_values_and_slopes_of_one_output_in_either_order(first, rows):
    def value(masks):
        found = SPECTRUM.predict(masks)
        return found[:, None] if rows else found

    def slopes(masks):
        return value(masks), jumps_of(SPECTRUM, masks)

    game = ip.Game(value, N, slopes=slopes, name="one output")
    with ip.Store(":memory:") as store:
        for wanted in (first, not first):
            found = ip.explain(game, budget=60, slopes=wanted, store=store, method="gp", progress=False)
    assert found.from_store > 0


def test_parts_of_a_zoomed_game_have_the_sum_of_their_leaves_slopes():
    game = Planted().game()
    leaves = [ip.Part(f"x{i}", "x", i, i + 1) for i in range(N)]
    parts = [ip.Part(f"p{i}", "part", i, i + 4, tuple(leaves[i : i + 4])) for i in range(0, N, 4)]
    coarse = game.zoomed(parts)
    masks = np.random.default_rng(0).random((6, 5)) < 0.5
    values, slopes = coarse.slopes(masks)
    _, each = game.slopes(np.repeat(masks, 4, axis=1))
    np.testing.assert_array_equal(values, coarse(masks))
    np.testing.assert_allclose(slopes, each.reshape(6, 5, 4).sum(axis=2))
    finer = coarse.refine([1])
    assert finer.slopes(np.ones((1, 8), dtype=bool))[1].shape == (1, 8)
    assert coarse.finest.slopes is game.slopes
    assert ip.explain(coarse, budget=60, progress=False).used <= 60
    with pytest.raises(ip.InputError, match="no part in a zoom"):
        ip.explain(coarse, budget=60, slopes=True, progress=False)
