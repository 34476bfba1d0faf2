"""Requests to an OpenAI-style server: bounded, retried, counted, and every failure in one sentence without the key."""

from __future__ import annotations

import os
import queue
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from typing import Any, NoReturn, Protocol, TypeVar
from urllib.parse import urlsplit

from interplay._errors import AblationError, InputError, InterplayError, MissingExtraError
from interplay.models._server.answers import used_tokens
from interplay.models._server.size import EndlessError, bounded
from interplay.models._server.spending import Limits, Spent

_FIRST_PAUSE = 0.5  # seconds before the first retry; doubles each time, up to the longest
_LONGEST_PAUSE = 30.0
_PATIENCE = 600.0  # a server that asks to wait longer than this is not waited for
_PASSING = frozenset({408, 409, 425, 429})  # and from 500 on: worth another try
_NOT_IMPLEMENTED = 501
_SHORTEST_KEY = 8  # letters; a shorter one is a placeholder, and may be a word of an answer

T = TypeVar("T")

KEY_VARIABLE = "INTERPLAY_API_KEY"
_OPENAI = "api.openai.com"


class RefusalError(InputError):
    """The server understood a request and will not answer it (HTTP ``status``), or its answer is no JSON object."""

    def __init__(self, words: str, status: int | None = None) -> None:
        super().__init__(words)
        self.status = status


class UnreachableError(AblationError):
    """The server did not answer, however often it was asked; ``status`` where it did answer with an error."""

    def __init__(self, words: str, status: int | None = None) -> None:
        super().__init__(words)
        self.status = status


class ExhaustionError(AblationError):
    """The limit of calls or tokens is reached."""


class Replay(Protocol):
    """What answers a call in the server's place: from a batch that was asked before."""

    def call(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], Spent]:
        """The answer to ``body``, and what it cost."""


class Connection:
    """A server's address and key, and the tally of what was sent there. Safe to use from several threads.

    No dataclass: nothing that lists, copies or prints fields may find the key.

    Parameters
    ----------
    base_url
        Where the OpenAI API begins, usually ending in ``/v1``; without user name, password or query.
    key
        Sent as the bearer token; never shown. None sends a placeholder, as local servers need none.
    limits
        See `Limits`.
    """

    def __init__(self, base_url: str, key: str | None = None, limits: Limits | None = None) -> None:
        self.base_url = check_url(base_url)
        self.limits = limits or Limits()
        self.spent = Spent()
        self._key = _checked_key(key or _key_of_environment(self.base_url))
        self._lock = threading.Lock()
        self._replaying = threading.local()
        self._slots = threading.BoundedSemaphore(self.limits.concurrency)
        self._next = 0.0  # when the next request may leave, by the monotonic clock

    def __repr__(self) -> str:
        return f"Connection({self.base_url!r}, {self.spent} spent)"

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Server holds a key and an open connection, neither of which is ever written down")

    @property
    def root(self) -> str:
        """The address without ``/v1``, where servers keep what OpenAI's API does not have."""
        return self.base_url.removesuffix("/v1")

    @cached_property
    def client(self) -> Any:
        openai = _require_openai()
        # Retries are made here, not by the client: it neither counts them nor tries broken JSON again.
        # A redirect would carry texts to a place that nobody named, so none is followed.
        http = openai.DefaultHttpxClient(
            follow_redirects=False, headers={"Accept-Encoding": "identity"}, event_hooks={"response": [bounded]}
        )
        weakref.finalize(self, http.close)
        client = openai.OpenAI(
            base_url=self.base_url,
            api_key=self._key or "none",
            max_retries=0,
            timeout=self.limits.timeout,
            http_client=http,
        )
        if not _is_openai(self.base_url):  # read from the environment, and nobody else's business
            client.organization = client.project = None
        return client

    def call(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], Spent]:
        """The model's answer to ``body``, and what it cost.

        Raises
        ------
        RefusalError
            For a bad key, an unknown model, a text too long, an answer of another shape.
        UnreachableError
            When every attempt failed.
        ExhaustionError
            When the limit of calls or tokens is reached; nothing is sent then.
        InputError
            For a limit of tokens that the server does not count.
        """
        replay: Replay | None = getattr(self._replaying, "now", None)
        if replay is not None:
            return replay.call(path, body)
        answer, attempts = self._persist(partial(self._send, "POST", path, body, paid=True), None)
        tokens = used_tokens(answer)
        if tokens is None and self.limits.max_tokens is not None:
            raise InputError(
                f"the server at {self.base_url} does not say how many tokens an answer took, so max_tokens="
                f"{self.limits.max_tokens:,} cannot be kept: leave it out, and pass max_calls= instead."
            )
        spent = Spent(0, tokens or 0)
        with self._lock:
            self.spent += spent
        return answer, spent + Spent(attempts)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, retries: int | None = None) -> Any:
        """The answer of an endpoint that runs no model, such as ``/models`` or ``/tokenize``: not counted as spent."""
        return self._persist(partial(self._send, method, path, body, paid=False), retries)[0]

    def do(self, action: Callable[[Any], T], *, retries: int | None = None) -> T:
        """What ``action`` does with the client, tried again and its errors worded as of any request."""
        return self._persist(lambda: self._guarded(lambda: action(self.client), paid=False), retries)[0]

    @contextmanager
    def replaying(self, replay: Replay) -> Iterator[None]:
        """In this thread, calls of the model are answered by ``replay``, and nothing is sent."""
        self._replaying.now = replay
        try:
            yield
        finally:
            self._replaying.now = None

    def refused(self, status: int, words: str) -> InterplayError:
        """What the error of one request among those of a batch means."""
        error = self._refused(status, words)
        if isinstance(error, _PassingError):
            return UnreachableError(f"the server at {self.base_url} {error}.", error.status)
        assert isinstance(error, RefusalError)
        return error

    def _persist(self, send: Callable[[], T], retries: int | None) -> tuple[T, int]:
        allowed = self.limits.retries if retries is None else retries
        for attempt in range(allowed + 1):
            try:
                return send(), attempt + 1
            except _PassingError as failure:
                if attempt == allowed or failure.wait > _PATIENCE:
                    again = f", asked {attempt + 1} times" if attempt else ""
                    again += f", and asks to wait {failure.wait:g} seconds" if failure.wait > _PATIENCE else ""
                    words = f"the server at {self.base_url} {failure}{again}{failure.advice or '.'}"
                    raise UnreachableError(words, failure.status) from None
                self._pause(attempt, failure.wait)
        raise AssertionError("unreachable")

    def _guarded(self, action: Callable[[], T], *, paid: bool) -> T:
        """What ``action`` gives within its time and turn; what it raises in words of our own."""
        openai = _require_openai()
        with self._slots:
            self._take_turn()
            if paid:
                self.count()
            try:
                return self._without_key(_within(self.limits.timeout, action))  # type: ignore[no-any-return]
            # The causes are dropped: they carry the request with its headers, and servers may repeat the key.
            except (openai.APITimeoutError, TimeoutError):
                raise _PassingError(f"gave no answer within {self.limits.timeout:g} seconds") from None
            except EndlessError as error:
                raise RefusalError(f"the server at {self.base_url} {error}.") from None
            except openai.APIConnectionError as error:
                reason = self.cleaned(str(error.__cause__ or error)) or "no reason given"
                raise _PassingError(f"cannot be reached ({reason})", advice=": is it running?") from None
            except openai.APIStatusError as error:
                words = _words_of(error.body) or str(error)
                raise self._refused(error.status_code, words, _retry_after(error)) from None
            except (ValueError, RecursionError):
                raise _PassingError("answered with broken JSON") from None

    def _send(self, method: str, path: str, body: dict[str, Any] | None, *, paid: bool) -> dict[str, Any]:
        answer = self._guarded(partial(self._request, method, path, body), paid=paid)
        if not isinstance(answer, dict):
            raise RefusalError(
                f"{self.base_url}{path} answered in another shape than OpenAI's API: is the base_url right? "
                f"It usually ends in /v1. It said {self.cleaned(str(answer))[:80]!r}."
            )
        if answer.get("error") and "choices" not in answer:  # some send a failure with the status of a success
            code = answer["error"].get("code") if isinstance(answer["error"], dict) else None
            raise self._refused(code if isinstance(code, int) else 200, _words_of(answer))
        return answer

    def _request(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        if method == "GET":
            return self.client.get(path, cast_to=object)
        return self.client.post(path, body=body, cast_to=object)

    def _without_key(self, answer: Any) -> Any:
        """An answer in which nothing, no name of a field either, repeats the key."""
        if self._key is None or len(self._key) < _SHORTEST_KEY:
            return answer
        if isinstance(answer, str):
            return answer.replace(self._key, "***")
        if isinstance(answer, list):
            return [self._without_key(item) for item in answer]
        if isinstance(answer, dict):
            return {self._without_key(name): self._without_key(item) for name, item in answer.items()}
        return answer

    def _refused(self, status: int, words: str, wait: float = 0.0) -> Exception:
        """What an error of the server's means: a refusal, or a failure that may pass."""
        words = self.cleaned(words)
        if status in (401, 403):
            way = "check api_key" if self._key else f"pass api_key= or set {KEY_VARIABLE}"
            return RefusalError(f"the server at {self.base_url} refuses the key ({status}: {words}): {way}.", status)
        if 300 <= status < 400:
            return RefusalError(
                f"the server at {self.base_url} redirects to another address ({status}), which is not followed: pass "
                "that address as base_url if it is the right one.",
                status,
            )
        if may_pass(status):
            return _PassingError(f"keeps failing ({status}: {words})", wait, status)
        return RefusalError(f"the server at {self.base_url} refuses the request ({status}: {words}).", status)

    def cleaned(self, words: str) -> str:
        """A server's words on one line, short, and without the key."""
        if self._key:
            words = words.replace(self._key, "***")
        words = " ".join(words.split())
        return words if len(words) <= 200 else words[:199] + "…"

    def count(self, calls: int = 1) -> None:
        """Count so many calls as spent, or an `ExhaustionError` where they are too many."""
        with self._lock:
            limits, spent = self.limits, self.spent
            if limits.max_calls is not None and spent.calls + calls > limits.max_calls:
                raise ExhaustionError(
                    f"max_calls={limits.max_calls:,} is reached ({spent} spent): allow more to go on."
                )
            if limits.max_tokens is not None and spent.tokens >= limits.max_tokens:
                raise ExhaustionError(
                    f"max_tokens={limits.max_tokens:,} is reached ({spent} spent): allow more to go on."
                )
            self.spent += Spent(calls)

    def count_tokens(self, tokens: int) -> None:
        """Count tokens of answers that came in a batch."""
        with self._lock:
            self.spent += Spent(0, tokens)

    def _take_turn(self) -> None:
        """Wait until the rate allows another request."""
        with self._lock:
            now = time.monotonic()
            leave = max(now, self._next)
            self._next = leave + (60 / self.limits.rate if self.limits.rate else 0.0)
        if leave > now:
            time.sleep(leave - now)

    def _pause(self, attempt: int, wait: float) -> None:
        """Wait as long as the server asked, all threads with it; else with growing, scattered pauses."""
        if wait:
            with self._lock:
                self._next = max(self._next, time.monotonic() + wait)
            return
        # Scattered, so that requests refused together do not return together; no result depends on it.
        time.sleep(min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * random.uniform(0.5, 1.0))


def _within(seconds: float, action: Callable[[], Any]) -> Any:
    """What ``action`` returns, or a TimeoutError when it takes longer.

    A client's own time-out bounds the wait for the next bytes, and a server may send one now and then for ever; so
    the request is left alone in a thread of its own when its time is over.
    """
    outcome: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcome.put((True, action()))
        except BaseException as error:
            outcome.put((False, error))

    threading.Thread(target=work, name="interplay-request", daemon=True).start()
    try:
        succeeded, found = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if not succeeded:
        raise found
    return found


def may_pass(status: int) -> bool:
    """Whether a server that answered with this status may well answer the same request another time."""
    return status in _PASSING or (status >= 500 and status != _NOT_IMPLEMENTED)


class _PassingError(Exception):
    """A failure that may pass; ``wait`` is how many seconds the server asks for, 0 where it does not say."""

    def __init__(self, words: str, wait: float = 0.0, status: int | None = None, advice: str = "") -> None:
        super().__init__(words)
        self.wait, self.status, self.advice = wait, status, advice


def _checked_key(key: str | None) -> str | None:
    """The key without the line break that a file ends in; refused, and not shown, where no header could carry it."""
    key = key.strip() if key else None
    if key and not (key.isascii() and key.isprintable()):
        raise InputError("the API key holds a line break or a character that no key has: check where it was read from.")
    return key or None


def check_url(url: str) -> str:
    """``url`` without a closing slash, or an `InputError` that does not repeat what may be secret."""
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(
            "the base_url holds a user name, password or query, which would be shown and stored: "
            "pass the bare address, and the key as api_key=."
        )
    try:
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise InputError(f"base_url must be an address like 'http://localhost:8080/v1', not {url!r}.")
    return url.rstrip("/")


def _key_of_environment(base_url: str) -> str | None:
    """The key meant for any server; OpenAI's own only where the server is OpenAI's."""
    key = os.environ.get(KEY_VARIABLE)
    if not key and _is_openai(base_url):
        key = os.environ.get("OPENAI_API_KEY")
    return key or None


def _is_openai(base_url: str) -> bool:
    return urlsplit(base_url).hostname == _OPENAI


def _require_openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise MissingExtraError.of("openai", "api") from error
    return openai


def _words_of(body: Any) -> str:
    """What a server says went wrong, wherever in its answer it says it; nothing where it says nothing."""
    if isinstance(body, dict):
        inner = body.get("error", body)
        words = inner.get("message") or inner.get("detail") if isinstance(inner, dict) else inner
        if words:
            return str(words)
    return str(body or "")


def _retry_after(error: Any) -> float:
    """The seconds that a Retry-After header asks for, as a number or as a date; 0 where there is none."""
    said = error.response.headers.get("retry-after", "0")
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - time.time()
        except ValueError:
            return 0.0
    return max(0.0, seconds)
