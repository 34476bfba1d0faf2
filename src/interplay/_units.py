"""Cut a text into units, by character ranges; what lies between units is never touched."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

Span: TypeAlias = tuple[int, int]

# Scripts written without spaces: each character of these is a word of its own, as no dictionary is at hand.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}"
_WORD = rf"""
    (?=[\p{{Extended_Pictographic}}\p{{Regional_Indicator}}])\X      # an emoji, joined and modified ones whole
  | [{_UNSPACED}]\p{{M}}*
  | [[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]+
    (?:[-'’.,:/@&][[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]+)*         # don't, well-known, 3.14, a@b.org
"""
_SENTENCE_END = r"""
    (?: [.!?…؟۔।॥]+ ["'”’»)\]]* (?=\s|$) )       # needs white space after it
  | (?: [。！？｡]+ [」』）】”’"]* )                # does not
  | (?= \n [^\S\n]* \n )                         # a blank line ends a sentence without a stop
"""
_ABBREVIATED = """
    mr mrs ms dr prof sr jr st vs etc e.g i.e cf al fig eq vol
    pp ca approx dept inc ltd co corp u.s u.k a.m p.m
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())


@cache
def _pattern(source: str) -> Any:
    import regex

    return regex.compile(source, flags=regex.VERBOSE | regex.VERSION1)


def word_spans(text: str) -> list[Span]:
    """Words, numbers and emoji; punctuation and spaces stay between them. CJK characters stand alone."""
    return [match.span() for match in _pattern(_WORD).finditer(text)]


def sentence_spans(text: str) -> list[Span]:
    """Sentences, closing punctuation included, white space between them not."""
    spans, start = [], 0
    for match in _pattern(_SENTENCE_END).finditer(text):
        if match.group().startswith((".", "…")) and not _ends_sentence(text, match.start(), match.end()):
            continue
        spans.append((start, match.end()))
        start = match.end()
    spans.append((start, len(text)))
    return _trimmed(text, spans)


def _ends_sentence(text: str, stop: int, after: int) -> bool:
    """Whether a full stop or ellipsis at ``stop`` closes a sentence, and not an abbreviation or an initial."""
    rest = text[after : after + 80].lstrip()
    if rest and rest[0].islower():
        return False
    word = text[max(0, stop - 20) : stop].split()[-1:] or [""]
    bare = word[0].lstrip("([\"'“‘")
    if not rest or bare == "I":
        return True
    if bare.lower() == "no":  # "No. 5" goes on, "No." ends
        return not rest[0].isdigit()
    initial = len(bare) == 1 and bare.isalpha() and bare.isupper()
    return not (initial or bare.lower() in _ABBREVIATIONS)


def paragraph_spans(text: str) -> list[Span]:
    """Blocks of text between blank lines."""
    spans, start = [], 0
    for match in _pattern(r"\n[^\S\n]*(?:\n[^\S\n]*)+").finditer(text):
        spans.append((start, match.start()))
        start = match.end()
    spans.append((start, len(text)))
    return _trimmed(text, spans)


def merged(text: str, spans: list[Span]) -> list[Span]:
    """Spans without outer white space, and overlapping ones (several tokens of one character) made one."""
    result: list[Span] = []
    for start, end in _trimmed(text, sorted(spans)):
        if result and start < result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def _trimmed(text: str, spans: list[Span]) -> list[Span]:
    trimmed = []
    for start, end in spans:
        piece = text[start:end]
        left = start + len(piece) - len(piece.lstrip())
        right = end - len(piece) + len(piece.rstrip())
        if right > left:
            trimmed.append((left, right))
    return trimmed
