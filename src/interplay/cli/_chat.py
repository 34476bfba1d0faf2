"""`interplay chat`: which messages of a conversation make a language model answer as it does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from interplay._errors import InputError
from interplay.cli._answering import Answering
from interplay.cli._console import say
from interplay.cli._options import Budget, Options
from interplay.cli._shared import read_text, run


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ChatOptions(Options):
    """The options of `chat`."""

    budget: Budget = 300


def chat(
    file: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help="JSON: a list of messages, or a chat request of which messages, tools and chat_template_kwargs are "
            "read; - reads standard input.",
        ),
    ],
    *,
    answering: Answering,
    region: Annotated[
        list[str] | None,
        Parameter(
            help="Ablate these messages only: a role, tools, or a message's number from 0; again for several.",
            negative=(),
            consume_multiple=False,
        ),
    ] = None,
    unit: Annotated[
        Literal["turn", "message", "word", "sentence", "paragraph", "token"],
        Parameter(help="Whole turns or messages, or units inside them."),
    ] = "turn",
    ablate: Annotated[str, Parameter(help="What a unit inside a message becomes: a string, or 'delete'.")] = "delete",
    options: ChatOptions | None = None,
) -> None:
    """Explain what a chat model answers by the conversation's turns, messages, tools, or the words in them."""
    from interplay.lenses import chat as chat_lens

    answering.check()
    options = options or ChatOptions()
    options.check(file)
    request = _request(read_text(file), file)
    scorer = answering.scorer(chat=True)
    game = chat_lens(
        scorer,
        request["messages"],
        tools=request.get("tools") or (),
        options=request.get("chat_template_kwargs"),
        region=None if region is None else [int(one) if one.isdecimal() else one for one in region],
        unit=unit,
        ablate=ablate,
    )
    say(f"scoring    {scorer.name}")
    run(game, options)


def _request(text: str, file: str) -> dict[str, Any]:
    """Messages, alone or as a request holds them."""
    shown = "standard input" if file == "-" else file
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown} is not JSON ({error}): give a list of messages with role and content.") from error
    request = {"messages": given} if isinstance(given, list) else given
    if not isinstance(request, dict) or not isinstance(request.get("messages"), list):
        raise InputError(f'{shown} must hold a list of messages, or an object with "messages".')
    return request
