"""Read the answers of OpenAI-style servers, whose log-probabilities come in two shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from interplay._errors import AblationError


class ShapeError(AblationError):
    """An answer that holds no such thing, or not where OpenAI's API has it."""


@dataclass(frozen=True)
class Token:
    """A token as a server reports it: its text, log-probability (natural), bytes and id where these are told."""

    text: str
    logprob: float
    raw: bytes | None = None
    id: int | None = None

    def is_text(self, text: str) -> bool:
        """Whether this token is ``text``, by its bytes where they are known."""
        return self.is_text_of(text.encode())

    def is_text_of(self, raw: bytes) -> bool:
        """Whether this token is made of these bytes."""
        return (self.text.encode() if self.raw is None else self.raw) == raw


def first_token(answer: dict[str, Any]) -> tuple[Token, tuple[Token, ...]]:
    """The first token of an answer, and the likeliest ones in its place, best first."""
    found = _choice(answer).get("logprobs")
    if not isinstance(found, dict):
        raise ShapeError("the server's answer holds no log-probabilities.")
    try:
        if found.get("content"):  # the shape of /chat/completions, and of llama.cpp everywhere
            first = found["content"][0]
            return _token(first), _ranked([_token(entry) for entry in first.get("top_logprobs") or ()])
        tops = (found.get("top_logprobs") or [None])[0] or {}
        chosen = Token(found["tokens"][0], _logprob(found["token_logprobs"][0]))
        return chosen, _ranked([Token(text, _logprob(value)) for text, value in tops.items()])
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ShapeError("the server's log-probabilities have another shape than OpenAI's API.") from error


def has_logprobs(answer: dict[str, Any]) -> bool:
    """Whether an answer comes with log-probabilities at all."""
    return isinstance(_choice(answer).get("logprobs"), dict)


def echoed(answer: dict[str, Any], text: str) -> tuple[list[tuple[str, float | None]], Token | None]:
    """The tokens of the prompt ``text`` as a server that echoes reports them, each with its log-probability.

    Besides, the token that the model itself said next, where it is told.

    The very first has none, as nothing comes before it. ``text_offset`` is not read: some servers count the
    beginning token into it, which is not part of the text.

    Raises
    ------
    ShapeError
        Where the answer does not begin with the whole text, or lacks log-probabilities of it.
    """
    choice = _choice(answer)
    found = choice.get("logprobs")
    if not str(choice.get("text", "")).startswith(text):
        raise ShapeError("the server does not echo the prompt.")
    try:
        rows = list(zip(found["tokens"], found["token_logprobs"], strict=True))  # type: ignore[index]
        count = prompt_tokens(answer)
        inside = rows[: len(rows) - 1 if count is None else count]  # what follows is the model's own token
        read = [(str(token), None if value is None else _logprob(value)) for token, value in inside]
        after = [Token(str(token), _logprob(value)) for token, value in rows[len(inside) :] if value is not None]
    except (KeyError, TypeError, ValueError) as error:
        raise ShapeError("the server echoes the prompt, but without log-probabilities of its tokens.") from error
    if len(read) < 2 or any(value is None for _, value in read[1:]):
        raise ShapeError("the server echoes the prompt, but without log-probabilities of its tokens.")
    if not any(value for _, value in read[1:]):
        raise ShapeError(
            "the server echoes every token of the prompt with the log-probability 0, which cannot be true."
        )
    return read, after[0] if after else None


def echoed_chat(answer: dict[str, Any]) -> list[tuple[str, float | None]]:
    """The tokens of a chat's prompt as vLLM reports them, each with its log-probability; the first has none.

    Raises
    ------
    ShapeError
        Where the answer lacks them.
    """
    found = answer.get("prompt_logprobs")
    if not isinstance(found, list) or len(found) < 2:
        raise ShapeError("the server gives no log-probabilities of a chat's prompt.")
    try:
        read = []
        for place in found[1:]:
            ((_, told),) = place.items()  # of the prompt's own token alone, as none of the likeliest was asked for
            read.append((str(told["decoded_token"]), _logprob(told["logprob"])))
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise ShapeError("the log-probabilities of the chat's prompt have another shape than vLLM's.") from error
    if not any(value for _, value in read):
        raise ShapeError("the server gives every token of a chat's prompt the log-probability 0, which cannot be true.")
    return [("", None), *read]


def said(answer: dict[str, Any]) -> str:
    """The text of an answer, which may be empty."""
    choice = _choice(answer)
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if not isinstance(text, str):
        raise ShapeError("the server's answer holds no text.")
    return text


def is_cut_before_a_word(answer: dict[str, Any]) -> bool:
    """Whether an answer reached its longest length before it held any text, as one of hidden reasoning does."""
    return _choice(answer).get("finish_reason") == "length" and not said(answer).strip()


def prompt_tokens(answer: dict[str, Any]) -> int | None:
    """How many tokens of the prompt the server says it has read."""
    usage = answer.get("usage")
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return count if isinstance(count, int) else None


def used_tokens(answer: dict[str, Any]) -> int | None:
    """How many tokens an answer took, read and written; None where the server does not say."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    if isinstance(total := usage.get("total_tokens"), int):
        return total
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return read + written if isinstance(read, int) and isinstance(written, int) else None


def pieces(answer: dict[str, Any]) -> tuple[list[int], list[bytes]]:
    """The ids and bytes of a text's tokens, from llama.cpp's ``/tokenize`` with pieces."""
    try:
        tokens = answer["tokens"]
        ids = [int(token["id"]) for token in tokens]
        # Part of a character is no text: it comes as a list of bytes.
        found = [
            token["piece"].encode() if isinstance(token["piece"], str) else bytes(token["piece"]) for token in tokens
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ShapeError("the server's /tokenize has another shape than llama.cpp's.") from error
    return ids, found


def _choice(answer: dict[str, Any]) -> dict[str, Any]:
    choices = answer.get("choices")
    if choices == []:
        raise ShapeError("the server answered without an answer: 'choices' is empty.")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ShapeError(
            "the server answered in another shape than OpenAI's API: no 'choices' among "
            f"{', '.join(map(repr, sorted(answer)[:5])) or 'nothing'}."
        )
    return choices[0]


def _token(entry: dict[str, Any]) -> Token:
    raw = entry.get("bytes")
    number = entry.get("id")
    return Token(
        str(entry["token"]),
        _logprob(entry["logprob"]),
        bytes(raw) if raw else None,
        number if isinstance(number, int) else None,
    )


def _logprob(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value > 1e-3:
        raise ShapeError(f"the server gave the log-probability {value!r}, which cannot be one.")
    return float(value)


def _ranked(tokens: Sequence[Token]) -> tuple[Token, ...]:
    return tuple(sorted(tokens, key=lambda token: -token.logprob))
