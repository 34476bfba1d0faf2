"""`interplay training`: the examples a model was trained on."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from interplay._errors import InputError
from interplay.cli._options import Budget, Options, Order
from interplay.cli._shared import run

ZoomRows = Annotated[
    bool, Parameter(negative=(), help="Begin with groups, or blocks of rows, and open those that matter.")
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainingOptions(Options):
    """The options of `training`."""

    budget: Budget = 600
    order: Order = 3
    index: Annotated[
        str | None, Parameter(help="Interaction index of --json; the tables show mean effects at the keep rate.")
    ] = None


def training(
    file: Annotated[str, Parameter(help="CSV file with a header, or the word digits for the demo on handwriting.")],
    *,
    target: Annotated[str | None, Parameter(help="The column to predict.")] = None,
    model: Annotated[
        str | None, Parameter(help="logistic, forest, boosting, knn or svm; for numbers linear instead of logistic.")
    ] = None,
    output: Annotated[
        str | None, Parameter(help="margin, probability, loss or accuracy; for numbers prediction or loss.")
    ] = None,
    tests: Annotated[int, Parameter(help="Rows held out as test points.")] = 12,
    examples: Annotated[int | None, Parameter(help="Use so many training rows; 60 in the demo, else all.")] = None,
    group: Annotated[str | None, Parameter(help="Column whose values are kept or left out together.")] = None,
    ignore: Annotated[tuple[str, ...], Parameter(help="Columns to leave out.")] = (),
    keep: Annotated[float, Parameter(help="Probability of keeping each example.")] = 0.5,
    zoom: ZoomRows = False,
    seeds: Annotated[int, Parameter(help="Retrainings per ablation, averaged.")] = 1,
    workers: Annotated[int, Parameter(help="Processes that train side by side.")] = 1,
    options: TrainingOptions | None = None,
) -> None:
    """Find which training examples act together: help, harm, repeat or need one another."""
    from interplay.cli.csv_table import csv_training
    from interplay.cli.digits import digits_training
    from interplay.executors import processes

    options = options or TrainingOptions()
    options.check(file)
    if file == "digits":
        if target is not None or group is not None or model is not None or output is not None:
            raise InputError("the digits demo has its own model and target: leave those options out.")
        if seeds != 1 or ignore or zoom:
            raise InputError(
                "the digits demo has no columns to ignore, no groups, nor chance in its training: leave those out."
            )
        game = digits_training(60 if examples is None else examples, tests, keep=keep, seed=options.seed)
    elif target is None:
        raise InputError("say which column to predict: --target COLUMN.")
    else:
        game = csv_training(
            file,
            target,
            model=model,
            output=output,
            tests=tests,
            examples=examples,
            group=group,
            ignore=ignore,
            keep=keep,
            seeds=seeds,
            seed=options.seed,
            zoom=zoom,
        )
    with processes(workers) if workers != 1 else contextlib.nullcontext() as executor:
        run(game, options, executor=executor)
