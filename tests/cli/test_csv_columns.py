"""Columns of a CSV file that are not what they seem are said so, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay.cli.csv_table import csv_training


def notes_of(path: Path, header: str, column: list[str]) -> tuple[str, ...]:
    """The notes on a file whose first column is the one given."""
    rows = [f"{cell},{i % 5},{'yes' if i % 3 else 'no'}" for i, cell in enumerate(column)]
    path.write_text("\n".join([f"{header},b,y", *rows]), encoding="utf-8")
    return csv_training(path, "y", tests=2).notes


COUNTER = [str(i + 7) for i in range(16)]


@pytest.mark.parametrize("header", ["", "Unnamed: 0", "index"])
def test_an_index_is_left_out_and_said_so(tmp_path: Path, header: str) -> None:
    path = tmp_path / "rows.csv"
    (note,) = notes_of(path, header, COUNTER)
    assert note.endswith("counts the rows, as an index does: it was left out")
    assert (repr(header) if header else "without a name") in note
    with_index, without = csv_training(path, "y", tests=2), csv_training(path, "y", tests=2, ignore=(header,))
    masks = ip.design(14, 20, seed=0)
    np.testing.assert_array_equal(with_index(masks), without(masks))


@pytest.mark.parametrize(
    ("header", "column", "words"),
    [
        ("id", COUNTER, "the column 'id' counts the rows: if it is an index, leave it out with --ignore 'id'"),
        ("", ["3", "1"] * 8, "a column without a name is one of the inputs"),
        ("recorded", [f"2020-01-{i % 8 + 1:02d}" for i in range(16)], "the column 'recorded' holds dates or times"),
        (
            "at",
            [f"{i % 8 + 1}.12.2020" for i in range(16)],
            "column 'at' holds dates or times, such as '1.12.2020'",
        ),
        ("time", [f"2020-01-0{i % 4 + 1}T10:00:00" for i in range(16)], "the column 'time' holds dates or times"),
        ("price", ['"1,000"', "900"] * 8, "the column 'price' holds numbers that are not plain, such as '1,000'"),
        ("share", ["12%", "7%", "", "30%"] * 4, "'share' holds numbers that are not plain, such as '12%'"),
        ("cost", ["$5", "$7.50"] * 8, "'cost' holds numbers that are not plain, such as '$5'"),
        ("weight", ["3 kg", "4 kg"] * 8, "'weight' holds numbers that are not plain, such as '3 kg'"),
    ],
)
def test_what_is_read_in_an_unexpected_way_is_said(tmp_path: Path, header: str, column: list[str], words: str) -> None:
    (note,) = notes_of(tmp_path / "rows.csv", header, column)
    assert words in note


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("colour", ["red", "blue", "green", ""] * 4),
        ("room", ["A1", "B2"] * 8),
        ("size", ["7", "3.5", "NA", "1e3"] * 4),
        ("x", [str(16 - i) for i in range(16)]),
    ],
)
def test_plain_numbers_and_categories_need_no_note(tmp_path: Path, header: str, column: list[str]) -> None:
    assert notes_of(tmp_path / "rows.csv", header, column) == ()


def test_a_file_of_nothing_but_an_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([",y", *(f"{i},{'ab'[i % 2]}" for i in range(12))]), encoding="utf-8")
    with pytest.raises(ip.InputError, match="has no column besides 'y' to predict from"):
        csv_training(path, "y", tests=2)
