"""Score texts with a model behind an OpenAI-style API server, local or remote."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np

from interplay._checks import check_whole
from interplay._errors import AblationError, InputError
from interplay._game.masks import Values
from interplay._game.partial import Partial
from interplay.models._answer_book import Answer
from interplay.models._causal.writing import check_writing
from interplay.models._encoder import Encoder
from interplay.models._scorer import Scorer, TextScorer
from interplay.models._server.answers import is_cut_before_a_word, said
from interplay.models._server.batches import AT_ONCE, Batches, together
from interplay.models._server.capabilities import Capabilities, probe
from interplay.models._server.connection import Connection
from interplay.models._server.echo import Echoes
from interplay.models._server.endpoint import Endpoint, check_model
from interplay.models._server.scoring import WAYS, ServerScorer, SideBySide, by_force, by_top
from interplay.models._server.spending import Limits, Spent


@dataclass(frozen=True, init=False, eq=False)
class Server:
    """A model behind any server that speaks OpenAI's API: llama.cpp, vLLM, Ollama, OpenAI, ...

    >>> import interplay as ip
    >>> server = ip.models.Server("http://localhost:8080/v1", "my-model")
    >>> server
    Server(base_url='http://localhost:8080/v1', model='my-model', chat=False, system=None)

    Nothing is sent before a scorer is asked for. What the server can do is then tried once (`capabilities`).

    Parameters
    ----------
    base_url
        Where the API begins, usually ending in ``/v1``; without user name, password or query.
    model
        The name that the server knows the model by.
    api_key
        The key, where the server asks for one; else that in the environment variable INTERPLAY_API_KEY (for
        api.openai.com also OPENAI_API_KEY). It is sent to this server only, and never shown, stored or saved.
    chat
        Send texts as a user's message of a chat, and score the beginning of the assistant's reply; otherwise the
        model goes on with the text as it stands.
    system
        The chat's system message.
    concurrency
        The most requests under way at a time.
    retries
        How often a request is tried again that met a rate limit, a server error, a cut connection, broken JSON or a
        time-out; pauses grow, and the server's Retry-After is honoured.
    timeout
        Seconds that a request may take.
    rate
        The most requests a minute; None for no limit.
    max_calls, max_tokens
        The most model calls, failed ones included, and tokens to spend in all: what would exceed them is not sent.
        Answers under way when ``max_tokens`` is reached still count.
    batches
        A file: ablations are then asked through the server's batch end point (``/batches``, with the ``chat`` or
        completions that it names), which providers run within a day at a lower price. The file keeps which batches
        are under way and what they gave, so that a run that was stopped goes on waiting for them. Groups of up to
        16 prompts, and what tries the server out, are asked directly.
    poll
        Seconds between looks at a batch.

    Raises
    ------
    StoreError
        For a file of batches that holds something else, or cannot be made.
    InputError
        For an address that is none or holds credentials, an empty model name, or limits that make no sense.
    """

    base_url: str
    model: str
    chat: bool
    system: str | None
    endpoint: Endpoint = field(repr=False)
    _batches: Batches | None = field(repr=False)

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        chat: bool = False,
        system: str | None = None,
        concurrency: int = 8,
        retries: int = 5,
        timeout: float = 60.0,
        rate: float | None = None,
        max_calls: int | None = None,
        max_tokens: int | None = None,
        batches: str | os.PathLike[str] | None = None,
        poll: float = 30.0,
    ) -> None:
        if system is not None and not chat:
            raise InputError("a system message needs a chat: pass chat=True with it.")
        limits = Limits(concurrency, retries, timeout, rate, max_calls, max_tokens)
        connection = Connection(base_url, api_key, limits)
        endpoint = Endpoint(connection, check_model(model), chat, system)
        for name, value in {
            "base_url": connection.base_url,
            "model": model,
            "chat": chat,
            "system": system,
            "endpoint": endpoint,
            "_batches": None if batches is None else Batches(connection, batches, poll),
        }.items():
            object.__setattr__(self, name, value)

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the server can do for scoring, found by trying it in a few calls of one token.

        Raises
        ------
        InputError
            Where it refuses the key, does not have the model, or does not speak OpenAI's API.
        AblationError
            Where it does not answer.
        """
        return probe(self.endpoint)

    @property
    def spent(self) -> Spent:
        """The model calls and tokens spent so far, probing included."""
        return self.endpoint.connection.spent

    def logprob(self, target: str, *, repeats: int = 1) -> ServerScorer:
        """A scorer of texts by the log-probability (natural) that the model goes on with ``target``.

        A server that computes several requests together may give the same text another value each time. With
        ``repeats`` each text is asked so often: the mean is explained, and the spread between them is told as noise,
        with the R² that any explanation can reach. All scorers of a server take it.

        Raises
        ------
        InputError
            For an empty target, or a server that returns no log-probabilities.
        """
        how = self._way(target)
        read, check = self._reader(how)
        return self._scorer(
            lambda text: _first(read(text, [target])),
            f"log-probability of {target!r} by {WAYS[how]}",
            {"score": "logprob", "target": target, "capability": how},
            check=check,
            repeats=repeats,
        )

    def margin(self, a: str, b: str, *, repeats: int = 1) -> ServerScorer:
        """A scorer of texts by how much likelier ``a`` is than ``b``, as a difference of log-probabilities.

        Raises
        ------
        InputError
            For an empty or repeated answer, or a server that returns no log-probabilities.
        """
        if a == b:
            raise InputError(f"both answers are {a!r}: a margin needs two different ones.")
        _check_target(b)
        how = self._way(a)
        read, check = self._reader(how)

        def one(text: str) -> tuple[float, Spent]:
            (of_a, of_b), spent = read(text, [a, b])
            return of_a - of_b, spent

        return self._scorer(
            one,
            f"margin of {a!r} over {b!r} by {WAYS[how]}",
            {"score": "margin", "targets": [a, b], "capability": how},
            check=check,
            repeats=repeats,
        )

    def similarity(self, target: str, *, encoder: Encoder, max_tokens: int = 64, repeats: int = 1) -> ServerScorer:
        """A scorer of texts by the cosine of the model's answer with ``target``, both embedded by ``encoder``.

        Needs no log-probabilities. The answer is the likeliest one, of at most ``max_tokens`` tokens.
        """
        _check_answer(target)
        similar = encoder.similarity(target)
        name = f"similarity of the answer to {target!r}"
        return self._judged(similar, name, similar.identity, max_tokens, repeats=repeats)

    def exact(self, target: str, *, max_tokens: int = 64, repeats: int = 1) -> ServerScorer:
        """A scorer of texts by whether the model's answer is ``target``, white space around it aside: 1 or 0."""
        _check_answer(target)

        def score(answers: Sequence[str]) -> Values:
            return np.array([float(answer.strip() == target.strip()) for answer in answers])

        return self._judged(
            score,
            f"exact match of the answer with {target!r}",
            lambda: {"score": "exact", "target": target},
            max_tokens,
            repeats=repeats,
        )

    def judge(
        self, judge: TextScorer, *, name: str | None = None, max_tokens: int = 64, repeats: int = 1
    ) -> ServerScorer:
        """A scorer of texts by what ``judge`` says of the model's answers: N answers to N floats, or to (N, T).

        A judge with an ``identity``, such as any scorer of this package, identifies itself in a store; a plain
        function needs a ``name``, to be changed whenever it would judge otherwise.
        """
        judging = Scorer.of(judge)
        known = (lambda: {"judge": name}) if name is not None else judging.identity
        outputs = None if judging.outputs is None else tuple(judging.outputs)
        return self._judged(judging, f"{name or judging.name}, of the answer", known, max_tokens, outputs, repeats)

    def write(
        self, prompts: Sequence[str], *, max_tokens: int = 64, temperature: float = 0.0, samples: int = 1
    ) -> list[tuple[Answer, ...]] | Partial:
        """The model's answers to each prompt: the likeliest one, or ``samples`` drawn at a ``temperature``.

        A `Partial` where the server failed for some.
        """
        check_writing(max_tokens, temperature, samples)
        _ = self.endpoint.reported

        def one(text: str) -> tuple[tuple[Answer, ...], Spent]:
            found = together(partial(self._answered, text, max_tokens, temperature) for _ in range(samples))
            return tuple(Answer(words) for words, _ in found), sum((cost for _, cost in found), Spent())

        found = SideBySide(self.endpoint.connection, one, finish=list, batches=self._batches)(prompts)
        return found if isinstance(found, Partial) else list(found)

    def known(self) -> dict[str, Any]:
        """What identifies the model, as far as the server tells."""
        spoken = {"chat": self.chat, "system": self.system}
        return {"base_url": self.base_url, "model": self.model, "reported": self.endpoint.reported} | spoken

    def _answered(self, text: str, max_tokens: int, temperature: float = 0) -> tuple[str, Spent]:
        answer, spent = self.endpoint.answer(text, max_tokens, temperature=temperature)
        if is_cut_before_a_word(answer):
            raise AblationError(
                f"the server spent all of max_tokens={max_tokens} before it said anything, on reasoning perhaps: "
                "allow more of them."
            )
        return said(answer), spent

    def _way(self, target: str) -> str:
        """How the log-probability of ``target`` will be found."""
        _check_target(target)
        how = self.capabilities.how
        if how == "none":
            reason = self.capabilities.reasons.get("top", "")
            raise InputError(
                f"the server at {self.base_url} returns no log-probabilities ({reason}): use similarity(target, "
                "encoder=...), exact(target) or judge(function), which score the answer it writes."
            )
        return how

    def _reader(self, how: str) -> tuple[_Reader, Callable[[], None]]:
        """What reads the log-probabilities of targets after a text, and what checks that they can be believed."""
        if how == "echo":
            echoes = Echoes(self.endpoint)

            def read(text: str, targets: Sequence[str]) -> tuple[list[float], Spent]:
                found = together(partial(echoes.logprob, text, target) for target in targets)
                return [value for value, _ in found], sum((cost for _, cost in found), Spent())

            return read, echoes.check
        way, top = by_top if how == "top" else by_force, self.capabilities.top
        return lambda text, targets: way(self.endpoint, text, targets, top), lambda: None

    def _judged(
        self,
        judge: TextScorer,
        name: str,
        identity: Callable[[], dict[str, Any] | None],
        max_tokens: int,
        outputs: tuple[str, ...] | None = None,
        repeats: int = 1,
    ) -> ServerScorer:
        if max_tokens < 1:
            raise InputError(f"max_tokens must be at least 1, not {max_tokens}.")
        _ = self.endpoint.reported  # an unknown model is an error now, not another model's answers later

        def one(text: str) -> tuple[str, Spent]:
            return self._answered(text, max_tokens)

        def known() -> dict[str, Any] | None:
            parts = identity()
            return None if parts is None else {"score": "answer", "judged": parts, "max_tokens": max_tokens}

        return self._scorer(one, name, known, judge, outputs, repeats=repeats)

    def _scorer(
        self,
        one: Callable[[str], tuple[Any, Spent]],
        name: str,
        target: dict[str, Any] | Callable[[], dict[str, Any] | None],
        finish: Callable[[list[Any]], Any] = np.array,
        outputs: tuple[str, ...] | None = None,
        check: Callable[[], None] = lambda: None,
        repeats: int = 1,
    ) -> ServerScorer:
        check_whole("repeats", repeats, least=1)
        limits = self.endpoint.connection.limits
        if repeats > 1:
            one, finish = partial(_several, one, repeats), partial(_side_by_side, finish, repeats)
        measured = SideBySide(self.endpoint.connection, one, finish, check, self._batches)

        def identity() -> dict[str, Any] | None:
            parts = target() if callable(target) else target
            if parts is None:
                return None
            often = {"repeats": repeats} if repeats > 1 else {}
            return parts | often | {"server": self.known()}

        def notes(text: str) -> tuple[str, ...]:
            each = measured.price(text)
            waits = () if self._batches is None else ("asked in batches, for which a server may take a day",)
            return (f"each ablation is about {each} on {self.model}: {name}", *waits, *self.endpoint.notes)

        return ServerScorer(
            measured,
            name,
            identity=identity,
            outputs=outputs,
            check=notes,
            batch_size=4 * limits.concurrency if self._batches is None else AT_ONCE,
            model=self.model,
            repeats=repeats,
            measured=measured,
        )


_Reader: TypeAlias = Callable[[str, Sequence[str]], tuple[list[float], Spent]]


def _several(one: Callable[[str], tuple[Any, Spent]], repeats: int, text: str) -> tuple[list[Any], Spent]:
    """What a text gives, asked so often, and what that cost."""
    found = together(partial(one, text) for _ in range(repeats))
    return [result for result, _ in found], sum((cost for _, cost in found), Spent())


def _side_by_side(finish: Callable[[list[Any]], Any], repeats: int, rows: list[list[Any]]) -> Values:
    """The values (N, T * repeats) of texts, the repeats of an output side by side."""
    values = np.asarray(finish([result for row in rows for result in row]), dtype=np.float64)
    return values.reshape(len(rows), repeats, -1).transpose(0, 2, 1).reshape(len(rows), -1)


def _first(found: tuple[list[float], Spent]) -> tuple[float, Spent]:
    return found[0][0], found[1]


def _check_target(target: str) -> None:
    """A target may be a line break, which models do write; spaces alone belong to the word that follows."""
    if not isinstance(target, str) or not target.strip(" "):
        raise InputError(f"the target is {target!r}: pass the answer whose score is wanted.")


def _check_answer(target: str) -> None:
    """An answer is compared without the white space around it, so that it must hold something else."""
    if not isinstance(target, str) or not target.strip():
        raise InputError(f"the target is {target!r}: pass the answer whose score is wanted.")
