"""A proxy that stands before a real API server and spoils some of its answers, keeping count of what went through."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("429", "500", "cut", "drop", "slow", "broken")
Edit = Callable[[str, dict[str, Any]], dict[str, Any]]


@dataclass
class Traffic:
    """What the proxy saw: requests by path, model calls, those answered whole by their content, and headers."""

    calls: int = 0
    paths: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    headers: list[str] = field(default_factory=list)
    most: int = 0  # the most requests under way at once
    times: list[float] = field(default_factory=list)
    under_way: int = 0


@contextmanager
def proxy(
    upstream: str,
    *,
    faults: Sequence[str | None] = (),
    hide: Sequence[str] = (),
    edit: Edit | None = None,
    slow: float = 1.5,
) -> Iterator[tuple[str, Traffic]]:
    """Pass requests on to ``upstream``; yields the proxy's own base URL and its traffic.

    Model calls meet ``faults`` in turn (None: no fault), over and over. Paths in ``hide`` do not exist; ``edit``
    changes answers on their way back, given the path and the answer.
    """
    root, traffic, lock = upstream.removesuffix("/v1"), Traffic(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.handle_one()

        def do_POST(self) -> None:
            self.handle_one()

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            model_call = self.path.endswith("/completions")
            with lock:
                traffic.paths[self.path] += 1
                traffic.headers.append(str(self.headers))
                traffic.calls += model_call
                traffic.times.append(time.monotonic())
                fault = faults[(traffic.calls - 1) % len(faults)] if faults and model_call else None
                traffic.faults[str(fault)] += 1
                traffic.under_way += 1
                traffic.most = max(traffic.most, traffic.under_way)
            self.answer(body, fault)

        def leave(self) -> None:
            """No longer under way: before the answer goes out, as the client may ask again before this thread runs."""
            with lock:
                traffic.under_way -= 1

        def answer(self, body: bytes, fault: str | None) -> None:
            if any(self.path.endswith(path) for path in hide):
                self.reply(404, {"error": {"message": "no such path"}})
            elif fault == "429":
                self.reply(429, {"error": {"message": "too many requests"}}, {"Retry-After": "0.05"})
            elif fault == "500":
                self.reply(500, {"error": {"message": "an accident"}})
            elif fault == "drop":
                self.leave()
                self.connection.shutdown(socket.SHUT_RDWR)  # before the model was asked at all
            else:
                status, data = self.ask(body)
                if edit is not None and status == 200:
                    data = json.dumps(edit(self.path, json.loads(data))).encode()
                if fault == "slow":
                    time.sleep(slow)
                elif fault == "cut":  # half of the answer, then nothing
                    self.start(status, len(data))
                    self.wfile.write(data[: len(data) // 2])
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                elif fault == "broken":
                    data = data[: len(data) // 2]
                if fault is None and status == 200:
                    with lock:
                        traffic.whole[f"{self.path} {body.decode()}"] += 1
                self.start(status, len(data))
                self.wfile.write(data)

        def ask(self, body: bytes) -> tuple[int, bytes]:
            headers = {"Content-Type": "application/json"}
            if "authorization" in self.headers:
                headers["Authorization"] = self.headers["authorization"]
            request = urllib.request.Request(root + self.path, body or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    return response.status, response.read()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read()

        def start(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
            self.leave()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()

        def reply(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(content).encode()
            self.start(status, len(data), headers)
            self.wfile.write(data)

    with serving(Handler) as address:
        yield f"{address}/v1", traffic


class Answering(BaseHTTPRequestHandler):
    """A silent handler that answers with JSON."""

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, status: int, content: object, **headers: str) -> None:
        """Answer with ``content``, as JSON."""
        self.send(status, json.dumps(content).encode(), **headers)

    def send(self, status: int, data: bytes, **headers: str) -> None:
        """Answer with bytes of JSON."""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A handler on a free port of this machine, in threads."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that hung up, as many here do on purpose

    with Quiet(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
