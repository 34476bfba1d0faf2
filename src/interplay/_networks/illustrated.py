"""A text with a picture, as a vision-language model reads both."""

from __future__ import annotations

from typing import Any


class Illustrated(str):
    """A text that comes with a picture: the text itself, and ``image``, an array (H, W) or (H, W, C)."""

    image: Any

    __slots__ = ("image",)

    def __new__(cls, text: str, image: Any) -> Illustrated:
        """The text, and the picture beside it."""
        made = super().__new__(cls, text)
        made.image = image
        return made

    def __reduce__(self) -> tuple[object, ...]:
        return (Illustrated, (str(self), self.image))
