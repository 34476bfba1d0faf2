"""A progress bar on standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from interplay.ablate._runner import Progress


@contextlib.contextmanager
def progress_bar(wanted: bool | None) -> Iterator[Callable[[Progress], None] | None]:
    """Yield a function that draws `Progress`; None where a bar is unwanted, or unasked for and not on a terminal."""
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("ablating"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task("", total=None, left="")

        def show(state: Progress) -> None:
            left = "" if state.eta is None or state.done == state.total else f"{format_seconds(state.eta)} left"
            bar.update(task, total=state.total, completed=state.done, left=left)

        yield show


def format_seconds(seconds: float) -> str:
    """A duration as a person says it: "0.4 s", "12 s", "3 min", "2.5 h"."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
