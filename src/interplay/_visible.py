"""Text of foreign origin made safe to print: what would steer a terminal is shown instead."""

from __future__ import annotations

_UNSEEN = "\ufffd"
_STEERING: dict[int, int | str] = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},  # their pictures, such as ␛
    ord("\t"): " ",
    0x7F: "␡",
    **dict.fromkeys(range(0x80, 0xA0), _UNSEEN),  # C1, of which some terminals begin sequences, too
    **dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x2070)], _UNSEEN),  # bidirectional
    **dict.fromkeys([0x2028, 0x2029, *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080)], _UNSEEN),  # breaks, hidden tags
    **dict.fromkeys(range(0xD800, 0xE000), _UNSEEN),  # lone surrogates, which no terminal's encoding has
}


def visible(text: str) -> str:
    """``text`` of the same length, its control characters shown instead of sent to the terminal.

    >>> visible("red\\x1b[2J")
    'red␛[2J'
    """
    return text.replace("\r\n", " \n").translate(_STEERING)  # a line break of Windows is one like any other


def visible_json(text: str) -> str:
    """A JSON text with the same content, in which such characters are written as escapes."""
    if not any(ord(character) in _STEERING for character in text):
        return text
    return "".join(_escaped(character) if ord(character) in _STEERING else character for character in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
