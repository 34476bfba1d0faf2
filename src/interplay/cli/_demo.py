"""`interplay demo`: real models in their wheels, explained without a download."""

from __future__ import annotations

from dataclasses import dataclass

from cyclopts import App, Parameter

from interplay.cli._console import say
from interplay.cli._options import Budget, Options
from interplay.cli._shared import run

demo = App(name="demo", help="Explain a real model from its wheel: words of a review, attention heads, or a prompt.")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PromptDemoOptions(Options):
    """The options of `demo prompt`."""

    budget: Budget = 64


@demo.command
@demo.default
def words(*, options: Options | None = None) -> None:
    """Explain how a transformer (MiniLM) reads a film review, word by word."""
    from interplay._demo import QUERY, REVIEW, demo_model
    from interplay.lenses import text
    from interplay.models import Encoder

    options = options or Options()
    options.check()
    game = text(Encoder.load(demo_model()).similarity(QUERY), REVIEW, unit="word")
    say(f"review     {REVIEW}\nquestion   which words make MiniLM find this praise similar to {QUERY!r}?")
    run(game, options)


@demo.command
def heads(*, options: Options | None = None) -> None:
    """Explain which attention heads of MiniLM find sentences similar that mean the same."""
    from interplay._demo import PAIRS, demo_model
    from interplay.lenses import heads as heads_lens
    from interplay.lenses import metrics
    from interplay.models import Encoder

    options = options or Options()
    options.check()
    game = heads_lens(Encoder.load(demo_model()), PAIRS, metrics.similarity())
    say(f"pairs      {len(PAIRS)} of sentences that mean the same, such as {PAIRS[0]}")
    say("question   which attention heads make MiniLM find them similar, alone and together?")
    run(game, options)


@demo.command
def prompt(*, options: PromptDemoOptions | None = None) -> None:
    """Explain a chat model's (SmolLM2) own answer by the eight passages it was given, and check what it cites."""
    from interplay._demo import PASSAGES, PROMPT, QUESTION, demo_model
    from interplay.lenses import documents
    from interplay.models import CausalLM
    from interplay.report import citations

    options = options or PromptDemoOptions()
    options.check()
    lm = CausalLM.load(demo_model("chat"), chat=True)
    game = documents(lm.logprob(per="sentence"), PASSAGES, form="[{number}] {text}", template=PROMPT)
    said = " ".join(map(str, game.outputs or ()))
    say(f"question   {QUESTION}\nanswer     {said}")
    explanation = run(game, options)
    for one in citations(explanation):
        say(f"cites      {_numbers(one.cited)}; driven by {_numbers(one.drove)}: {one.output}")


def _numbers(documents: tuple[int, ...]) -> str:
    return ", ".join(f"[{one + 1}]" for one in documents) or "no passage"
