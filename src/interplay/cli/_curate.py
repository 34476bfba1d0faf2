"""`interplay curate`: which training rows to drop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from interplay._errors import InputError
from interplay._game.game import Game
from interplay._game.layout import Gallery, TrainingLayout
from interplay._game.masks import Masks
from interplay._game.partial import Partial
from interplay.cli._console import say
from interplay.cli._options import ActionOptions, Budget, Order
from interplay.cli._shared import explained, opened, print_found, save
from interplay.cli._training import ZoomRows


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CurateOptions(ActionOptions):
    """The options of `curate`."""

    budget: Budget = 600
    order: Order = 3


def curate(
    file: Annotated[str, Parameter(help="CSV file with a header.")],
    *,
    target: Annotated[str, Parameter(help="The column to predict.")],
    remove: Annotated[int, Parameter(help="How many rows to remove.")] = 10,
    model: Annotated[
        str | None, Parameter(help="logistic, forest, boosting, knn or svm; for numbers linear instead of logistic.")
    ] = None,
    tests: Annotated[int, Parameter(help="Rows to choose by, and as many others to judge by.")] = 12,
    examples: Annotated[int | None, Parameter(help="Use so many training rows; all if left out.")] = None,
    group: Annotated[str | None, Parameter(help="Column whose values are kept or left out together.")] = None,
    ignore: Annotated[tuple[str, ...], Parameter(help="Columns to leave out.")] = (),
    keep: Annotated[float, Parameter(help="Probability of keeping each example.")] = 0.5,
    zoom: ZoomRows = False,
    workers: Annotated[int, Parameter(help="Processes that train side by side.")] = 1,
    options: CurateOptions | None = None,
) -> None:
    """Find the training rows whose removal lowers the loss, and judge by rows that took no part in the choice."""
    from interplay import actions
    from interplay.cli.csv_table import csv_training
    from interplay.executors import processes

    options = options or CurateOptions()
    options.check(file)
    if tests < 1:
        raise InputError(f"--tests must be at least 1 row, not {tests}.")
    both = csv_training(
        file,
        target,
        model=model,
        output="loss",
        tests=2 * tests,
        examples=examples,
        group=group,
        ignore=ignore,
        keep=keep,
        seed=options.seed,
        zoom=zoom,
    )
    rows = both.finest.n
    if not 0 < remove < rows:
        raise InputError(f"--remove must be from 1 to {rows - 1}, as there are {rows} rows, not {remove}.")
    game, judge = (_columns(both, start, start + tests) for start in (0, tests))
    say(f"rows       {rows}, of which {remove} may go\njudged by  {tests} other rows")
    with processes(workers) if workers != 1 else contextlib.nullcontext() as executor, opened(options) as store:
        explanation = explained(game, options, store, executor=executor)
        save(explanation, options)
        found = actions.curate(
            game, explanation, remove=remove, held_out=judge, seed=options.seed, store=store, executor=executor
        )
    print_found(found, options)


@dataclass(frozen=True, eq=False)
class _Columns:
    """Some of a game's outputs."""

    value: Callable[[Masks], Any]
    start: int
    stop: int

    def __call__(self, masks: Masks) -> Any:
        found = self.value(masks)
        if isinstance(found, Partial):
            return replace(found, values=np.asarray(found.values)[:, self.start : self.stop])
        return np.asarray(found)[:, self.start : self.stop]


def _columns(both: Game, start: int, stop: int) -> Game:
    """The same training, scored on some of its test rows."""
    tree, both = both.tree, both.finest
    layout, mark = both.layout, both.fingerprint
    assert isinstance(layout, TrainingLayout)
    assert layout.targets is not None
    assert both.outputs is not None
    names, classes = layout.targets.names[start:stop], layout.targets.classes
    targets = Gallery(names, None if classes is None else classes[start:stop])
    game = Game(
        _Columns(both.value, start, stop),
        both.labels,
        outputs=both.outputs[start:stop],
        identity=None if mark is None else {"of": mark, "outputs": [start, stop]},
        layout=replace(layout, targets=targets),
        batch_size=both.batch_size,
        notes=both.notes,
        keep=both.keep,
        failures=both.failures,
    )
    return game if tree is None else game.zoomed(tree.parts, blocks=False)
