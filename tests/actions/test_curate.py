"""Curation: rows found by what retraining without them gives, judged on data that took no part."""

from __future__ import annotations

import numpy as np
import pytest

import interplay as ip


def rows_game(value: object, n: int, **options: object) -> ip.Game:
    """Training whose model is the set of rows it saw."""
    return ip.lenses.training(lambda kept: set(kept.tolist()), value, examples=n, **options)


def twins(model: set[int]) -> float:
    """Rows 0 and 1 are duplicates and harmful: one is as bad as both. Row 2 harms a little, 3 and 4 help."""
    return -1.0 * bool(model & {0, 1}) - 0.4 * (2 in model) + 0.3 * (3 in model) + 0.2 * (4 in model)


def trigger(model: set[int]) -> float:
    """Rows 5, 6 and 7 harm only when all three are there."""
    return -2.0 * ({5, 6, 7} <= model) - 0.3 * (0 in model) - 0.3 * (1 in model) + 0.1 * len(model & {2, 3})


def test_duplicates_are_removed_together_where_single_effects_would_take_another() -> None:
    game = rows_game(twins, 6)
    explanation = ip.explain(game, budget=64, progress=False)
    done = ip.actions.curate(game, explanation, remove=2, held_out=game, random=3)
    assert set(done.removed) == {0, 1}
    assert done.measured == done.chosen.held_out == pytest.approx(0.1)
    assert done.predicted == pytest.approx(0.1)
    assert [pair.kind for pair in done.pairs] == ["redundant"]
    assert all(rival.held_out < done.chosen.held_out for rival in done.rivals if rival.name == "random")


def test_one_row_of_a_planted_trigger_is_enough() -> None:
    game = rows_game(trigger, 10)
    explanation = ip.explain(game, budget=1024, progress=False)
    done = ip.actions.curate(game, explanation, remove=1, held_out=game)
    assert set(done.removed) < {5, 6, 7}
    three = ip.actions.curate(game, explanation, keep=7, held_out=game)
    assert len(set(three.removed) & {5, 6, 7}) == 1
    assert {0, 1} < set(three.removed)
    assert sorted((*three.removed, *three.kept)) == list(range(10))


def test_wrong_labels_are_found_and_removing_them_helps_on_held_out_data() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    weights = rng.normal(size=4)

    def data(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(count, 4))
        return x, x @ weights + 0.3 * rng.normal(size=count)

    (x, y), chosen, judged = data(24), data(60), data(400)
    planted = {2, 9, 16, 21}
    y[list(planted)] += 6.0

    def score(points: tuple[np.ndarray, np.ndarray]) -> object:
        return lambda model: -float(((model.predict(points[0]) - points[1]) ** 2).mean())

    def fit(kept: np.ndarray) -> Ridge:
        return Ridge(1.0).fit(x[kept], y[kept]) if len(kept) else Ridge(1.0).fit(x[:2], y[:2] * 0)

    game, other = (ip.lenses.training(fit, score(points), examples=24) for points in (chosen, judged))
    explanation = ip.explain(game, budget=400, progress=False)
    done = ip.actions.curate(game, explanation, remove=4, held_out=other, rankings={"backwards": range(24, 0, -1)})
    assert len(set(done.removed) & planted) >= 3
    by_name = {rival.name: rival for rival in done.rivals}
    assert done.chosen.held_out > max(done.untouched.held_out, by_name["random"].held_out)
    assert by_name["backwards"].removed == (23, 22, 21, 20)
    assert done.chosen.held_out == pytest.approx(score(judged)(fit(np.setdiff1d(np.arange(24), done.removed))))


def test_the_held_out_data_do_not_change_the_choice_and_retrainings_are_counted() -> None:
    trained: list[int] = []

    def fit(kept: np.ndarray) -> set[int]:
        trained.append(1)
        return set(kept.tolist())

    game = ip.lenses.training(fit, twins, examples=6)
    against = ip.lenses.training(fit, lambda model: -twins(model), examples=6)
    explanation = ip.explain(game, budget=64, progress=False)
    trained.clear()
    done = ip.actions.curate(game, explanation, remove=2, held_out=against, random=3)
    assert set(done.removed) == {0, 1}
    assert done.retrainings == len(trained)
    assert done.chosen.held_out == pytest.approx(-done.measured)


def test_losses_are_lowered_and_one_of_several_outputs_may_be_chosen() -> None:
    class Loss:
        lower_is_better = True

        def __call__(self, model: set[int]) -> list[float]:
            return [1.0 * (0 in model), 1.0 * (1 in model)]

    game = rows_game(Loss(), 4, targets=["first", "second"])
    explanation = ip.explain(game, budget=16, progress=False)
    for output, row in (("first", 0), (1, 1)):
        done = ip.actions.curate(game, explanation, remove=1, held_out=game, outputs=[output])
        assert done.removed == (row,)
        assert done.measured == 0.0
        assert done.lower_is_better
    assert ip.actions.curate(game, explanation, remove=2, held_out=game).removed in ((0, 1), (1, 0))


def test_several_seeds_give_a_deviation() -> None:
    def fit(kept: np.ndarray, seed: int) -> float:
        return len(kept) + np.random.default_rng(seed).normal()

    game = ip.lenses.training(fit, lambda model: model, examples=5)
    other = ip.lenses.training(fit, lambda model: model, examples=5, seeds=4)
    done = ip.actions.curate(game, ip.explain(game, budget=32, progress=False), remove=1, held_out=other)
    assert done.chosen.deviation is not None
    assert done.chosen.deviation > 0
    assert "±" in str(done)
    assert done.to_frame()["name"].tolist() == ["everything kept", "interactions", "first order", "random"]
    assert done.to_dict()["chosen"]["deviation"] == done.chosen.deviation


def test_rows_are_relabelled_where_the_fit_relabels_what_is_not_kept() -> None:
    labels = np.array([1, 1, -1, 1, 1, -1])  # all are 1 in truth

    def fit(kept: np.ndarray) -> float:
        told = -labels
        told[kept] = labels[kept]
        return float(told.mean())

    game, other = (ip.lenses.training(fit, lambda mean, at=at: at * mean, examples=6) for at in (1.0, 2.0))
    done = ip.actions.curate(game, ip.explain(game, budget=64, progress=False), relabel=2, held_out=other)
    assert sorted(done.removed) == [2, 5]
    assert done.relabelled
    assert done.chosen.held_out == pytest.approx(2.0)
    assert "2 of 6 rows relabelled" in str(done)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "one of the three"),
        ({"remove": 1, "keep": 2}, "one of the three"),
        ({"remove": 6}, "leaves none"),
        ({"relabel": 6}, "relabels them all"),
        ({"remove": 0}, "at least 1"),
        ({"keep": 6}, "changes none"),
        ({"remove": 1, "outputs": [3]}, "no output 3"),
        ({"remove": 1, "outputs": ["x"]}, "unknown output"),
        ({"remove": 1, "outputs": []}, "outputs is empty"),
        ({"remove": 1, "rankings": {"mine": [1.0]}}, "'mine': 1 numbers for 6 parts"),
        ({"remove": 1, "held_out": rows_game(twins, 5)}, "same rows"),
    ],
)
def test_a_mistake_gets_one_sentence(options: dict[str, object], words: str) -> None:
    game = rows_game(twins, 6)
    explanation = ip.explain(game, budget=64, progress=False)
    with pytest.raises(ip.InputError, match=words):
        ip.actions.curate(game, explanation, **({"held_out": game} | options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"random": -1}, "random must be"),
        ({"held_out": 3}, "held_out must be a game, as .* makes it, not 3"),
        ({"rankings": {"mine": [1.0, float("nan"), 2.0, 3.0, 4.0, 5.0]}}, r"'mine' has no number \(NaN\) for"),
        ({"rankings": {"mine": [1.0]}}, "'mine': 1 numbers for 6 parts"),
        ({"rankings": {"interactions": range(6)}}, "cannot be called 'interactions'"),
        ({"outputs": "loss"}, r"outputs must be a list of names or positions, not 'loss'"),
        ({"outputs": 0}, r"pass \[0\]"),
        ({"outputs": [0.5]}, "no output 0.5"),
    ],
)
def test_a_mistake_is_named_before_anything_is_trained(options: dict[str, object], words: str) -> None:
    trained: list[int] = []

    def fit(kept: np.ndarray) -> set[int]:
        trained.append(1)
        return set(kept.tolist())

    game = ip.lenses.training(fit, twins, examples=6)
    explanation = ip.explain(game, budget=64, progress=False)
    trained.clear()
    with pytest.raises(ip.InputError, match=words):
        ip.actions.curate(game, explanation, remove=1, **({"held_out": game} | options))
    assert trained == []
