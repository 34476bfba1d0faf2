"""`interplay chat`: one command from messages to what drives the model's answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
TEMPLATE = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
MESSAGES = [
    {"role": "system", "content": "Ann has the red key."},
    {"role": "user", "content": "It rains."},
    {"role": "assistant", "content": "So it does."},
    {"role": "user", "content": "What does Ann find?"},
]


@pytest.fixture
def chatty(planted: Path, tmp_path: Path) -> Path:
    """The planted model with a chat template."""
    import shutil

    folder = tmp_path / "chatty"
    shutil.copytree(planted, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@pytest.mark.slow
def test_a_request_is_explained_by_its_turns_or_by_words_of_one_message(run: Run, chatty: Path, tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text(json.dumps({"messages": MESSAGES, "temperature": 0}))
    (tmp_path / "list.json").write_text(json.dumps(MESSAGES))
    options = ["--model", str(chatty), "--target", " gold", "--budget", "16", "--json", "--no-store"]
    status, out, err = run("chat", "chat.json", *options)
    assert status == 0, err
    assert json.loads(out)["labels"] == ["system: Ann has the red key.", "turn 1: It rains."]
    again = json.loads(run("chat", "list.json", *options)[1])
    assert again["interactions"] == json.loads(out)["interactions"]
    status, out, err = run("chat", "list.json", *options, "--region", "0", "--unit", "word", "--ablate", "_")
    assert json.loads(out)["labels"] == ["Ann", "has", "the", "red", "key"], err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "chat.json is not JSON"),
        ("[" * 100_000, "chat.json is not JSON"),
        ('"hello"', 'chat.json must hold a list of messages, or an object with "messages"'),
        ("{}", 'chat.json must hold a list of messages, or an object with "messages"'),
    ],
)
def test_a_mistake_is_one_sentence(run: Run, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "chat.json").write_text(content)
    status, out, err = run("chat", "chat.json", "--model", "m/m")
    assert (status, out) == (2, "")
    assert message in err.replace("\n", " ")
    assert "Traceback" not in err
