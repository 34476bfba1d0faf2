"""`interplay prompt`: what in a prompt makes a language model answer as it does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from interplay._errors import InputError
from interplay.cli._console import say
from interplay.cli._options import Budget, Device, Options
from interplay.cli._shared import read_text, run

if TYPE_CHECKING:
    from interplay.models import Scorer

_LONGEST = 64  # tokens of the model's own response


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PromptOptions(Options):
    """The options of `prompt`."""

    budget: Budget = 300


def prompt(
    file: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help="The prompt, as text; or JSON (a name in .json), its regions by name, with their template under "
            '"template" or in --template; - reads either from standard input.',
        ),
    ],
    *,
    model: Annotated[str, Parameter(help="Folder or hub name of a language model, or a server's URL.")],
    target: Annotated[
        str | None,
        Parameter(
            help="Score the log-probability of this text after the prompt; without it, of the model's own response."
        ),
    ] = None,
    against: Annotated[str | None, Parameter(help="Score by how much --target exceeds this other answer.")] = None,
    exact: Annotated[
        bool, Parameter(negative=(), help="Of a server: score by whether its answer is --target, 1 or 0.")
    ] = False,
    similarity: Annotated[
        str | None,
        Parameter(help="Of a server: score by how similar its answer is to --target, as this encoder embeds them."),
    ] = None,
    per: Annotated[
        Literal["token", "sentence"] | None, Parameter(help="Explain each token or sentence of the target by itself.")
    ] = None,
    template: Annotated[
        str | None,
        Parameter(help="What surrounds the text, with {text} or each region's {name} inside; \\n is a line break."),
    ] = None,
    region: Annotated[
        list[str] | None,
        Parameter(help="Ablate this region only; again for several.", negative=(), consume_multiple=False),
    ] = None,
    unit: Annotated[str, Parameter(help="word, sentence, paragraph or token.")] = "sentence",
    ablate: Annotated[str, Parameter(help="What an ablated unit becomes: a string, or 'delete'.")] = "delete",
    chat: Annotated[bool, Parameter(negative=(), help="Put the prompt into the model's chat template.")] = False,
    system: Annotated[str | None, Parameter(help="The chat's system message.")] = None,
    max_tokens: Annotated[int | None, Parameter(help="The longest response, without --target; 64 if left out.")] = None,
    name: Annotated[str | None, Parameter(help="The model's name on the server.")] = None,
    device: Device = None,
    dtype: Annotated[str | None, Parameter(help="float32, bfloat16 or float16; as saved if left out.")] = None,
    options: PromptOptions | None = None,
) -> None:
    """Explain what a language model says after a prompt by the prompt's sentences, words, ... or passages."""
    from interplay.lenses import text as text_lens

    if against is not None and target is None:
        raise InputError("--against needs --target: the answer that is to exceed it.")
    if against is not None and per is not None:
        raise InputError("--against and --per exclude each other: a margin is of whole answers.")
    chosen = {"--against": against is not None, "--exact": exact, "--similarity": similarity is not None}
    given = [option for option, value in chosen.items() if value]
    if len(given) > 1:
        raise InputError(f"{given[0]} and {given[1]} exclude each other: the answer is scored in one way.")
    if max_tokens is not None and target is not None:
        raise InputError("--max-tokens is for the model's own response: leave it out, or leave out --target.")
    if not model.strip():
        raise InputError("--model is empty: give the folder or hub name of a language model, or a server's URL.")
    options = options or PromptOptions()
    options.check()
    content, written = _content(read_text(file), file)
    if template is not None:
        written = template.replace("\\n", "\n")
    if model.lower().startswith(("http://", "https://")):
        here = {"--per": per, "--device": device, "--dtype": dtype, "--max-tokens": max_tokens}
        refused = [option for option, value in here.items() if value is not None]
        scorer = _served(model, name, target, against, exact, similarity, chat, system, refused)
    else:
        if name is not None:
            raise InputError("--name is the model's on a server: leave it out, or give a URL as --model.")
        if exact or similarity is not None:
            raise InputError(f"{given[0]} is for servers: leave it out, as a model here gives log-probabilities.")
        scorer = _local(
            model, target, against, per, 64 if max_tokens is None else max_tokens, device, dtype, chat, system
        )
    game = text_lens(scorer, content, unit=unit, ablate=ablate, template=written, region=region)
    say(f"scoring    {scorer.name}")
    run(game, options)


def _content(text: str, file: str) -> tuple[str | Mapping[str, str], str | None]:
    """A text, or regions and their template: from a file that is JSON by its name, or an object of texts piped in."""
    named = file.endswith(".json")
    if not named and not (file == "-" and text.lstrip().startswith("{")):
        return text, None
    try:
        parts = json.loads(text)
    except ValueError as error:
        if not named:  # a plain text that begins with a brace
            return text, None
        raise InputError(f"{file} is not JSON ({error}): name it otherwise if it is a plain text.") from error
    if not isinstance(parts, dict) or not all(isinstance(value, str) for value in parts.values()):
        if not named:
            return text, None
        raise InputError(
            f'{file} must hold one object of texts by region, such as {{"context": "...", "question": "..."}}.'
        )
    template = parts.pop("template", None)
    return parts, template


def _local(
    model: str,
    target: str | None,
    against: str | None,
    per: Literal["token", "sentence"] | None,
    max_tokens: int,
    device: str | None,
    dtype: str | None,
    chat: bool,
    system: str | None,
) -> Scorer:
    from interplay.models import CausalLM

    loaded = CausalLM.load(model, device=device, dtype=dtype, chat=chat, system=system)
    if target is not None and against is not None:
        return loaded.margin(target, against)
    return loaded.logprob(target, per=per, max_tokens=max_tokens)


def _served(
    url: str,
    name: str | None,
    target: str | None,
    against: str | None,
    exact: bool,
    similarity: str | None,
    chat: bool,
    system: str | None,
    refused: list[str],
) -> Scorer:
    from interplay.models import Encoder, Server

    if name is None:
        raise InputError("a server needs the model's name there: pass --name.")
    if target is None:
        raise InputError("a server needs a --target: the answer that is scored.")
    if refused:
        raise InputError(f"{refused[0]} is for models loaded here: leave it out, as {url} is a server.")
    server = Server(url, name, chat=chat, system=system)
    if exact:
        return server.exact(target)
    if similarity is not None:
        return server.similarity(target, encoder=Encoder.load(similarity))
    if server.capabilities.how == "none":
        raise InputError(
            f"the server at {url} returns no log-probabilities ({server.capabilities.reasons.get('top', '')}): score "
            "the answer it writes, by --exact or --similarity ENCODER."
        )
    return server.logprob(target) if against is None else server.margin(target, against)
