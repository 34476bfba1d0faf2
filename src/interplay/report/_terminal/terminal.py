"""An explanation in the terminal: the strongest sets in the user's words, the text shaded, how far to trust it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from interplay._findings.grid import energy_shares, pairs_by_row
from interplay._game.layout import GridLayout, ImageLayout, TableLayout, TextLayout, TrainingLayout
from interplay._spectrum.characters import Features
from interplay._spectrum.interactions import Interactions
from interplay.report._terminal.columns import column_parts
from interplay.report._terminal.gate import Gate
from interplay.report._terminal.grid import shaded_grid
from interplay.report._terminal.segments import image_parts
from interplay.report._terminal.shading import shaded_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType
    from rich.table import Table

    from interplay._explain.explanation import Explanation

_BAR = 12  # characters of the longest bar

INDEX_NAMES = {
    "fourier": "Fourier coefficients (negative: keeping the set's odd parts raises the output)",
    "mobius": "Möbius transform (what exactly this set adds)",
    "sv": "Shapley values (shares of the output, interactions split evenly)",
    "bv": "Banzhaf values (mean effect of keeping a feature)",
    "sii": "Shapley interactions",
    "bii": "Banzhaf interactions (mean joint effect)",
    "k-sii": "k-Shapley interactions (shares of the output)",
    "stii": "Shapley-Taylor interactions (shares of the output)",
    "fsii": "Faith-Shapley interactions (best fit, exact at both ends)",
    "fbii": "Faith-Banzhaf interactions (best fit over all ablations)",
}


def show(explanation: Explanation, *, index: str = "fbii", top: int = 10, console: Console | None = None) -> None:
    """Print an explanation; one after the other where it has several outputs.

    Of training examples: a summary over all outputs, then the test points that pairs of examples move most.

    Parameters
    ----------
    explanation
        What to show.
    index
        The interaction index of the tables.
    top
        Rows in each table.
    console
        Where to print: rich's, on standard output, when left out.
    """
    from rich.console import Console
    from rich.rule import Rule
    from rich.text import Text

    target = console or Console(highlight=False)
    if isinstance(explanation.layout, TrainingLayout):
        from interplay.report._terminal.training import training_parts

        for part in training_parts(explanation, top, colour=_has_colour(target), width=target.width):
            target.print(Gate(part))
        return
    for position in range(len(explanation.fits)):
        one = explanation.for_output(position)
        if len(explanation.fits) > 1:
            target.print(Gate(Rule(Text(str((explanation.outputs or ())[position])))))
        for part in _parts(one, index, top, target):
            target.print(Gate(part))


def _parts(explanation: Explanation, index: str, top: int, console: Console) -> Iterator[RenderableType]:
    from rich.text import Text

    found = explanation.interactions(index)
    yield Text.assemble((_headline(explanation), "bold"))
    yield _ends(explanation)
    yield Text("")
    yield _faithfulness(explanation)
    alone, together = found.of_order(1), found.of_order(2, explanation.n)
    scale = max((abs(value) for value in found.values()), default=0.0)
    for title, group in (("Together", together), ("Alone", alone)):
        if title == "Together" and found.index in ("sv", "bv"):  # values of single features, whatever was found
            continue
        yield Text("")
        if len(group):
            yield Text.assemble(
                (title, "bold"), f"  {min(top, len(group))} of {len(group)}, {INDEX_NAMES[found.index]}"
            )
            yield _table(group.top(top), scale)
        else:
            what = "no interaction" if title == "Together" else "no single effect"
            yield Text.assemble((title, "bold"), f"  {what} was found by {explanation.method}")
    if found.deviations is not None:
        yield Text("± is half of a 90% credible interval", style="dim")
    if isinstance(explanation.layout, GridLayout):
        yield from _grid(explanation, explanation.layout, found, top, console)
    if isinstance(explanation.layout, TableLayout):
        yield Text("")
        yield from column_parts(explanation.layout, _shapley(explanation), top)
    if isinstance(explanation.layout, ImageLayout):
        yield Text("")
        values, colour = _shapley(explanation), _has_colour(console)
        yield from image_parts(
            explanation.layout, explanation.labels, values, found, width=console.width, colour=colour
        )
    if isinstance(explanation.layout, TextLayout):
        values = _shapley(explanation)
        yield Text("")
        yield Text.assemble(("Text", "bold"), "  " + _legend(console))
        yield shaded_text(explanation.layout, values, colour=_has_colour(console))
    if explanation.notes:
        yield Text("")
        for note in explanation.notes:
            yield Text.assemble(("Note  ", "bold"), note)


def _grid(
    explanation: Explanation, layout: GridLayout, found: Interactions, top: int, console: Console
) -> Iterator[RenderableType]:
    """Pairs within and across the grid's rows, their energy, and the grid itself."""
    from rich.text import Text

    inside, outside = pairs_by_row(found, layout)
    scale = max((abs(value) for value in found.values()), default=0.0)
    for title, group in (("Pairs within a layer", inside), ("Pairs across layers", outside)):
        if len(group):
            yield Text("")
            yield Text.assemble((title, "bold"), f"  {min(top, len(group))} of {len(group)}")
            yield _table(group.top(top), scale)
    shares = energy_shares(explanation.spectrum, layout)
    if shares is not None and explanation.spectrum.order > 1:
        yield Text("")
        yield Text.assemble(
            ("Energy", "bold"),
            f"  {shares.single:.1%} single parts, {shares.within:.1%} sets within a layer, "
            f"{shares.across:.1%} sets across layers",
        )
    yield Text("")
    sign = "green raises the output" if _has_colour(console) else "+ raises the output"
    yield Text.assemble(("Layers", "bold"), f"  Shapley value in % of the strongest: {sign} when kept")
    yield shaded_grid(layout, _shapley(explanation), width=console.width, colour=_has_colour(console))


def _shapley(explanation: Explanation) -> npt.NDArray[np.float64]:
    """The Shapley value of each feature, (n,)."""
    shares = explanation.interactions("sv")
    return np.array([shares.get((i,), 0.0) for i in range(explanation.n)])


def _headline(explanation: Explanation) -> str:
    stored = f", {explanation.from_store} of them from the store" if explanation.from_store else ""
    return f"{explanation.n} features, {explanation.used} ablations{stored}, method {explanation.method}"


def _ends(explanation: Explanation) -> RenderableType:
    from rich.text import Text

    words = []
    if explanation.full is not None:
        words.append(f"output {explanation.full[0]:.4g} with everything kept")
    if explanation.empty is not None:
        words.append(f"{explanation.empty[0]:.4g} with everything ablated")
    mean = explanation.spectrum.coefficients.get((), 0.0)
    words.append(f"{mean:.4g} on average over ablations")
    return Text(", ".join(words))


def _faithfulness(explanation: Explanation) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    quality = explanation.faithfulness
    table = Table.grid(padding=(0, 2))
    if np.isnan(quality.r2):
        table.add_row("R² is undefined", Text(quality.how))
        return table
    interval = f"[{quality.low:.3f}, {quality.high:.3f}]" if np.isfinite(quality.low) else "(too few for an interval)"
    what = "with interactions" if explanation.spectrum.order > 1 else "single features only"
    table.add_row("R² on unseen ablations", f"{quality.r2:.3f}", f"{interval} {what}")
    if quality.first_order is not None and explanation.method != "lasso":
        table.add_row("", f"{quality.first_order:.3f}", "first order alone (lasso)")
    table.add_row("", "", Text(f"by {quality.how}" if "cross" in quality.how else quality.how))
    return table


def _table(found: Interactions, scale: float) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(width=_BAR, no_wrap=True)
    table.add_column(overflow="fold")
    for key, (words, value) in zip(found, found.named(), strict=True):
        style = "green" if value > 0 else "red"
        length = max(1, round(_BAR * abs(value) / scale)) if scale else 0
        table.add_row(Text(_number(found, key), style), "█" * length, Text(" + ".join(words)))
    return table


def _number(found: Interactions, key: Features) -> str:
    if found.deviations is not None and key in found.deviations:
        return found.format(key)
    return f"{found[key]:+.4f}" if abs(found[key]) < 1e4 else f"{found[key]:+.3e}"


def _has_colour(console: Console) -> bool:
    return console.is_terminal and not console.no_color and console.color_system is not None


def _legend(console: Console) -> str:
    share = "shaded by Shapley value"
    return (
        f"{share}: green raises the output, red lowers it"
        if _has_colour(console)
        else (f"{share}: [+raises+] the output, [-lowers-] it; at least a quarter of the strongest")
    )
