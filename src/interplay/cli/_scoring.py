"""What a text is scored by, for the commands that act on texts."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from interplay._errors import InputError
from interplay.cli._options import Device
from interplay.models import Scorer


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Scoring:
    """A model, and what of it is measured."""

    model: Annotated[
        str, Parameter(help="Folder or hub name of a Hugging Face encoder or language model, or a GGUF file.")
    ]
    reference: Annotated[str | None, Parameter(help="Encoders: score similarity to this text.")] = None
    label: Annotated[str | None, Parameter(help="Classifiers: score this label's logit.")] = None
    target: Annotated[
        str | None,
        Parameter(allow_leading_hyphen=True, help="Language models: score the log-probability of this continuation."),
    ] = None
    against: Annotated[
        str | None, Parameter(allow_leading_hyphen=True, help="With --target: minus that of this continuation.")
    ] = None
    chat: Annotated[
        bool, Parameter(negative=(), help="Language models: put the text into the model's chat template.")
    ] = False
    device: Device = None

    def check(self) -> None:
        """Refuse what does not say one thing to score, before a model is loaded."""
        given = [name for name in ("reference", "label", "target") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError("say what to score: --reference TEXT, --label NAME or --target TEXT, one of the three.")
        for option, is_given in (("--against", self.against is not None), ("--chat", self.chat)):
            if is_given and self.target is None:
                raise InputError(f"{option} goes with --target, a language model's continuation: give it, too.")

    def scorer(self) -> Scorer:
        """The scorer, its model loaded."""
        from interplay.models import CausalLM, Encoder, load_network

        network = load_network(self.model, device=self.device)
        if isinstance(network, Encoder):
            if self.reference is not None:
                return network.similarity(self.reference)
            if self.label is not None:
                return network.label(int(self.label) if self.label.isdecimal() else self.label)
            raise InputError(f"{self.model} is an encoder, which continues no text: use --reference or --label.")
        if self.target is None:
            raise InputError(f"{self.model} is a language model: say which continuation to score with --target.")
        lm = CausalLM(network.model, network.tokenizer, chat=self.chat)
        return lm.logprob(self.target) if self.against is None else lm.margin(self.target, self.against)
