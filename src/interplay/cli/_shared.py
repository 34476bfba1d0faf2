"""What every command shares: its options, the run, and how a result is printed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._game.layout import GridLayout

if TYPE_CHECKING:
    from interplay._game.game import Game

Budget = Annotated[int, Parameter(help="The most ablations, each one model call.")]
Index = Annotated[str, Parameter(help="Interaction index: fbii, fsii, sii, stii, k-sii, bii, mobius, fourier, sv, bv.")]
Top = Annotated[int, Parameter(help="Rows in each table.")]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON instead of tables.")]
StorePath = Annotated[
    Path | None, Parameter(help="SQLite file of all ablations; default: runs.db in the user's cache folder.")
]
NoStore = Annotated[bool, Parameter(negative=(), help="Keep no ablations: a run that stops starts from nothing.")]
Save = Annotated[Path | None, Parameter(help="Write the explanation to this file, for `interplay show`.")]
Method = Annotated[str, Parameter(help="auto, exact, lasso, proxyspex, gp or spex.")]
Order = Annotated[int, Parameter(help="The largest combination to look for.")]
Seed = Annotated[int, Parameter(help="Of every random choice.")]
Until = Annotated[float | None, Parameter(help="Stop as soon as R² on unseen ablations is surely this high.")]
Device = Annotated[str | None, Parameter(help="cpu, cuda, ...; a GPU where there is one.")]


def run(
    game: Game,
    budget: int,
    index: str,
    top: int,
    store: Path | None,
    no_store: bool,
    save: Path | None,
    json_: bool,
    cost: Callable[[int], str] | None = None,
    /,
    **options: Any,
) -> None:
    """Explain a game and print it; ``cost`` says in words what so many ablations will cost."""
    from interplay._explain.explain import explain
    from interplay.ablate import Store
    from interplay.cli._announce import announced

    check_run(budget, top, store, no_store, save)
    path = ":memory:" if no_store else str(store or _default_store())
    say(f"features   {game.n}\nbudget     {budget} ablations" + ("" if no_store else f"\nstore      {path}"))
    with Store(path) as opened, announced(cost) as progress:
        explanation = explain(game, budget=budget, store=opened, progress=progress, **options)
    if save is not None:
        explanation.save(save)
    print_result(explanation, index, top, json_)
    if save is not None:
        say(f"saved      {save}")


def check_run(budget: int, top: int, store: Path | None, no_store: bool, save: Path | None) -> None:
    """Refuse what `run` cannot use: before a model is loaded, or paid for."""
    if budget < 1:
        raise InputError(f"--budget must be at least 1 ablation, not {budget}.")
    check_top(top)
    if store is not None and no_store:
        raise InputError("--store and --no-store exclude each other: give one of them.")
    if save is not None:
        _check_save(save)


def _check_save(save: Path) -> None:
    """Complain of a file that cannot be written before anything is spent."""
    target = save.expanduser().absolute()
    if not target.parent.is_dir():
        raise InputError(f"cannot save to {save}: its folder does not exist.")
    if target.is_dir():
        raise InputError(f"cannot save to {save}: it is a folder; name a file in it.")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"cannot save to {save}: its folder cannot be written to.")


def check_top(top: int) -> None:
    if top < 0:
        raise InputError(f"--top must not be negative, but is {top}.")


def print_result(explanation: Explanation, index: str, top: int, json_: bool) -> None:
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
    parts = explanation.to_dict() | {"index": index, "interactions": read_out}
    if isinstance(explanation.layout, GridLayout):
        from interplay.report import energy_shares

        shares = [energy_shares(fit.spectrum, explanation.layout) for fit in explanation.fits]
        parts["energy"] = [None if share is None else asdict(share) for share in shares]
    return parts


def read_text(file: str) -> str:
    """The text of a file or, of "-", standard input: UTF-8 on every machine, line breaks as they are."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
        return content.decode("utf-8")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        name = "standard input" if file == "-" else file
        raise InputError(f"{name} is not UTF-8 text ({error.reason} at byte {error.start}).") from error


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


def say(words: str) -> None:
    print(words, file=sys.stderr)
