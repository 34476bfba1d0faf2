"""Score prompts by what a language model says after them: log-probabilities, margins, losses of given texts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._game.masks import Values
from interplay._networks.hub import find_model, known_as, load_placed, load_pretrained, model_identity, require_torch
from interplay.models._causal.continuation import Reader, Target
from interplay.models._causal.likelihood import Copies, Likelihood
from interplay.models._causal.response import respond
from interplay.models._causal.target import Per, TargetScore, checked, distinct
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
        A Hugging Face model with a language-modelling head, in evaluation mode.
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
        if getattr(self.model, "get_output_embeddings", lambda: None)() is None:
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
        device: str | Sequence[str] | None = None,
        dtype: str | None = None,
        *,
        chat: bool = False,
        system: str | None = None,
        batch_tokens: int | None = None,
    ) -> CausalLM:
        """The language model in the folder ``path``, or of that name on the hub.

        Parameters
        ----------
        path
            Folder of a saved model, or a hub name.
        device
            "cpu", "cuda", "cuda:1", ...; a GPU where there is one when left out. Of several, such as
            ``["cuda:0", "cuda:1"]``, each gets a copy, to be worked by an executor's threads (see `CausalLM`).
        dtype
            "float32", "bfloat16" or "float16"; as saved when left out.
        chat, system, batch_tokens
            See `CausalLM`.

        Raises
        ------
        InputError
            Where there is no such model, device or dtype, or the model has no language-modelling head.
        MissingExtraError
            Without torch and transformers.
        """
        require_torch()
        import transformers

        found = find_model(path)
        config = load_pretrained(transformers.AutoConfig, found)
        named = [str(name) for name in config.architectures or ()]
        if named and not any(name.endswith(SPEAKS) for name in named):
            raise InputError(
                f"the model in {os.fspath(path)!r} is a {named[0]}, which has no language-modelling head: choose one "
                "saved as ...ForCausalLM or ...ForConditionalGeneration, or use ip.models.Encoder."
            )
        tokenizer = load_pretrained(transformers.AutoTokenizer, found)
        loader = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
        places = [device] if device is None or isinstance(device, str) else list(device)
        if not places:
            raise InputError("device is an empty list: name at least one, such as 'cuda:0'.")
        model, said = load_placed(loader, found, device=places[0], dtype=dtype)
        if said["missing_keys"]:  # they were drawn at random
            raise InputError(
                f"the weights in {os.fspath(path)!r} lack {len(said['missing_keys'])} of the model's, such as "
                f"{min(said['missing_keys'])}: it was saved without its language-modelling head, or in part."
            )
        copies = [load_placed(loader, found, device=place, dtype=dtype)[0] for place in places[1:]]
        return cls(model, tokenizer, chat, system, batch_tokens, tuple(copies))

    @property
    def window(self) -> int | None:
        """How many tokens the model reads; None where nothing limits them."""
        positions = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return None if positions is None else int(positions)

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
        return self._targeted("log-probability", 1.0, target, per, max_tokens)

    def loss(self, target: Target | None = None, *, per: Per | None = None, max_tokens: int = 64) -> Scorer:
        """A scorer of prompts by the cross-entropy (nats) of ``target`` after them: minus `logprob`."""
        return self._targeted("loss", -1.0, target, per, max_tokens)

    def margin(self, right: Target, wrong: Target) -> Scorer:
        """A scorer of prompts by how much the log-probability (nats) of ``right`` exceeds that of ``wrong``."""
        targets = (checked(right), checked(wrong))
        if targets[0] == targets[1]:
            raise InputError(f"the two answers of a margin are both {targets[0]!r}: give two that differ.")
        name = f"log-probability of {self._shown(right)} minus that of {self._shown(wrong)}"
        return self._scorer(TargetScore(self._reader, self._likelihood, targets, (1.0, -1.0)), name)

    def respond(self, prompt: str, *, max_tokens: int = 64) -> str:
        """The model's most likely answer to a prompt, word for word (greedy), up to ``max_tokens`` tokens."""
        return self._reader.decoded(self._response(prompt, max_tokens))

    def _targeted(self, what: str, sign: float, target: Target | None, per: Per | None, longest: int) -> Scorer:
        if per not in (None, "token", "sentence"):
            raise unknown("per", per, ["token", "sentence"])
        if longest < 1:
            raise InputError(f"max_tokens must be at least 1, not {longest}.")
        if target is None:
            return self._scorer(
                _unbound, f"{what} of the model's own response", bind=partial(self._answered, what, sign, per, longest)
            )
        given = checked(target)
        score = TargetScore(self._reader, self._likelihood, (given,), (sign,), per)
        each = f", {per} by {per}" if per else ""
        name = f"{what} of {self._shown(given)}{each}"
        return self._scorer(score, name, bind=partial(self._split, score, name) if per else None)

    def _answered(self, what: str, sign: float, per: Per | None, longest: int, prompt: str) -> Scorer:
        """The scorer of the model's own response to ``prompt``."""
        ids = tuple(self._response(prompt, longest))
        scorer = self._targeted(what, sign, ids, per, longest)
        return scorer if scorer.bind is None else scorer.bind(prompt)

    def _split(self, score: TargetScore, name: str, prompt: str) -> Scorer:
        """The scorer whose outputs are the target's tokens or sentences as they are after ``prompt``."""
        ask = self._reader.asks([prompt], score.targets)[0][0]
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
            **more,
        )

    def _identity(self, score: Any) -> dict[str, Any] | None:
        if not isinstance(score, TargetScore):
            return None
        parts = {"score": "continuation", "targets": score.targets, "signs": score.signs, "per": score.per}
        template = self.tokenizer.chat_template if self.chat else None
        chat = {"chat": self.chat, "system": self.system, "template": template}
        return parts | chat | {"model": model_identity(self.model, self.tokenizer)}

    def _check(self, score: Any, text: str) -> tuple[str, ...]:
        self._reader.asks([text], getattr(score, "targets", ()))
        if getattr(self.tokenizer, "chat_template", None) and not self.chat:
            return (
                "the tokenizer has a chat template, but the prompt is read as plain text: pass chat=True for a chat",
            )
        return ()

    def _token_spans(self, text: str) -> list[tuple[int, int]]:
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return [(int(start), int(end)) for start, end in encoded["offset_mapping"] if end > start]

    def _shown(self, target: Target) -> str:
        return repr(target if isinstance(target, str) else self._reader.decoded(target))

    @cached_property
    def _reader(self) -> Reader:
        config, opening = self.model.config, None
        if config.is_encoder_decoder:
            first = config.decoder_start_token_id
            begins = [config.pad_token_id if first is None else first]
            forced = getattr(self.model.generation_config, "forced_bos_token_id", None)
            opening = tuple(int(token) for token in [*begins, *([] if forced is None else [forced])])
        return Reader(self.tokenizer, opening, self.window, self.chat, self.system)

    @cached_property
    def _likelihood(self) -> Likelihood | Copies:
        if not self.copies:
            return Likelihood(self.model, self.batch_tokens)
        return Copies([Likelihood(model, self.batch_tokens) for model in (self.model, *self.copies)])

    def _response(self, prompt: str, max_tokens: int) -> list[int]:
        return respond(self.model, self.tokenizer, self._reader, prompt, max_tokens)


def _unbound(_texts: Sequence[str]) -> Values:
    raise InputError(
        "this scorer's target is the model's own response to the full prompt, which only a lens knows: pass the scorer "
        "to ip.lenses.text, or lm.respond(prompt) as the target."
    )
