"""Training reports: the kinds of pairs, the summaries, the pictures, the command."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay.actions import worst_examples
from interplay.cli.csv_table import csv_training
from interplay.report import influences, show, training_summary
from interplay.report._terminal.pictures import half_blocks
from results import lesson


@pytest.mark.parametrize("losses", [False, True])
def test_pairs_are_told_apart_by_what_they_do_together(losses: bool) -> None:
    found = influences(ip.explain(lesson(losses=losses), budget=64), "first")
    pairs = {pair.features: pair for pair in found.pairs}
    assert {key: pair.kind for key, pair in pairs.items()} == {
        (0, 1): "redundant",
        (2, 3): "synergistic",
        (4, 5): "opposed",
    }
    assert pairs[0, 1].effect == pytest.approx(-2.0)
    assert pairs[2, 3].effect == pytest.approx(3.0)
    assert dict(found.helpful) == pytest.approx({0: 1.0, 1: 1.0, 2: 1.5, 3: 1.5, 5: 0.375})
    assert dict(found.harmful) == pytest.approx({4: -1.125})
    assert [pair.features for pair in found.of_kind("redundant")] == [(0, 1)]


def test_effects_are_means_over_subsets_at_the_keep_rate() -> None:
    game = lesson(keep=0.9)
    found = influences(ip.explain(game, budget=64), 0)
    assert dict(found.helpful)[2] == pytest.approx(0.9 * 3.0)
    assert dict(found.helpful)[0] == pytest.approx(0.1 * 2.0)


def test_the_summary_weighs_examples_pairs_and_classes_over_all_outputs() -> None:
    summary = training_summary(ip.explain(lesson(), budget=64))
    assert summary.outputs == 2
    assert [pair.features for pair in summary.pairs] == [(2, 3), (0, 1), (4, 5)]
    assert summary.magnitudes == pytest.approx((2.25, 1.5, 0.1875))
    assert [i for i, _, _ in summary.examples[:4]] == [2, 3, 0, 1]
    assert dict(summary.classes) == pytest.approx(
        {("y", "y"): 2.25 / 3.9375, ("x", "x"): 1.5 / 3.9375, ("x", "y"): 0.1875 / 3.9375}
    )
    assert sum(share for _, share in summary.kinds) == pytest.approx(1.0)


def test_of_two_harmful_twins_pairs_know_that_both_must_go() -> None:
    # 0 and 1 are twins, either does all the harm; 2 harms less than both and more than one of them on average
    def harm(kept: np.ndarray) -> float:
        return -2.0 * (0 in kept or 1 in kept) - 1.1 * (2 in kept) - 1.05 * (3 in kept) + (4 in kept)

    result = ip.explain(ip.lenses.training(lambda kept: kept, harm, 5), budget=32)
    assert worst_examples(result, 2, pairs=False) == (2, 3)  # each twin alone seems to do 1.0
    assert worst_examples(result, 4)[:2] == (2, 3)
    assert set(worst_examples(result, 4)) == {0, 1, 2, 3}
    assert worst_examples(result, 0) == ()
    with pytest.raises(ip.InputError, match="k must lie between 0 and 4, not 5"):
        worst_examples(result, 5)


def test_the_worst_are_chosen_by_means_over_the_rest_at_the_keep_rate() -> None:
    values = np.random.default_rng(0).normal(size=64)
    game = ip.lenses.training(lambda kept: kept, lambda kept: values[int((1 << kept).sum())], 6, keep=0.7)
    result = ip.explain(game, budget=64)
    masks = ip.design(6, 64)
    weight = np.where(masks, 0.7, 0.3)
    gone: list[int] = []
    for _ in range(3):
        means = []
        for i in range(6):
            out = [*gone, i]
            rows = ~masks[:, out].any(axis=1)
            measure = np.delete(weight[rows], out, axis=1).prod(axis=1)
            means.append(-np.inf if i in gone else (measure * values[masks[rows] @ (1 << np.arange(6))]).sum())
        gone.append(int(np.argmax(means)))
    assert worst_examples(result, 3) == tuple(gone)


def printed(explanation: ip.Explanation, width: int = 80) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width)
    show(explanation, console=console, top=3)
    return console.file.getvalue()


def test_a_report_shows_examples_pairs_and_pictures_in_80_columns(tmp_path: Path) -> None:
    result = ip.explain(lesson(), budget=64)
    text = printed(result)
    for part in ("c + d", "redundant", "a + b", "e harms", "y with y 57%", "▄█", "Look at these first", "second"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 80
    result.save(tmp_path / "saved.json")
    assert printed(ip.load(tmp_path / "saved.json")) == text
    assert "no pair was found" in printed(ip.explain(lesson(), budget=40, method="lasso"))


def test_pictures_keep_every_pixel() -> None:
    assert half_blocks(((0.0, 1.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0), (1.0, 0.0, 0.0, 0.0)), colour=False).plain == (
        " ▀▄█\n▀   "
    )
    coloured = half_blocks(((0.0, 1.0), (0.5, 0.0)), colour=True)
    assert coloured.plain == "▀▀"
    assert [str(span.style) for span in coloured.spans] == [
        "rgb(0,0,0) on rgb(128,128,128)",
        "rgb(255,255,255) on rgb(0,0,0)",
    ]


@pytest.fixture
def run(run: object, tmp_path: Path) -> object:
    """The command line, beside two tables."""
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'red' if b > 0 else 'blue'},shop{i % 7},{'yes' if a > 0 else 'no'}"
            for i, (a, b) in enumerate(rng.normal(size=(60, 2)))]  # fmt: skip
    rows[5] = "," + rows[5].split(",", 1)[1]
    (tmp_path / "data.csv").write_text("width,height,colour,shop,answer\n" + "\n".join(rows) + "\n")
    numbers = [f"{a:.3f},{2 * a + b:.3f}" for a, b in rng.normal(size=(30, 2))]
    (tmp_path / "numbers.csv").write_text("a,b\n" + "\n".join(numbers))
    return run


def test_a_table_is_explained_by_its_rows_or_groups(run: object) -> None:
    options = ("--target", "answer", "--tests", "4", "--budget", "60", "--method", "lasso")
    status, out, err = run("training", "data.csv", *options, "--ignore", "shop", "--examples", "20")
    assert status == 0, err
    assert "features   20" in err
    assert "line " in out
    assert "width" in out
    again = run("training", "data.csv", *options, "--ignore", "shop", "--examples", "20")
    assert "cost       nothing (60 more are in the store)" in again[2]
    status, out, err = run("training", "data.csv", *options, "--group", "shop", "--json", "--keep", "0.7")
    found = json.loads(out)
    assert status == 0
    assert len(found["labels"]) == 7
    assert found["labels"][0].startswith("shop=shop")
    assert found["keep"] == 0.7
    assert len(found["outputs"]) == 4


@pytest.mark.parametrize("model", ["linear", "forest", "knn"])
def test_numbers_are_predicted_by_regression(run: object, model: str) -> None:
    status, out, err = run(
        "training", "numbers.csv", "--target", "b", "--model", model, "--tests", "2", "--budget", "16",
        "--examples", "12", "--method", "lasso", "--no-store", "--json", "--output", "loss",
    )  # fmt: skip
    assert status == 0, err
    assert json.loads(out)["layout"]["lower_is_better"] is True


def test_a_predicted_number_is_raised_or_lowered_and_neither_helped_nor_harmed(run: object) -> None:
    status, out, err = run(
        "training", "numbers.csv", "--target", "b", "--tests", "2", "--budget", "30", "--method", "lasso",
        "--save", "saved.json", "--no-store",
    )  # fmt: skip
    assert status == 0, err
    assert "raises" in out
    assert "helps" not in out
    assert "harm" not in out
    assert run("show", "saved.json", "--top", "5")[1] == out


def test_missing_numbers_are_no_categories_and_lines_are_those_of_the_file(tmp_path: Path) -> None:
    rows = [f'{"NA" if i % 5 == 0 else "?" if i % 7 == 0 else i},"note\n{i % 3}",{"xy"[i % 2]}' for i in range(40)]
    (tmp_path / "data.csv").write_text("a,b,answer\n\n" + "\n".join(rows))
    game = csv_training(tmp_path / "data.csv", "answer", tests=4)
    fit = game.value.fit.train
    assert fit.X.shape == (36, 1 + 3)
    assert np.isnan(fit.X[:, 0]).any()
    first = fit.X[1, 0]  # a number i, whose row ends in line 3 + 2 i + 1
    assert game.labels[1].startswith(f"line {int(first) * 2 + 4}:") or np.isnan(first)


@pytest.mark.parametrize("target", ["class", "number"])
def test_few_rows_are_the_nearest_neighbours_there_are(tmp_path: Path, target: str) -> None:
    rows = [f"{i},{i * i % 7},{'xy'[i % 2]},{i + 0.5}" for i in range(12)]
    (tmp_path / "data.csv").write_text("a,b,class,number\n" + "\n".join(rows))
    game = csv_training(tmp_path / "data.csv", target, tests=4, model="knn")
    result = ip.explain(game, budget=256)
    assert result.used == 256
    assert not any("failed" in note for note in result.game_notes)


def test_the_digits_demo_shows_their_pictures(run: object) -> None:
    status, out, err = run(
        "training", "digits", "--examples", "12", "--tests", "2", "--budget", "30", "--method", "lasso", "--no-store"
    )
    assert status == 0, err
    assert "labelled" in out
    assert "█" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data.csv"], "say which column to predict: --target COLUMN"),
        (["absent.csv", "--target", "a"], "cannot read absent.csv: No such file"),
        (["data.csv", "--target", "anser"], "unknown column 'anser'. Did you mean 'answer'?"),
        (["data.csv", "--target", "answer", "--model", "linear"], "unknown model 'linear'"),
        (["data.csv", "--target", "answer", "--tests", "58"], "58 test points leave 2 to train on"),
        (["data.csv", "--target", "answer", "--tests", "0"], "there must be at least one test point, not 0"),
        (["data.csv", "--target", "answer", "--examples", "-5"], "at least 2 training examples, not -5"),
        (["data.csv", "--target", "answer", "--seed", "-1"], "seed must be at least 0, not -1"),
        (["gap.csv", "--target", "b", "--tests", "2"], "the column 'b' holds nothing to predict in 1 rows"),
        (["alike.csv", "--target", "b", "--tests", "2"], "all training examples have b x: there is nothing to tell"),
        (["semicolons.csv", "--target", "b"], "semicolons.csv separates its columns with ';': save it with commas"),
        (["digits", "--seeds", "3"], "the digits demo has no columns to ignore, no groups, nor chance"),
        (
            ["digits", "--ignore", "a"],
            "the digits demo has no columns to ignore, no groups, nor chance",
        ),
        (["digits", "--examples", "0"], "the demo needs 12 examples and 1 test point or more, not 0"),
        (["digits", "--seed", "-1"], "seed must be at least 0, not -1"),
        (["numbers.csv", "--target", "b", "--output", "margin", "--tests", "2"], "output='margin' needs a classifier"),
        (["ragged.csv", "--target", "b"], "ragged.csv has 3 fields in line 3, but 2 column names"),
        (["twice.csv", "--target", "b"], "twice.csv has two columns called 'b'"),
        (["empty.csv", "--target", "b"], "empty.csv has no rows below its header"),
        (["holes.csv", "--target", "b"], "the column 'b' holds nothing to predict in 1 rows"),
        (["texts.csv", "--target", "b"], "the column 'a' holds 40 different texts, such as 't0', too many"),
        (["lone.csv", "--target", "b"], "lone.csv has no column besides 'b' to predict from"),
        (["digits", "--target", "b"], "the digits demo has its own model and target"),
        (["digits", "--examples", "5"], "the demo needs 12 examples and 1 test point or more, not 5"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(run: object, arguments: list[str], message: str) -> None:
    Path("ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    Path("twice.csv").write_text("b,b\n1,2\n")
    Path("empty.csv").write_text("a,b\n")
    Path("holes.csv").write_text("a,b\n1,x\n2,\n")
    Path("texts.csv").write_text("a,b\n" + "\n".join(f"t{i},{i % 2}" for i in range(40)))
    Path("gap.csv").write_text("a,b\n" + "\n".join(f"{i},{'nan' if i == 3 else i * 1.5}" for i in range(30)))
    Path("alike.csv").write_text("a,b\n" + "\n".join(f"{i},x" for i in range(30)))
    Path("semicolons.csv").write_text("a;b\n1;2\n2;3\n")
    Path("lone.csv").write_text("b\n" + "1\n2\n" * 5)
    status, out, err = run("training", *arguments)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err
