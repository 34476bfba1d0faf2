"""log p(target | text) from the log-probabilities of the prompt's own tokens, and whether these can be believed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from interplay._errors import AblationError, InputError
from interplay.models._server.answers import ShapeError, Token, echoed, echoed_chat, first_token
from interplay.models._server.connection import ExhaustionError, RefusalError, UnreachableError
from interplay.models._server.endpoint import Endpoint
from interplay.models._server.spending import Spent

SAME = 0.05  # two ways to the same log-probability may differ by rounding, in half precision by this much
_TRIES = 3  # texts tried for a check; where a text ends in the middle of a token there is none


@dataclass(eq=False)
class Echoes:
    """A server's echoes of one scorer, with what is needed to hold them against the model's own next token."""

    endpoint: Endpoint
    recent: deque[tuple[str, str, Token]] = field(default_factory=lambda: deque(maxlen=8))

    def logprob(self, text: str, target: str) -> tuple[float, Spent]:
        """log p(target | text) in one call, from the log-probabilities of the prompt that ends with the target."""
        tokens, following, spent = read_back(self.endpoint, text, target)
        begin, spelled = len(tokens), ""
        while len(spelled) < len(target) and begin > 0:
            begin -= 1
            spelled = tokens[begin][0] + spelled
        if spelled != target:
            raise starts_inside(target, text)
        if not text or begin == 0:
            raise nothing_before(target)
        if following is not None:
            self.recent.append((text, target, following))
        return sum(value for _, value in tokens[begin:] if value is not None), spent

    def check(self) -> None:
        """Echo a text scored just now with the token that the model itself added to it.

        The token's log-probability was computed when the model wrote it; an echo that comes out of a stale cache
        gives another.

        Raises
        ------
        AblationError
            Where the two differ.
        """
        for _ in range(min(_TRIES, len(self.recent))):
            text, target, following = self.recent.pop()
            try:
                tokens, _, _ = read_back(self.endpoint, text, target + following.text)
            except (
                RefusalError,
                UnreachableError,
                ExhaustionError,
            ):  # says nothing of the values: a text at the window's end, say
                continue
            token, value = tokens[-1]
            if token != following.text or value is None:
                continue
            if abs(value - following.logprob) > SAME:
                raise AblationError(
                    f"the server echoes {token!r} with the log-probability {value:.4g} after writing it with "
                    f"{following.logprob:.4g}: its prompt log-probabilities are stale, so the last values are not "
                    "kept; start it anew, without a prefix cache."
                )
            return


def read_back(endpoint: Endpoint, text: str, target: str) -> tuple[list[tuple[str, float | None]], Token | None, Spent]:
    """The tokens of a prompt and a target with their log-probabilities, and the token that the model adds.

    In a chat the target begins the assistant's answer.
    """
    if endpoint.chat:
        answer, spent = endpoint.begun(text, target)
        tokens = echoed_chat(answer)
        try:
            return tokens, first_token(answer)[0], spent
        except ShapeError:  # the answer may end there
            return tokens, None, spent
    answer, spent = endpoint.proceed(text + target, 1, echo=True, logprobs=1)
    return (*echoed(answer, text + target), spent)


def nothing_before(target: str) -> InputError:
    """The error for a target at the very beginning."""
    return InputError(f"the text before {target!r} is empty, so there is nothing for it to follow.")


def starts_inside(target: str, text: str) -> InputError:
    """The error for a target whose first letters belong to a token of the text."""
    return InputError(
        f"the target {target!r} starts inside a token: the server's tokenizer joins it with the end of "
        f"{text[-20:]!r}. Move the white space between them to the other side."
    )
