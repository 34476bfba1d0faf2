"""Columns of a CSV file that are probably not what they seem: a counter of rows, dates, numbers in other writings."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import TypeAlias

Column: TypeAlias = list[str]

_COUNTERS = {"", "index", "row", "unnamed: 0"}  # what a saved data frame calls its index
_DATE_FORMS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d", "%H:%M", "%H:%M:%S")
_NUMBERLIKE = re.compile(r"[^\w\s]{0,2}\s?\d[\d.,' ]*\s?(?:%|[^\w\s]|[A-Za-z]{1,4})?")  # 1,000 or $5 or 12% or 3.5 kg


def without_counter(inputs: list[str], columns: dict[str, Column]) -> tuple[list[str], list[str]]:
    """The inputs without a column that only counts the rows, and what a reader should know of it."""
    kept, notes = [], []
    for name in inputs:
        counts = _counts_rows(columns[name])
        called = f"the column {name!r}" if name else "the column without a name"
        if counts and name.lower() in _COUNTERS:
            notes.append(f"{called} counts the rows, as an index does: it was left out")
            continue
        kept.append(name)
        if counts:
            notes.append(f"{called} counts the rows: if it is an index, leave it out with --ignore {name!r}")
        elif not name:
            notes.append("a column without a name is one of the inputs: leave it out with --ignore ''")
    return kept, notes


def remark(name: str, column: Column, is_text: bool) -> str | None:
    """What a reader should know of an input that is read as categories (``is_text``), None where that is nothing."""
    if not is_text:
        return None
    cells = [cell for cell in column if cell]
    values = len(set(column))
    if all(map(_is_date, cells)):
        return (
            f"the column {name!r} holds dates or times, such as {cells[0]!r}: each of its {values} is a category "
            "of its own, without order; make numbers of them to have them ordered"
        )
    numberlike = [cell for cell in cells if _NUMBERLIKE.fullmatch(cell)]
    if 2 * len(numberlike) > len(cells):
        odd = next((cell for cell in numberlike if not _is_plain(cell)), None) or next(
            cell for cell in cells if not _is_plain(cell)
        )
        return (
            f"the column {name!r} holds numbers that are not plain, such as {odd!r}: each of its {values} texts is a "
            "category of its own, without order; write plain numbers to have them read as such"
        )
    return None


def _counts_rows(column: Column) -> bool:
    """Whether a column is whole numbers, each one more than that before."""
    if len(column) < 3 or not all(re.fullmatch(r"\d+", cell) for cell in column):
        return False
    first = int(column[0])
    return all(int(cell) == first + row for row, cell in enumerate(column))


def _is_date(cell: str) -> bool:
    try:
        date.fromisoformat(cell[:10])
    except ValueError:
        return any(_is_written(cell, form) for form in _DATE_FORMS)
    return True


def _is_written(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)
    except ValueError:
        return False
    return True


def _is_plain(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
