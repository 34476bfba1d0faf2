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

# Imports run one way, the way the data flows: a room may import those before it and its own files.
ROOMS = [
    "_visible",
    "_errors",
    "_checks",
    "_units",
    "_demo",
    "_game",
    "_spectrum",
    "ablate",
    "executors",
    "_networks",
    "estimators",
    "models",
    "lenses._features",
    "lenses._components",
    "lenses._training",
    "lenses",
    "_explain",
    "_findings",
    "actions",
    "report",
    "plots",
    "cli",
]
STRANGERS = {"lenses._features", "lenses._components", "lenses._training"}  # rooms that never meet


def room(module: str) -> str:
    """The room of `interplay.MODULE`: its first part, or its first two where a lens is a room of its own."""
    parts = module.removeprefix("interplay.").split(".")
    two = ".".join(parts[:2])
    return two if two in ROOMS else parts[0]


def file_of(name: str) -> Path:
    path = SOURCE.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports_of(name: str) -> set[str]:
    """The modules of the package that a module imports, anywhere in it, for type checking alone included."""
    found = set()
    for node in ast.walk(ast.parse(file_of(name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: imports are absolute"
            module = node.module or ""
            within = {f"{module}.{alias.name}" for alias in node.names}
            found |= {one if one in MODULES else module for one in within}
    return {target for target in found if target.startswith("interplay.")}


def test_all_is_what_is_exported() -> None:
    public = {name for name in vars(ip) if not name.startswith("_")} - {"ablate", "cli", "annotations"}
    assert set(ip.__all__) == public
    for package in (ip.estimators, ip.lenses, ip.models):
        for name in package.__all__:
            assert getattr(package, name) is not None


def test_the_errors_module_opens_with_the_tree_of_its_errors() -> None:
    errors = importlib.import_module("interplay._errors")
    defined = {name for name, thing in vars(errors).items() if isinstance(thing, type) and thing.__module__ != "typing"}
    drawn = re.findall(r"── (\w+) +(?:\((\w+)\))?", errors.__doc__ or "")
    assert {name for name, _ in drawn} == {name for name in defined if name.endswith("Error")}
    for name, base in drawn:
        assert not base or base in {parent.__name__ for parent in getattr(errors, name).__mro__}
        assert name.endswith("Error")
        assert getattr(ip, name) is getattr(errors, name)
        assert issubclass(getattr(errors, name), ip.InterplayError) or name == "InterruptionError"


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
def test_imports_run_one_way(name: str) -> None:
    here = ROOMS.index(room(name))
    for target in imports_of(name):
        assert ROOMS.index(room(target)) <= here, f"{name} imports {target}, which lies above it"
        if room(name) in STRANGERS:
            assert room(target) not in STRANGERS - {room(name)}, f"{name} and {target} are rooms that never meet"


@pytest.mark.parametrize("name", MODULES)
def test_no_room_reaches_into_anothers_private_files(name: str) -> None:
    for target in imports_of(name):
        inner = target.removeprefix("interplay.").removeprefix(room(target)).strip(".")
        if room(target) != room(name) and not (name == f"interplay.{room(name)}" and target.startswith(name + ".")):
            assert not any(part.startswith("_") for part in inner.split(".")), f"{name} reaches into {target}"


def test_there_is_no_circle_of_imports() -> None:
    graph = {name: imports_of(name) - {name} for name in MODULES}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in sorted(graph.get(name, ())):
                visit(target, (*trail, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_small_and_named_for_one_purpose(name: str) -> None:
    assert not re.search(r"\b_?(utils?|helpers?|common|misc)\b", name)
    assert len(file_of(name).read_text(encoding="utf-8").splitlines()) <= 600


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    module = importlib.import_module(name)
    failures, _ = doctest.testmod(module)
    assert failures == 0
