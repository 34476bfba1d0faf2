"""`interplay prompt`: one command from a prompt to what drives the model's answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import planted_lm
from interplay import cli

JOINT = planted_lm.TASKS[0]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command line in this process; returns (status, standard output, standard error)."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    parts = {"context": JOINT.context, "question": JOINT.question}
    (tmp_path / "prompt.json").write_text(json.dumps(parts | {"template": planted_lm.TEMPLATE}))
    (tmp_path / "bare.json").write_text(json.dumps(parts))
    (tmp_path / "context.txt").write_text(JOINT.context)
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "broken.json").write_text("{")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["interplay", "prompt", *arguments])
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def strongest(out: str) -> list[str]:
    found: Any = json.loads(out)["interactions"][0][0]
    return sorted(found["labels"])


@pytest.mark.slow
def test_the_sentences_that_an_answer_needs_together_come_first(run: Run, planted: Path) -> None:
    options = ["--model", str(planted), "--budget", "80", "--index", "mobius", "--json", "--top", "3"]
    margin = ["--target", JOINT.target, "--against", JOINT.rival]
    status, out, err = run("prompt.json", *options, *margin, "--region", "context")
    assert (status, strongest(out)) == (0, sorted(JOINT.keys))
    assert "scoring    log-probability of ' gold' minus that of ' an old map'" in err
    template = planted_lm.TEMPLATE.replace("\n", r"\n")
    again = run("bare.json", *options, *margin, "--region", "context", "--template", template)
    assert strongest(again[1]) == sorted(JOINT.keys)
    assert json.loads(again[1])["from_store"] == 80  # the same game, however it was written down
    surroundings = JOINT.template.replace("\n", r"\n")
    own = run("context.txt", *options, "--template", surroundings)
    assert strongest(own[1]) == sorted(JOINT.keys)
    assert any("measured: log-probability of ' gold'" in note for note in json.loads(own[1])["notes"])


@pytest.mark.slow
def test_several_regions_words_and_parts_of_the_target_at_once(run: Run, planted: Path) -> None:
    regions = ["--region", "context", "--region", "question", "--unit", "word"]
    options = ["--model", str(planted), "--budget", "40", "--json", "--target", JOINT.rival, "--per", "token"]
    status, out, err = run("prompt.json", *options, *regions)
    assert status == 0, err
    result = json.loads(out)
    assert result["labels"][-1] == "find"
    assert "".join(result["outputs"]) == JOINT.rival


@pytest.mark.slow
def test_a_server_is_explained_as_a_local_model_is(run: Run, llama_url: str) -> None:
    options = ["--model", llama_url, "--name", "planted", "--budget", "64", "--index", "mobius", "--json"]
    margin = ["--target", JOINT.target, "--against", JOINT.rival, "--region", "context"]
    status, out, err = run("prompt.json", *options, *margin)
    assert status == 0, err
    assert strongest(out) == sorted(JOINT.keys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.txt", "--model", "m/m"], "cannot read absent.txt"),
        (["list.json", "--model", "m/m"], "list.json must hold one object of texts by region"),
        (["broken.json", "--model", "m/m"], "broken.json is not JSON"),
        (["context.txt", "--model", "m/m", "--against", "b"], "--against needs --target"),
        (
            ["context.txt", "--model", "m/m", "--target", "a", "--against", "b", "--per", "token"],
            "--against and --per exclude each other",
        ),
        (["context.txt", "--model", "m/m", "--name", "x"], "--name is the model's on a server"),
        (["context.txt", "--model", "/no/such/model"], "there is no model at '/no/such/model'"),
        (["context.txt", "--model", "http://localhost:9/v1", "--target", "a"], "pass --name"),
        (["context.txt", "--model", "http://localhost:9/v1", "--name", "x"], "a server needs a --target"),
        (
            ["context.txt", "--model", "http://localhost:9/v1", "--name", "x", "--target", "a", "--dtype", "float32"],
            "--dtype is for models loaded here",
        ),
    ],
)
def test_a_mistake_is_one_sentence(run: Run, arguments: list[str], message: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_a_region_that_is_not_there_is_named_with_those_that_are(run: Run, planted: Path) -> None:
    options = ["--model", str(planted), "--target", JOINT.target]
    status, _, err = run("prompt.json", *options, "--region", "exmples")
    assert status == 2
    assert "unknown region 'exmples'. Choose one of: context, question." in err.replace("\n", " ")
    status, _, err = run("bare.json", *options)
    assert "regions need a template that says where each goes" in err.replace("\n", " ")
