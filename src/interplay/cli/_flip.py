"""`interplay flip`: the smallest sets of a text's parts that take its score across a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter

from interplay._errors import InputError
from interplay.cli._console import say
from interplay.cli._options import Ablate, ActionOptions, Budget
from interplay.cli._scoring import Scoring
from interplay.cli._shared import explained, opened, print_found, read_text, save
from interplay.cli._units import units

if TYPE_CHECKING:
    from interplay._game.game import Game
    from interplay.ablate import Store


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class FlipOptions(ActionOptions):
    """The options of `flip`."""

    budget: Budget = 300


def flip(
    file: Annotated[str, Parameter(allow_leading_hyphen=True, help="The text; - reads standard input.")],
    *,
    scoring: Scoring,
    below: Annotated[float | None, Parameter(allow_leading_hyphen=True, help="The line to fall below.")] = None,
    above: Annotated[float | None, Parameter(allow_leading_hyphen=True, help="The line to rise above.")] = None,
    most: Annotated[int, Parameter(help="The largest set to look for.")] = 5,
    checks: Annotated[int, Parameter(help="The most measurements after the budget.")] = 50,
    suffice: Annotated[
        bool, Parameter(negative=(), help="Sets that alone, all else ablated, hold the score across the line.")
    ] = False,
    unit: Annotated[
        str,
        Parameter(
            help="word, sentence, paragraph or token; several from coarse to fine, with commas, open those that matter."
        ),
    ] = "word",
    ablate: Ablate = None,
    template: Annotated[str | None, Parameter(help="Surroundings that are never ablated, with {text} inside.")] = None,
    options: FlipOptions | None = None,
) -> None:
    """Find the smallest sets of words whose removal takes a score across a line, and measure each."""
    from interplay import actions
    from interplay.lenses import text as text_lens

    options = options or FlipOptions()
    options.check(file)
    scoring.check()
    if (below is None) == (above is None):
        raise InputError("say which line to cross: either --below VALUE or --above VALUE, one of the two.")
    for name, value, least in (("--most", most, 1), ("--checks", checks, 2)):
        if value < least:
            raise InputError(f"{name} must be at least {least}, not {value}.")
    content = read_text(file)
    scorer = scoring.scorer()
    game = text_lens(scorer, content, unit=units(unit), ablate=ablate, template=template)
    say(f"scoring    {scorer.name}\nchecks     up to {checks} measurements after the budget")
    with opened(options) as store:
        _check_line(game, store, suffice=suffice, below=below, above=above)
        explanation = explained(game, options, store)
        save(explanation, options)
        act = actions.suffice if suffice else actions.flip
        found = act(game, explanation, below=below, above=above, most=most, checks=checks, store=store)
    print_found(found, options)


def _check_line(game: Game, store: Store, *, suffice: bool, below: float | None, above: float | None) -> None:
    """Refuse a line that there is nothing to cross to, by one measurement that the search would make anyway."""
    from interplay.ablate import measure

    from_there = np.zeros if suffice else np.ones
    measured = measure(game.finest, from_there((1, game.finest.n), dtype=np.bool_), store=store).values
    start = float(measured.mean())
    line, where = (below, "below") if below is not None else (above, "above")
    if line is not None and (start < line if where == "below" else start > line):
        raise InputError(
            f"the {'empty' if suffice else 'untouched'} text scores {start:.6g}, already {where} {line:g}: choose a "
            "line on its other side."
        )
