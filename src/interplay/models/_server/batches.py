"""Ablations through a server's batch end point: one file of requests up, one file of answers down, much later."""

from __future__ import annotations

import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from interplay._errors import AblationError, InputError, InterplayError
from interplay._game.identity import digest
from interplay.models._kept_file import KeptFile
from interplay.models._server.answers import used_tokens
from interplay.models._server.connection import Connection, RefusalError, UnreachableError, may_pass
from interplay.models._server.spending import Spent

T = TypeVar("T")

DIRECT = 16  # as many prompts or fewer are asked at once: the first ablations of a run, which show a mistake early
AT_ONCE = 2000  # ablations that a run asks for in one go
_MOST = 500  # requests of a batch: its answers, of which some hold log-probabilities of whole prompts, come in one file
_UNKNOWN = 404
_ENDED = ("completed", "failed", "expired", "cancelled")
_APPLICATION = 0x1B7E_4F1C  # the mark of such a file
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS batch (id TEXT PRIMARY KEY, base_url TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS request (name TEXT PRIMARY KEY, batch TEXT, answer TEXT) WITHOUT ROWID",
)


class Batches:
    """A server's batches: those under way, and the answers of those that ended, kept in one SQLite file.

    Parameters
    ----------
    connection
        The server. What is sent counts there as it would one by one.
    path
        The file. Of a run that was stopped it knows which batches are under way; these are waited for, not sent again.
    poll
        Seconds between looks at a batch.

    Raises
    ------
    StoreError
        For a file that holds something else, or that cannot be made.
    """

    def __init__(self, connection: Connection, path: str | os.PathLike[str], poll: float = 30.0) -> None:
        if not poll > 0:
            raise InputError(f"poll must be more than 0 seconds, not {poll!r}.")
        self.connection, self.poll = connection, poll
        self.record = _Record(path)

    def gather(
        self, one: Callable[[str], tuple[Any, Spent]], texts: Sequence[str], results: dict[str, Any]
    ) -> dict[str, InterplayError]:
        """Add to ``results`` what ``one`` gives for ``texts``; the failures of the others.

        Each text is tried with the answers that are there, and what it asks for beyond them goes into the next batch,
        until nothing is asked for: some ways of scoring take several calls, of which a later one needs an earlier.
        """
        failures: dict[str, InterplayError] = {}
        left, sent = list(dict.fromkeys(texts)), Counter[str]()
        while left:
            wanted: dict[str, _Request] = {}
            waiting = []
            for text in left:
                replay = _Replay(self)
                try:
                    with self.connection.replaying(replay):
                        results[text] = one(text)[0]
                except _WantingError as wanting:
                    waiting.append(text)
                    wanted |= {request.name: request for request in wanting.requests}
                except InterplayError as error:
                    failures[text] = error
            if wanted:
                self._answer(wanted, sent)
            left = waiting
        return failures

    def _answer(self, wanted: Mapping[str, _Request], sent: Counter[str]) -> None:
        """Have an answer to each request, from the batches under way or from new ones."""
        under_way = self.record.under_way(self.connection.base_url, wanted)
        fresh = [request for name, request in wanted.items() if name not in under_way]
        # What a batch left unanswered or the server failed at goes into another one, as often as single requests would.
        worn = [one.name for one in fresh if sent[one.name] > self.connection.limits.retries]
        if worn:
            raise UnreachableError(
                f"the server at {self.connection.base_url} left {len(worn)} requests of {len(wanted)} unanswered in "
                f"{self.connection.limits.retries + 1} batches."
            )
        batches = dict.fromkeys(under_way.values())
        for path in dict.fromkeys(request.path for request in fresh):
            alike = [request for request in fresh if request.path == path]
            for start in range(0, len(alike), _MOST):
                batches[self._send(path, alike[start : start + _MOST])] = None
        sent.update(one.name for one in fresh)
        for batch in batches:
            self._collect(batch)

    def _send(self, path: str, requests: Sequence[_Request]) -> str:
        """The id of a new batch of requests, written down."""
        self.connection.count(len(requests))
        url = f"/v1{path}"
        lines = [
            json.dumps({"custom_id": one.name, "method": "POST", "url": url, "body": one.body}) for one in requests
        ]
        content = "\n".join(lines).encode() + b"\n"

        file = self.connection.do(
            lambda client: client.files.create(file=("batch.jsonl", io.BytesIO(content)), purpose="batch").id
        )
        number = self.connection.do(
            lambda client: client.batches.create(input_file_id=file, endpoint=url, completion_window="24h").id
        )
        if not isinstance(number, str) or not number:
            raise AblationError(
                f"the server at {self.connection.base_url} made a batch without an id: has it a batch end point?"
            )
        self.record.begin(number, self.connection.base_url, [one.name for one in requests])
        return number

    def _collect(self, batch: str) -> None:
        """Wait until a batch has ended, and keep its answers."""
        while (told := self._told(batch)).get("status") not in _ENDED:
            time.sleep(self.poll)
        answers: dict[str, dict[str, Any]] = {}
        for which in ("output_file_id", "error_file_id"):
            file = told.get(which)
            if file:
                answers |= self._read(str(file))
        good = {name: answer for name, answer in answers.items() if not may_pass(answer["status"])}
        self.connection.count_tokens(sum(used_tokens(answer.get("body") or {}) or 0 for answer in good.values()))
        self.record.end(batch, good)
        if not answers and told.get("status") == "failed":
            said = [str(one.get("message")) for one in (told.get("errors") or {}).get("data") or ()]
            why = self.connection.cleaned(said[0]) if said else "no reason given"
            raise UnreachableError(f"the server at {self.connection.base_url} failed at a batch ({why}).")

    def _told(self, batch: str) -> dict[str, Any]:
        """What the server tells of a batch."""
        try:
            told: dict[str, Any] = self.connection.do(lambda client: client.batches.retrieve(batch).model_dump())
        except RefusalError as error:
            if error.status != _UNKNOWN:
                raise
            return {"status": "expired"}  # the server has forgotten it: what it was asked is asked anew
        return told

    def _read(self, file: str) -> dict[str, dict[str, Any]]:
        """The answers in a file of the server's, status and body, by the requests' names."""
        text = self.connection.do(lambda client: client.files.content(file).read().decode())
        found = {}
        for line in text.splitlines():
            if not line.strip():
                continue
            try:
                told = json.loads(line)
                name, answer, error = told["custom_id"], told.get("response"), told.get("error")
                if not isinstance(answer, dict):
                    answer = {"status_code": 500, "body": {"error": error}}
                found[str(name)] = {"status": int(answer.get("status_code", 200)), "body": answer.get("body")}
            except (ValueError, KeyError, TypeError, AttributeError):
                raise AblationError(
                    f"the server at {self.connection.base_url} answered a batch in another shape than OpenAI's API: "
                    f"{self.connection.cleaned(line)[:80]!r}."
                ) from None
        return found


@dataclass(frozen=True)
class _Request:
    """One line of a batch."""

    name: str
    path: str
    body: dict[str, Any]


class _WantingError(Exception):
    """Answers that are not there yet."""

    def __init__(self, requests: Sequence[_Request]) -> None:
        super().__init__("wanting")
        self.requests = tuple(requests)


def together(calls: Iterable[Callable[[], T]]) -> list[T]:
    """What calls that need nothing of each other give: in a batch they are asked for in one round."""
    found: list[T] = []
    wanting: list[_Request] = []
    for call in calls:
        try:
            found.append(call())
        except _WantingError as error:
            wanting += error.requests
    if wanting:
        raise _WantingError(wanting)
    return found


@dataclass(eq=False)
class _Replay:
    """Answers the calls that scoring one text makes, as far as there are answers."""

    batches: Batches
    asked: Counter[str] = field(default_factory=Counter)

    def call(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], Spent]:
        """The answer to ``body``, and what it cost."""
        connection = self.batches.connection
        same = digest(path=path, body=body)
        self.asked[same] += 1  # the same may be asked again, to see how much answers differ
        name = digest(server=connection.base_url, same=same, time=self.asked[same])[:40]
        found = self.batches.record.answer(name)
        if found is None:
            raise _WantingError([_Request(name, path, body)])
        answer = found["body"]
        if found["status"] != 200 or not isinstance(answer, dict):
            raise connection.refused(found["status"], json.dumps(answer) if answer else "no answer")
        return answer, Spent(1, used_tokens(answer) or 0)


class _Record(KeptFile):
    """Which request is in which batch, and what was answered."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, "batches", _APPLICATION, _SCHEMA)

    def answer(self, name: str) -> dict[str, Any] | None:
        """The answer to a request, its status and body; None where there is none yet."""
        with self._lock, self._explained():
            row = self._database.execute("SELECT answer FROM request WHERE name = ?", (name,)).fetchone()
        if row is None or row[0] is None:
            return None
        found: dict[str, Any] = json.loads(row[0])
        return found

    def under_way(self, base_url: str, names: Mapping[str, Any]) -> dict[str, str]:
        """The batch of each of these requests that is in one under way."""
        with self._lock, self._explained():
            rows = self._database.execute(
                "SELECT name, batch FROM request JOIN batch ON batch.id = request.batch WHERE base_url = ?", (base_url,)
            ).fetchall()
        return {name: batch for name, batch in rows if name in names}

    def begin(self, batch: str, base_url: str, names: Sequence[str]) -> None:
        """Write down a batch that was sent."""
        with self._changed():
            self._database.execute("INSERT OR REPLACE INTO batch VALUES (?, ?)", (batch, base_url))
            rows = [(name, batch) for name in names]
            self._database.executemany("INSERT OR REPLACE INTO request VALUES (?, ?, NULL)", rows)

    def end(self, batch: str, answers: Mapping[str, Mapping[str, Any]]) -> None:
        """Write down what a batch gave; requests that it left unanswered are as if they had never been sent."""
        rows = [(json.dumps(answer), name) for name, answer in answers.items()]
        with self._changed():
            self._database.executemany("UPDATE request SET answer = ?, batch = NULL WHERE name = ?", rows)
            self._database.execute("DELETE FROM request WHERE batch = ?", (batch,))
            self._database.execute("DELETE FROM batch WHERE id = ?", (batch,))
