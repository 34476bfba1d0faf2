"""A conversation as a prompt: what a chat model reads, and a transcript that anything else can."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]
"""``role`` and ``content``, and whatever else the chat template or server knows: ``tool_calls``, ``name``, ..."""


PICTURES = ("image", "image_url")
"""Types of the parts of a content that are pictures: the chat templates' and the servers'."""

BETWEEN = "\n"
"""What stands between the parts of a content in a transcript."""


class Conversation(str):
    """Messages, tools and options of a chat template, as a text: its transcript.

    A model with ``chat=True`` reads the messages; any other scorer of texts reads the transcript.

    >>> import interplay as ip
    >>> ip.models.Conversation([{"role": "user", "content": "Hi!"}])
    'user: Hi!'

    Parameters
    ----------
    messages
        As chat models take them. Where the last is the assistant's, the model goes on with it.
    tools
        Descriptions of the tools that the model may call, as its template takes them.
    options
        What else the template takes, such as ``enable_thinking``.
    """

    messages: tuple[Message, ...]
    tools: tuple[Any, ...]
    options: Mapping[str, Any]

    __slots__ = ("messages", "options", "tools")

    def __new__(
        cls, messages: Sequence[Message], tools: Sequence[Any] = (), options: Mapping[str, Any] | None = None
    ) -> Conversation:
        """The conversation, as its transcript."""
        lines = [transcribed(message) for message in messages]
        if tools:
            lines.insert(0, "\n".join(["tools:", *(json.dumps(tool, ensure_ascii=False) for tool in tools)]))
        made = super().__new__(cls, "\n\n".join(lines))
        made.messages, made.tools, made.options = tuple(messages), tuple(tools), dict(options or {})
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return (Conversation, (self.messages, self.tools, self.options))

    @property
    def is_begun(self) -> bool:
        """Whether the model is to go on with a message that the assistant has begun: one that calls tools is none."""
        if not self.messages or self.messages[-1].get("role") != "assistant":
            return False
        return any(pieces_of(self.messages[-1].get("content")))


def transcribed(message: Message) -> str:
    """One message, to be read."""
    rest = {key: value for key, value in message.items() if key not in ("role", "content")}
    words = BETWEEN.join(pieces_of(message.get("content")))
    return f"{message.get('role')}: {words}" + (f" {json.dumps(rest, ensure_ascii=False)}" if rest else "")


def pieces_of(content: Any) -> list[str]:
    """The parts of a message's content, each to be read; one where it is a text, none where there is nothing."""
    if content is None or isinstance(content, str):
        return [content] if content else []
    parts = content if isinstance(content, (list, tuple)) else [content]
    return [_piece(part) for part in parts]


def is_picture(part: Any) -> bool:
    """Whether a part of a message's content is a picture."""
    return isinstance(part, Mapping) and part.get("type") in PICTURES


def is_words(part: Any) -> bool:
    """Whether a part of a message's content is a text."""
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _piece(part: Any) -> str:
    if is_words(part):
        return str(part["text"])
    return "[picture]" if is_picture(part) else json.dumps(part, ensure_ascii=False, default=str)


def in_words(message: Message) -> dict[str, Any]:
    """A message whose content is a text where all its parts are texts, as most templates of text models want it."""
    content = message.get("content")
    if not isinstance(content, (list, tuple)) or not all(map(is_words, content)):
        return dict(message)
    return {**message, "content": BETWEEN.join(part["text"] for part in content)}
