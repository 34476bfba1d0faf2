"""The features of a table's row: its columns, or groups of them; ablated ones take values of the background."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._checks import check_whole, unknown
from interplay._errors import AblationError, InputError
from interplay._game.cost import Cost
from interplay._game.game import Game
from interplay._game.layout import TableLayout
from interplay._game.masks import Masks, Values
from interplay.lenses._features.predict import output_names, predicted
from interplay.lenses._features.table import Positions, Table, plain, shown

ABLATE = ("rows", "sample", "mean")
_ROWS = 100  # of the background, averaged over where the user does not say how many
_MASKS = 256  # per batch, at most: what a killed run loses

Groups: TypeAlias = Mapping[str, Sequence[Hashable]]


def tabular(
    predict: Callable[[Any], Any],
    x: Any,
    background: Any,
    *,
    ablate: str = "rows",
    rows: int | None = None,
    groups: Groups | None = None,
    columns: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    seed: int = 0,
    batch_size: int = 4096,
    keep: float = 0.5,
    name: str | None = None,
) -> Game:
    """A game whose features are the columns of one row, and whose value is what ``predict`` makes of it.

    By default an ablated column takes its value from each row of the background in turn and predictions are
    averaged: the interventional value function of SHAP, ``v(S) = mean_b predict(x_S, b_rest)`` (Janzing et al.,
    AISTATS 2020). Columns ablated together come from the same row, so that what they have to do with one another is
    kept, and no average row is made up that is like none.

    >>> import numpy as np, interplay as ip
    >>> background = np.array([[0.0, 1.0, 5.0], [2.0, 1.0, 5.0]])
    >>> game = ip.lenses.tabular(lambda rows: rows[:, 0] * rows[:, 1], [3.0, 4.0, 5.0], background)
    >>> game.labels, ip.explain(game, budget=8).interactions("mobius").named()
    (('x0 = 3', 'x1 = 4', 'x2 = 5'), [(('x0 = 3', 'x1 = 4'), 6.0), (('x1 = 4',), 3.0), (('x0 = 3',), 2.0)])

    Parameters
    ----------
    predict
        Rows like the background's, a data frame with its columns and types or an array, to N floats or (N, T).
        Where it is the ``predict_proba`` of a fitted estimator, the outputs are named by its classes.
    x
        The row to explain: a series, mapping or one-row frame with the background's columns, or values in their
        order.
    background
        Rows that say what an absent value may be: a pandas data frame (its sparse columns are made dense) or a 2-D
        array.
    ablate
        "rows", the average over background rows, one prediction for each; "sample", one row for each ablation,
        chosen by a hash of the ablation and ``seed``: as many times cheaper, and noisy; "mean", the mean of each
        number (rounded where a column holds whole ones) and the most frequent of anything else.
    rows
        With "rows": how many of the background's to average over, drawn by ``seed`` where there are more; 100 when
        left out.
    groups
        Columns that are one feature, such as those of a one-hot code: ``{"colour": ["colour_red", "colour_blue"]}``.
        Those in no group stand alone.
    columns
        Names for the columns of an array.
    outputs
        Names of the T outputs.
    seed
        Seed of the choice among the background's rows.
    batch_size
        The most rows per call of ``predict``.
    keep
        The probability with which a design keeps each column.
    name
        The game's identity in a store, without which there is none: ``predict`` may be any function.

    Raises
    ------
    InputError
        For a background that is empty or has other columns than ``x``, a value that does not fit its column, groups
        that overlap, or an unknown ``ablate``.
    """
    names = output_names(predict, outputs)
    if ablate not in ABLATE:
        raise unknown("ablate", ablate, ABLATE)
    check_whole("batch_size", batch_size, least=1)
    table = Table.of(x, background, columns)
    features = _features(table, groups or {})
    typical = table.typical()
    drawn, notes = _drawn(table, typical, ablate, rows, seed)
    owner = np.empty(table.width, dtype=np.intp)
    for feature, (_, members) in enumerate(features):
        owner[members] = feature
    values = tuple(_value(table, 0, label, members) for label, members in features)
    value = _TabularAblation(predict, drawn, owner, ablate, int(seed), int(batch_size))
    return Game(
        value,
        tuple(f"{label} = {value}" for (label, _), value in zip(features, values, strict=True)),
        outputs=names,
        name=name,
        layout=TableLayout(
            tuple(label for label, _ in features),
            values,
            tuple(_typical_value(typical, label, members) for label, members in features),
        ),
        batch_size=min(_MASKS, max(1, batch_size // (drawn.rows if ablate == "rows" else 1))),
        notes=notes,
        keep=keep,
        inputs=value.rows,
        price=value.price,
        question="Which columns of the row drive the prediction?",
    )


@dataclass(frozen=True, eq=False)
class _TabularAblation:
    """Masks to rows to predictions; ``owner`` (d,) is the feature that each column belongs to."""

    predict: Callable[[Any], Any] = field(repr=False)
    table: Table = field(repr=False)
    owner: Positions = field(repr=False)
    ablate: str
    seed: int
    batch_size: int

    def rows(self, masks: Masks) -> list[dict[Hashable, Any]]:
        """The row of each mask (N, n) by column; an ablated cell holds the values of all rows averaged over."""
        names = self.table.keys if self.table.framed else self.table.names
        kept = masks[:, self.owner]
        found: list[dict[Hashable, Any]] = []
        for mask, columns in zip(masks, kept, strict=True):
            absent = 1 + (np.arange(self.table.rows) if self.ablate == "rows" else np.array([self._row(mask)]))
            cells = [
                plain(self.table.cell(j)) if columns[j] else [plain(self.table.cell(j, row)) for row in absent]
                for j in range(self.table.width)
            ]
            alone = [cell[0] if isinstance(cell, list) and len(cell) == 1 else cell for cell in cells]
            found.append(dict(zip(names, alone, strict=True)))
        return found

    def price(self, ablations: int) -> Cost:
        """One prediction for each ablation, or one for each background row of it."""
        return Cost(ablations * self._each, "predictions")

    @property
    def _each(self) -> int:
        return self.table.rows if self.ablate == "rows" else 1

    def __call__(self, masks: Masks) -> Values:
        each = self._each
        at_once = max(1, self.batch_size // each)
        parts = [self._mean(masks[start : start + at_once], each) for start in range(0, len(masks), at_once)]
        return np.concatenate(parts)

    def _mean(self, masks: Masks, each: int) -> Values:
        """Mean predictions of masks (M, n) over ``each`` background rows, in chunks where there are many."""
        kept = masks[:, self.owner]  # (M, d)
        total: Any = 0.0
        for start in range(0, each, self.batch_size):
            if self.ablate == "sample":
                absent = np.array([[1 + self._row(mask)] for mask in masks])
            else:
                absent = 1 + np.arange(start, min(start + self.batch_size, each))[None].repeat(len(masks), axis=0)
            at = np.where(kept[:, None, :], 0, absent[:, :, None]).reshape(-1, self.table.width)
            values = self._predicted(at)
            total = total + values.reshape(len(masks), -1, *values.shape[1:]).sum(axis=1)
        mean: Values = total / each
        return mean

    def _row(self, mask: npt.NDArray[np.bool_]) -> int:
        """The background row of one ablation: a hash, so that no order of work can change its value."""
        content = np.packbits(mask).tobytes() + str(self.seed).encode()
        return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") % self.table.rows

    def _predicted(self, at: Positions) -> Values:
        try:
            return predicted(self.predict, self.table.take(at), len(at), "rows")
        except ValueError as error:  # as scikit-learn says of NaN; trying again could not help
            missing = self.table.missing(at)
            if not missing:
                raise
            shown_names = ", ".join(map(repr, missing[:5])) + (" and more" if len(missing) > 5 else "")
            raise AblationError(
                f"predict failed on rows with missing values in {shown_names}: fill them, or take a model that "
                f"allows them ({str(error).splitlines()[0]})"
            ) from error


def _features(table: Table, groups: Groups) -> list[tuple[str, list[int]]]:
    """``(label, its columns)``, in the order of their first columns."""
    if not isinstance(groups, Mapping):
        raise InputError(f"groups must map names to lists of columns, not be a {type(groups).__name__}.")
    places: dict[Hashable, int] = {name: j for j, name in enumerate(table.names)}
    places |= {key: j for j, key in enumerate(table.keys)}
    taken: Counter[int] = Counter()
    features: list[tuple[str, list[int]]] = []
    for label, given in groups.items():
        if isinstance(given, str) or not len(given):
            raise InputError(f"the group {label!r} must be a list of at least one column, not {given!r}.")
        for key in given:
            if key not in places:
                raise unknown(f"column in the group {label!r},", key, table.names)
        members = sorted({places[key] for key in given})
        taken.update(members)
        features.append((str(label), members))
    if taken and (most := taken.most_common(1)[0])[1] > 1:
        raise InputError(f"the column {table.names[most[0]]!r} is in {most[1]} groups: groups must not overlap.")
    features += [(table.names[j], [j]) for j in range(table.width) if j not in taken]
    return sorted(features, key=lambda feature: feature[1][0])


def _drawn(table: Table, typical: Table, ablate: str, rows: int | None, seed: int) -> tuple[Table, tuple[str, ...]]:
    """The table with the background rows that are used, and what a reader should know of them."""
    if rows is not None and ablate != "rows":
        raise InputError(f"rows={rows} goes with ablate='rows', not with ablate={ablate!r}: leave it out.")
    if rows is not None:
        check_whole("rows", rows, least=1)
    if ablate == "mean":
        return typical, ("ablated columns take the background's mean or most frequent value",)
    if ablate == "sample":
        return table, (
            f"each ablation takes its absent columns from one of {table.rows} background rows: values carry the noise "
            "of which, and R² is lower for it",
        )
    count = min(table.rows, rows or _ROWS)
    if count == table.rows:
        return table, (f"each ablation is the mean prediction over {count} background rows",)
    chosen = np.sort(np.random.default_rng(seed).choice(table.rows, count, replace=False))
    note = f"each ablation is the mean prediction over {count} of {table.rows} background rows, drawn by seed {seed}"
    return table.with_rows(chosen), (note,)


def _value(table: Table, row: int, label: str, members: list[int]) -> str:
    """What a feature is in a row, in the reader's words; of a one-hot code, the column that is set."""
    cells = [table.cell(j, row) for j in members]
    if len(members) == 1:
        return shown(cells[0])
    ones = [j for j, cell in zip(members, cells, strict=True) if cell == 1]
    if len(ones) == 1 and all(cell in (0, 1) for cell in cells):
        return _within(table.names[ones[0]], label)
    return f"{len(members)} columns"


def _typical_value(typical: Table, label: str, members: list[int]) -> str:
    """The same of the background: of a one-hot code, the column set most often."""
    if len(members) == 1 or _value(typical, 0, label, members) == f"{len(members)} columns":
        return _value(typical, 1, label, members)
    return _within(typical.names[max(members, key=lambda j: float(typical.cell(j, 1)))], label)


def _within(column: str, group: str) -> str:
    """A column's name without its group's: "red" of "colour_red" in "colour"."""
    return column.removeprefix(group).lstrip(" _-=.:") or column
