"""A text or a chat with a picture, as a vision-language model reads both."""

from __future__ import annotations

from typing import Any

from interplay._networks.conversation import Conversation


class Illustrated(str):
    """A text that comes with a picture: the text itself, and ``image``, an array (H, W) or (H, W, C).

    Of a chat it is the transcript, and ``chat`` is the conversation, one of whose parts says where the picture is.
    """

    image: Any
    chat: Conversation | None

    __slots__ = ("chat", "image")

    def __new__(cls, text: str, image: Any) -> Illustrated:
        """The text, and the picture beside it."""
        made = super().__new__(cls, text)
        made.image = image
        made.chat = text if isinstance(text, Conversation) else None
        return made

    def __reduce__(self) -> tuple[object, ...]:
        return (Illustrated, (str(self) if self.chat is None else self.chat, self.image))
