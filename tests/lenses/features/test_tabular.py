"""The tabular lens: ablated columns take the background's values, and nothing else of the row or its types changes."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from io import StringIO
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import interplay as ip
from interplay._game.layout import TableLayout, layout_from_dict
from interplay.lenses._features.table import Table, shown
from interplay.report import show

RNG = np.random.default_rng(0)


def every_mask(n: int) -> np.ndarray:
    return (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(bool)


def mixed() -> pd.DataFrame:
    """A frame with a column of each kind."""
    return pd.DataFrame(
        {
            "age": np.array([31, 42, 57, 42], dtype=np.int32),
            "income": np.array([1.5, 2.5, 4.0, 8.0], dtype=np.float32),
            "colour": pd.Categorical(["red", "blue", "blue", "red"], categories=["red", "blue", "green"]),
            "town": ["Ulm", "Bonn", "Bonn", "Kiel"],
            "member": [True, False, False, False],
            "visits": pd.array([1, 2, None, 6], dtype="Int64"),
            "since": pd.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01", "2023-01-01"]),
        }
    )


def product(rows: np.ndarray) -> np.ndarray:
    return rows[:, 0] * rows[:, 1] + 2.0 * rows[:, 2]


class Recorder:
    """A predict that remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, rows: Any) -> np.ndarray:
        self.seen.append(rows)
        return np.zeros(len(rows))


@pytest.fixture(scope="module")
def cancer() -> tuple[Any, pd.DataFrame]:
    """LightGBM on 8 columns of the breast cancer data, and the rows it was not trained on."""
    from lightgbm import LGBMClassifier
    from sklearn.datasets import load_breast_cancer

    data, target = load_breast_cancer(return_X_y=True, as_frame=True)
    data = data.iloc[:, 20:28]
    data.columns = data.columns.str.replace(" ", "_")
    names = np.array(["malignant", "benign"])[target]
    model = LGBMClassifier(n_estimators=40, num_leaves=8, n_jobs=1, verbose=-1, random_state=0)
    return model.fit(data[:400], names[:400]), data[400:]


# --- the value function -------------------------------------------------------------------------------------------


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_value_is_the_mean_prediction_over_the_background_with_kept_columns_put_in(data: st.DataObject) -> None:
    d, count, batch = (data.draw(st.integers(1, high)) for high in (6, 9, 12))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x, background, weights = rng.normal(size=d), rng.normal(size=(count, d)), rng.normal(size=(d, d))

    def predict(rows: np.ndarray) -> np.ndarray:
        return np.sin(rows @ weights)  # d outputs, every column interacts

    masks = rng.random((5, d)) < 0.5
    game = ip.lenses.tabular(predict, x, background, batch_size=batch)
    expected = [predict(np.where(mask, x, background)).mean(axis=0) for mask in masks]
    np.testing.assert_allclose(game(masks), np.array(expected).reshape(5, d), atol=1e-12)


def test_shapley_values_of_a_boosted_model_are_the_interventional_ones_by_brute_force(
    cancer: tuple[Any, pd.DataFrame],
) -> None:
    model, rows = cancer
    background, x = rows[:30], rows.iloc[40]

    def margin(table: pd.DataFrame) -> np.ndarray:
        return np.asarray(model.predict(table, raw_score=True))

    def value(kept: tuple[int, ...]) -> float:
        table = background.copy()
        for column in kept:
            table.iloc[:, column] = x.iloc[column]
        return float(margin(table).mean())

    groups = {"size": [0, 2, 3], "shape": [1, 4], "rest": [5, 6, 7]}
    by_name = {name: [rows.columns[j] for j in members] for name, members in groups.items()}
    game = ip.lenses.tabular(margin, x, background, groups=by_name)
    found = ip.explain(game, budget=8).interactions("sv")
    orders = list(permutations(groups))
    for feature, name in enumerate(label.split(" = ")[0] for label in game.labels):
        gains = []
        for order in orders:
            before = sorted(j for other in order[: order.index(name)] for j in groups[other])
            gains.append(value(tuple(sorted(before + groups[name]))) - value(tuple(before)))
        assert found.get((feature,), 0.0) == pytest.approx(np.mean(gains), abs=1e-9)


def test_a_linear_model_has_the_closed_form_and_no_interaction() -> None:
    weights, x, background = RNG.normal(size=7), RNG.normal(size=7), RNG.normal(size=(50, 7))
    result = ip.explain(ip.lenses.tabular(lambda rows: rows @ weights, x, background), budget=128)
    shapley = result.interactions("sv")
    assert [shapley[i,] for i in range(7)] == pytest.approx(weights * (x - background.mean(axis=0)), abs=1e-12)
    assert not [key for key, value in result.interactions("mobius").items() if len(key) > 1 and abs(value) > 1e-9]


def test_values_equal_those_of_shapiqs_marginal_imputer(cancer: tuple[Any, pd.DataFrame]) -> None:
    from shapiq.imputer import MarginalImputer

    model, rows = cancer
    background, x = rows[:25].to_numpy(), rows.iloc[30].to_numpy()

    def benign(table: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict_proba(pd.DataFrame(table, columns=rows.columns))[:, 0])

    masks = ip.design(8, 60)
    peer = MarginalImputer(benign, background, x=x, sample_size=25, normalize=False, random_state=0)
    np.testing.assert_allclose(ip.lenses.tabular(benign, x, background)(masks), peer(masks), atol=1e-12)


def test_an_interaction_that_a_forest_has_learned_is_the_strongest_found() -> None:
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(1500, 8)), columns=list("abcdefgh"))
    y = (X["c"] > 0) ^ (X["f"] > 0)  # neither column says anything alone
    model = RandomForestClassifier(60, max_depth=8, random_state=0).fit(X[:1200], y[:1200])
    assert model.score(X[1200:], y[1200:]) > 0.9
    x = {**dict.fromkeys("abcdefgh", 0.0), "c": 1.5, "f": -1.5}
    game = ip.lenses.tabular(model.predict_proba, x, X[:60])
    result = ip.explain(game, budget=150).for_output("True")
    words, value = result.interactions("bii").named()[0]
    assert words == ("c = 1.5", "f = -1.5")
    masks = every_mask(8)
    signs = np.where(masks[:, 2] == masks[:, 5], 1.0, -1.0)  # of the second difference, by brute force
    assert value == pytest.approx(4 * (signs * game(masks)[:, 1]).mean(), abs=0.01)
    assert value > 0.15
    assert result.faithfulness.r2 > 0.95 > 0.8 > result.faithfulness.first_order


# --- what predict sees --------------------------------------------------------------------------------------------


def test_predict_sees_the_frames_columns_and_types_whatever_is_ablated() -> None:
    frame = mixed()
    for by in ("rows", "sample", "mean"):
        predict = Recorder()
        ip.lenses.tabular(predict, frame.iloc[0], frame[1:], ablate=by)(every_mask(7))
        for seen in predict.seen:
            assert list(seen.columns) == list(frame.columns)
            assert dict(seen.dtypes) == dict(frame.dtypes)


def test_every_cell_is_the_rows_where_kept_and_of_one_background_row_where_not() -> None:
    frame = mixed()
    predict = Recorder()
    masks = every_mask(7)
    ip.lenses.tabular(predict, frame.iloc[0], frame[1:], batch_size=10_000)(masks)
    (seen,) = predict.seen
    assert len(seen) == len(masks) * 3
    for k, mask in enumerate(masks[:100]):
        for r in range(3):
            expected = frame.iloc[1 + r].where(~mask, frame.iloc[0])
            got = seen.iloc[3 * k + r]
            assert (got.isna() == expected.isna()).all()
            assert (got.dropna() == expected.dropna()).all()


def test_the_users_row_and_background_are_not_changed_by_a_predict_that_writes() -> None:
    x, background = np.ones(3), np.zeros((2, 3))

    def vandal(rows: np.ndarray) -> np.ndarray:
        total: np.ndarray = rows.sum(axis=1)
        rows[:] = -9.0
        return total

    game = ip.lenses.tabular(vandal, x, background)
    assert game(every_mask(3)).tolist() == game(every_mask(3)).tolist() == every_mask(3).sum(axis=1).tolist()
    assert (x == 1).all()
    assert (background == 0).all()
    background[:] = 5.0  # nor does what the user does afterwards change the game
    assert game(np.zeros((1, 3), dtype=bool)) == [0.0]


def test_a_pipeline_of_mixed_columns_is_explained_and_its_classes_name_the_outputs() -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rng = np.random.default_rng(0)
    X = pd.DataFrame({"size": rng.normal(size=200), "colour": rng.choice(["red", "blue"], 200)})
    y = np.where(X["colour"] == "red", "warm", "cold")
    encode = make_column_transformer((StandardScaler(), ["size"]), (OneHotEncoder(), ["colour"]))
    model = make_pipeline(encode, LogisticRegression()).fit(X, y)
    result = ip.explain(ip.lenses.tabular(model.predict_proba, {"colour": "red", "size": 0.25}, X), budget=4)
    assert result.labels == ("size = 0.25", "colour = red")
    assert result.outputs == ("cold", "warm")
    warm = result.for_output("warm").interactions("sv")
    assert warm[1,] > 0.3 > abs(warm.get((0,), 0.0))


def test_wine_is_explained_for_all_classes_at_once() -> None:
    from sklearn.datasets import load_wine
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load_wine(as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data, data.target_names[data.target])
    result = ip.explain(ip.lenses.tabular(model.predict_proba, data.data.iloc[3], data.data[::6]), budget=200)
    assert result.outputs == ("class_0", "class_1", "class_2")
    assert result.full == pytest.approx(model.predict_proba(data.data.iloc[[3]])[0])
    assert result.empty == pytest.approx(model.predict_proba(data.data[::6]).mean(axis=0))
    assert min(result.for_output(name).faithfulness.r2 for name in result.outputs) > 0.9


def test_predict_never_gets_more_rows_at_once_than_asked_and_chunks_change_nothing() -> None:
    x, background = RNG.normal(size=5), RNG.normal(size=(23, 5))
    whole = ip.lenses.tabular(product, x, background)(every_mask(5))
    for most in (1, 7, 23, 50):
        sizes: list[int] = []

        def counted(rows: np.ndarray, sizes: list[int] = sizes) -> np.ndarray:
            sizes.append(len(rows))
            return product(rows)

        game = ip.lenses.tabular(counted, x, background, batch_size=most)
        np.testing.assert_allclose(game(every_mask(5)), whole, atol=1e-12)
        assert max(sizes) <= most
        assert game.batch_size == max(1, most // 23)


# --- backgrounds --------------------------------------------------------------------------------------------------


def test_a_large_background_is_thinned_by_the_seed_and_says_so() -> None:
    background = np.arange(1000.0).reshape(-1, 1)
    none = np.zeros((1, 1), dtype=bool)

    def value(**options: Any) -> float:
        return float(ip.lenses.tabular(lambda rows: rows[:, 0], [0.0], background, **options)(none)[0])

    assert value() == value()
    assert value() != value(seed=1)
    assert value(rows=1000) == pytest.approx(499.5)
    assert value() == pytest.approx(499.5, abs=120)  # four standard errors of 100 of 1000
    game = ip.lenses.tabular(lambda rows: rows[:, 0], [0.0], background)
    assert game.notes == ("each ablation is the mean prediction over 100 of 1000 background rows, drawn by seed 0",)


def test_sampling_depends_on_the_ablation_alone_and_is_unbiased() -> None:
    x, background = RNG.normal(size=6), RNG.normal(size=(40, 6))
    masks = every_mask(6)
    game = ip.lenses.tabular(product, x, background, ablate="sample")
    values = game(masks)
    assert (game(masks[::-1])[::-1] == values).all()
    assert [float(game(mask[None])[0]) for mask in masks] == values.tolist()
    exact = ip.lenses.tabular(product, x, background)(masks)
    many = np.mean(
        [ip.lenses.tabular(product, x, background, ablate="sample", seed=s)(masks) for s in range(400)], axis=0
    )
    spread = np.array([product(np.where(mask, x, background)).std() for mask in masks])
    assert (np.abs(many - exact) <= 4.5 * spread / np.sqrt(400) + 1e-12).all()
    assert "noise" in game.notes[0]


def test_the_mean_background_is_the_mean_of_numbers_and_the_most_frequent_of_the_rest() -> None:
    frame = mixed()
    predict = Recorder()
    game = ip.lenses.tabular(predict, frame.iloc[0], frame, ablate="mean")
    game(np.zeros((1, 7), dtype=bool))
    row = predict.seen[0].iloc[0]
    assert row["age"] == 43  # of whole numbers, 43.0 exactly
    assert row["income"] == 4.0
    assert row["colour"] == "red"  # as frequent as blue, and seen first
    assert row["town"] == "Bonn"
    assert not row["member"]
    assert row["visits"] == 3  # of those there are
    assert row["since"] in set(frame["since"])
    layout = game.layout
    assert isinstance(layout, TableLayout)
    assert layout.names == tuple(frame.columns)
    assert layout.values == ("31", "1.5", "red", "Ulm", "True", "1", "2020-01-01")
    assert layout.typical == ("43", "4", "red", "Bonn", "False", "3", "2022-01-01")


def test_whole_numbers_and_missing_columns_keep_their_type_in_the_mean() -> None:
    table = Table.of([1, 2], np.array([[1, 5], [2, 5], [2, 6]])).typical()
    assert table.take(np.ones((1, 2), dtype=np.intp)).tolist() == [[2, 5]]
    assert table.take(np.ones((1, 2), dtype=np.intp)).dtype.kind == "i"
    empty = Table.of([1.0], np.array([[np.nan], [np.nan]])).typical()
    assert np.isnan(empty.cell(0, 1))
    words = Table.of(["a", 3], np.array([["b", 1], ["b", 2], ["a", 3]], dtype=object)).typical()
    assert [words.cell(0, 1), words.cell(1, 1)] == ["b", 2.0]


# --- groups, names and what is kept of them -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.123456, "0.1235"),
        (123456.0, "123456"),
        (np.float32(2.5), "2.5"),
        (np.nan, "missing"),
        (None, "missing"),
        (pd.NA, "missing"),
        (pd.NaT, "missing"),
        (np.bool_(True), "True"),
        (np.datetime64("2021-03-04T05:06:07", "ns"), "2021-03-04 05:06:07"),
        (np.timedelta64(2, "D"), "2 days, 0:00:00"),
        ("Ulm", "Ulm"),
    ],
)
def test_cells_read_as_their_owner_would_write_them(value: Any, words: str) -> None:
    assert shown(value) == words


def test_groups_are_ablated_as_one_and_a_one_hot_code_reads_as_its_category() -> None:
    frame = pd.DataFrame(
        {"size": [1.0, 2.0, 3.0], "c_red": [1, 0, 0], "n": [4, 5, 6], "c_blue": [0, 1, 1], "m": [7, 8, 9]}
    )
    predict = Recorder()
    game = ip.lenses.tabular(predict, frame.iloc[0], frame, groups={"c": ["c_red", "c_blue"], "both": ["n", "m"]})
    assert game.labels == ("size = 1", "c = red", "both = 2 columns")
    assert isinstance(game.layout, TableLayout)
    assert game.layout.typical == ("2", "blue", "2 columns")
    game(every_mask(3))
    seen = pd.concat(predict.seen)
    assert (seen["c_red"] + seen["c_blue"] == 1).all()  # no half of a category
    assert (seen["m"] - seen["n"] == 3).all()


def test_columns_of_an_array_can_be_named_and_grouped_by_name_or_position() -> None:
    game = ip.lenses.tabular(
        product, [1, 2, 3], np.zeros((2, 3)), columns=["a", "b", "c"], groups={"ab": ["a", 1]}, outputs=["y"]
    )
    assert game.labels == ("ab = 2 columns", "c = 3")
    assert game.outputs == ("y",)


def test_a_game_is_stored_under_its_name_only(tmp_path: Path) -> None:
    game = ip.lenses.tabular(product, np.arange(5.0), RNG.normal(size=(9, 5)))
    assert game.fingerprint is None
    with pytest.raises(ip.InterplayError, match="name"):
        ip.explain(game, budget=20, store=tmp_path / "runs.db")
    first, again = (
        ip.explain(game.named("product"), budget=20, method="lasso", store=tmp_path / "runs.db") for _ in range(2)
    )
    assert (first.from_store, again.from_store) == (0, first.used)
    assert again.spectrum == first.spectrum


def test_a_game_can_be_sent_to_another_process() -> None:
    frame = mixed()
    game = pickle.loads(pickle.dumps(ip.lenses.tabular(len_of_town, frame.iloc[0], frame)))
    assert game(np.ones((1, 7), dtype=bool)).tolist() == [3.0]


def len_of_town(frame: pd.DataFrame) -> np.ndarray:
    return frame["town"].str.len().to_numpy()


def test_a_saved_explanation_keeps_the_row_and_the_report_shows_it_at_80_columns(tmp_path: Path) -> None:
    frame = mixed()
    game = ip.lenses.tabular(lambda t: t["age"] * (t["colour"] == "red") + 1000.0 * t["member"], frame.iloc[0], frame)
    result = ip.explain(game, budget=128)
    result.save(tmp_path / "saved.json")
    loaded = ip.load(tmp_path / "saved.json")
    assert loaded.layout == result.layout
    assert layout_from_dict(json.loads(json.dumps(result.layout.to_dict()))) == result.layout
    console = Console(file=StringIO(), width=80, highlight=False)
    show(loaded, top=3, console=console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "age + colour" in text
    row = text[text.index("\nRow") :].splitlines()[2:]
    assert row[0].split() == ["+750", "█" * 12, "member", "=", "True", "(False)"]
    assert row[1].split()[2:] == ["colour", "=", "red", "(red)"]
    assert row[3].split()[1:] == ["4", "more", "together"]
    total = sum(float(line.split()[0]) for line in row[:4])
    assert total == pytest.approx(result.full[0] - result.empty[0], abs=1e-2)


# --- mistakes -----------------------------------------------------------------------------------------------------

FRAME = pd.DataFrame({"age": [1, 2], "income": [1.0, np.nan], "kind": pd.Categorical(["a", "b"])})
ROW = {"age": 3, "income": 2.0, "kind": "a"}
ZEROS = np.zeros((4, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: t(product, [1, 2, 3], np.zeros((0, 3))), "the background is empty, 0 rows of 3 columns"),
        (lambda t: t(product, ROW, FRAME[:0]), "the background is empty, 0 rows of 3 columns"),
        (lambda t: t(product, [1, 2, 3], np.zeros(3)), r"must be a table of shape \(rows, columns\), not \(3,\)"),
        (
            lambda t: t(product, [1, 2], ZEROS),
            r"x must be one row of the background's 3 columns, but its shape is \(2,\)",
        ),
        (lambda t: t(product, ZEROS, ZEROS), r"its shape is \(4, 3\)"),
        (lambda t: t(product, FRAME, FRAME), r"x must be one row, but it has 2: pass x\.iloc\[\[0\]\]"),
        (lambda t: t(product, {"age": 3, "income": 2.0}, FRAME), "x lacks the column 'kind' of the background"),
        (lambda t: t(product, {**ROW, "incme": 1}, FRAME), "unknown column of x 'incme'. Did you mean 'income'"),
        (lambda t: t(product, ROW, ZEROS), "x has named columns, but the background is an array"),
        (lambda t: t(product, {**ROW, "age": 3.5}, FRAME), "x has age = 3.5, which does not fit .* column of int64"),
        (lambda t: t(product, {**ROW, "age": None}, FRAME), "x has age = None, which does not fit"),
        (lambda t: t(product, {**ROW, "income": "2.0"}, FRAME), "x has income = '2.0', which does not fit"),
        (lambda t: t(product, {**ROW, "kind": "c"}, FRAME), "x has kind = 'c', which does not fit .* of category"),
        (lambda t: t(product, [1.5, 0, 0], np.zeros((2, 3), dtype=int)), "x has x0 = .*1.5.* column of int64"),
        (lambda t: t(product, ROW, pd.concat([FRAME, FRAME], axis=1)), "the column 'age' occurs 2 times"),
        (lambda t: t(product, ROW, FRAME, columns=["a"]), "columns= names the columns of an array"),
        (lambda t: t(product, [1, 2, 3], ZEROS, columns=["a"]), "there are 1 names for the 3 columns"),
        (lambda t: t(product, [1, 2, 3], ZEROS, ablate="row"), "unknown ablate 'row'. Did you mean 'rows'"),
        (lambda t: t(product, [1, 2, 3], ZEROS, rows=0), "rows must be a whole number of at least 1, not 0"),
        (
            lambda t: t(product, [1, 2, 3], ZEROS, ablate="mean", rows=5),
            "rows=5 goes with ablate='rows', not with ablate='mean'",
        ),
        (
            lambda t: t(product, [1, 2, 3], ZEROS, batch_size=0),
            "batch_size must be a whole number of at least 1, not 0",
        ),
        (lambda t: t(product, ROW, FRAME, groups={"g": ["age", "incme"]}), "unknown column in the group 'g', 'incme'"),
        (lambda t: t(product, ROW, FRAME, groups={"g": []}), r"the group 'g' must be a list of at least one column"),
        (lambda t: t(product, ROW, FRAME, groups={"g": "age"}), "the group 'g' must be a list .* not 'age'"),
        (
            lambda t: t(product, ROW, FRAME, groups=[["age"]]),
            "groups must map names to lists of columns, not be a list",
        ),
        (
            lambda t: t(product, ROW, FRAME, groups={"g": ["age"], "h": ["age", "kind"]}),
            "the column 'age' is in 2 groups: groups must not overlap",
        ),
        (lambda t: t(object(), ROW, FRAME), "predict must be a function, but object is not: pass its method"),
        (lambda t: t(product, ROW, FRAME, outputs="yes"), "outputs must be a list of names, not the text 'yes'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(make: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ip.InputError, match=message) as caught:
        make(ip.lenses.tabular)
    assert "\n" not in str(caught.value)


def test_a_sparse_background_is_refused() -> None:
    from scipy.sparse import csr_array

    with pytest.raises(ip.InputError, match=r"sparse matrix: pass background\.toarray"):
        ip.lenses.tabular(product, [1, 2, 3], csr_array(ZEROS))


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda rows: np.zeros(len(rows) - 1), r"predict returned shape \(31,\) for 32 rows: return shape \(32,\)"),
        (lambda rows: 0.5, r"predict returned shape \(\) for 32 rows"),
        (lambda rows: np.zeros((len(rows), 2, 2)), r"predict returned shape \(32, 2, 2\) for 32 rows"),
        (lambda rows: np.full(len(rows), "benign"), "such as .*'benign'.*, not real numbers: pass predict_proba"),
        (lambda rows: np.full(len(rows), np.nan), "the game gave NaN for 8 of 8 masks"),
    ],
)
def test_a_predict_that_returns_something_else_is_told_so(predict: Callable[[Any], Any], message: str) -> None:
    game = ip.lenses.tabular(predict, [1.0, 2.0, 3.0], ZEROS)
    with pytest.raises(ip.AblationError, match=message):
        ip.explain(game, budget=8)


def test_missing_values_that_predict_cannot_take_are_named_at_once() -> None:
    from lightgbm import LGBMRegressor
    from sklearn.linear_model import LinearRegression

    X = pd.DataFrame({"age": np.arange(40.0), "income": np.arange(40.0)})
    holed = X.copy()
    holed.loc[3, "income"] = np.nan
    linear = ip.lenses.tabular(LinearRegression().fit(X, X["age"]).predict, X.iloc[0], holed)
    with pytest.raises(ip.AblationError, match="predict failed on rows with missing values in 'income': fill them"):
        ip.explain(linear, budget=4)
    trees = LGBMRegressor(n_estimators=3, verbose=-1, n_jobs=1).fit(holed, X["age"])  # these take NaN as it is
    assert np.isfinite(ip.explain(ip.lenses.tabular(trees.predict, X.iloc[0], holed), budget=4).full).all()


def test_another_error_of_predict_is_passed_on_as_it_is() -> None:
    def broken(rows: Any) -> Any:
        raise KeyError("no such column")

    with pytest.raises(KeyError, match="no such column"):
        ip.explain(ip.lenses.tabular(broken, [1.0, 2.0, 3.0], ZEROS), budget=8)


def test_the_lens_does_not_load_pandas_for_arrays() -> None:
    import subprocess

    code = "import sys, numpy as np, interplay as ip; ip.lenses.tabular(lambda r: r[:, 0], [1.0], np.zeros((2, 1)))"
    code += "(np.ones((1, 1), dtype=bool)); print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_row_of_mixed_types_keeps_every_one_of_them():
    seen = []

    def predict(rows):
        seen.extend(type(value) for value in rows[:, 0])
        return [float(len(str(row))) for row in rows]

    background = np.array([[20, "a", 0.1], [30, "b", 0.2]], dtype=object)
    ip.lenses.tabular(predict, [33, "b", 0.5], background)(np.ones((1, 3), dtype=bool))
    assert set(seen) == {int}


@pytest.mark.parametrize("ablate", ["rows", "mean", "sample"])
def test_sparse_columns_give_the_values_of_dense_ones(ablate: str) -> None:
    dense = pd.DataFrame({"a": [0, 1, 0, 1], "b": [1.0, 2.0, 3.0, 5.0], "c": [0.0, 0.0, 2.0, 0.0]})
    sparse = dense.assign(a=pd.arrays.SparseArray(dense["a"]), c=pd.arrays.SparseArray(dense["c"], fill_value=0.0))

    def predict(rows: pd.DataFrame) -> np.ndarray:
        return np.asarray(rows["a"], float) * 3 + np.asarray(rows["b"], float) * np.asarray(rows["c"], float)

    masks = every_mask(3)
    for x in (dense.iloc[[2]], sparse.iloc[[2]], dense.iloc[2]):
        of_sparse = ip.lenses.tabular(predict, x, sparse, ablate=ablate)
        np.testing.assert_array_equal(of_sparse(masks), ip.lenses.tabular(predict, x, dense, ablate=ablate)(masks))
        assert of_sparse.labels == ("a = 0", "b = 3", "c = 2")


def test_tensors_with_gradients_are_read_and_what_is_no_array_is_one_sentence() -> None:
    torch = pytest.importorskip("torch")
    x, background = torch.ones(2, requires_grad=True), torch.zeros(3, 2, requires_grad=True)
    game = ip.lenses.tabular(lambda rows: rows.sum(1), x, background)
    assert game(every_mask(2)).sum() == 4.0
    with pytest.raises(ip.AblationError, match="requires grad"):
        ip.lenses.tabular(lambda rows: torch.ones(len(rows), requires_grad=True), x, background)(every_mask(2))
    with pytest.raises(ip.InputError, match="background cannot be read as an array of numbers"):
        ip.lenses.tabular(product, [1.0, 2.0], [[1.0, 2.0], [3.0]])
    picture = torch.zeros(4, 4, requires_grad=True)
    assert ip.lenses.image(lambda images: images.sum((1, 2)), picture, grid=(2, 2))(every_mask(4)).sum() == 0
