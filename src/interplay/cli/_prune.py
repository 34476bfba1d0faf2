"""`interplay prune`: which parts of a network to drop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from interplay._errors import InputError
from interplay.cli._console import say
from interplay.cli._heads import PARTS, Zoom, pairs_in, select_parts
from interplay.cli._options import ActionOptions, Device, check_folder
from interplay.cli._shared import explained, opened, print_found, save

if TYPE_CHECKING:
    from interplay._game.game import Game


def prune(
    *,
    model: Annotated[str, Parameter(help="Folder or hub name of a Hugging Face model.")],
    inputs: Annotated[str, Parameter(help="File of lines, as for `heads`: what the choice is made on.")],
    held_out: Annotated[str, Parameter(help="File of other lines of the same kind: what the choice is judged on.")],
    keep: Annotated[float, Parameter(help="The share of parts to keep at most.")] = 0.5,
    parts: Annotated[str, Parameter(help=PARTS)] = "heads",
    layers: Annotated[str | None, Parameter(help="Which layers, such as 0,2,8-11; -1 is the last.")] = None,
    aim: Annotated[Literal["high", "low"], Parameter(help="Whether a high or a low score is wanted.")] = "high",
    checks: Annotated[int, Parameter(help="The most measurements after the budget.")] = 32,
    zoom: Zoom = False,
    write: Annotated[Path | None, Parameter(help="Write the pruned model, its weights zeroed, to this folder.")] = None,
    device: Device = None,
    options: ActionOptions | None = None,
) -> None:
    """Choose the parts of a network to keep, and judge the choice on lines that took no part in it."""
    from interplay import actions
    from interplay.models import load_network

    options = options or ActionOptions()
    options.check(inputs, held_out)
    if not 0 < keep < 1:
        raise InputError(f"--keep must be a share between 0 and 1, such as 0.5, not {keep:g}.")
    if checks < 1:
        raise InputError(f"--checks must be at least 1, not {checks}.")
    if write is not None:
        check_folder(write)
    lines, others = pairs_in(inputs), pairs_in(held_out)
    if set(lines) & set(others):
        raise InputError(f"a line of {held_out} is in {inputs}, too: held-out lines must be others.")
    select = select_parts(parts, layers)
    network = load_network(model, device=device)
    game, judge = (_game(network, select, one, options.seed, zoom=zoom) for one in (lines, others))
    say(f"scoring    {len(lines)} lines, and {len(others)} held out\nchecks     up to {2 * checks} after the budget")
    with opened(options) as store:
        explanation = explained(game, options, store)
        save(explanation, options)
        found = actions.prune(
            game, explanation, keep=keep, held_out=judge, aim=aim, checks=checks, seed=options.seed, store=store
        )
    print_found(found, options)
    if write is not None:  # last: what was found was paid for
        try:
            found.apply(network).save_pretrained(write)
            network.tokenizer.save_pretrained(write)
        except (OSError, RuntimeError, ValueError) as error:  # safetensors has errors of its own
            raise InputError(f"cannot write the pruned model to {write}: {error}.") from error
        say(f"written    {write}")


def _game(network: Any, select: Any, lines: list[tuple[str, str]], seed: int, *, zoom: bool) -> Game:
    from interplay.lenses import components, metrics
    from interplay.models import Encoder

    if isinstance(network, Encoder):
        return components(network, select, lines, metrics.similarity(), seed=seed, zoom=zoom)
    targets = metrics.logprob([target for _, target in lines])
    return components(network, select, [prompt for prompt, _ in lines], targets, seed=seed, zoom=zoom)
