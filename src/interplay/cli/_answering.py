"""What a language model's answer is scored by, for the commands that take a prompt or a chat."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from interplay._errors import InputError
from interplay.cli._options import Device
from interplay.models import Scorer

_LONGEST = 64  # tokens of the model's own response


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Answering:
    """A language model, here or on a server, and what of its answer is measured."""

    model: Annotated[str, Parameter(help="Folder or hub name of a language model, a GGUF file, or a server's URL.")]
    target: Annotated[
        str | None,
        Parameter(
            help="Score the log-probability of this text after the prompt; without it, of the model's own response."
        ),
    ] = None
    against: Annotated[str | None, Parameter(help="Score by how much --target exceeds this other answer.")] = None
    exact: Annotated[
        bool, Parameter(negative=(), help="Of a server: score by whether its answer is --target, 1 or 0.")
    ] = False
    similarity: Annotated[
        str | None,
        Parameter(help="Of a server: score by how similar its answer is to --target, as this encoder embeds them."),
    ] = None
    per: Annotated[
        Literal["token", "sentence"] | None, Parameter(help="Explain each token or sentence of the target by itself.")
    ] = None
    system: Annotated[str | None, Parameter(help="The chat's system message.")] = None
    max_tokens: Annotated[int | None, Parameter(help="The longest response, without --target; 64 if left out.")] = None
    name: Annotated[str | None, Parameter(help="The model's name on the server.")] = None
    repeats: Annotated[
        int | None,
        Parameter(help="Of a server: ask each prompt so often, which tells its noise and the R² that it leaves."),
    ] = None
    batches: Annotated[
        str | None,
        Parameter(help="Of a server: ask through its batch end point; this file keeps which batches are under way."),
    ] = None
    device: Device = None
    dtype: Annotated[str | None, Parameter(help="float32, bfloat16 or float16; as saved if left out.")] = None

    @property
    def is_served(self) -> bool:
        """Whether the model is behind a URL."""
        return self.model.lower().startswith(("http://", "https://"))

    def check(self) -> None:
        """Refuse what does not say one thing to score, before a model is loaded or paid for."""
        if self.against is not None and self.target is None:
            raise InputError("--against needs --target: the answer that is to exceed it.")
        if self.against is not None and self.per is not None:
            raise InputError("--against and --per exclude each other: a margin is of whole answers.")
        chosen = {
            "--against": self.against is not None,
            "--exact": self.exact,
            "--similarity": self.similarity is not None,
        }
        given = [option for option, value in chosen.items() if value]
        if len(given) > 1:
            raise InputError(f"{given[0]} and {given[1]} exclude each other: the answer is scored in one way.")
        if self.max_tokens is not None and self.target is not None:
            raise InputError("--max-tokens is for the model's own response: leave it out, or leave out --target.")
        if not self.model.strip():
            raise InputError("--model is empty: give the folder or hub name of a language model, or a server's URL.")
        if self.is_served:
            self._check_served()
            return
        if self.name is not None:
            raise InputError("--name is the model's on a server: leave it out, or give a URL as --model.")
        if self.repeats is not None:
            raise InputError("--repeats is for servers: a model here says the same each time; leave it out.")
        if self.batches is not None:
            raise InputError("--batches is for servers: leave it out, as a model here answers at once.")
        if self.exact or self.similarity is not None:
            raise InputError(f"{given[0]} is for servers: leave it out, as a model here gives log-probabilities.")

    def _check_served(self) -> None:
        if self.name is None:
            raise InputError("a server needs the model's name there: pass --name.")
        if self.target is None:
            raise InputError("a server needs a --target: the answer that is scored.")
        here = {
            "--per": self.per,
            "--device": self.device,
            "--dtype": self.dtype,
            "--max-tokens": self.max_tokens,
        }
        for option, value in here.items():
            if value is not None:
                raise InputError(f"{option} is for models loaded here: leave it out, as {self.model} is a server.")

    def scorer(self, *, chat: bool) -> Scorer:
        """The scorer, its model loaded; a ``chat`` puts a prompt into the model's template."""
        return self._served(chat) if self.is_served else self._local(chat)

    def _local(self, chat: bool) -> Scorer:
        from interplay.models import CausalLM

        loaded = CausalLM.load(self.model, device=self.device, dtype=self.dtype, chat=chat, system=self.system)
        if self.target is not None and self.against is not None:
            return loaded.margin(self.target, self.against)
        longest = _LONGEST if self.max_tokens is None else self.max_tokens
        return loaded.logprob(self.target, per=self.per, max_tokens=longest)

    def _served(self, chat: bool) -> Scorer:
        from interplay.models import Encoder, Server

        assert self.name is not None and self.target is not None  # noqa: PT018 - `check` has seen to it
        server = Server(self.model, self.name, chat=chat, system=self.system, batches=self.batches)
        often = {"repeats": 1 if self.repeats is None else self.repeats}
        if self.exact:
            return server.exact(self.target, **often)
        if self.similarity is not None:
            return server.similarity(self.target, encoder=Encoder.load(self.similarity), **often)
        if server.capabilities.how == "none":
            raise InputError(
                f"the server at {self.model} returns no log-probabilities "
                f"({server.capabilities.reasons.get('top', '')}): score the answer it writes, by --exact or "
                "--similarity ENCODER."
            )
        if self.against is not None:
            return server.margin(self.target, self.against, **often)
        return server.logprob(self.target, **often)
