"""A small server with OpenAI's files and batches: real HTTP, a planted rule for a model, and a clerk that can fail."""

from __future__ import annotations

import json
import math
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fault_proxy import Answering, serving

Answer = Callable[[str, dict[str, Any]], tuple[int, dict[str, Any]]]
NEEDED = ("Ann has", "opens the chest")


def planted(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """A chat model that says yes where both parts of the story are there, with the likeliest tokens."""
    if path != "/v1/chat/completions":
        return 404, {"error": {"message": f"no {path} here"}}
    read = " ".join(str(message["content"]) for message in body["messages"])
    odds = 3.0 if all(part in read for part in NEEDED) else -1.0
    chances = {"yes": 1 / (1 + math.exp(-odds)), "no": 1 / (1 + math.exp(odds))}
    tops = sorted(
        ({"token": word, "logprob": math.log(p), "bytes": list(word.encode())} for word, p in chances.items()),
        key=lambda top: -top["logprob"],
    )
    choice: dict[str, Any] = {"message": {"role": "assistant", "content": tops[0]["token"]}, "finish_reason": "stop"}
    if body.get("logprobs"):
        choice["logprobs"] = {"content": [{**tops[0], "top_logprobs": tops[: body["top_logprobs"]]}]}
    count = len(read.split())
    usage = {"prompt_tokens": count, "completion_tokens": 1, "total_tokens": count + 1}
    return 200, {"model": "planted", "choices": [choice], "usage": usage}


@dataclass
class Clerk:
    """What the server does with batches, and what it has seen.

    A batch ends after ``looks`` looks at it, with ``ending``; the first ``answered`` of its lines have answers then,
    all where it is None. Lines whose place is in ``broken`` fail with a status of 500, once.
    """

    answer: Answer = planted
    looks: int = 1
    ending: str = "completed"
    answered: int | None = None
    broken: tuple[int, ...] = ()
    calls: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def asked(self) -> int:
        """How many requests came in batches."""
        return sum(len(self.lines(batch)) for batch in self.batches.values())

    def lines(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines() if line.strip()]

    def told(self, number: str) -> dict[str, Any]:
        """The state of a batch, one look later."""
        batch = self.batches[number]
        self.seen[number] += 1
        if self.seen[number] > self.looks and batch["status"] == "in_progress":
            batch["status"] = self.ending
            good, bad = [], []
            for place, line in enumerate(self.lines(batch)[: self.answered]):
                status, body = self.answer(line["url"], line["body"])
                if place in self.broken:
                    status, body = 500, {"error": {"message": "overloaded"}}
                told = {"custom_id": line["custom_id"], "response": {"status_code": status, "body": body}}
                (good if status == 200 else bad).append(json.dumps(told | {"error": None}))
            self.broken = ()
            for name, lines in (("output", good[::-1]), ("error", bad)):  # in another order than they were asked
                if lines and self.ending != "failed":
                    self.files[f"{number}-{name}"] = "\n".join(lines).encode()
                    batch[f"{name}_file_id"] = f"{number}-{name}"
            if self.ending == "failed":
                batch["errors"] = {"object": "list", "data": [{"code": "x", "message": "the file is no good"}]}
        return batch


@contextmanager
def batch_server(clerk: Clerk) -> Iterator[str]:
    """Serve what ``clerk`` does; yields the base URL."""

    class Handler(Answering):
        def do_GET(self) -> None:
            with clerk.lock:
                if self.path == "/v1/models":
                    self.reply(200, {"data": [{"id": "planted"}]})
                elif found := re.fullmatch(r"/v1/batches/(\S+)", self.path):
                    known = found[1] in clerk.batches
                    self.reply(*(200, clerk.told(found[1])) if known else (404, {"error": {"message": "no such"}}))
                elif found := re.fullmatch(r"/v1/files/(\S+)/content", self.path):
                    self.send(200, clerk.files[found[1]])
                else:
                    self.reply(404, {"error": {"message": "not found"}})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with clerk.lock:
                if self.path == "/v1/files":
                    name = f"file-{len(clerk.files)}"
                    mark = b"--" + self.headers["content-type"].split("boundary=")[1].encode()
                    (part,) = [one for one in body.split(mark) if b'name="file"' in one]
                    clerk.files[name] = part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
                    self.reply(200, {"id": name, "object": "file"})
                elif self.path == "/v1/batches":
                    number = f"batch-{len(clerk.batches)}"
                    clerk.batches[number] = {**json.loads(body), "id": number, "status": "in_progress"}
                    self.reply(200, clerk.batches[number])
                else:
                    clerk.calls += 1
                    self.reply(*clerk.answer(self.path, json.loads(body)))

    with serving(Handler) as address:
        yield f"{address}/v1"
