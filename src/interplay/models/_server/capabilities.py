"""Find out what a server can really do: every ability is tried, and checked against another, before it is believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from interplay._errors import InterplayError
from interplay.models._server.answers import ShapeError, Token, echoed, first_token
from interplay.models._server.connection import RefusalError, UnreachableError
from interplay.models._server.echo import SAME, read_back
from interplay.models._server.endpoint import ENDPOINT_MISSING, Endpoint

_PROBE = "The capital of France is"
_TOPS = (20, 5)  # what is asked for: OpenAI allows 20 in a chat and 5 elsewhere
_CANDIDATES = 3  # tokens tried before an ability is doubted: one alone may be an odd one
_KEY_REFUSED = (401, 403)


@dataclass(frozen=True)
class Capabilities:
    """What a server offers for scoring a given answer, as found by trying.

    Parameters
    ----------
    echo
        It returns the log-probabilities of a prompt's own tokens.
    forced
        A token forced by ``logit_bias`` comes back with the log-probability it had without the force, and the ids
        of a text's tokens can be asked for.
    top
        How many of the likeliest tokens it names with their log-probabilities; 0 for none.
    reasons
        Why not, in words, for each ability it lacks.
    reported
        What the server says of the model.
    """

    echo: bool
    forced: bool
    top: int
    reasons: dict[str, str] = field(default_factory=dict, repr=False)
    reported: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def how(self) -> str:
        """The way that log-probabilities are found: the best of "echo", "forced", "top", or "none"."""
        return "echo" if self.echo else "forced" if self.forced else "top" if self.top else "none"

    def __str__(self) -> str:
        rows = [
            ("echo", self.echo, "log-probabilities of the prompt's tokens"),
            ("forced", self.forced, "any token's, one call a token"),
            ("top", self.top > 0, f"those of the {self.top} likeliest tokens"),
        ]
        lines = [
            f"{name:<8}{'yes' if able else 'no':<5}{words if able else self.reasons.get(name, '')}".rstrip()
            for name, able, words in rows
        ]
        return "\n".join([*lines, f"used    {self.how}"])


def probe(endpoint: Endpoint) -> Capabilities:
    """Try what the server at ``endpoint`` can do, in about six calls of one token each.

    Raises
    ------
    InputError
        Where the server refuses the key or does not have the model.
    AblationError
        Where it does not answer.
    """
    reported = endpoint.reported
    reasons: dict[str, str] = {}
    tops: tuple[Token, ...] = _tried("top", lambda: _tops(endpoint), reasons) or ()
    if not tops:
        _must_answer(endpoint)
        reasons.setdefault("top", "no log-probabilities in its answers")
    echo = bool(_tried("echo", lambda: _echo(endpoint, tops), reasons))
    forced = bool(_tried("forced", lambda: _forced(endpoint, tops), reasons))
    return Capabilities(echo, forced, len(tops), reasons, reported)


def _must_answer(endpoint: Endpoint) -> None:
    """Ask for a plain answer: where even that is refused, no ability is missing but the server."""
    try:
        endpoint.answer(_PROBE, 1)
    except RefusalError as error:
        if error.status not in ENDPOINT_MISSING:
            raise
        path, other = ("/chat/completions", "chat=False") if endpoint.chat else ("/completions", "chat=True")
        raise RefusalError(f"{str(error).rstrip('.')}: it may have no {path}, so try {other}.", error.status) from None


def _tried(name: str, attempt: Callable[[], Any], reasons: dict[str, str]) -> Any:
    """What ``attempt`` finds, None where the server refuses or answers otherwise; its reason is written down."""
    try:
        return attempt()
    except (RefusalError, ShapeError, _DoubtError) as error:
        if isinstance(error, RefusalError) and error.status in _KEY_REFUSED:
            raise
        reasons[name] = str(error).rstrip(".")
    except UnreachableError as error:
        if error.status is None or error.status < 500:  # a cut line or a rate limit says nothing of abilities
            raise
        reasons[name] = str(error).rstrip(".")
    return None


def _tops(endpoint: Endpoint) -> tuple[Token, ...]:
    for top in _TOPS:
        try:
            return first_token(endpoint.answer(_PROBE, 1, top)[0])[1]
        except RefusalError as error:
            if top == _TOPS[-1] or error.status in _KEY_REFUSED:
                raise
    raise AssertionError("unreachable")


def _echo(endpoint: Endpoint, tops: tuple[Token, ...]) -> bool:
    candidates = [token for token in tops if token.text.strip()][:_CANDIDATES]
    if not candidates and not endpoint.chat:  # nothing to hold it against
        echoed(endpoint.proceed(_PROBE, 1, echo=True, logprobs=1)[0], _PROBE)
        return True
    for token in candidates:
        last, value = read_back(endpoint, _PROBE, token.text)[0][-1]
        if last == token.text:
            if value is None or abs(value - token.logprob) > SAME:
                raise _DoubtError(f"it echoes {token.text!r} with {value}, but named it with {token.logprob:.4g}")
            return True
    raise _DoubtError(f"it echoes none of {', '.join(repr(token.text) for token in candidates)} as it named them")


def _forced(endpoint: Endpoint, tops: tuple[Token, ...]) -> bool:
    if len(tops) < 2:
        raise _DoubtError("without top log-probabilities there is nothing to check it against")
    ids, _ = endpoint.tokens(endpoint.prompt(_PROBE))
    bare = len(endpoint.tokens("")[0])  # tokens that stand at every beginning
    doubts: list[_DoubtError] = []
    for token in tops[1:]:  # not the likeliest, which comes without force
        number = token.id
        if number is None:
            tail, texts = endpoint.tokens(token.text) if token.text else ([], [])
            number = tail[-1] if len(tail) == bare + 1 and token.is_text_of(texts[-1]) else None
        if number is None:
            continue
        seen, _ = first_token(endpoint.force(ids, number)[0])
        doubt = _doubt(token, seen)
        if doubt is None:
            return True
        doubts.append(doubt)
        if len(doubts) == _CANDIDATES:
            break
    raise doubts[0] if doubts else _DoubtError("no token's id could be found out")


def _doubt(token: Token, seen: Token) -> _DoubtError | None:
    """What speaks against a forced token, which should be the one named, with the log-probability it was named with."""
    if seen.text != token.text:
        return _DoubtError(f"forced to say {token.text!r}, it said {seen.text!r}: logit_bias does nothing")
    if abs(seen.logprob - token.logprob) > SAME:
        return _DoubtError(
            f"the forced token comes with {seen.logprob:.4g} instead of {token.logprob:.4g}: the server counts the "
            "force in"
        )
    return None


class _DoubtError(InterplayError):
    """An answer that contradicts another."""
