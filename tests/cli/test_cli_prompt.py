"""`interplay prompt`: one command from a prompt to what drives the model's answer."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import planted_lm
from fault_proxy import proxy
from interplay import demo_model

JOINT = planted_lm.TASKS[0]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`interplay prompt`, beside prompts of several kinds."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    parts = {"context": JOINT.context, "question": JOINT.question}
    (tmp_path / "prompt.json").write_text(json.dumps(parts | {"template": planted_lm.TEMPLATE}))
    (tmp_path / "bare.json").write_text(json.dumps(parts))
    (tmp_path / "context.txt").write_text(JOINT.context)
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "piles.json").write_text('{"a": ["b"], "b": ["c"]}')
    passages = [part for part in re.split(r"(?<=[.!?])\s+", JOINT.context) if part]
    rag = {"context": passages, "question": JOINT.question, "template": planted_lm.TEMPLATE}
    (tmp_path / "rag.json").write_text(json.dumps(rag))
    return lambda *arguments: run("prompt", *arguments)


def strongest(out: str) -> list[str]:
    found: Any = json.loads(out)["interactions"][0][0]
    return sorted(found["labels"])


@pytest.mark.slow
def test_the_sentences_that_an_answer_needs_together_come_first(
    run: Run, planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("prompt.json").read_bytes())))
    piped = run("-", *options, *margin, "--region", "context")
    assert json.loads(piped[1])["from_store"] == 80, piped[2]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"is": 1} no region, but a text. It rains.')))
    assert json.loads(run("-", *options, *margin, "--template", "{text}\\nAnswer:")[1])["labels"][1] == "It rains."
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
def test_a_region_that_is_a_list_holds_documents(run: Run, planted: Path) -> None:
    options = ["--model", str(planted), "--budget", "80", "--index", "mobius", "--json", "--top", "3"]
    margin = ["--target", JOINT.target, "--against", JOINT.rival]
    status, out, err = run("rag.json", *options, *margin)
    assert status == 0, err
    labels = [f"document {1 + json.loads(Path('rag.json').read_text())['context'].index(key)}" for key in JOINT.keys]
    assert strongest(out) == sorted(labels)
    status, out, err = run("rag.json", *options, *margin, "--unit", "document, sentence,word")
    assert status == 0, err
    assert any(label.startswith("document: ") for label in json.loads(out)["labels"])


@pytest.mark.slow
def test_units_from_coarse_to_fine_open_those_that_matter(run: Run, planted: Path) -> None:
    options = ["--model", str(planted), "--budget", "80", "--json", "--region", "context", "--unit", "sentence, word"]
    status, out, err = run("prompt.json", *options, "--target", JOINT.target, "--against", JOINT.rival)
    assert status == 0, err
    assert 10 < len(json.loads(out)["labels"]) < len(JOINT.context.split())


@pytest.mark.slow
def test_a_server_is_explained_as_a_local_model_is(run: Run, llama_url: str) -> None:
    options = ["--model", llama_url, "--name", "planted", "--budget", "64", "--index", "mobius", "--json"]
    margin = ["--target", JOINT.target, "--against", JOINT.rival, "--region", "context"]
    status, out, err = run("prompt.json", *options, *margin)
    assert status == 0, err
    assert strongest(out) == sorted(JOINT.keys)
    assert re.search(r"cost       at most about 256 calls and [\d,]+ tokens\n", err)  # 4 for each ablation
    assert err.index("cost  ") < err.index("time  ")  # told before it is spent
    again = run("prompt.json", *options, *margin)[2]
    assert "cost       nothing (64 more are in the store)" in again


@pytest.mark.slow
def test_without_log_probabilities_the_answer_of_a_server_is_scored_where_that_is_asked_for(
    run: Run, llama_url: str
) -> None:
    def mute(_path: str, answer: dict[str, Any]) -> dict[str, Any]:
        for choice in answer.get("choices", ()):
            choice.pop("logprobs", None)
        return answer

    with proxy(llama_url, edit=mute) as (url, _):
        options = ["--model", url, "--name", "planted", "--target", "gold", "--region", "context", "--budget", "40"]
        status, out, err = run("prompt.json", *options)
        assert (status, out) == (2, "")
        assert "returns no log-probabilities" in err
        assert "score the answer it writes, by --exact or --similarity ENCODER." in err
        status, out, err = run("prompt.json", *options, "--exact", "--index", "mobius", "--json")
        assert status == 0, err
        assert "scoring    exact match of the answer with 'gold'" in err
        assert strongest(out) == sorted(JOINT.keys)
        status, out, err = run(
            "prompt.json", *options, "--similarity", str(demo_model()), "--index", "mobius", "--json"
        )
        assert status == 0, err
        assert strongest(out) == sorted(JOINT.keys)


@pytest.mark.slow
def test_a_mistake_costs_no_call_of_a_server(run: Run, llama_url: str) -> None:
    with proxy(llama_url) as (url, traffic):
        for wrong in (["--budget", "0"], ["--top", "-1"], ["--save", "absent/x.json"], ["--store", "x", "--no-store"]):
            status, _, err = run("context.txt", "--model", url, "--name", "planted", "--target", " gold", *wrong)
            assert (status, err.count("\n")) == (2, 1), err
        assert not traffic.paths


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["piles.json", "--model", "m/m"], "may hold one list of documents, but holds several: a, b"),
        (["rag.json", "--model", "m/m", "--region", "question"], "leave out --region, or name context"),
        (["prompt.json", "--model", "m/m", "--form", "{text}"], "--form is for documents"),
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
        (
            ["context.txt", "--model", "no-such-model"],
            "there is no model at 'no-such-model': it is no folder here, not",
        ),
        (["context.txt", "--model", ""], "--model is empty"),
        (["context.txt", "--model", "m/m", "--target", "a", "--exact"], "--exact is for servers"),
        (
            ["context.txt", "--model", "m/m", "--target", "a", "--exact", "--against", "b"],
            "--against and --exact exclude each other",
        ),
        (["context.txt", "--model", "m/m", "--budget", "0"], "--budget must be at least 1 ablation, not 0"),
        (
            ["context.txt", "--model", "m/m", "--target", "a", "--max-tokens", "9"],
            "--max-tokens is for the model's own",
        ),
        (["context.txt", "--model", "HTTP://localhost:9/v1", "--target", "a"], "pass --name"),
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
