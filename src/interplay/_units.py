"""Cut a text into units, by character ranges; what lies between units is never touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise
from typing import Any, TypeAlias

Span: TypeAlias = tuple[int, int]

# Scripts written without spaces, whose words only a dictionary can tell apart (ICU's, by the extra "words"). Without
# it each character of the first is a word of its own, as is each run of the others, up to a space.
_BY_CHARACTER = r"\p{Han}\p{Hiragana}\p{Katakana}ー"
_BY_RUN = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_UNSPACED = _BY_CHARACTER + _BY_RUN
_SCRIPTS = {
    "Chinese and Japanese": _BY_CHARACTER,
    "Thai": r"\p{Thai}",
    "Lao": r"\p{Lao}",
    "Khmer": r"\p{Khmer}",
    "Burmese": r"\p{Myanmar}",
}
_WORD = rf"""
    (?=[\p{{Extended_Pictographic}}\p{{Regional_Indicator}}])\X      # an emoji, joined and modified ones whole
  | (?P<unspaced>[{_UNSPACED}][{_UNSPACED}\p{{M}}]*)
  | [[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]+
    (?:[-'’.,:/@&][[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]+)*         # don't, well-known, 3.14, a@b.org
"""
_SENTENCE_END = r"""
    (?: [.!?…؟۔।॥]+ ["'”’»)\]]* (?=\s|$) )       # needs white space after it
  | (?: [。！？｡]+ [」』）】”’"]* )                # does not
  | (?= \n [^\S\n]* \n )                         # a blank line ends a sentence without a stop
"""
_HEADING = r"""
    (?m: ^ (?: [#]{1,6}[^\S\n]+\S | (?i: chapter | section | part) [^\S\n]+ [\p{N}IVXLC]+ \b ) ) | (?<=\f)
"""
_ABBREVIATED = """
    mr mrs ms dr prof sr jr st vs etc e.g i.e cf al fig eq vol
    pp ca approx dept inc ltd co corp u.s u.k a.m p.m
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())


_BLANK = "".join(chr(i) for i in range(0x3001) if chr(i).isspace()) + "\ufeff"  # and a byte order mark


@cache
def _pattern(source: str) -> Any:
    import regex

    return regex.compile(source, flags=regex.VERBOSE | regex.VERSION1)


def word_spans(text: str) -> list[Span]:
    """Words, numbers and emoji; punctuation and spaces stay between them.

    Scripts without spaces are cut by ICU's dictionaries where the extra "words" is installed; see `not_told_apart`.
    """
    spans: list[Span] = []
    for match in _pattern(_WORD).finditer(text):
        spans += _cut(text, *match.span()) if match["unspaced"] else [match.span()]
    return spans


def not_told_apart(text: str) -> tuple[str, ...]:
    """The scripts in ``text`` whose words are not told apart here, as their dictionaries are not installed."""
    if _breaker() is not None:
        return ()
    return tuple(name for name, script in _SCRIPTS.items() if _pattern(f"[{script}]").search(text))


def _cut(text: str, start: int, end: int) -> list[Span]:
    """The words of a stretch in scripts without spaces."""
    breaker = _breaker()
    if breaker is None:
        pieces = _pattern(rf"[{_BY_CHARACTER}]\p{{M}}*|[{_BY_RUN}\p{{M}}]+").finditer(text, start, end)
        return [piece.span() for piece in pieces]
    spans: list[Span] = []
    for word in breaker(text[start:end], "en"):  # the dictionary is the script's, whatever the locale
        spans.append((start, start + len(word)))
        start += len(word)
    return spans


@cache
def _breaker() -> Callable[[str, str], Iterable[str]] | None:
    """ICU's word breaker, None where it is not installed."""
    try:
        from icu4py.breakers import WordBreaker
    except ImportError:
        return None
    breaker: Callable[[str, str], Iterable[str]] = WordBreaker
    return breaker


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


def section_spans(text: str) -> list[Span]:
    """From one heading to the next: lines that begin with #, Chapter, Section or Part, or that a form feed precedes."""
    starts = [match.start() for match in _pattern(_HEADING).finditer(text)]
    edges = sorted({0, len(text), *starts})
    return _trimmed(text, list(pairwise(edges)))


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
        left = start + len(piece) - len(piece.lstrip(_BLANK))
        right = end - len(piece) + len(piece.rstrip(_BLANK))
        if right > left:
            trimmed.append((left, right))
    return trimmed
