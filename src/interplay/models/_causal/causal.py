"""Score prompts by what a language model says after them: log-probabilities, margins, losses of given texts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._game.masks import Values
from interplay._networks.behaviour import head_of, unwrapped, window_of
from interplay._networks.continuation import Reader, Target
from interplay._networks.hub import Source, known_as
from interplay._networks.identity import model_identity
from interplay._networks.readout import LOGPROB, LOSS, MARGIN, Readout
from interplay.models._answer_book import Answer
from interplay.models._causal.choice import ChoiceScore, Scale
from interplay.models._causal.doubts import notes_on_target
from interplay.models._causal.likelihood import Copies, Likelihood
from interplay.models._causal.response import respond
from interplay.models._causal.target import Per, TargetScore, checked, checked_pair, distinct
from interplay.models._causal.writing import check_writing, write
from interplay.models._network import SPEAKS
from interplay.models._scorer import Scorer


@dataclass(frozen=True, eq=False)
class CausalLM:
    """A language model: a decoder such as Llama or GPT-2, a state-space model, or an encoder-decoder such as T5.

    Values are those of one prompt at a time, whatever is computed together: within 1e-4 in float32.

    >>> lm = ip.models.CausalLM.load("Qwen/Qwen2.5-0.5B-Instruct", chat=True)        # doctest: +SKIP
    >>> prompt = {"context": "Ann is in Rome. ...", "question": "Where is Ann?"}
    >>> game = ip.lenses.text(                                                       # doctest: +SKIP
    ...     lm.margin("Rome", "Paris"), prompt, template="{context}\\n\\n{question}", region="context", unit="sentence")

    Parameters
    ----------
    model
        A Hugging Face model with a language-modelling head, with or without PEFT's adapters, compiled or not. It is
        read in evaluation mode, as it is at each call, and left as it was.
    tokenizer
        Its tokenizer; it needs no padding token.
    chat
        Whether a prompt is a user's message in the tokenizer's chat template, answered by the model; otherwise the
        model goes on where the prompt ends.
    system
        The chat's system message.
    batch_tokens
        The most tokens of a forward pass; found while running, and halved when memory runs out, when left out.
    copies
        The same model on other devices. As many threads as there are devices are then answered side by side:
        ``ip.explain(..., executor=ThreadPoolExecutor(2))``.

    Raises
    ------
    InputError
        For a model without a language-modelling head, or a chat without a template.
    """

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    chat: bool = False
    system: str | None = None
    batch_tokens: int | None = None
    copies: tuple[Any, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", unwrapped(self.model))
        object.__setattr__(self, "copies", tuple(map(unwrapped, self.copies)))
        if head_of(self.model) is None:
            raise InputError(
                f"{type(self.model).__name__} has no language-modelling head: load a model saved as ...ForCausalLM or "
                "...ForConditionalGeneration, or use ip.models.Encoder."
            )
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise InputError(f"batch_tokens must be at least 1, not {self.batch_tokens}.")
        if self.chat and not getattr(self.tokenizer, "chat_template", None):
            raise InputError("this tokenizer has no chat template: leave out chat=True, and write the prompt in full.")
        if self.system is not None and not self.chat:
            raise InputError("a system message needs chat=True: without it, write it into the prompt.")

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str | Sequence[str] | None = None,
        dtype: str | None = None,
        device_map: Any = None,
        quantization: Any = None,
        trust_remote_code: bool = False,
        chat: bool = False,
        system: str | None = None,
        batch_tokens: int | None = None,
    ) -> CausalLM:
        """The language model in the folder ``path``, in a GGUF file, or of that name on the hub.

        Parameters
        ----------
        path
            Folder of a saved model, a GGUF file (llama.cpp's) or a folder that holds one, or a hub name. Weights of a
            GGUF file become plain numbers, of 32 bits if ``dtype`` is left out.
        device
            "cpu", "cuda", "cuda:1", ...; a GPU where there is one when left out. Of several, such as
            ``["cuda:0", "cuda:1"]``, each gets a copy, to be worked by an executor's threads (see `CausalLM`).
        dtype
            "float32", "bfloat16" or "float16"; as saved when left out.
        device_map
            How to spread one model over several devices, as transformers takes it: "auto", or devices by module.
        quantization
            "8bit" or "4bit" (bitsandbytes, on a GPU), or a quantization configuration of transformers.
        trust_remote_code
            Whether to run Python files that come with the model.
        chat, system, batch_tokens
            See `CausalLM`.

        Raises
        ------
        InputError
            Where there is no such model, device or dtype, or the model has no language-modelling head.
        MissingExtraError
            Without torch and transformers, or a package that an option needs.
        """
        source = Source.find(path, trust_remote_code=trust_remote_code)
        import transformers

        with source.opened():
            config = source.config()
            named = [str(name) for name in config.architectures or ()]
            if named and not any(name.endswith(SPEAKS) for name in named):
                raise InputError(
                    f"the model in {os.fspath(path)!r} is a {named[0]}, which has no language-modelling head: choose "
                    "one saved as ...ForCausalLM or ...ForConditionalGeneration, or use ip.models.Encoder."
                )
            loader = (
                transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
            )
            places = [device] if device is None or isinstance(device, str) else list(device)
            if not places:
                raise InputError("device is an empty list: name at least one, such as 'cuda:0'.")
            first, *others = (
                source.model(
                    loader, config=config, device=place, dtype=dtype, device_map=device_map, quantization=quantization
                )
                for place in places
            )
            tokenizer = source.tokenizer()
        return cls(first, tokenizer, chat, system, batch_tokens, tuple(others))

    @property
    def window(self) -> int | None:
        """How many tokens the model reads; None where nothing limits them."""
        return window_of(self.model)

    def logprob(self, target: Target | None = None, *, per: Per | None = None, max_tokens: int = 64) -> Scorer:
        """A scorer of prompts by the log-probability (nats) of ``target`` after them, summed over its tokens.

        Parameters
        ----------
        target
            A text, joined to the prompt as it is: give the space that goes between. Or token ids. Left out, it is
            the model's own response to the full prompt, found when a lens makes a game of the scorer.
        per
            "token" or "sentence": one output for each of the target's, from the same ablations.
        max_tokens
            The longest response, where the target is left out.

        Raises
        ------
        InputError
            For an empty target; when scoring, for one that starts inside a token of the joint text, or a prompt
            beyond the model's window.
        """
        return self._targeted("log-probability", LOGPROB, target, per, max_tokens)

    def loss(self, target: Target | None = None, *, per: Per | None = None, max_tokens: int = 64) -> Scorer:
        """A scorer of prompts by the cross-entropy (nats) of ``target`` after them: minus `logprob`, a sum as well."""
        return self._targeted("loss", LOSS, target, per, max_tokens)

    def margin(self, a: Target, b: Target) -> Scorer:
        """A scorer of prompts by how much the log-probability (nats) of ``a`` exceeds that of ``b``."""
        targets = checked_pair(a, b)
        name = f"log-probability of {self._shown(targets[0])} minus that of {self._shown(targets[1])}"
        return self._scorer(TargetScore(self.reader, self._likelihood, targets, MARGIN), name)

    def choice(self, answers: Mapping[str, Sequence[str] | str], *, scale: Scale = "log-odds") -> Scorer:
        """A scorer of prompts by which of some answers the model chooses, as a classifier would.

        >>> lm.choice({"yes": ["yes", "Yes", " yes"], "no": ["no", "No", " no"]})     # doctest: +SKIP

        Parameters
        ----------
        answers
            The texts by which each answer may be written, by its name; their probabilities are added up.
        scale
            "log-odds" (nats) of each answer against the others, or its "probability" among them. Of two answers there
            is one value, the first one's; of more, one output each.

        Raises
        ------
        InputError
            For fewer than two answers, an empty one, or a text that begins with another and would be counted twice.
        """
        score = ChoiceScore.of(self.reader, self._likelihood, answers, scale)
        return self._scorer(score, score.name, outputs=score.outputs)

    def respond(self, prompt: str, *, max_tokens: int = 64) -> str:
        """The model's most likely answer to a prompt, word for word (greedy), up to ``max_tokens`` tokens."""
        return self.reader.decoded(self._response(prompt, max_tokens))

    def write(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        samples: int = 1,
        seeds: Sequence[int] = (),
    ) -> list[tuple[Answer, ...]]:
        """The model's answers to each prompt: the likeliest one, or ``samples`` drawn at a ``temperature``.

        Parameters
        ----------
        seeds
            Of the draws, one for each prompt; its number when left out.
        """
        check_writing(max_tokens, temperature, samples)
        how: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "samples": samples}
        how["seeds"] = list(seeds) or list(range(len(prompts)))
        found = write(self.model, self.tokenizer, self.reader, list(prompts), **how)
        return [tuple(Answer(self.reader.decoded(ids), tuple(ids)) for ids in one) for one in found]

    def known(self) -> dict[str, Any] | None:
        """What identifies the model by content, with its chat template's rendering; None where nothing can."""
        known = model_identity(self.model, self.tokenizer)
        # The rendering, and not the template: some templates print the date.
        return None if known is None else {"chat": self.reader.rendering, "model": known}

    @property
    def name(self) -> str:
        """What a reader calls the model."""
        return known_as(self.model)

    def _targeted(self, what: str, readout: Readout, target: Target | None, per: Per | None, longest: int) -> Scorer:
        if per not in (None, "token", "sentence"):
            raise unknown("per", per, ["token", "sentence"])
        if longest < 1:
            raise InputError(f"max_tokens must be at least 1, not {longest}.")
        if target is None:
            return self._scorer(
                _unbound,
                f"{what} of the model's own response",
                bind=partial(self._answered, what, readout, per, longest),
            )
        given = checked(target)
        score = TargetScore(self.reader, self._likelihood, (given,), readout, per)
        each = f", {per} by {per}" if per else ""
        name = f"{what} of {self._shown(given)}{each}"
        return self._scorer(score, name, bind=partial(self._split, score, name) if per else None)

    def _answered(self, what: str, readout: Readout, per: Per | None, longest: int, prompt: str) -> Scorer:
        """The scorer of the model's own response to ``prompt``."""
        ids = tuple(self._response(prompt, longest))
        scorer = self._targeted(what, readout, ids, per, longest)
        return scorer if scorer.bind is None else scorer.bind(prompt)

    def _split(self, score: TargetScore, name: str, prompt: str) -> Scorer:
        """The scorer whose outputs are the target's tokens or sentences as they are after ``prompt``."""
        ask = self.reader.asks([prompt], score.targets)[0][0]
        outputs = distinct(score.outputs(ask.ids[ask.start :]))
        return self._scorer(score, name, outputs=tuple(outputs))

    def _scorer(self, score: Any, name: str, **more: Any) -> Scorer:
        fast = getattr(self.tokenizer, "is_fast", False)
        return Scorer(
            score,
            name,
            identity=partial(self._identity, score),
            token_spans=self._token_spans if fast else None,
            mask_token=getattr(self.tokenizer, "mask_token", None),
            special_tokens=frozenset(self.tokenizer.all_special_tokens),
            check=partial(self._check, score),
            model=known_as(self.model),
            hides=self.reader.opening is None and fast,
            **more,
        )

    def _identity(self, score: Any) -> dict[str, Any] | None:
        if not isinstance(score, (TargetScore, ChoiceScore)):
            return None
        known = self.known()
        return None if known is None else score.identity() | known

    def _check(self, score: Any, text: str) -> tuple[str, ...]:
        (asks,) = self.reader.asks([text], getattr(score, "targets", ()))
        if isinstance(score, ChoiceScore):  # of whose ways to be written most may well be unlikely
            notes = score.notes(text)
        else:
            notes = tuple(notes_on_target(self.model, self.reader, asks))
        if getattr(self.tokenizer, "chat_template", None) and not self.chat:
            return (
                *notes,
                "the tokenizer has a chat template, but the prompt is read as plain text: pass chat=True for a chat",
            )
        return notes

    def _token_spans(self, text: str) -> list[tuple[int, int]]:
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return [(int(start), int(end)) for start, end in encoded["offset_mapping"] if end > start]

    def _shown(self, target: Target) -> str:
        return repr(target if isinstance(target, str) else self.reader.decoded(target))

    @cached_property
    def reader(self) -> Reader:
        """How prompts and targets become tokens, chat template and system message included."""
        return Reader.of(self.model, self.tokenizer, chat=self.chat, system=self.system)

    @cached_property
    def _likelihood(self) -> Likelihood | Copies:
        if not self.copies:
            return Likelihood(self.model, self.batch_tokens)
        return Copies([Likelihood(model, self.batch_tokens) for model in (self.model, *self.copies)])

    def _response(self, prompt: str, max_tokens: int) -> list[int]:
        return respond(self.model, self.tokenizer, self.reader, prompt, max_tokens)


def _unbound(_texts: Sequence[str]) -> Values:
    raise InputError(
        "this scorer's target is the model's own response to the full prompt, which only a lens knows: pass the scorer "
        "to ip.lenses.text, or lm.respond(prompt) as the target."
    )
