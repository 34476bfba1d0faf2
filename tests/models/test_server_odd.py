"""Servers that are not what one hopes for: leaky, stale, dripping, redirecting, or with words of their own."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

import interplay as ip
from fault_proxy import Answering, serving
from interplay.models._server import size

KEY = "sk-SECRET-1234567890abcdef"
Reply = Callable[[Any, dict[str, Any]], "tuple[int, dict[str, Any]] | None"]


def scripted(reply: Reply) -> type[BaseHTTPRequestHandler]:
    """A server that lists the model "m" and answers each request with what ``reply(handler, body)`` says."""

    class Handler(Answering):
        def do_GET(self) -> None:
            self.reply(200, {"data": [{"id": "m"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found = reply(self, body)
            if found is not None:
                self.reply(*found)

    return Handler


def chat(content: str, finish: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def everything_said(error: BaseException | None) -> str:
    words = ""
    while error is not None:
        words += f" {error!r} {error}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return words


@pytest.mark.parametrize(
    "leak",
    [
        lambda key: {key: 1, "x": 2},
        lambda key: chat(f"your key is {key}"),
        lambda key: {"error": {"message": f"bad key {key}"}},
        lambda key: chat("gold") | {"choices": [{key: key}]},
    ],
)
def test_a_key_that_the_server_repeats_is_in_no_error_note_value_or_store(leak: Any, tmp_path: Path) -> None:
    calls = 0

    def reply(handler: Any, _: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        nonlocal calls
        calls += 1
        return 200, chat("gold") if calls < 6 else leak(handler.headers["Authorization"].split()[-1])

    seen: list[str] = []

    def judge(answers: list[str]) -> list[float]:
        seen.extend(answers)
        return [float(len(answer)) for answer in answers]

    said = ""
    with serving(scripted(reply)) as url:
        server = ip.models.Server(f"{url}/v1", "m", KEY, chat=True, retries=0, concurrency=1)
        try:
            game = ip.lenses.text(server.judge(judge, name="length"), "a b c d e f", ablate="_")
            found = ip.explain(game, budget=20, method="lasso", store=tmp_path / "runs.db")
            said = repr(found.to_dict())
        except ip.InterplayError as error:
            said = everything_said(error)
    assert said
    assert KEY not in said + "".join(seen)
    assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_a_short_key_is_a_placeholder_and_may_be_a_word_of_an_answer() -> None:
    with serving(scripted(lambda *_: (200, chat("ollama")))) as url:
        assert ip.models.Server(f"{url}/v1", "m", "ollama", chat=True).exact("ollama")(["Who?"]) == [1.0]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_no_text_goes_elsewhere(status: int) -> None:
    got: list[dict[str, Any]] = []

    def other(_: Any, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        got.append(body)
        return 200, chat("gold")

    with serving(scripted(other)) as elsewhere:

        def reply(handler: Any, _: dict[str, Any]) -> None:
            handler.reply(status, {}, Location=f"{elsewhere}/v1/chat/completions")

        with (
            serving(scripted(reply)) as url,
            pytest.raises(ip.InterplayError, match=f"redirects to another address .{status}., which is not followed"),
        ):
            ip.models.Server(f"{url}/v1", "m", chat=True, retries=0).exact("gold")(["a private text"])
    assert not got


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_timeout_bounds_the_whole_request_however_slowly_the_answer_drips(part: str) -> None:
    def reply(handler: Any, _: dict[str, Any]) -> None:
        head = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nX-Long: " + b"x" * 100
        slow = head if part == "head" else b"{" + b" " * 100
        if part == "body":
            handler.wfile.write(head + b"\r\nContent-Length: 500\r\n\r\n")
        try:
            for at in range(len(slow)):
                handler.wfile.write(slow[at : at + 1])
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass

    with serving(scripted(reply)) as url:
        scorer = ip.models.Server(f"{url}/v1", "m", chat=True, timeout=0.5, retries=0).exact("gold")
        began = time.monotonic()
        with pytest.raises(ip.AblationError, match=r"no answer within 0\.5 seconds"):
            scorer(["Where is it?"])
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_that_never_ends_takes_no_more_memory_than_an_answer_may(
    packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size, "_MOST", 1 << 20)
    monkeypatch.setattr(size, "_MOST_PACKED", 1 << 10)
    sent = 0
    pieces = [gzip.compress(os.urandom(1 << 10)) for _ in range(8)] if packed else [b" " * (1 << 16)] * 4096

    def reply(handler: Any, _: dict[str, Any]) -> None:
        nonlocal sent
        kind = b"Content-Encoding: gzip\r\n" if packed else b""
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n" + kind + b"\r\n")
        try:
            for piece in pieces:
                handler.wfile.write(piece)
                sent += len(piece)
        except OSError:
            pass

    with serving(scripted(reply)) as url:
        scorer = ip.models.Server(f"{url}/v1", "m", chat=True, retries=0).exact("gold")
        with pytest.raises(ip.InterplayError, match=r"sent more than . MB in answer to one request"):
            scorer(["Where is it?"])
    assert packed or sent < 1 << 27  # what lay in sockets' buffers, and not the 256 MB


def worth(before: str, piece: str) -> float:
    """A fixed log-probability of a piece after a text."""
    return -0.1 - hashlib.sha256(f"{before}|{piece}".encode()).digest()[0] / 64


class Echo:
    """A server that echoes prompts with their log-probabilities: stale ones from some call on, as ``spoil`` has it."""

    def __init__(self, spoil: Callable[[list[float | None], int], list[float | None]], glued: bool = False) -> None:
        self.spoil, self.glued, self.calls, self.good = spoil, glued, 0, 10**9

    def __call__(self, handler: Any, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if not handler.path.endswith("/v1/completions"):
            return 404, {"error": {"message": "no such path"}}
        self.calls += 1
        tokens = re.findall(r"\n|[^\S\n]?\S+|\s+$", body["prompt"])
        before, values = "", []
        for token in tokens:
            values.append(worth(before, token) if before else None)
            before += token
        named = ["!?" if self.glued else " wa", " wb", " wc", " wd"]  # the first may be glued to the word before it
        tops = {name: worth(before, name) for name in named[: body.get("logprobs") or 1]}
        best = next(iter(tops))
        if self.calls > self.good:
            values = self.spoil(values, self.calls)
        rows = ([best], [tops[best]], [tops])
        if body.get("echo"):
            rows = ([*tokens, best], [*values, tops[best]], [*[None] * len(tokens), tops])
        names = ("tokens", "token_logprobs", "top_logprobs")
        usage = {"prompt_tokens": len(tokens), "completion_tokens": 1, "total_tokens": len(tokens) + 1}
        logprobs = dict(zip(names, rows, strict=True))
        choice = {"index": 0, "text": "".join(rows[0]), "finish_reason": "length", "logprobs": logprobs}
        return 200, {"model": "m", "usage": usage, "choices": [choice]}


STALE = {
    "zero": lambda values, _: [None if value is None else 0.0 for value in values],
    "shifted": lambda values, _: [None, *(value or 0.0 for value in values[:-1])],
    "the same for all": lambda values, _: [None if value is None else -0.25 for value in values],
    "growing": lambda values, call: [None if value is None else value - 0.1 * call for value in values],
}


@pytest.mark.parametrize("how", STALE)
@pytest.mark.parametrize("good", [0, 3, 8, 17])
def test_echoes_that_go_stale_are_noticed_before_a_batch_is_believed(how: str, good: int) -> None:
    echo = Echo(STALE[how])
    with serving(scripted(echo)) as url:
        server = ip.models.Server(f"{url}/v1", "m", retries=0, concurrency=1)
        scorer = server.logprob(" gold and")
        assert server.capabilities.how == "echo"
        echo.good = echo.calls + good
        texts = [f"Ann has the red key number {k}." for k in range(24)]
        with pytest.raises(ip.AblationError, match=r"stale|log-probability 0"):  # noqa: PT012
            for start in range(0, 24, 4):
                batch = texts[start : start + 4]
                values = scorer(batch)
                if not hasattr(values, "shape"):  # some of the batch failed, and say why
                    raise ip.AblationError(next(iter(values.failures.values())))
                for value, text in zip(values, batch, strict=True):
                    assert value == pytest.approx(worth(text, " gold") + worth(text + " gold", " and"))


def test_a_good_server_passes_every_check_of_its_echoes() -> None:
    echo = Echo(lambda values, _: values)
    with serving(scripted(echo)) as url:
        scorer = ip.models.Server(f"{url}/v1", "m", retries=0).logprob(" gold")
        for k in range(5):
            text = f"Number {k} is"
            assert scorer([text]) == pytest.approx([worth(text, " gold")])


def test_one_odd_candidate_does_not_end_a_probe() -> None:
    with serving(scripted(Echo(lambda values, _: values, glued=True))) as url:
        server = ip.models.Server(f"{url}/v1", "m", retries=0)
        assert server.capabilities.how == "echo"  # "!?" is glued to the word before it, and cannot be compared


def refuses(name: str, instead: str) -> dict[str, Any]:
    words = f"Unsupported parameter: '{name}' is not supported with this model. {instead}"
    return {"error": {"message": words, "type": "invalid_request_error", "param": name}}


def test_a_model_that_wants_max_completion_tokens_and_no_temperature_is_asked_in_its_own_words() -> None:
    bodies: list[dict[str, Any]] = []

    def reply(_: Any, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        bodies.append(body)
        if "max_tokens" in body:
            return 400, refuses("max_tokens", "Use 'max_completion_tokens' instead.")
        if body.get("temperature", 1) != 1:
            return 400, refuses("temperature", "Only the default (1) value is supported.")
        return 200, chat("gold")

    with serving(scripted(reply)) as url:
        server = ip.models.Server(f"{url}/v1", "m", chat=True, retries=0, concurrency=1)
        game = ip.lenses.text(server.exact("gold"), "Where is it", ablate="_")
        assert list(server.exact("gold")(["Where?", "Who?"])) == [1.0, 1.0]
    assert len(bodies) == 5  # two refusals, and never again
    assert bodies[-1]["max_completion_tokens"] == 64
    assert any("no temperature of 0" in note and "drawn at random" in note for note in game.notes)


def test_other_refusals_are_not_asked_again_in_other_words() -> None:
    calls = 0

    def reply(*_: Any) -> tuple[int, dict[str, Any]]:
        nonlocal calls
        calls += 1
        return 400, {"error": {"message": "max_tokens is too large: 64"}}

    with serving(scripted(reply)) as url, pytest.raises(ip.InputError, match="max_tokens is too large"):
        ip.models.Server(f"{url}/v1", "m", chat=True, retries=0).exact("gold")(["Where?"])
    assert calls == 1


def test_an_answer_cut_off_before_its_first_word_is_no_answer() -> None:
    with serving(scripted(lambda *_: (200, chat("", "length")))) as url:
        scorer = ip.models.Server(f"{url}/v1", "m", chat=True, retries=0).exact("gold", max_tokens=5)
        with pytest.raises(ip.AblationError, match="allow more"):
            scorer(["Where?"])


def test_a_line_break_is_a_target_and_spaces_alone_are_none() -> None:
    with serving(scripted(Echo(lambda values, _: values))) as url:
        server = ip.models.Server(f"{url}/v1", "m", retries=0)
        assert server.logprob("\n")(["It is here."]) == pytest.approx([worth("It is here.", "\n")])
        for ask in (server.logprob, server.exact):
            with pytest.raises(ip.InputError, match="the target is '  '"):
                ask("  ")
