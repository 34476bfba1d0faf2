"""`interplay audit`: what recurs over many prompts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from interplay._errors import InputError
from interplay.ablate import progress_bar
from interplay.cli._console import say
from interplay.cli._options import Ablate, Budget, Options, Order
from interplay.cli._scoring import Scoring
from interplay.cli._shared import opened, print_found, read_text


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AuditOptions(Options):
    """The options of `audit`."""

    budget: Budget = 5000
    order: Order = 2


def audit(
    file: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help="JSON lines, each a text or an object of slots for --template; - reads standard input.",
        ),
    ],
    *,
    scoring: Scoring,
    template: Annotated[str | None, Parameter(help="What the slots are put into, such as 'The {job} said'.")] = None,
    by: Annotated[
        Literal["label", "slot", "lemma"], Parameter(help="How words of different prompts are matched.")
    ] = "label",
    level: Annotated[float, Parameter(help="False-discovery rate.")] = 0.1,
    least: Annotated[float, Parameter(help="The smallest effect of interest.")] = 0.0,
    at_least: Annotated[int, Parameter(help="In how many prompts a set must occur.")] = 5,
    counterfactual: Annotated[
        tuple[str, ...], Parameter(help="A slot and what else could stand there, such as who=he,she; may be repeated.")
    ] = (),
    ablate: Ablate = None,
    options: AuditOptions | None = None,
) -> None:
    """Find which words, alone and together, do the same in many prompts, chance findings held to a rate."""
    from interplay import actions
    from interplay.lenses import text as text_lens

    options = options or AuditOptions()
    options.check(file)
    refused = {"--save": options.save, "--until": options.until}
    for option in (option for option, value in refused.items() if value is not None):
        raise InputError(f"{option} is for one explanation, and an audit makes many: leave it out.")
    scoring.check()
    if not 0 < level < 1:
        raise InputError(f"--level must be a rate between 0 and 1, not {level:g}.")
    if least < 0:
        raise InputError(f"--least must be an effect of at least 0, not {least:g}.")
    if at_least < 2:
        raise InputError(f"--at-least must be at least 2 prompts, not {at_least}.")
    cases = _cases(file, template)
    if by == "slot" and template is None:
        raise InputError("--by slot needs slots: give --template and objects of slots.")
    if options.budget < 8 * len(cases):
        raise InputError(f"--budget {options.budget} is too small for {len(cases)} prompts: give {8 * len(cases)}.")
    fillings = dict(map(_fillings, counterfactual))
    scorer = scoring.scorer()
    say(f"scoring    {scorer.name}\nprompts    {len(cases)}\nbudget     {options.budget} ablations over all of them")

    def game(case: Any) -> Any:
        return text_lens(scorer, case if template is None else template.format_map(case), ablate=ablate)

    price = game(cases[0]).price(options.budget)
    say(f"cost       at most {price}")
    with opened(options) as store, progress_bar(None) as progress:
        found = actions.audit(
            game,
            cases,
            budget=options.budget,
            by=by,
            order=options.order,
            least=least,
            level=level,
            at_least=at_least,
            counterfactuals=fillings,
            method=options.method,
            index=options.index or "bii",
            seed=options.seed,
            store=store,
            progress=progress,
        )
    print_found(found, options)


def _cases(file: str, template: str | None) -> list[Any]:
    """The texts, or the slots, of every line that is not empty."""
    cases: list[Any] = []
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            case: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"line {number} of {file} is not JSON ({error}): {line[:60]!r}.") from error
        is_fit = isinstance(case, str) if template is None else isinstance(case, dict)
        if not is_fit:
            what = "a text: give --template for objects of slots" if template is None else "an object of slots"
            raise InputError(f"line {number} of {file} must be {what}, not {line[:60]!r}.")
        if template is not None:
            try:
                template.format(**case)
            except (LookupError, ValueError, TypeError, AttributeError) as error:
                raise InputError(f"line {number} of {file} does not fill the template: {error!r}.") from error
        cases.append(case)
    if not cases:
        raise InputError(f"{file} is empty: give at least one line of JSON.")
    return cases


def _fillings(given: str) -> tuple[str, list[str]]:
    slot, _, words = given.partition("=")
    fillings = [word for word in words.split(",") if word]
    if not slot or len(fillings) < 2:
        raise InputError(f"--counterfactual must be a slot and its fillings, such as who=he,she, not {given!r}.")
    return slot, fillings
