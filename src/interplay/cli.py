"""The command line: `interplay demo`, `interplay text`, `interplay training`, `interplay show`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from interplay import __version__
from interplay._errors import InputError, InterplayError, Interrupted
from interplay._explanation import Explanation, load
from interplay._indices import canonical_index

if TYPE_CHECKING:
    from interplay._game import Game

app = App(
    name="interplay",
    help="Find which combinations of words, examples or components drive a model's output.",
    version=__version__,
    suppress_keyboard_interrupt=False,  # `main` says what was kept
)

Budget = Annotated[int, Parameter(help="The most ablations, each one model call.")]
Index = Annotated[str, Parameter(help="Interaction index: fbii, fsii, sii, stii, k-sii, bii, mobius, fourier, sv, bv.")]
Top = Annotated[int, Parameter(help="Rows in each table.")]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON instead of tables.")]
StorePath = Annotated[
    Path | None, Parameter(help="SQLite file of all ablations; default: runs.db in the user's cache folder.")
]
NoStore = Annotated[bool, Parameter(negative=(), help="Keep no ablations: a run that stops starts from nothing.")]
Save = Annotated[Path | None, Parameter(help="Write the explanation to this file, for `interplay show`.")]
Method = Annotated[str, Parameter(help="auto, exact, lasso or proxyspex.")]


@app.command
def demo(
    *,
    budget: Budget = 1000,
    index: Index = "fbii",
    top: Top = 8,
    store: StorePath = None,
    no_store: NoStore = False,
    save: Save = None,
    json_: Json = False,
) -> None:
    """Explain how a real transformer (MiniLM, in its wheel) reads a film review, word by word and together."""
    from interplay._demo import QUERY, REVIEW, demo_model
    from interplay.lenses import text as text_lens
    from interplay.models import Encoder

    index = canonical_index(index)
    game = text_lens(Encoder.load(demo_model()).similarity(QUERY), REVIEW, unit="word")
    _say(f"review     {REVIEW}\nquestion   which words make MiniLM find this praise similar to {QUERY!r}?")
    _run(game, budget, index, top, store, no_store, save, json_)


@app.command
def text(
    file: Annotated[str, Parameter(help="The text to explain; - reads standard input.")],
    *,
    model: Annotated[str, Parameter(help="Folder or hub name of a Hugging Face encoder.")],
    reference: Annotated[str | None, Parameter(help="Score similarity to this text.")] = None,
    label: Annotated[
        str | None, Parameter(help="Score this label's logit (models with a classification head).")
    ] = None,
    unit: Annotated[str, Parameter(help="word, sentence, paragraph or token.")] = "word",
    ablate: Annotated[str, Parameter(help="What an ablated unit becomes: a string, 'delete' or 'mask'.")] = "[UNK]",
    template: Annotated[str | None, Parameter(help="Surroundings that are never ablated, with {text} inside.")] = None,
    budget: Budget = 600,
    method: Method = "auto",
    order: Annotated[int, Parameter(help="The largest combination to look for.")] = 5,
    seed: Annotated[int, Parameter(help="Of every random choice.")] = 0,
    until: Annotated[
        float | None, Parameter(help="Stop as soon as R² on unseen ablations is surely this high.")
    ] = None,
    index: Index = "fbii",
    top: Top = 10,
    store: StorePath = None,
    no_store: NoStore = False,
    save: Save = None,
    json_: Json = False,
    truncate: Annotated[bool, Parameter(negative=(), help="Cut texts longer than the model's window.")] = False,
    device: Annotated[str | None, Parameter(help="cpu, cuda, ...; a GPU where there is one.")] = None,
) -> None:
    """Explain an encoder's score of a text by its words, sentences, paragraphs or tokens."""
    from interplay.estimators import get_estimator
    from interplay.lenses import text as text_lens
    from interplay.models import Encoder

    if (reference is None) == (label is None):
        raise InputError("say what to score: either --reference TEXT or --label NAME, one of the two.")
    index = canonical_index(index)
    get_estimator(method)
    content = _read(file)
    encoder = Encoder.load(model, device=device, truncate=truncate)
    scorer = encoder.similarity(reference) if reference is not None else encoder.label(_label(label))
    game = text_lens(scorer, content, unit=unit, ablate=ablate, template=template)
    _say(f"scoring    {scorer.name}")
    _run(game, budget, index, top, store, no_store, save, json_, method=method, order=order, seed=seed, until=until)


@app.command
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
    seeds: Annotated[int, Parameter(help="Retrainings per ablation, averaged.")] = 1,
    workers: Annotated[int, Parameter(help="Processes that train side by side.")] = 1,
    budget: Budget = 600,
    method: Method = "auto",
    order: Annotated[int, Parameter(help="The largest combination to look for.")] = 3,
    seed: Annotated[int, Parameter(help="Of every random choice.")] = 0,
    index: Index = "fbii",
    top: Top = 5,
    store: StorePath = None,
    no_store: NoStore = False,
    save: Save = None,
    json_: Json = False,
) -> None:
    """Find which training examples act together: help, harm, repeat or need one another."""
    from interplay.ablate import processes
    from interplay.estimators import get_estimator
    from interplay.lenses._training_csv import csv_training
    from interplay.lenses._training_digits import digits_training

    index = canonical_index(index)
    get_estimator(method)
    if file == "digits":
        if target is not None or group is not None or model is not None or output is not None:
            raise InputError("the digits demo has its own model and target: leave those options out.")
        game = digits_training(examples or 60, tests, keep=keep, seed=seed)
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
            seed=seed,
        )
    options = {"method": method, "order": order, "seed": seed}
    with processes(workers) if workers != 1 else contextlib.nullcontext() as executor:
        _run(game, budget, index, top, store, no_store, save, json_, executor=executor, **options)


@app.command
def show(
    file: Annotated[Path, Parameter(help="What --save or Explanation.save wrote.")],
    *,
    index: Index = "fbii",
    top: Top = 10,
    json_: Json = False,
) -> None:
    """Show a saved explanation."""
    _check_top(top)
    _print(load(file), canonical_index(index), top, json_)


def _run(
    game: Game,
    budget: int,
    index: str,
    top: int,
    store: Path | None,
    no_store: bool,
    save: Path | None,
    json_: bool,
    **options: Any,
) -> None:
    from interplay._explain import explain
    from interplay.ablate import Store
    from interplay.report._announce import announced

    _check_top(top)
    if store is not None and no_store:
        raise InputError("--store and --no-store exclude each other: give one of them.")
    if save is not None and not save.expanduser().absolute().parent.is_dir():
        raise InputError(f"cannot save to {save}: its folder does not exist.")
    path = ":memory:" if no_store else str(store or _default_store())
    _say(f"features   {game.n}\nbudget     {budget} ablations" + ("" if no_store else f"\nstore      {path}"))
    with Store(path) as opened, announced() as progress:
        explanation = explain(game, budget=budget, store=opened, progress=progress, **options)
    if save is not None:
        explanation.save(save)
    _print(explanation, index, top, json_)
    if save is not None:
        _say(f"saved      {save}")


def _check_top(top: int) -> None:
    if top < 0:
        raise InputError(f"--top must not be negative, but is {top}.")


def _print(explanation: Explanation, index: str, top: int, json_: bool) -> None:
    if json_:
        print(json.dumps(_for_machines(explanation, index, top), ensure_ascii=False, allow_nan=False))
        return
    from interplay.report import show as show_report

    show_report(explanation, index=index, top=top)


def _for_machines(explanation: Explanation, index: str, top: int) -> dict[str, Any]:
    """The saved form, with the interactions of each output read out."""
    read_out = []
    for position in range(len(explanation.fits)):
        found = explanation.for_output(position).interactions(index, top=top)
        read_out.append(
            [
                {"features": list(key), "labels": [explanation.labels[i] for i in key], "value": value}
                for key, value in found.items()
            ]
        )
    return explanation.to_dict() | {"index": index, "interactions": read_out}


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text ({error.reason} at byte {error.start}).") from error


def _label(label: str | None) -> str | int:
    assert label is not None
    return int(label) if label.isdigit() else label


def _default_store() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    folder = Path(base).expanduser() / "interplay"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder} for the store ({error.strerror or error}): "
            "pass --store FILE or --no-store."
        ) from error
    return folder / "runs.db"


def _say(words: str) -> None:
    print(words, file=sys.stderr)


def main() -> None:
    """Entry point: a user's mistake ends in one sentence and status 2, Ctrl-C in status 130."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app(sys.argv[1:])
    except InterplayError as error:
        _say(f"interplay: {error}")
        sys.exit(2)
    except Interrupted as error:
        _say(f"\ninterplay: {error}")
        sys.exit(130)
    except KeyboardInterrupt:
        _say("\ninterplay: interrupted before anything was measured.")
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
