"""The package as a whole: what it exports, what importing it costs, and which way imports run."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import interplay as ip

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "interplay"
MODULES = sorted(name for _, name, _ in pkgutil.walk_packages([str(SOURCE)], "interplay.") if "__main__" not in name)

# Imports run downwards along the path of the data; a room may import those before it and its own.
ROOMS = ["nouns", "ablate", "estimators", "models", "lenses", "explain", "report", "cli"]
_NOUNS = {"_errors", "_game", "_layout", "_spectrum", "_indices", "_interactions", "_faithfulness"}
_NOUNS |= {"_uncertainty", "_explanation", "_repeats", "_keep", "_units"}


def room(module: str) -> str:
    first = module.removeprefix("interplay.").split(".")[0]
    if first in _NOUNS:
        return "nouns"
    return {"_explain": "explain", "_fitting": "explain", "_goal": "explain", "_demo": "models"}.get(first, first)


def test_all_is_what_is_exported() -> None:
    public = {name for name in vars(ip) if not name.startswith("_")} - {"ablate", "cli", "report", "annotations"}
    assert set(ip.__all__) == public
    for package in (ip.estimators, ip.lenses, ip.models):
        for name in package.__all__:
            assert getattr(package, name) is not None


def test_every_public_name_says_what_it_is() -> None:
    for name in ip.__all__:
        thing = getattr(ip, name)
        if callable(thing):
            assert thing.__doc__, name


def test_importing_loads_nothing_heavy_and_costs_little_beyond_numpy() -> None:
    code = """
import sys, time
import numpy, numpy.random
began = time.process_time()
import interplay
spent = time.process_time() - began
heavy = {"torch", "lightgbm", "sklearn", "transformers", "matplotlib", "scipy", "pandas", "rich", "regex", "cyclopts"}
print(spent, sorted(heavy & set(sys.modules)))
"""
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    outs = [run.stdout.split(maxsplit=1) for run in runs]
    assert all(out[1].strip() == "[]" for out in outs)
    assert min(float(out[0]) for out in outs) < 0.3  # seconds of processor time: no timing of a loaded machine


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_downwards(name: str) -> None:
    path = SOURCE.joinpath(*name.split(".")[1:])
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    here = ROOMS.index(room(name))
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        targets = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        targets += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for target in targets:
            if target.startswith("interplay."):
                assert ROOMS.index(room(target)) <= here, f"{name} imports {target}, which lies above it"


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_small_and_named_for_one_purpose(name: str) -> None:
    assert not re.search(r"\b_?(utils?|helpers?|common|misc)\b", name)
    path = SOURCE.joinpath(*name.split(".")[1:])
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    assert len(source.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    module = importlib.import_module(name)
    failures, _ = doctest.testmod(module)
    assert failures == 0
