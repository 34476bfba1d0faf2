"""A mistake, or a server that is not what it seems, gets one clear sentence; the key is in none of them."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

import interplay as ip
from fault_proxy import proxy, serving
from interplay.models._server import connection as _server_connection
from llama_server import llama_server
from planted_lm import TASKS

TASK = TASKS[0]
KEY = "sk-very-secret-1234567890"


@pytest.fixture(scope="module")
def guarded_url(planted_gguf: Path) -> Iterator[str]:
    """A real server that asks for a key."""
    with llama_server(planted_gguf, api_key=KEY) as url:
        yield url


def message(error: BaseException) -> str:
    words = str(error)
    assert "\n" not in words
    return words


@pytest.mark.parametrize("target", ["", "  "])
def test_an_empty_target_is_refused_before_anything_is_sent(target: str) -> None:
    server = ip.models.Server("http://127.0.0.1:9/v1", "planted")  # nothing listens there
    for ask in (server.logprob, lambda target: server.margin(target, "yes"), server.exact):
        with pytest.raises(ip.InputError, match=f"the target is {target!r}: pass the answer whose score is wanted"):
            ask(target)


def test_a_margin_of_an_answer_over_itself_is_refused() -> None:
    with pytest.raises(ip.InputError, match="both answers are 'yes'"):
        ip.models.Server("http://127.0.0.1:9/v1", "planted").margin("yes", "yes")


def test_a_target_that_starts_inside_a_token_is_named(llama_url: str) -> None:
    scorer = ip.models.Server(llama_url, "planted").logprob("er: gold")
    with pytest.raises(ip.InputError, match="the target 'er: gold' starts inside a token"):
        scorer([TASK.prompt.removesuffix("er:")])


def test_a_text_beyond_the_window_is_refused_with_both_lengths(llama_url: str) -> None:
    scorer = ip.models.Server(llama_url, "planted").logprob(" gold")
    with pytest.raises(ip.InputError, match=r"\(492 tokens\) exceeds the available context size \(256 tokens\)"):
        ip.lenses.text(scorer, " ".join([TASK.context] * 9), unit="sentence", template=TASK.template)


def test_an_empty_text_has_nothing_for_the_target_to_follow(llama_url: str) -> None:
    with pytest.raises(ip.InputError, match="the text before ' gold' is empty"):
        ip.models.Server(llama_url, "planted").logprob(" gold")([""])


def test_an_unknown_model_is_refused_though_the_server_would_answer(llama_url: str) -> None:
    with pytest.raises(ip.InputError, match=r"unknown model 'plantet'. Did you mean 'planted'\?"):
        ip.models.Server(llama_url, "plantet").logprob("yes")
    with pytest.raises(ip.InputError, match=r"unknown model 'plantet'"):
        ip.models.Server(llama_url, "plantet").exact("yes")


@pytest.mark.parametrize("listed", [[{"id": "another"}], []])
def test_a_model_that_is_not_listed_but_answers_by_its_name_is_believed(llama_url: str, listed: list[Any]) -> None:
    def edit(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        return {"data": listed} if path.endswith("/models") else answer

    with proxy(llama_url, edit=edit) as (url, _):
        assert ip.models.Server(url, "planted").capabilities.reported == {}


def test_a_server_that_cannot_list_its_models_is_asked_all_the_same(llama_url: str) -> None:
    with proxy(llama_url, hide=["/models"]) as (url, _):
        assert ip.models.Server(url, "planted").capabilities.how == "forced"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:8080/v1", "base_url must be an address"),
        ("ftp://localhost/v1", "base_url must be an address"),
        (f"http://user:{KEY}@localhost/v1", "holds a user name, password or query"),
        (f"http://localhost/v1?api-key={KEY}", "holds a user name, password or query"),
    ],
)
def test_addresses_that_are_none_or_hold_secrets_are_refused(url: str, words: str) -> None:
    with pytest.raises(ip.InputError, match=words) as error:
        ip.models.Server(url, "planted")
    assert KEY not in message(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, "concurrency must be at least 1, not 0"),
        ({"retries": -1}, "retries must be at least 0, not -1"),
        ({"timeout": 0}, "timeout must be more than 0, not 0"),
        ({"rate": -3}, "rate must be more than 0, not -3"),
        ({"max_calls": 0}, "max_calls must be more than 0, not 0"),
        ({"system": "Be brief."}, "needs a chat: pass chat=True"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ip.InputError, match=words):
        ip.models.Server("http://localhost/v1", "planted", **options)


@pytest.mark.parametrize("model", ["", " "])
def test_an_empty_model_name_is_refused(model: str) -> None:
    with pytest.raises(ip.InputError, match="the model must be the name"):
        ip.models.Server("http://localhost/v1", model)


class Odd(BaseHTTPRequestHandler):
    """A server that answers everything with the same odd content."""

    content: bytes = b"{}"
    kind = "application/json"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    do_POST = do_GET


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"<html>Welcome</html>", "text/html", "answered in another shape.*usually ends in /v1.*Welcome"),
        (b"[1, 2]", "application/json", "answered in another shape"),
        (b'{"data": "planted"}', "application/json", "/models answered in another shape"),
        (b'{"data": []}', "application/json", "another shape than OpenAI's API: no 'choices' among 'data'"),
        (b'{"data": [], "choices": []}', "application/json", "without an answer: 'choices' is empty"),
        (b'{"error": {"message": "no such model"}}', "application/json", "refuses the request .200: no such model"),
        (b"[" * 100_000, "application/json", "answered with broken JSON"),
        (b'{"data": [], "choices": [{"text": 3}]}', "application/json", "answer holds no text"),
    ],
)
def test_another_shape_of_answer_is_named(content: bytes, kind: str, words: str) -> None:
    handler = type("Handler", (Odd,), {"content": content, "kind": kind})
    with serving(handler) as address:
        server = ip.models.Server(f"{address}/v1", "planted", retries=0)
        with pytest.raises((ip.InputError, ip.AblationError), match=words) as error:
            server.capabilities, server.exact("yes")(["text"])
    message(error.value)


def test_a_failure_that_passes_is_tried_again_though_it_comes_as_a_success(
    llama_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_server_connection, "_FIRST_PAUSE", 0.01)
    failing = iter([True, True])

    def edit(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/completions") and next(failing, False):
            return {"error": {"message": "upstream is busy", "code": 502}}
        return answer

    with proxy(llama_url, edit=edit) as (url, _):
        assert ip.models.Server(url, "planted").exact("gold")([TASK.prompt]).tolist() == [1.0]


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "0.5", "null", '"-1"'])
def test_a_log_probability_that_is_none_is_never_a_value(llama_url: str, value: str) -> None:
    broken = False

    def edit(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        if broken and path.endswith("/completions"):
            answer["choices"][0]["logprobs"]["content"][0]["logprob"] = json.loads(value)
        return answer

    with proxy(llama_url, edit=edit) as (url, _):
        scorer = ip.models.Server(url, "planted").logprob(" gold")
        broken = True
        with pytest.raises(ip.AblationError, match="gave the log-probability"):
            scorer([TASK.prompt])


def test_a_server_that_cuts_texts_short_is_noticed(llama_url: str) -> None:
    def edit(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        if "usage" in answer:
            answer["usage"]["prompt_tokens"] = 7
        return answer

    with proxy(llama_url, edit=edit) as (url, _):
        scorer = ip.models.Server(url, "planted").logprob(" gold")
        with pytest.raises(ip.AblationError, match=r"the server read 7 tokens of a prompt of 68: it cuts texts short"):
            scorer([TASK.prompt])


def test_a_server_without_completions_says_to_chat(llama_url: str) -> None:
    with (
        proxy(llama_url, hide=["/v1/completions"]) as (url, _),
        pytest.raises(ip.InputError, match=r"404: no such path.*no /completions, so try chat=True"),
    ):
        ip.models.Server(url, "planted").logprob(" gold")


def test_a_refused_key_is_said_and_never_shown(guarded_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, words in ((None, "pass api_key= or set INTERPLAY_API_KEY"), (KEY + "x", "check api_key")):
        monkeypatch.delenv("INTERPLAY_API_KEY", raising=False)
        with pytest.raises(ip.InputError, match=rf"refuses the key \(401: .*\): {words}") as error:
            ip.models.Server(guarded_url, "planted", key).logprob("yes")
        assert KEY not in "".join(traceback.format_exception(error.value))


def test_the_key_works_and_is_nowhere_to_be_read(
    guarded_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("INTERPLAY_API_KEY", KEY)
    for server in (ip.models.Server(guarded_url, "planted"), ip.models.Server(guarded_url, "planted", KEY)):
        scorer = server.logprob(" gold")
        game = ip.lenses.text(scorer, TASK.context, unit="sentence", template=TASK.template)
        result = ip.explain(game, budget=20, store=tmp_path / "runs.db", progress=False)
        result.save(tmp_path / "saved.json")
        shown = [repr(server), repr(scorer), repr(game), repr(result), repr(server.endpoint), str(scorer.identity())]
        shown += [str(server.capabilities), str(vars(server)), repr(server.endpoint.connection), scorer.name]
        assert not [words for words in shown if KEY in words]
        for attempt in (lambda server=server: pickle.dumps(server), lambda server=server: asdict(server)):
            with pytest.raises(TypeError, match="ever written down"):
                attempt()
    assert not [path for path in tmp_path.iterdir() if KEY.encode() in path.read_bytes()]
    assert caplog.records
    assert KEY not in caplog.text


def test_a_server_that_repeats_the_key_does_not_make_it_public(llama_url: str) -> None:
    class Parrot(Odd):
        def do_GET(self) -> None:
            data = json.dumps({"error": {"message": f"bad key: {self.headers['authorization']}"}}).encode()
            self.send_response(400 if self.path.endswith("/models") else 500)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with serving(Parrot) as address, pytest.raises(ip.InputError, match=r"\*\*\*") as error:
        ip.models.Server(f"{address}/v1", "planted", KEY).logprob("yes")
    assert KEY not in "".join(traceback.format_exception(error.value))


def test_keys_of_other_services_in_the_environment_are_not_sent(
    llama_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTERPLAY_API_KEY", raising=False)
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, KEY)
    with proxy(llama_url) as (url, traffic):
        assert ip.models.Server(url, "planted").capabilities.how == "forced"
    assert traffic.headers
    assert not [headers for headers in traffic.headers if KEY in headers]


def test_a_process_pool_is_refused_rather_than_handed_the_key(llama_url: str) -> None:
    import concurrent.futures as futures

    game = ip.lenses.text(
        ip.models.Server(llama_url, "planted", KEY).logprob(" gold"),
        TASK.context,
        unit="sentence",
        template=TASK.template,
    )
    with futures.ProcessPoolExecutor(1) as executor, pytest.raises(ip.InputError, match="use a ThreadPoolExecutor"):
        ip.explain(game, budget=20, executor=executor, progress=False)


def test_without_the_client_the_pip_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(ip.MissingExtraError, match=r"pip install 'interplay\[api\]'"):
        ip.models.Server("http://127.0.0.1:9/v1", "planted").logprob("yes")


@pytest.mark.parametrize("key", ["sk-SECRET\r\nX-Evil: 1", "sk-schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key):
    with pytest.raises(ip.InputError) as caught:
        ip.models.Server("http://localhost:1/v1", "m", api_key=key)
    assert "API key" in str(caught.value)
    assert key[:6] not in str(caught.value)


@pytest.mark.parametrize("port", ["abc", "99999"])
def test_a_port_that_is_none_is_an_error_in_one_sentence(port):
    with pytest.raises(ip.InputError, match="base_url must be an address like"):
        ip.models.Server(f"http://localhost:{port}/v1", "m")
