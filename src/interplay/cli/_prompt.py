"""`interplay prompt`: what in a prompt makes a language model answer as it does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from interplay._errors import InputError
from interplay._game.game import Game
from interplay.cli._answering import Answering
from interplay.cli._console import say
from interplay.cli._options import Budget, Options
from interplay.cli._shared import read_text, run
from interplay.cli._units import units
from interplay.models import Scorer


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
            '"template" or in --template; a region that is a list, or an object of texts by name, holds documents, '
            "which are the features; - reads either from standard input.",
        ),
    ],
    *,
    answering: Answering,
    template: Annotated[
        str | None,
        Parameter(help="What surrounds the text, with {text} or each region's {name} inside; \\n is a line break."),
    ] = None,
    region: Annotated[
        list[str] | None,
        Parameter(help="Ablate this region only; again for several.", negative=(), consume_multiple=False),
    ] = None,
    unit: Annotated[
        str | None,
        Parameter(
            help="word, sentence, paragraph or token; several from coarse to fine, with commas, open those that "
            "matter (of documents: document,sentence). Sentences, or whole documents, if left out."
        ),
    ] = None,
    ablate: Annotated[
        str, Parameter(help="What an ablated unit becomes: a string, 'delete', 'mend' or 'attention'.")
    ] = "delete",
    form: Annotated[
        str | None, Parameter(help="How each document is written: {text} and, if wanted, {number} and {name}.")
    ] = None,
    chat: Annotated[bool, Parameter(negative=(), help="Put the prompt into the model's chat template.")] = False,
    options: PromptOptions | None = None,
) -> None:
    """Explain what a language model says after a prompt by the prompt's sentences, words, ... or documents."""
    from interplay.lenses import text as text_lens

    answering.check()
    options = options or PromptOptions()
    options.check(file)
    given = _Given.read(read_text(file), file)
    written = given.template if template is None else template.replace("\\n", "\n")
    if given.documents is None and form is not None:
        raise InputError("--form is for documents: give a region as a list, or as an object of texts by name.")
    if given.documents is not None and region not in (None, [given.documents]):
        raise InputError(
            f"of a prompt with documents only these are ablated: leave out --region, or name {given.documents}."
        )
    scorer = answering.scorer(chat=chat)
    if given.documents is not None:
        game = _documents(scorer, given, written, form, unit, ablate)
    else:
        game = text_lens(
            scorer, given.content, unit=units(unit or "sentence"), ablate=ablate, template=written, region=region
        )
    say(f"scoring    {scorer.name}")
    run(game, options)


def _documents(
    scorer: Scorer, given: _Given, template: str | None, form: str | None, unit: str | None, ablate: str
) -> Game:
    """The game of the region that holds documents, the others put into the template."""
    from interplay.lenses import documents as documents_lens

    assert isinstance(given.content, Mapping)
    if template is None and len(given.content) > 1:
        slots = "\\n\\n".join(f"{{{name}}}" for name in given.content)
        raise InputError(f"regions need a template that says where each goes, such as --template '{slots}'.")
    others = dict(given.content)
    passages = others.pop(given.documents or "")
    template = f"{{{given.documents}}}" if template is None else template
    for name in given.content:
        if f"{{{name}}}" not in template:
            raise InputError(f"the template holds no {{{name}}}: {template!r}.")
    slot = re.compile("|".join(re.escape(f"{{{name}}}") for name in given.content))
    filled = slot.sub(lambda found: others.get(found[0][1:-1], "{documents}"), template)
    form = "{text}" if form is None else form
    cut = None if unit is None else units(unit)
    return documents_lens(scorer, passages, template=filled, form=form, unit=cut, ablate=ablate)


@dataclass(frozen=True)
class _Given:
    """A text, or regions by name: with their template, and with the name of the one that holds documents."""

    content: Any
    template: str | None = None
    documents: str | None = None

    @classmethod
    def read(cls, text: str, file: str) -> _Given:
        """From a file that is JSON by its name, or an object of texts piped in."""
        named = file.endswith(".json")
        if not named and not (file == "-" and text.lstrip().startswith("{")):
            return cls(text)
        try:
            parts = json.loads(text)
        except (ValueError, RecursionError) as error:
            if not named:  # a plain text that begins with a brace
                return cls(text)
            raise InputError(f"{file} is not JSON ({error}): name it otherwise if it is a plain text.") from error
        if not isinstance(parts, dict) or not all(isinstance(part, str) or _are_texts(part) for part in parts.values()):
            if not named:
                return cls(text)
            raise InputError(
                f'{file} must hold one object of texts by region, such as {{"context": "...", "question": "..."}}; '
                "one of them may be a list of documents."
            )
        template = parts.pop("template", None)
        piles = [name for name, part in parts.items() if not isinstance(part, str)]
        if template is not None and not isinstance(template, str):
            raise InputError(f'"template" in {file} must be a text, not {template!r}.')
        if len(piles) > 1:
            raise InputError(f"{file} may hold one list of documents, but holds several: {', '.join(piles)}.")
        return cls(parts, template, *piles)


def _are_texts(part: object) -> bool:
    texts = part if isinstance(part, list) else list(part.values()) if isinstance(part, dict) else [None]
    return bool(texts) and all(isinstance(text, str) for text in texts)
