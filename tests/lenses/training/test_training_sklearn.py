"""The scikit-learn pair: outputs equal the estimator's own, and every subset gives a finite number."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

import interplay as ip

X, y = load_iris(return_X_y=True)
TRAIN, TEST = slice(0, 150, 4), slice(1, 150, 10)
EVERYTHING = np.arange(38)


def pair(estimator: object, **options: object) -> tuple:
    return ip.lenses.sklearn_training(estimator, X[TRAIN], y[TRAIN], X[TEST], y[TEST], **options)


def test_each_output_is_what_the_estimator_itself_gives() -> None:
    model = LogisticRegression(max_iter=1000).fit(X[TRAIN], y[TRAIN])
    p = model.predict_proba(X[TEST])[np.arange(15), y[TEST]]
    clipped = np.clip(p, 1e-4, 1 - 1e-4)
    expected = {
        "margin": np.log(clipped / (1 - clipped)),
        "probability": p,
        "loss": -np.log(clipped),
        "accuracy": model.score(X[TEST], y[TEST]),
    }
    for output, values in expected.items():
        fit, score = pair(LogisticRegression(max_iter=1000), output=output)
        np.testing.assert_allclose(score(fit(EVERYTHING, 0)), values, rtol=1e-12)
    fit, score = pair(LogisticRegression(max_iter=1000), output="loss", average=True)
    assert score(fit(EVERYTHING, 0)) == pytest.approx(expected["loss"].mean())
    assert score.lower_is_better


def test_an_estimator_without_probabilities_gives_margins_of_its_decision() -> None:
    fit, score = pair(LinearSVC(random_state=0))
    model = LinearSVC(random_state=0).fit(X[TRAIN], y[TRAIN])
    decision = model.decision_function(X[TEST])
    own = decision[np.arange(15), y[TEST]]
    others = np.where(np.arange(3) == y[TEST][:, None], -np.inf, decision)
    np.testing.assert_allclose(score(fit(EVERYTHING, 0)), own - others.max(axis=1), rtol=1e-6)
    two = y < 2
    binary = ip.lenses.sklearn_training(LinearSVC(), X[two], y[two], X[two], y[two])
    fitted = binary[0](np.arange(100), 0)
    np.testing.assert_allclose(
        binary[1](fitted), np.where(y[two] == 1, 1, -1) * fitted.decision_function(X[two]), rtol=1e-9
    )


def test_regressors_give_predictions_and_squared_errors() -> None:
    target = X[:, 3]
    rest = X[:, :3]
    model = LinearRegression().fit(rest[TRAIN], target[TRAIN])
    fit, score = ip.lenses.sklearn_training(LinearRegression(), rest[TRAIN], target[TRAIN], rest[TEST], target[TEST])
    np.testing.assert_allclose(score(fit(EVERYTHING, 0)), model.predict(rest[TEST]))
    assert score(fit(np.empty(0, int), 0)) == pytest.approx(target[TRAIN].mean())
    fit, score = ip.lenses.sklearn_training(
        LinearRegression(), rest[TRAIN], target[TRAIN], rest[TEST], target[TEST], output="loss"
    )
    np.testing.assert_allclose(score(fit(EVERYTHING, 0)), (model.predict(rest[TEST]) - target[TEST]) ** 2)


@pytest.mark.parametrize("output", ["margin", "probability", "loss", "accuracy"])
def test_subsets_of_one_class_or_none_give_finite_numbers(output: str) -> None:
    fit, score = pair(LogisticRegression(max_iter=1000), output=output)
    for subset in ([], [0], list(np.flatnonzero(y[TRAIN] == 1)), [0, 20]):
        assert np.isfinite(score(fit(np.array(subset, dtype=int), 0))).all()
    if output == "probability":
        np.testing.assert_allclose(score(fit(np.empty(0, int), 0)), 1 / 3)
        np.testing.assert_allclose(score(fit(np.array([0]), 0)), np.where(y[TEST] == y[TRAIN][0], 2 / 4, 1 / 4))


def test_every_random_state_gets_the_seed_and_equal_seeds_equal_models() -> None:
    fit, score = pair(make_pipeline(StandardScaler(), RandomForestClassifier(5)), output="probability")
    same = [score(fit(EVERYTHING[::2], seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(same[0], same[1])
    assert (same[0] != same[2]).any()
    assert fit(EVERYTHING, 7)[-1].random_state == 7


def test_it_can_be_sent_to_another_process() -> None:
    fit, score = pickle.loads(pickle.dumps(pair(GaussianNB())))
    original = pair(GaussianNB())
    np.testing.assert_array_equal(score(fit(EVERYTHING, 0)), original[1](original[0](EVERYTHING, 0)))


def test_the_store_recognises_the_task_by_its_data_and_options(tmp_path: Path) -> None:
    def game(estimator: object = LogisticRegression(C=0.5), **options: object) -> ip.Game:
        return ip.lenses.training(*pair(estimator, **options), examples=38)

    assert game().fingerprint == game().fingerprint is not None
    prints = [game(), game(LogisticRegression(C=0.6)), game(output="loss"), game(GaussianNB())]
    changed = ip.lenses.sklearn_training(LogisticRegression(C=0.5), X[TRAIN] + 1, y[TRAIN], X[TEST], y[TEST])
    prints.append(ip.lenses.training(*changed, examples=38))
    assert len({one.fingerprint for one in prints}) == 5
    first = ip.explain(game(GaussianNB()), budget=30, method="lasso", store=tmp_path / "runs.db")
    again = ip.explain(game(GaussianNB()), budget=30, method="lasso", store=tmp_path / "runs.db")
    assert (first.from_store, again.from_store) == (0, 30)
    assert first.outputs is not None
    assert first.outputs[0] == "test 0 (0)"


def test_an_estimator_that_only_shows_where_it_lies_in_memory_is_not_recognised(tmp_path: Path) -> None:
    def task(estimator: object) -> ip.Game:
        return ip.lenses.training(*pair(estimator), examples=38)

    unknown = task(make_pipeline(FunctionTransformer(lambda rows: rows), GaussianNB()))
    assert unknown.fingerprint is None
    with ip.Store(tmp_path / "runs.db") as store, pytest.raises(ip.StoreError, match="name it yourself"):
        ip.explain(unknown, budget=20, store=store)
    shares = np.full(3, 1 / 3)
    moved = shares + np.array([1e-12, 0, -1e-12])  # the same when printed
    assert task(GaussianNB(priors=shares)).fingerprint != task(GaussianNB(priors=moved)).fingerprint


def test_data_frames_and_sparse_matrices_are_taken_by_rows() -> None:
    import pandas as pd
    from scipy.sparse import coo_array, csr_array

    expected = pair(LogisticRegression(max_iter=1000))
    reference = expected[1](expected[0](EVERYTHING[::2], 0))
    frame = pd.DataFrame(X, columns=list("abcd"))
    fit, score = ip.lenses.sklearn_training(
        LogisticRegression(max_iter=1000), frame[TRAIN], pd.Series(y[TRAIN]), frame[TEST], y[TEST]
    )
    np.testing.assert_allclose(score(fit(EVERYTHING[::2], 0)), reference, rtol=1e-9)
    assert isinstance(fit.identity()["X"], str)
    for kind in (csr_array, coo_array):
        fit, score = ip.lenses.sklearn_training(
            LogisticRegression(max_iter=1000), kind(X[TRAIN]), y[TRAIN, None], kind(X[TEST]), y[TEST]
        )
        np.testing.assert_allclose(score(fit(EVERYTHING[::2], 0)), reference, rtol=1e-3, atol=1e-3)
        assert isinstance(fit.identity()["X"], str)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pair(GaussianNB(), output="margn"), "unknown output 'margn'. Did you mean 'margin'"),
        (lambda: pair(GaussianNB(), output="prediction"), "is for regressors"),
        (lambda: pair(LinearRegression(), output="margin"), "output='margin' needs a classifier"),
        (lambda: pair(LinearSVC(), output="loss"), "needs predict_proba, which LinearSVC lacks"),
        (lambda: pair(GaussianNB(), clip=0.7), "clip must lie between 0 and 0.5, not 0.7"),
        (lambda: ip.lenses.sklearn_training(GaussianNB(), X, y[:5], X, y), "X and y differ in length: 150 and 5"),
        (lambda: pair(GaussianNB), "estimator must be one of scikit-learn, such as LogisticRegression"),
        (lambda: ip.lenses.sklearn_training(LinearRegression(), X, X[:, :2], X, X), r"y must hold one .* \(150, 2\)"),
        (lambda: ip.lenses.sklearn_training(LinearRegression(), X, np.where(y > 1, np.nan, y), X, y), "y has 50 gaps"),
        (lambda: ip.lenses.sklearn_training(GaussianNB(), X[:3], ["a", None, "b"], X, y), "y has 1 gaps .None or NaN."),
        (
            lambda: ip.lenses.sklearn_training(GaussianNB(), X[:2], np.array(["a", 1], object), X, y),
            "y holds classes of",
        ),
        (lambda: ip.lenses.sklearn_training(GaussianNB(), X[:0], y[:0], X, y), "at least one training example"),
    ],
)
def test_a_mistake_is_one_sentence(call: object, message: str) -> None:
    with pytest.raises(ip.InputError, match=message):
        call()


class Own(LogisticRegression):
    """An estimator of the user's own, whose code may be edited under the same name."""


@pytest.mark.parametrize("estimator", [Own(), make_pipeline(StandardScaler(), Own()), make_pipeline(Own())])
def test_an_estimator_of_the_users_own_class_needs_a_name_in_a_store(estimator: object, tmp_path: Path) -> None:
    fit, score = ip.lenses.sklearn_training(estimator, X[TRAIN], y[TRAIN], X[TEST], y[TEST])
    with pytest.raises(ip.StoreError, match="name it yourself"):
        ip.explain(ip.lenses.training(fit, score, len(y[TRAIN])), budget=20, store=tmp_path / "runs.db")
    known, _ = ip.lenses.sklearn_training(make_pipeline(StandardScaler(), LogisticRegression()), X, y, X, y)
    assert any(library.startswith("sklearn ") for library in known.identity()["libraries"])


def test_retrainings_that_do_not_converge_give_one_note_and_no_warnings() -> None:
    slow = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1))
    note = "LogisticRegression stopped before it converged"
    with ThreadPoolExecutor(3) as threads:
        for executor in (None, threads):
            game = ip.lenses.training(*pair(slow), examples=38)
            notes = ip.explain(game, budget=40, method="lasso", executor=executor).for_output(0).notes
            assert sum(one.startswith(note) for one in notes) == 1
    enough = ip.lenses.training(*pair(LogisticRegression(max_iter=1000)), examples=38)
    assert not any("converged" in one for one in ip.explain(enough, budget=40, method="lasso").for_output(0).notes)
    with pytest.warns(ConvergenceWarning):  # what others train warns as before
        slow.fit(X, y)
