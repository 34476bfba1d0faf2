"""`interplay heads`: the parts of a network."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from interplay._errors import InputError
from interplay.cli._console import say
from interplay.cli._options import Device, Options
from interplay.cli._shared import read_text, run

if TYPE_CHECKING:
    from interplay.lenses import Select

PARTS = "heads, attention, mlps, layers, neurons, or a module path; several with commas between."
Zoom = Annotated[
    bool, Parameter(negative=(), help="Begin with whole layers, and open those that matter into their parts.")
]


def heads(
    *,
    model: Annotated[str, Parameter(help="Folder or hub name of a Hugging Face model.")],
    inputs: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help="File of lines: for an encoder two texts with a tab between, scored by their similarity; for a "
            "language model a prompt, a tab and a target that continues it, often from a space on, scored by its "
            'log-probability; or lines of JSON, ["prompt", "target"], for prompts of several lines; - reads '
            "standard input.",
        ),
    ],
    parts: Annotated[str, Parameter(help=PARTS)] = "heads",
    layers: Annotated[str | None, Parameter(help="Which layers, such as 0,2,8-11; -1 is the last.")] = None,
    ablate: Annotated[Literal["zero", "mean", "resample"], Parameter(help="What replaces an ablated part.")] = "zero",
    rescale: Annotated[bool, Parameter(negative=(), help="Multiply what is kept by all / kept.")] = False,
    each: Annotated[bool, Parameter(negative=(), help="Explain each line by itself.")] = False,
    keep: Annotated[float, Parameter(help="Probability of keeping each part; of whole layers, 0.9 or so.")] = 0.5,
    zoom: Zoom = False,
    device: Device = None,
    options: Options | None = None,
) -> None:
    """Explain a model's behaviour by its attention heads or other parts, alone and together."""
    from interplay.lenses import components, metrics
    from interplay.models import Encoder, load_network

    options = options or Options()
    options.check(inputs)
    lines, select = pairs_in(inputs), select_parts(parts, layers)
    network = load_network(model, device=device)
    if isinstance(network, Encoder):
        texts: list[Any] = lines
        metric: Any = metrics.similarity()
        say(f"scoring    similarity of {len(lines)} pairs of texts")
    else:
        texts = [prompt for prompt, _ in lines]
        metric = metrics.logprob([target for _, target in lines])
        say(f"scoring    log-probability of the target of {len(lines)} prompts")
    game = components(
        network, select, texts, metric,
        ablate=ablate, rescale=rescale, each=each, seed=options.seed, keep=keep, zoom=zoom,
    )  # fmt: skip
    run(game, options)


def select_parts(parts: str, layers: str | None) -> Select:
    """The parts of kinds or paths, with commas between, or those of kinds in some layers: a module path has none."""
    from interplay.lenses import Select

    kinds = [kind.strip() for kind in parts.split(",")]
    if layers is None:
        return Select.of(kinds)
    where = _numbers(layers)
    try:
        return Select(tuple(choice for kind in kinds for choice in Select.of_kind(kind, where).choices))
    except InputError as error:
        raise InputError(f"--layers goes with a kind of parts, not with a path: {error}") from error


def pairs_in(file: str) -> list[tuple[str, str]]:
    """The two texts of every line that is not empty: with a tab between, or as JSON, which may hold line breaks."""
    lines = [(number, line.rstrip("\r")) for number, line in enumerate(read_text(file).split("\n"), start=1)]
    lines = [(number, line) for number, line in lines if line.strip()]
    if not lines:
        raise InputError(f"{file} is empty: give at least one line of two texts with a tab between.")
    as_json = [_json_pair(line) for _, line in lines]
    named = file.endswith(".jsonl")
    if named or all(as_json):
        missing = next((at for at, pair in enumerate(as_json) if pair is None), None)
        if missing is not None:
            number, line = lines[missing]
            forms = '["prompt", "target"] or {"prompt": ..., "target": ...}'
            raise InputError(f"line {number} of {file} must be {forms}: {line[:60]!r}.")
        return [pair for pair in as_json if pair is not None]
    pairs = []
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != 2 or not all(field.strip() for field in fields):
            raise InputError(f"line {number} of {file} must be two texts with one tab between: {line[:60]!r}.")
        pairs.append((fields[0], fields[1]))
    return pairs


def _json_pair(line: str) -> tuple[str, str] | None:
    """The two texts of a line of JSON, a list or an object; None where it is neither."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict) and found.keys() == {"prompt", "target"}:
        found = [found["prompt"], found["target"]]
    if not isinstance(found, list) or len(found) != 2:
        return None
    first, second = found
    if not (isinstance(first, str) and isinstance(second, str) and first.strip() and second.strip(" ")):
        return None
    return first, second


def _numbers(given: str) -> list[int]:
    """0,2,8-11 as numbers."""
    numbers: list[int] = []
    for piece in given.split(","):
        match = re.fullmatch(r"\s*(-?\d+)(?:-(\d+))?\s*", piece)
        if match is None:
            raise InputError(f"--layers must be numbers and ranges such as 0,2,8-11, not {given!r}.")
        first = int(match[1])
        if match[2] and not 0 <= first <= int(match[2]):
            raise InputError(f"--layers has the range {piece.strip()}, which must go up from the lower layer.")
        numbers += range(first, int(match[2]) + 1) if match[2] else [first]
    return numbers
