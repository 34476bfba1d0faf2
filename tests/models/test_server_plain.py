"""A real server that gives no log-probabilities at all, `transformers serve`: its answers are scored, and only they."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import interplay as ip
from llama_server import wait_until_up
from planted_lm import TASKS

pytestmark = pytest.mark.slow
JOINT = TASKS[0]


@pytest.fixture(scope="module")
def plain_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for package in ("fastapi", "uvicorn", "accelerate"):
        pytest.importorskip(package)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    command = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", command, "serve", "--port", str(port), "--host", "127.0.0.1"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_up(f"http://127.0.0.1:{port}/health", process, log, seconds=120)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("chat", [False, True])
def test_answers_are_scored_and_nothing_stands_in_for_log_probabilities(
    plain_url: str, planted: Path, chat: bool
) -> None:
    server = ip.models.Server(plain_url, str(planted), chat=chat, concurrency=2)
    assert server.capabilities.how == "none"
    with pytest.raises(ip.InputError, match="returns no log-probabilities"):
        server.logprob(JOINT.target)
    template = JOINT.template.removesuffix("\nAnswer:") if chat else JOINT.template
    game = ip.lenses.text(server.exact("gold"), JOINT.context, unit="sentence", ablate="_", template=template)
    assert "exact match of the answer with 'gold'" in game.notes[0]
    top = ip.explain(game, budget=40, progress=False).interactions("mobius", top=1)
    assert {key: round(value, 6) for key, value in top.items()} == {tuple(sorted(JOINT.features)): 1.0}
