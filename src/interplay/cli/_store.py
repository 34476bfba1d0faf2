"""`interplay store`: is a store sound, is it small, and does it hold what others do."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from interplay._checks import as_path
from interplay._errors import InputError, StoreError
from interplay.ablate import Store, compact, export_values, import_values, merge, verify
from interplay.cli._console import say

store_app = App(name="store", help="Look after a store of ablations: verify, compact, merge, export, import.")

File = Annotated[Path, Parameter(help="The store's file.")]


@store_app.command(name="verify")
def verify_store(file: File) -> None:
    """Hold every value against its checksum."""
    with _existing(file) as store:
        found = verify(store)
    say(f"games      {found.games}\nvalues     {found.values}\ndamaged    {found.damaged}")
    if found.damaged:
        raise StoreError(f"{found.damaged} values of {file} are damaged: a run that asks for them measures them again.")


@store_app.command(name="compact")
def compact_store(file: File) -> None:
    """Give room that is no longer used back to the disk."""
    before = _size(file)
    with _existing(file) as store:
        compact(store)
    say(f"bytes      {before:,} before, {_size(file):,} now")


@store_app.command(name="merge")
def merge_stores(
    file: Annotated[Path, Parameter(help="The store to copy to; made where there is none.")],
    others: Annotated[list[Path], Parameter(help="The stores to copy from.", negative=())],
    /,
) -> None:
    """Copy what other stores hold."""
    with Store(file) as store:
        for path in others:
            with _existing(path) as other:
                say(f"copied     {merge(store, other)} values of {path}")


@store_app.command(name="export")
def export_store(
    file: File,
    out: Annotated[Path, Parameter(help="The file to write: lines of JSON, compressed where its name ends in .gz.")],
    /,
) -> None:
    """Write all values as lines of JSON."""
    with _existing(file) as store:
        say(f"exported   {export_values(store, out)} values to {out}")


@store_app.command(name="import")
def import_store(
    file: Annotated[Path, Parameter(help="The store to add to; made where there is none.")],
    exported: Annotated[Path, Parameter(help="What export wrote.")],
    /,
) -> None:
    """Add the values that export wrote."""
    with Store(file) as store:
        say(f"imported   {import_values(store, exported)} values of {exported}")


def _existing(file: Path) -> contextlib.AbstractContextManager[Store]:
    """A store that is there: nobody wants an empty one verified."""
    if not as_path(file).is_file():
        raise InputError(f"there is no store {file}.")
    return Store(file)


def _size(file: Path) -> int:
    return as_path(file).stat().st_size if as_path(file).is_file() else 0
