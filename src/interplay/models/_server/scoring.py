"""The log-probability of a given answer, by whichever way the server offers, for many texts side by side."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from interplay._errors import AblationError, InputError, InterplayError
from interplay._game.cost import Cost
from interplay._game.masks import Values
from interplay._game.partial import Partial
from interplay.models._scorer import Scorer
from interplay.models._server.answers import first_token, has_logprobs, prompt_tokens
from interplay.models._server.batches import DIRECT, Batches
from interplay.models._server.connection import Connection, ExhaustionError, UnreachableError
from interplay.models._server.echo import nothing_before, starts_inside
from interplay.models._server.endpoint import Endpoint
from interplay.models._server.spending import Spent

_PATIENCE = 0.5  # seconds of waiting at a time

WAYS = {
    "echo": "prompt log-probabilities",
    "forced": "forced-token scoring",
    "top": "top log-probabilities",
}


def by_force(endpoint: Endpoint, text: str, targets: Sequence[str], top: int) -> tuple[list[float], Spent]:
    """log p(target | text), in one call per token of a target, each token forced and its own value read.

    A token that an earlier call of the same text named among the likeliest there is not asked for again.
    """
    prompt = endpoint.prompt(text)
    known: dict[tuple[int, ...], dict[int, float]] = {}  # by the ids before it, a token's log-probability
    found, spent = [], Spent()
    for target in targets:
        ids, pieces = endpoint.tokens(prompt + target)
        total = 0.0
        for position in range(_beginning(target, text, pieces), len(ids)):
            there = known.setdefault(tuple(ids[:position]), {})
            if ids[position] not in there:
                tokens, cost = _forced(endpoint, ids[: position + 1], pieces[position], target, top)
                there.update(tokens)
                spent += cost
            total += there[ids[position]]
        found.append(total)
    return found, spent


def _beginning(target: str, text: str, pieces: list[bytes]) -> int:
    """The first of the tokens that spell ``target`` at the end of ``pieces``."""
    begin, missing = len(pieces), len(target.encode())
    while missing > 0 and begin > 0:
        begin -= 1
        missing -= len(pieces[begin])
    if missing:
        raise starts_inside(target, text)
    if begin == 0:
        raise nothing_before(target)
    return begin


def _forced(endpoint: Endpoint, ids: list[int], piece: bytes, target: str, top: int) -> tuple[dict[int, float], Spent]:
    """The log-probability of the last of ``ids`` after the others, and those of the likeliest tokens there."""
    answer, cost = endpoint.force(ids[:-1], ids[-1], top)
    if not _is_text(piece) and not has_logprobs(answer):  # llama.cpp withholds what it cannot print
        raise InputError(
            f"{target!r} has a character that the model spells in several tokens, and the server gives no "
            "log-probability of a part of one: choose an answer of plainer letters."
        )
    token, tops = first_token(answer)
    held = token.is_text_of(piece) if token.id is None else token.id == ids[-1]
    if not held:
        raise AblationError(f"the server was to say {piece!r} but said {token.text!r}: its logit_bias does not hold.")
    read = prompt_tokens(answer)
    if read is not None and read != len(ids) - 1:
        raise AblationError(f"the server read {read} tokens of a prompt of {len(ids) - 1}: it cuts texts short.")
    return {other.id: other.logprob for other in tops if other.id is not None} | {ids[-1]: token.logprob}, cost


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def by_top(endpoint: Endpoint, text: str, targets: Sequence[str], top: int) -> tuple[list[float], Spent]:
    """log p(target | text) of targets of one token each, in one call, where they are among the likeliest."""
    answer, spent = endpoint.answer(text, 1, top)
    _, tops = first_token(answer)
    found = []
    for target in targets:
        same = [token.logprob for token in tops if token.is_text(target)]
        if len(same) != 1:
            why = f"{len(same)} of them are it" if same else f"they are {', '.join(repr(t.text) for t in tops[:5])}, …"
            raise AblationError(
                f"{target!r} is not one of the {len(tops)} likeliest next tokens that the server names ({why}): choose "
                "an answer of one token that stays likely, or a server with prompt log-probabilities or /tokenize."
            )
        found += same
    return found, spent


@dataclass(eq=False)
class SideBySide:
    """N texts to N results, several requests at a time, each distinct text once, none lost when another fails.

    ``one`` gives the result of a text and what it cost; ``finish`` makes values (N,) or (N, T) of N results; ``check``
    is called when new ones are in, and raises where they cannot be believed.
    """

    connection: Connection
    one: Callable[[str], tuple[Any, Spent]]
    finish: Callable[[list[Any]], Any] = np.array
    check: Callable[[], None] = lambda: None
    batches: Batches | None = None
    checked: dict[str, tuple[Any, Spent]] = field(default_factory=dict)
    unfinished: dict[str, Any] = field(default_factory=dict)

    def __call__(self, texts: Sequence[str]) -> Values | Partial:
        """The values of ``texts``; a `Partial` where some of them failed for good."""
        distinct = list(dict.fromkeys(texts))
        results = {text: self.checked[text][0] for text in distinct if text in self.checked}
        left = {text: self.unfinished.pop(text, None) for text in distinct}
        results |= {text: result for text, result in left.items() if result is not None}
        fresh = [text for text in distinct if text not in results]
        try:
            failures = self._gather(fresh, results)
            if any(text in results for text in fresh):
                self._check(fresh, results)
            if failures and not results:
                raise next(iter(failures.values()))
            values: Values = self.finish([results[text] for text in texts if text in results])
        except BaseException:
            self.unfinished |= results  # paid for: when a judge fails, or on Ctrl-C, the next attempt finds them here
            raise
        if not failures:
            return values
        # What was paid for is kept: the runner writes the good values down before it complains of the others.
        return Partial(values, {row: str(failures[text]) for row, text in enumerate(texts) if text in failures})

    def _check(self, fresh: Sequence[str], results: dict[str, Any]) -> None:
        """Drop the ``fresh`` results where they cannot be believed."""
        try:
            self.check()
        except InterplayError:
            for text in fresh:
                results.pop(text, None)
            raise

    def price(self, text: str) -> Spent:
        """What one text costs, found by scoring it; its value is kept, and not paid for again."""
        if text not in self.checked:
            self.checked = {text: self.one(text)}  # one only: that of the text to be explained
        return self.checked[text][1]

    def _gather(self, texts: list[str], results: dict[str, Any]) -> dict[str, InterplayError]:
        """Add to ``results`` those of ``texts``; the failures of the others."""
        if self.batches is not None and len(texts) > DIRECT:
            return self.batches.gather(self.one, texts, results)
        failures: dict[str, InterplayError] = {}
        crashes: list[Exception] = []
        broken, left = threading.Event(), threading.Event()
        todo: queue.SimpleQueue[str] = queue.SimpleQueue()
        for text in texts:
            todo.put(text)

        def work() -> None:
            with contextlib.suppress(queue.Empty):
                while not (broken.is_set() or left.is_set()):
                    text = todo.get_nowait()
                    try:
                        results[text] = self.one(text)[0]
                    except (UnreachableError, ExhaustionError) as error:
                        failures[text] = error
                        broken.set()  # what failed for one text, again and again, is not tried with every other
                    except InterplayError as error:
                        failures[text] = error
                    except Exception as error:
                        crashes.append(error)
                        broken.set()
                    else:
                        if left.is_set():  # nobody waits for it any more, but it was paid for
                            self.unfinished[text] = results[text]

        count = min(self.connection.limits.concurrency, len(texts))
        # Daemons, as a process that was interrupted must not wait for a slow server's answers before it ends.
        workers = [threading.Thread(target=work, name=f"interplay-server-{i}", daemon=True) for i in range(count)]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                while worker.is_alive():  # for a while only: a Ctrl-C just before an endless wait would not end it
                    worker.join(_PATIENCE)
        except BaseException:
            left.set()
            raise
        if crashes:
            raise crashes[0]
        first = next(iter(failures.values()), None)
        if first is not None:
            failures |= {text: first for text in texts if text not in results and text not in failures}
        return failures


@dataclass(frozen=True, eq=False)
class ServerScorer(Scorer):
    """A `Scorer` of texts by a model behind an API, which can say beforehand what it will cost.

    Where some texts fail for good it returns a `Partial`: the values of the others, which were paid for, and why.
    """

    measured: SideBySide | None = field(default=None, repr=False)

    def price(self, text: str, ablations: int = 1) -> Cost:
        """About what so many ablations of ``text`` cost, at most: found by scoring the whole text once."""
        assert self.measured is not None
        each = self.measured.price(text)
        return Cost(each.calls * ablations, "calls", each.tokens * ablations, at_most=True)
