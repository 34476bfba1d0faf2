"""A prompt and what follows it, as the tokens that a language model sees."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

from interplay._checks import check_unicode
from interplay._errors import InputError
from interplay._networks.behaviour import opening_of, window_of
from interplay._networks.conversation import Conversation, in_words
from interplay._networks.hidden import Hidden

Target: TypeAlias = str | Sequence[int]
"""What the model is to say: a text, or token ids that are put after the prompt's as they are."""


@dataclass(frozen=True)
class Ask:
    """The log-probability of each of ``ids[start:]``, given all tokens before it.

    ``source`` is what an encoder reads, where there is one; ``ids`` are then the decoder's. ``hidden`` are positions of
    ``ids`` that no other token attends to.
    """

    ids: tuple[int, ...]
    start: int
    source: tuple[int, ...] | None = None
    hidden: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Reader:
    """Turns prompts and targets into tokens, as the model met them in training and meets them in generation.

    Parameters
    ----------
    tokenizer
        A Hugging Face tokenizer.
    opening
        What an encoder-decoder's decoder begins with; None for a decoder alone.
    window
        How many tokens the model takes; None where nothing limits them.
    chat
        Whether a prompt is a user's message in the tokenizer's chat template.
    system
        The system message of the chat.
    """

    tokenizer: Any = field(repr=False)
    opening: tuple[int, ...] | None
    window: int | None
    chat: bool = False
    system: str | None = None

    @classmethod
    def of(cls, model: Any, tokenizer: Any, *, chat: bool = False, system: str | None = None) -> Reader:
        """The reader for a Hugging Face model with a language-modelling head."""
        return cls(tokenizer, opening_of(model), window_of(model), chat, system)

    def rendered(self, prompt: str) -> str:
        """The text that the model reads for a prompt."""
        check_unicode([prompt])
        if isinstance(prompt, Hidden):
            return self.rendered(prompt.whole)
        if not self.chat:
            if isinstance(prompt, Conversation):
                raise InputError("a conversation is for a chat model: load it with chat=True.")
            return prompt
        spoken = prompt if isinstance(prompt, Conversation) else Conversation([{"role": "user", "content": prompt}])
        first = [] if self.system is None else [{"role": "system", "content": self.system}]
        ending = {"continue_final_message": True} if spoken.is_begun else {"add_generation_prompt": True}
        tools = {"tools": list(spoken.tools)} if spoken.tools else {}
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    [*first, *map(in_words, spoken.messages)], tokenize=False, **ending, **tools, **spoken.options
                )
            )
        except Exception as error:  # templates raise whatever their authors and Jinja choose
            words = " ".join(str(error).split())
            raise InputError(f"the tokenizer's chat template refuses these messages: {words}.") from error

    def prompt(self, text: str) -> list[int]:
        """The token ids that the model (or its encoder) reads for a prompt; never none at all."""
        lead, ids = self._prompts([self.rendered(text)])[0]
        return [*lead, *ids]

    def asks(self, texts: Sequence[str], targets: Sequence[Target]) -> list[list[Ask]]:
        """For each text, the asks that measure each target after it.

        Raises
        ------
        InputError
            For a target without tokens or that starts inside a token, and a prompt that with its target exceeds
            the model's window.
        """
        if not texts:
            return []
        rendered = [self.rendered(text) for text in texts]
        prompts = self._prompts(rendered)
        columns = [self._column(rendered, prompts, [target] * len(texts)) for target in targets]
        if any(isinstance(text, Hidden) and text.spans for text in texts):
            columns = [
                [self._with_hidden(*one, target) for one in zip(texts, rendered, column, strict=True)]
                for target, column in zip(targets, columns, strict=True)
            ]
        return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in texts]

    def _with_hidden(self, text: str, rendered: str, ask: Ask, target: Target) -> Ask:
        """The ask in which the tokens of what a text hides are hidden."""
        if not isinstance(text, Hidden) or not text.spans:
            return ask
        if ask.source is not None or not getattr(self.tokenizer, "is_fast", False):
            raise InputError(
                "words are hidden from attention only in a decoder whose tokenizer tells where its tokens lie: choose "
                "another ablate."
            )
        shift = rendered.find(text.whole)
        if shift < 0:
            raise InputError(
                "the chat template changes the text that it is given (blanks at its ends, often), so that the places "
                "of words are not known: strip it, or choose another ablate."
            )
        joint = rendered + (target if isinstance(target, str) else "")
        encoded = self.tokenizer(joint, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        lead = (len(ask.ids) if isinstance(target, str) else ask.start) - len(encoded["input_ids"])
        places = text.places(encoded["offset_mapping"], shift)
        return replace(ask, hidden=tuple(lead + place for place in places if lead + place < ask.start))

    def each(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Ask]:
        """The asks that measure each text's own target after it; errors as of `asks`."""
        rendered = [self.rendered(text) for text in texts]
        return self._column(rendered, self._prompts(rendered), targets)

    @property
    def rendering(self) -> str | None:
        """What the chat template makes of a prompt today, some print the date: part of what is measured."""
        return self.rendered("{prompt}") if self.chat else None

    def _prompts(self, rendered: list[str]) -> list[tuple[list[int], list[int]]]:
        """For each text the special tokens before it, and its own."""
        if self.opening is not None:  # an encoder reads all the special tokens that it was trained with
            return [([], list(ids)) for ids in self.tokenizer(rendered, verbose=False)["input_ids"]]
        return [(self._leading or ([] if ids else self._nothing()), ids) for ids in self._plain(rendered)]

    def _column(
        self, rendered: list[str], prompts: list[tuple[list[int], list[int]]], targets: Sequence[Target]
    ) -> list[Ask]:
        """One ask a text, each of its own target."""
        check_unicode(target for target in targets if isinstance(target, str))
        if self.opening is not None:
            said = [self._target_ids(target) for target in targets]
            column = [
                Ask((*self.opening, *ids), len(self.opening), tuple(source))
                for ids, (_, source) in zip(said, prompts, strict=True)
            ]
        else:
            joint = self._plain(
                [
                    text + (target if isinstance(target, str) else "")
                    for text, target in zip(rendered, targets, strict=True)
                ]
            )
            column = [self._joined(*one) for one in zip(rendered, prompts, targets, joint, strict=True)]
        self._check_window(column)
        return column

    def _joined(self, text: str, prompt: tuple[list[int], list[int]], target: Target, both: list[int]) -> Ask:
        """The ask of a target behind a prompt in one sequence; a text's tokens are those of the joint text."""
        lead, ids = prompt
        if not isinstance(target, str):
            return Ask((*lead, *ids, *target), len(lead) + len(ids))
        start = len(ids) if both[: len(ids)] == ids else self._boundary(text, target)
        if start >= len(both):
            raise InputError(f"the target {target!r} has no tokens: pass what the model could say.")
        return Ask((*lead, *both), len(lead) + start)

    def _target_ids(self, target: Target) -> Sequence[int]:
        if not isinstance(target, str):
            return target
        ids: list[int] = self.tokenizer(text_target=target, add_special_tokens=False, verbose=False)["input_ids"]
        if not ids:
            raise InputError(f"the target {target!r} has no tokens: pass what the model could say.")
        return ids

    def _boundary(self, prompt: str, target: str) -> int:
        """Which token of the joint text is the target's first, where the prompt alone is split differently."""
        words = f"the target {target!r} starts inside a token"
        if getattr(self.tokenizer, "is_fast", False):
            encoded = self.tokenizer(
                prompt + target, add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )
            offsets = encoded["offset_mapping"]
            for position in range(1, len(offsets)):
                if offsets[position - 1][1] == len(prompt) == offsets[position][0]:
                    return position
            inside = [(a, b) for a, b in offsets if a < len(prompt) < b] or [(len(prompt) - 1, len(prompt) + 1)]
            words += f", {(prompt + target)[slice(*inside[0])]!r}"
        raise InputError(
            f"{words}, when it follows the prompt that ends in {prompt[-20:]!r}: give both whole tokens; often a space "
            "belongs to the beginning of the target and not to the end of the prompt."
        )

    def _check_window(self, asks: Sequence[Ask]) -> None:
        if self.window is None:
            return
        for ask in asks:
            if ask.source is not None and len(ask.source) > self.window:
                raise InputError(
                    f"the prompt has {len(ask.source)} tokens, but the model's window is {self.window}: shorten it."
                )
            if len(ask.ids) - 1 > self.window:  # the last token is predicted, never read
                raise InputError(
                    f"the prompt has {ask.start} tokens and the target {len(ask.ids) - ask.start}, but the model's "
                    f"window is {self.window}: shorten the prompt."
                )

    def _plain(self, texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    @cached_property
    def _leading(self) -> list[int]:
        """The special tokens that the tokenizer puts before a text; a chat template writes its own."""
        if self.chat:
            return []
        plain, special = self._plain(["a"])[0], self.tokenizer("a", verbose=False)["input_ids"]
        for start in range(len(special) - len(plain) + 1):
            if special[start : start + len(plain)] == plain:
                return list(special[:start])
        return []

    def _nothing(self) -> list[int]:
        """What stands for a prompt of no tokens: the token of a text's beginning or, as in GPT-2, of its end."""
        for name in ("bos_token_id", "eos_token_id"):
            token = getattr(self.tokenizer, name, None)
            if token is not None:
                return [int(token)]
        raise InputError(
            "a prompt has no tokens, and this tokenizer has none that begins a text: keep some of the prompt in place "
            "with template=."
        )

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What each token adds to the text."""
        ends = self._ends(ids)
        text = self.decoded(ids)
        return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]

    def groups(self, ids: Sequence[int], text: str, ends: Sequence[int]) -> list[int]:
        """For each token of a text the number of the span, by where spans end, that holds its last character."""
        found = self._ends(ids)
        shift = len(text) - found[-1]  # some tokenizers' texts lose the space that they begin with
        return [min(bisect_left(ends, end + shift), len(ends) - 1) for end in found]

    def decoded(self, ids: Sequence[int]) -> str:
        """The text of token ids, special ones included."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _ends(self, ids: Sequence[int]) -> list[int]:
        # Decoded from the first token on, because a character may take several tokens.
        return [len(self.decoded(ids[: count + 1])) for count in range(len(ids))]
