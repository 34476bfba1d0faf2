"""A row of a table above the rows of its background, recombined without changing a column's type."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from interplay._checks import array_of, unknown
from interplay._errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Positions: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Table:
    """One array per column: the explained row's value first, then those of the background's rows.

    ``keys`` are what the user calls the columns (names in a frame, positions in an array), ``names`` how a reader
    knows them. ``framed`` where predict is to get data frames.
    """

    keys: tuple[Hashable, ...]
    names: tuple[str, ...]
    columns: tuple[Any, ...] = field(repr=False)  # NumPy arrays, or pandas' extension arrays
    framed: bool

    @classmethod
    def of(cls, x: Any, background: Any, names: Sequence[str] | None = None) -> Table:
        """The row ``x`` above a data frame or 2-D array.

        Raises
        ------
        InputError
            For an empty background, columns that differ, or a value that does not fit its column.
        """
        if _is_frame(background):
            if names is not None:
                raise InputError("columns= names the columns of an array, but the background is a frame with names.")
            keys = tuple(background.columns)
            _check_background(background.shape)
            _check_distinct(tuple(map(str, keys)))
            values = _row(x, keys)
            columns = [_above(values[j], background.iloc[:, j], str(keys[j])) for j in range(len(keys))]
            return cls(keys, tuple(map(str, keys)), tuple(columns), framed=True)
        array = array_of(background, "background")
        _check_background(array.shape)
        if array.dtype.kind not in "biuf":
            array = array.astype(object)
        shown = tuple(f"x{j}" for j in range(array.shape[1])) if names is None else tuple(map(str, names))
        if len(shown) != array.shape[1]:
            raise InputError(f"there are {len(shown)} names for the {array.shape[1]} columns of the background.")
        _check_distinct(shown)
        if isinstance(x, Mapping) or _is_frame(x) or _is_series(x):
            raise InputError(
                "x has named columns, but the background is an array: pass a data frame with the same columns as "
                "background, or x as an array in its order."
            )
        values = _row(x, tuple(range(array.shape[1])))
        columns = [
            np.concatenate([_cast(values[j], array.dtype, shown[j]), array[:, j]]) for j in range(array.shape[1])
        ]
        return cls(tuple(range(array.shape[1])), shown, tuple(columns), framed=False)

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.columns)

    @property
    def rows(self) -> int:
        """The number of background rows."""
        return len(self.columns[0]) - 1

    def take(self, at: Positions) -> Any:
        """A frame or array of R rows whose column j takes the rows ``at[:, j]``; row 0 is the explained one."""
        taken = [column.take(at[:, j]) for j, column in enumerate(self.columns)]
        if not self.framed:
            return np.stack(taken, axis=1)
        import pandas as pd

        frame = pd.DataFrame(dict(enumerate(taken)))
        frame.columns = pd.Index(list(self.keys))
        return frame

    def cell(self, column: int, row: int = 0) -> Any:
        """One value; row 0 is the explained one."""
        return self.columns[column][row]

    def with_rows(self, rows: Positions) -> Table:
        """The same row above only those of the background's rows, counted from 0."""
        at = np.concatenate([[0], rows + 1])
        return replace(self, columns=tuple(column.take(at) for column in self.columns))

    def typical(self) -> Table:
        """The same row above a single one: the mean of each number, the most frequent of anything else."""
        return replace(self, columns=tuple(_with_typical(column) for column in self.columns))

    def missing(self, at: Positions) -> list[str]:
        """The columns with a missing value in those rows (R, d)."""
        return [
            name
            for j, (name, column) in enumerate(zip(self.names, self.columns, strict=True))
            if _is_missing(column.take(at[:, j])).any()
        ]


def plain(value: Any) -> Any:
    """A cell as Python has it: NumPy's numbers and truth values as bare ones."""
    return value.item() if isinstance(value, np.generic) and value.dtype.kind in "biufU" else value


def shown(value: Any) -> str:
    """A cell as a reader sees it."""
    if _is_missing(np.array([value], dtype=object))[0]:
        return "missing"
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return f"{number:.0f}" if 1e4 <= abs(number) < 1e9 else f"{number:.4g}"
    if isinstance(value, (np.datetime64, np.timedelta64)):
        kind = "datetime64[us]" if isinstance(value, np.datetime64) else "timedelta64[us]"
        value = value.astype(kind).item()  # of nanoseconds, item() would be a bare number
    return str(value).removesuffix(" 00:00:00")


def _is_number(value: Any) -> bool:
    """Whether a cell is a number; a truth value is not."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is_frame(given: Any) -> TypeGuard[pd.DataFrame]:
    return hasattr(given, "iloc") and hasattr(given, "columns")


def _is_series(given: Any) -> TypeGuard[pd.Series]:
    return hasattr(given, "iloc") and not hasattr(given, "columns")


def _check_background(shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        raise InputError(f"the background must be a table of shape (rows, columns), not {shape}.")
    if 0 in shape:
        raise InputError(f"the background is empty, {shape[0]} rows of {shape[1]} columns: pass at least one row.")


def _check_distinct(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"the column {name!r} occurs {names.count(name)} times: give each a name of its own.")


def _row(x: Any, keys: tuple[Hashable, ...]) -> list[Any]:
    """The values of ``x`` in the order of the background's columns."""
    if _is_frame(x):
        if len(x) != 1:
            raise InputError(f"x must be one row, but it has {len(x)}: pass x.iloc[[0]].")
        x = {key: x.iloc[0, j] for j, key in enumerate(x.columns)}
    if not isinstance(x, Mapping) and not _is_series(x):
        if isinstance(x, (list, tuple)) and not any(isinstance(cell, (list, tuple, np.ndarray)) for cell in x):
            array = np.empty(len(x), dtype=object)  # every cell as it is: an array of one type would turn 33 into "33"
            array[:] = x
        else:
            array = array_of(x, "x")
        if array.ndim == 2 and len(array) == 1:
            array = array[0]
        if array.shape != (len(keys),):
            raise InputError(
                f"x must be one row of the background's {len(keys)} columns, but its shape is {array.shape}."
            )
        return list(array)
    given = dict(x.items())
    for key in given:
        if key not in keys:
            raise unknown("column of x", key, map(str, keys))
    for key in keys:
        if key not in given:
            raise InputError(f"x lacks the column {key!r} of the background: pass a value for it.")
    return [given[key] for key in keys]


def _above(value: Any, series: pd.Series, name: str) -> Any:
    """A column of a frame with a value put above it, as an array of the same type."""
    import pandas as pd

    if isinstance(series.dtype, pd.SparseDtype):  # of which a cell cannot be set
        series = pd.Series(np.asarray(series))
    joined = pd.concat([pd.Series(_cast(value, series.dtype, name), dtype=series.dtype), series], ignore_index=True)
    return joined.to_numpy(copy=True) if isinstance(series.dtype, np.dtype) else joined.array


def _cast(value: Any, dtype: Any, name: str) -> Any:
    """An array (1,) of that type, or an `InputError` where the value would not survive it."""
    try:
        if isinstance(dtype, np.dtype):
            return _cast_numpy(value, dtype)
        import pandas as pd

        if isinstance(dtype, pd.CategoricalDtype) and not pd.isna(value) and value not in dtype.categories:
            raise ValueError
        return pd.array([value], dtype=dtype)
    except (ValueError, TypeError, OverflowError):
        raise InputError(
            f"x has {name} = {value!r}, which does not fit the background's column of {dtype}: correct the value, or "
            "convert the background."
        ) from None


def _cast_numpy(value: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    cell = np.empty(1, dtype=object)
    cell[0] = np.nan if value is None and dtype.kind == "f" else value
    if dtype.kind in "biuf" and isinstance(value, str):
        raise ValueError
    cast = cell.astype(dtype)
    if dtype.kind in "biu" and cast[0] != value:
        raise ValueError
    return cast


def _is_missing(cells: Any) -> npt.NDArray[np.bool_]:
    """Which values are missing: NaN, and in a frame whatever else pandas calls so."""
    if not isinstance(cells, np.ndarray):
        return np.asarray(cells.isna(), dtype=np.bool_)
    if cells.dtype.kind == "f":
        return np.isnan(cells)
    if cells.dtype.kind in "mM":
        return np.isnat(cells)
    if cells.dtype.kind != "O":
        return np.zeros(cells.shape, dtype=np.bool_)
    # NaN and NaT do not equal themselves; pandas' NA does not even say so.
    return np.array([cell is None or _never_equal(cell) for cell in cells], dtype=np.bool_)


def _never_equal(cell: Any) -> bool:
    try:
        return not bool(cell == cell)
    except TypeError:
        return True
    except ValueError:  # a cell that holds an array
        return False


def _with_typical(column: Any) -> Any:
    """The first cell of a column, and what is typical of the others; whole numbers stay whole, dates give a median."""
    background = column[1:]
    present = background[~_is_missing(background)]
    if not len(present):
        return column.take([0, 1])
    kind = column.dtype.kind
    if kind in "iuf" or (column.dtype == object and all(map(_is_number, present))):
        mean = present.mean()
        value = round(mean) if kind in "iu" else mean
    elif kind in "mM":
        value = present[present.argsort()[len(present) // 2]]
    else:
        counts: dict[Any, int] = {}
        for cell in present:
            counts[cell] = counts.get(cell, 0) + 1
        value = max(counts, key=lambda cell: counts[cell])  # the first seen of several
    joined = column.take([0, 1])
    joined[1] = value
    return joined
