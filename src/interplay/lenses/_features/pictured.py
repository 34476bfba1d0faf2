"""Where a chat's picture is: among the parts of a message, or beside the messages."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from typing import Any

from interplay._errors import InputError, MissingExtraError
from interplay._networks.conversation import is_picture

_HELD = ("image", "image_url", "path", "url", "base64")


def placed(messages: Sequence[Mapping[str, Any]], image: Any) -> tuple[list[Mapping[str, Any]], Any]:
    """The messages with one part ``{"type": "image"}`` where the picture goes, and the picture; None without one.

    Raises
    ------
    InputError
        For more than one picture, one that is given twice or nowhere, or lies at an address.
    """
    spots = [
        (i, j)
        for i, message in enumerate(messages)
        if isinstance(message.get("content"), (list, tuple))
        for j, part in enumerate(message["content"])
        if is_picture(part)
    ]
    if len(spots) > 1:
        raise InputError(f"this chat holds {len(spots)} pictures, of which one can be explained: leave out the others.")
    if not spots:
        return (list(messages), None) if image is None else (_shown(messages), image)
    ((i, j),) = spots
    held = _held(messages[i]["content"][j], i)
    if held is not None and image is not None:
        raise InputError(f"the picture is in message {i} and in image=: leave it out in one of them.")
    parts = [{"type": "image"} if place == j else part for place, part in enumerate(messages[i]["content"])]
    made = [{**message, "content": parts} if place == i else message for place, message in enumerate(messages)]
    return made, image if held is None else held


def _shown(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The messages with the picture at the beginning of the last question."""
    last = max((i for i, one in enumerate(messages) if one["role"] == "user"), default=None)
    if last is None:
        raise InputError('no message is the user\'s: say where the picture goes, by a part {"type": "image"} of one.')
    content = messages[last].get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
    made = list(messages)
    made[last] = {**messages[last], "content": [{"type": "image"}, *parts]}
    return made


def _held(part: Mapping[str, Any], number: int) -> Any:
    """The picture in a part of message ``number``; None where the part only says where it goes."""
    held = next((part[name] for name in _HELD if part.get(name) is not None), None)
    address = held.get("url") if isinstance(held, Mapping) else held
    if address is None or not isinstance(address, str):
        return address
    if address.startswith(("http://", "https://")):
        raise InputError(f"the picture of message {number} lies at an address, and none is fetched: pass image=.")
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError(f"the picture of message {number} needs pillow: pip install pillow") from error
    try:
        if part.get("base64") is held or address.startswith("data:"):
            return Image.open(io.BytesIO(base64.b64decode(address.rpartition(",")[2], validate=True))).convert("RGB")
        return Image.open(address).convert("RGB")
    except (OSError, ValueError, binascii.Error) as error:
        words = " ".join(str(error).split())[:200]
        raise InputError(f"the picture of message {number} cannot be read: {words}.") from error
