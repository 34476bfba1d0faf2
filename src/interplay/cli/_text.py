"""`interplay text` and `interplay show`: the words of a text, and what was saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from interplay._errors import InputError
from interplay._explain.explanation import load
from interplay.cli._console import say
from interplay.cli._options import Ablate, Budget, Device, Options, Reading
from interplay.cli._shared import print_result, read_text, run
from interplay.cli._units import units


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TextOptions(Options):
    """The options of `text`."""

    budget: Budget = 600


def text(
    file: Annotated[str, Parameter(allow_leading_hyphen=True, help="The text to explain; - reads standard input.")],
    *,
    model: Annotated[str, Parameter(help="Folder or hub name of a Hugging Face encoder.")],
    reference: Annotated[str | None, Parameter(help="Score similarity to this text.")] = None,
    label: Annotated[
        str | None, Parameter(help="Score this label's logit (models with a classification head).")
    ] = None,
    unit: Annotated[
        str,
        Parameter(
            help="word, sentence, paragraph or token; several from coarse to fine, with commas, open those that matter."
        ),
    ] = "word",
    ablate: Ablate = None,
    template: Annotated[str | None, Parameter(help="Surroundings that are never ablated, with {text} inside.")] = None,
    truncate: Annotated[bool, Parameter(negative=(), help="Cut texts longer than the model's window.")] = False,
    device: Device = None,
    options: TextOptions | None = None,
) -> None:
    """Explain an encoder's score of a text by its words, sentences, paragraphs or tokens."""
    from interplay.lenses import text as text_lens
    from interplay.models import Encoder

    options = options or TextOptions()
    options.check(file)
    if (reference is None) == (label is None):
        raise InputError("say what to score: either --reference TEXT or --label NAME, one of the two.")
    content = read_text(file)
    encoder = Encoder.load(model, device=device, truncate=truncate)
    scorer = encoder.similarity(reference) if reference is not None else encoder.label(_label(label))
    game = text_lens(scorer, content, unit=units(unit), ablate=ablate, template=template)
    say(f"scoring    {scorer.name}")
    run(game, options)


def show(
    file: Annotated[Path, Parameter(help="What --save or Explanation.save wrote.")],
    *,
    reading: Reading | None = None,
) -> None:
    """Show a saved explanation."""
    reading = reading or Reading()
    reading.check(file)
    print_result(load(file), reading)


def _label(label: str | None) -> str | int:
    assert label is not None
    return int(label) if label.isdecimal() else label
