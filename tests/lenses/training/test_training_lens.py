"""The training lens: an ablation trains on what is kept and on nothing else, whatever happens and wherever it runs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interplay as ip
from interplay._game.layout import TrainingLayout, layout_from_dict
from oracles import dense_values


class Recorder:
    """A fit that remembers what it was asked to train on."""

    def __init__(self) -> None:
        self.jobs: list[tuple[list[int], int]] = []

    def __call__(self, indices: np.ndarray, seed: int) -> list[int]:
        self.jobs.append((indices.tolist(), seed))
        return indices.tolist()


def weigh(model: list[int]) -> float:
    return float(sum(model))


def noisy_weight(indices: np.ndarray, seed: int) -> float:
    return float(indices.sum() + np.random.default_rng(seed).normal())


def itself(model: float) -> float:
    return model


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_exactly_the_kept_groups_and_what_is_always_kept_are_trained_on(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    order = data.draw(st.permutations(range(count)))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, count - 1)), max_size=4)) | {0, count})
    parts = [sorted(order[a:b]) for a, b in pairwise(cuts)]
    always, groups = (parts[0], parts[1:]) if len(parts) > 1 and data.draw(st.booleans()) else ([], parts)
    mask = data.draw(st.lists(st.booleans(), min_size=len(groups), max_size=len(groups)))
    fit = Recorder()
    ip.lenses.training(fit, weigh, groups, always=always)(np.array([mask]))
    kept = sorted(always + [i for group, keep in zip(groups, mask, strict=True) if keep for i in group])
    assert [job[0] for job in fit.jobs] == [kept]


def test_a_game_of_a_few_examples_is_recovered_exactly() -> None:
    table = dense_values(6, 0)
    game = ip.lenses.training(lambda kept: table[int((1 << kept).sum())], itself, 6)
    spectrum = ip.explain(game, budget=64).spectrum
    masks = ip.design(6, 64)
    np.testing.assert_allclose(spectrum.predict(masks), table[masks @ (1 << np.arange(6))], atol=1e-12)


def test_labels_outputs_and_layout_are_what_the_user_gave_and_survive_saving(tmp_path: Path) -> None:
    show = ip.lenses.Gallery(("a cat", "a dog"), ("animal", "animal"), np.random.default_rng(0).random((2, 3, 4)))
    game = ip.lenses.training(
        lambda kept: kept, lambda model: [len(model), 1.0 * model.sum()], 2, show=show, targets=["size", "sum"]
    )
    assert game.labels == ("a cat", "a dog")
    result = ip.explain(game, budget=4)
    assert result.outputs == ("size", "sum")
    result.save(tmp_path / "saved.json")
    loaded = ip.load(tmp_path / "saved.json")
    assert loaded.layout == result.layout
    assert loaded.to_dict() == result.to_dict()
    assert isinstance(loaded.layout, TrainingLayout)
    assert layout_from_dict(json.loads(json.dumps(loaded.layout.to_dict()))) == loaded.layout
    assert ip.lenses.training(lambda kept: 0.0, itself, ["x", "y"]).labels == ("x", "y")
    assert ip.lenses.training(lambda kept: 0.0, itself, {"odd": [1, 3], "even": [0, 2]}).labels == ("odd", "even")


def test_seeds_differ_between_repeats_and_subsets_and_depend_on_nothing_else() -> None:
    masks = ip.design(10, 40, method="lasso")
    one, two, other = Recorder(), Recorder(), Recorder()
    ip.lenses.training(one, weigh, 10, seeds=3)(masks)
    ip.lenses.training(two, weigh, 10, seeds=3)(masks[::-1])
    ip.lenses.training(other, weigh, 10, seeds=3, seed=1)(masks)
    assert len({seed for _, seed in one.jobs}) == 120
    assert sorted(one.jobs) == sorted(two.jobs)
    assert not {seed for _, seed in one.jobs} & {seed for _, seed in other.jobs}


def test_repeats_are_averaged_and_their_noise_is_reported_as_it_is() -> None:
    # values: sum of kept positions + N(0, 1); with 4 seeds the noise of a mean is 1/4
    game = ip.lenses.training(noisy_weight, itself, 12, seeds=4)
    result = ip.explain(game, budget=400, method="lasso")
    share = 0.25 / (0.25 + sum(i * i for i in range(12)) / 4)
    note = next(note for note in result.notes if note.startswith("noise: "))
    assert float(note.split()[1].rstrip("%")) / 100 == pytest.approx(share, rel=0.2)
    assert "each the mean of 4 repeats" in note
    raw = game.value(ip.design(12, 5))
    assert raw.shape == (5, 4)
    np.testing.assert_allclose(game(ip.design(12, 5)), raw.mean(axis=1))


def test_repeats_of_several_outputs_are_not_mixed() -> None:
    def score(model: float) -> list[float]:
        return [model, 100.0 - model]

    masks = ip.design(12, 30)
    values = ip.lenses.training(noisy_weight, score, 12, seeds=3)(masks)
    assert values.shape == (30, 2)
    np.testing.assert_allclose(values.sum(axis=1), 100.0)
    single = ip.lenses.training(noisy_weight, itself, 12, seeds=3)(masks)
    np.testing.assert_allclose(values[:, 0], single)


def test_a_fit_without_a_seed_is_called_without_one() -> None:
    game = ip.lenses.training(lambda indices: indices.sum(), itself, 5)
    assert game(np.ones((1, 5), dtype=bool)) == [10.0]
    assert ip.lenses.training(lambda indices, seed=0: seed, itself, 5)(np.ones((1, 5), dtype=bool)) > 0
    assert ip.lenses.training(lambda indices, strength=7.0: strength, itself, 5)(np.ones((1, 5), dtype=bool)) == 7.0


def fails_without_example_0_and_1(indices: np.ndarray) -> float:
    if not {0, 1} & set(indices.tolist()):
        raise ValueError("needs an anchor")
    return float(indices.sum()) if 5 in indices else np.inf if len(indices) == 4 else 0.0


def test_failed_and_diverged_retrainings_are_left_out_recorded_and_reported(tmp_path: Path) -> None:
    game = ip.lenses.training(fails_without_example_0_and_1, itself, 12, failures=0.5, name="anchored")
    result = ip.explain(game, budget=150, method="lasso", removals=0, store=tmp_path / "runs.db")
    note = next(note for note in result.notes if "failed and were left out" in note)
    assert "ValueError: needs an anchor (" in note
    assert "the score was not finite (" in note
    assert 20 < int(note.split()[0]) < 75
    assert result.faithfulness.masks == 148 - int(note.split()[0]) + 1  # the empty one failed, and is not in the fit
    assert result.empty is None
    again = ip.explain(game, budget=150, method="lasso", removals=0, store=tmp_path / "runs.db")
    assert again.from_store == 150 - int(note.split()[0])  # what failed is tried again: the reason may have passed
    assert again.to_dict()["fits"] == result.to_dict()["fits"]
    assert note in again.notes


def test_more_failures_than_allowed_stop_the_run() -> None:
    game = ip.lenses.training(fails_without_example_0_and_1, itself, 12, failures=0.1)
    with pytest.raises(
        ip.AblationError, match=r"1\d of \d+ ablations failed and at most 15 of 150 may \(failures=0.1\)"
    ):
        ip.explain(game, budget=150, method="lasso")
    with pytest.raises(ip.AblationError, match=r"\d of \d+ ablations failed and at most 0 of \d+ may"):
        ip.explain(
            ip.lenses.training(fails_without_example_0_and_1, itself, 12, failures=0), budget=150, method="lasso"
        )


def test_a_training_that_never_works_stops_after_the_first_batch() -> None:
    calls = 0

    def fit(indices: np.ndarray) -> None:
        nonlocal calls
        calls += 1
        raise ValueError("no such solver")

    with pytest.raises(ip.AblationError, match="all of the first 8 ablations failed; the last: ValueError: no such"):
        ip.explain(ip.lenses.training(fit, itself, 20, failures=0.5), budget=1000, method="lasso")
    assert calls == 8


def test_a_mistake_in_the_code_of_fit_is_raised_as_it_is() -> None:
    def fit(indices: np.ndarray) -> None:
        raise TypeError("unexpected keyword")

    with pytest.raises(TypeError, match="unexpected keyword"):
        ip.explain(ip.lenses.training(fit, itself, 20), budget=100, method="lasso")


def test_one_bad_retraining_among_those_trained_together_costs_only_its_own() -> None:
    class Together(Recorder):
        def together(self, jobs: list[tuple[np.ndarray, int]]) -> list[list[int]]:
            return [self(indices, seed) for indices, seed in jobs]

        def __call__(self, indices: np.ndarray, seed: int) -> list[int]:
            if indices.tolist() == [0, 2]:
                raise FloatingPointError("diverged")
            return super().__call__(indices, seed)

    game = ip.lenses.training(Together(), weigh, 3, failures=0.5)
    assert len(ip.explain(game, budget=8, method="lasso").notes) == 1
    np.testing.assert_array_equal(
        ip.lenses.training(Together(), weigh, 3)(np.array([[True, True, False], [False, True, True]])), [1.0, 3.0]
    )


def test_threads_give_the_same_values_as_one_after_the_other() -> None:
    game = ip.lenses.training(noisy_weight, itself, 20, seeds=2, batch_size=3)
    alone = ip.explain(game, budget=120, method="lasso")
    with ThreadPoolExecutor(4) as executor:
        together = ip.explain(game, budget=120, method="lasso", executor=executor)
    assert alone.to_dict()["fits"] == together.to_dict()["fits"]


def test_features_are_kept_at_the_rate_asked_for_and_the_spectrum_is_the_same_game() -> None:
    spectrum = ip.Spectrum(30, {(): 1.0, (0,): -2.0, (3,): 1.0, (7,): 0.5})
    seen: list[np.ndarray] = []

    def value(masks: np.ndarray) -> np.ndarray:
        seen.append(masks)
        return spectrum.predict(masks)

    result = ip.explain(ip.Game(value, 30, keep=0.8), budget=300, method="lasso")
    rate = np.concatenate(seen)[2:].mean()
    assert abs(rate - 0.8) < 0.02
    assert result.keep == 0.8
    assert any("kept with probability 0.8" in note for note in result.notes)
    for key, coefficient in spectrum.coefficients.items():
        assert result.spectrum.coefficients[key] == pytest.approx(coefficient, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda fit: ip.lenses.training(fit, itself, 0), "at least one example to ablate, not 0"),
        (lambda fit: ip.lenses.training(fit, itself, []), "at least one example to ablate, but there are none"),
        (lambda fit: ip.lenses.training(fit, itself, "abc"), "not the text 'abc'"),
        (lambda fit: ip.lenses.training(fit, itself, 2.5), "must be a number, names, or groups of indices, not 2.5"),
        (lambda fit: ip.lenses.training(fit, itself, [[0, 1], [1]]), "example 1 is in 2 groups"),
        (lambda fit: ip.lenses.training(fit, itself, {"a": [0], "b": []}), "the group 'b' is empty"),
        (lambda fit: ip.lenses.training(fit, itself, [[0], [-1]]), "'group 1' must be a list of positions"),
        (lambda fit: ip.lenses.training(fit, itself, [[0], [0.5]]), "'group 1' must be a list of positions"),
        (lambda fit: ip.lenses.training(fit, itself, 3, always=[2]), "example 2 is both a feature and always kept"),
        (lambda fit: ip.lenses.training(fit, itself, 3, seeds=2), "seeds=2 needs a fit\\(indices, seed\\)"),
        (lambda fit: ip.lenses.training(fit, itself, 3, seeds=0), "seeds must be a whole number of at least 1"),
        (lambda fit: ip.lenses.training(fit, itself, 3, keep=1.0), "keep must lie strictly between 0 and 1, not 1.0"),
        (lambda fit: ip.lenses.training(fit, itself, 3, failures=1.5), "failures must be a share"),
        (lambda fit: ip.lenses.training(fit, 3.0, 3), "must be callable, but float is not"),
        (lambda fit: ip.lenses.training(lambda: 0, itself, 3), "fit takes no argument"),
        (lambda fit: ip.lenses.training(lambda a, b, c: 0, itself, 3), "fit needs 3 arguments"),
        (lambda fit: ip.lenses.training(fit, itself, 3, show=ip.lenses.Gallery(("a",))), "1 items for 3 features"),
        (lambda fit: ip.lenses.Gallery(("a", "b"), ("c",)), "1 classes for 2 items"),
        (lambda fit: ip.lenses.near_duplicates([[0.0]], -1), "within must be a distance of at least 0, not -1"),
        (lambda fit: ip.lenses.groups_of([]), "no examples to group"),
    ],
)
def test_a_mistake_is_one_sentence(call: object, message: str) -> None:
    with pytest.raises(ip.InputError, match=message):
        call(lambda indices: 0.0)


def test_scores_of_changing_length_or_kind_are_refused() -> None:
    masks = np.array([[True, True], [True, False]])
    with pytest.raises(ip.AblationError, match="return as many for every model"):
        ip.lenses.training(lambda kept: kept, lambda model: model, 2)(masks)
    with pytest.raises(ip.AblationError, match="score gave <U4 of shape"):
        ip.lenses.training(lambda kept: kept, lambda model: "good", 2)(masks)


class Blank:
    """A fit or a score that does not know what it is."""

    def __call__(self, *given: object) -> float:
        return float(len(given))

    def identity(self) -> None:
        return None


def test_a_task_that_cannot_tell_itself_from_others_is_not_recognised() -> None:
    assert ip.lenses.training(Blank(), Blank(), 4).fingerprint is None
    assert ip.lenses.training(Blank(), Blank(), 4, name="mine").fingerprint is not None


@pytest.mark.parametrize(
    ("base", "name", "value", "message"),
    [
        ("fit", "togther", list, "the fit Own has 'togther', which nothing reads: did you mean 'together'"),
        ("score", "lower_is_beter", True, "the score Own has 'lower_is_beter', which nothing reads"),
        ("score", "target", ["a"], "did you mean 'targets'"),
        ("score", "targets", 3, "targets of the score Own must be a list of names or a Gallery, not 3"),
    ],
)
def test_a_misspelt_or_unfit_attribute_of_fit_or_score_is_one_sentence(
    base: str, name: str, value: object, message: str
) -> None:
    own = type("Own", (Blank,), {name: value})()
    parts = {"fit": Blank(), "score": Blank(), base: own}
    with pytest.raises(ip.InputError, match=message):
        ip.lenses.training(parts["fit"], parts["score"], 4)


def test_near_duplicates_are_grouped_and_nothing_else_is() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 3)) * 10
    rows[7], rows[13], rows[19] = rows[2], rows[2] + 1e-3, rows[5]
    groups = ip.lenses.near_duplicates(rows, within=0.01)
    assert sorted(map(tuple, groups.values())) == sorted(
        [(2, 7, 13), (5, 19)] + [(i,) for i in range(20) if i not in {2, 7, 13, 5, 19}]
    )
    assert all(len(group) == 1 for group in ip.lenses.near_duplicates(rows[[0, 1]], within=0).values())
