"""What every command shares: the run, what it reads, and how a result is printed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from interplay._checks import as_path
from interplay._errors import InputError
from interplay._explain.explanation import Explanation
from interplay._game.layout import GridLayout
from interplay._spectrum.indices import ASKED, canonical_index
from interplay.cli._console import print_json, say, standard_output, written_out
from interplay.cli._options import Options, Reading

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from interplay._findings.views import View
    from interplay._game.game import Game
    from interplay._spectrum.characters import Features
    from interplay._spectrum.interactions import Interactions
    from interplay.ablate import Store


def run(game: Game, options: Options, *, executor: Executor | None = None) -> Explanation:
    """Explain a game, saying what it will cost, and print it."""
    game, index = _drawn_for(game, options)
    with opened(options) as store:
        explanation = explained(game, options, store, executor=executor, index=index)
    # What one of them cannot take, another may: the result was paid for.
    with contextlib.ExitStack() as all_of:
        all_of.callback(save, explanation, options)
        print_result(explanation, options)
    return explanation


@contextlib.contextmanager
def opened(options: Options) -> Iterator[Store]:
    """The store that the options ask for."""
    from interplay.ablate import Store

    path = ":memory:" if options.no_store else str(options.store or _default_store())
    with Store(path) as store:
        if not options.no_store:
            say(f"store      {path}")
        yield store


def _drawn_for(game: Game, options: Options) -> tuple[Game, str | None]:
    """The index to draw ablations for: the one that is asked for, where there are such and this game can have them.

    Examples kept at a rate of their own, and parts that are opened step by step, have ablations of their own: the
    game then says so.
    """
    name = None if options.index is None else canonical_index(options.index)
    if name not in ASKED:
        return game, None
    if game.keep == 0.5 and game.tree is None:
        return game, name
    why = f"each part was kept in {game.keep:.0%} of them" if game.tree is None else "parts opened from round to round"
    note = f"no ablations were drawn for {name} ({why}): its intervals are wide where these say little"
    return game.noted(note), None


def explained(
    game: Game, options: Options, store: Store, *, executor: Executor | None = None, index: str | None = None
) -> Explanation:
    """The explanation of a game, saying what it will cost before most of it is spent.

    The ablations are drawn for an ``index`` where one is given.
    """
    from interplay._explain.explain import explain
    from interplay.cli._announce import announced
    from interplay.cli._forecast import fit_seconds

    finest = game.finest.n
    opens = f", which open into {finest}" if finest > game.n else ""
    say(f"features   {game.n}{opens}\nbudget     {options.budget} ablations")
    most = min(options.budget, 1 << min(finest, 60))
    with announced(game.price, most, lambda: fit_seconds(game, options)) as progress:
        return explain(
            game,
            budget=options.budget,
            method=options.method,
            index=index,
            order=options.order,
            seed=options.seed,
            until=options.until,
            store=store,
            executor=executor,
            progress=progress,
        )


class Found(Protocol):
    """A result of an action."""

    def to_dict(self) -> dict[str, Any]: ...
    def view(self) -> View: ...
    def to_html(self, path: str | os.PathLike[str], *, title: str) -> None: ...


def print_found(found: Found, reading: Reading) -> None:
    """Print what an action found as tables, or as one line of JSON; then write its page, where one is asked for."""
    from interplay.report import show as show_report

    with contextlib.ExitStack() as both, written_out():
        if reading.html is not None:
            both.callback(found.to_html, reading.html, title=reading.html.stem)
        if reading.json_:
            print_json(found.to_dict())
        else:
            show_report(found, top=reading.top, verbose=reading.verbose, console=standard_output())


def save(explanation: Explanation, options: Options) -> None:
    """Write an explanation to the file that the options ask for, if any."""
    if options.save is not None:
        explanation.save(options.save)
        say(f"saved      {options.save}")


def print_result(explanation: Explanation, reading: Reading) -> None:
    """Print an explanation as tables, or as one line of JSON; then write its page, where one is asked for.

    Raises
    ------
    InputError
        Where standard output or the page cannot be written; neither keeps the other from being written.
    """
    with contextlib.ExitStack() as both, written_out():
        if reading.html is not None:
            both.callback(explanation.to_html, reading.html, title=reading.html.stem, index=reading.index)
        _print(explanation, reading)


def _print(explanation: Explanation, reading: Reading) -> None:
    if reading.json_:
        print_json(_for_machines(explanation, reading))
        return
    from interplay.report import show as show_report

    show_report(explanation, index=reading.index, top=reading.top, verbose=reading.verbose, console=standard_output())


def _for_machines(explanation: Explanation, reading: Reading) -> dict[str, Any]:
    """The saved form, with the answer and the interactions of each output read out."""
    from interplay.report import view

    shown = view(explanation, index=reading.index)
    index, read_out = canonical_index(reading.index or explanation.index), []
    for position in range(len(explanation.fits)):
        found = explanation.for_output(position).interactions(index, top=10 if reading.top is None else reading.top)
        read_out.append([_set(found, key) for key in found])
    parts = explanation.to_dict() | {"index": index, "interactions": read_out, "answer": shown.answer}
    parts["answers"] = {choice.name: choice.answer for choice in shown.choices}
    if isinstance(explanation.layout, GridLayout):
        from interplay.report import energy_shares

        shares = [energy_shares(fit.spectrum, explanation.layout) for fit in explanation.fits]
        parts["energy"] = [None if share is None else asdict(share) for share in shares]
    return parts


def _set(found: Interactions, features: Features) -> dict[str, Any]:
    """One set: its value, and its 90% interval where it is known."""
    interval = found.interval(features)
    known = {} if interval is None else {"low": interval[0], "high": interval[1]}
    labels = [found.labels[i] for i in features]
    return {"features": list(features), "labels": labels, "value": found[features], **known}


def read_text(file: str) -> str:
    """The text of a file or, of "-", standard input: UTF-8 on every machine, line breaks as they are."""
    try:
        path = None if file == "-" else as_path(file)
    except InputError as error:
        raise InputError(f"cannot read {error}") from None
    try:
        content = sys.stdin.buffer.read() if path is None else path.read_bytes()
        text = content.decode("utf-8-sig")  # without a byte order mark
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        name = "standard input" if file == "-" else file
        raise InputError(f"{name} is not UTF-8 text ({error.reason} at byte {error.start}).") from error
    if "\0" in text:
        name = "standard input" if file == "-" else file
        raise InputError(f"{name} holds the character NUL, as UTF-16 read as UTF-8 does: save it as UTF-8.")
    return text


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
