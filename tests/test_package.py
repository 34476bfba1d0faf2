"""The package as a whole: what it exports, what importing it costs, and which way imports run."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import interplay as ip

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "interplay"
MODULES = sorted(name for _, name, _ in pkgutil.walk_packages([str(SOURCE)], "interplay.") if "__main__" not in name)

# Imports run one way, the way the data flows: a room may import those before it and its own files.
ROOMS = [
    "_public",
    "_visible",
    "_errors",
    "_saved",
    "_checks",
    "_units",
    "_plugins",
    "_demo",
    "_display",
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


PUBLIC = [ip, ip.actions, ip.estimators, ip.executors, ip.lenses, ip.models, ip.report]
# What a public object is made of, and nobody is to use.
INSIDE = {"Shelf", "Hyper", "Endpoint", "SideBySide", "Reader", "SetPrior", "Book"}


class Examples(doctest.DocTestFinder):
    """The examples of a file: a published class names another module, and still belongs to the file that defines it."""

    def _from_module(self, module: Any, object: Any) -> bool:
        if inspect.isclass(object):
            tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
            return any(isinstance(node, ast.ClassDef) and node.name == object.__name__ for node in tree.body)
        return bool(super()._from_module(module, object))


def test_all_is_what_is_exported() -> None:
    public = {name for name in vars(ip) if not name.startswith("_")} - {"ablate", "cli", "annotations", "TYPE_CHECKING"}
    assert set(ip.__all__) == public
    for package in PUBLIC:
        for name in package.__all__:
            assert getattr(package, name) is not None


def public_things() -> Iterator[tuple[str, str, Any]]:
    """The room, the name and the thing itself of every public class and function."""
    for package in PUBLIC:
        for name in package.__all__:
            thing = getattr(package, name)
            if isinstance(thing, (type, FunctionType)):
                yield package.__name__, name, thing


@pytest.mark.parametrize(("package", "name", "thing"), list(public_things()))
def test_a_public_name_is_where_it_says_and_can_be_pickled(package: str, name: str, thing: Any) -> None:
    assert not any(part.startswith("_") for part in thing.__module__.split("."))
    assert getattr(importlib.import_module(thing.__module__), name) is thing
    assert pickle.loads(pickle.dumps(thing)) is thing


def test_tracebacks_name_errors_as_users_import_them() -> None:
    shown = traceback.format_exception(ip.InputError("seen"))
    assert shown[-1] == "interplay.InputError: seen\n"


def test_what_public_functions_and_classes_hand_out_is_public_itself() -> None:
    known = {id(thing) for _, _, thing in public_things()}

    def handed_out(thing: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """What a function or the parts of a class are annotated to return or hold, and where to look that up."""
        if isinstance(thing, FunctionType):
            yield str(thing.__annotations__.get("return")), thing.__globals__
            return
        for name, part in vars(thing).items():
            inner = getattr(part, "fget", None) or getattr(part, "func", None) or getattr(part, "__func__", part)
            if isinstance(inner, FunctionType) and not name.startswith("_"):
                yield from handed_out(inner)
                for field, annotation in inspect.get_annotations(thing).items():
                    if not field.startswith("_"):
                        yield str(annotation), inner.__globals__

    holes = {
        word
        for _, _, thing in public_things()
        for annotation, scope in handed_out(thing)
        for word in re.findall(r"\b[A-Z]\w*", annotation)
        if isinstance(found := scope.get(word), type) and found.__module__.startswith("interplay")
        if id(found) not in known
    }
    assert holes <= INSIDE


def test_contributing_names_every_room() -> None:
    told = re.findall(r"`(\w+)/?`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    rooms = {path.stem for path in SOURCE.iterdir() if path.stem not in ("__init__", "__main__", "__pycache__", "py")}
    assert rooms <= set(told)


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
heavy = set("jinja2 torch lightgbm sklearn transformers matplotlib scipy pandas rich regex cyclopts".split())
print(spent, sorted(heavy & set(sys.modules)))
"""
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    outs = [run.stdout.split(maxsplit=1) for run in runs]
    assert all(out[1].strip() == "[]" for out in outs)
    assert min(float(out[0]) for out in outs) < 0.2  # seconds of processor time


@pytest.mark.parametrize("shown", ["show()", "_repr_html_()", "to_html('page.html')", "interactions().show()"])
def test_the_first_thing_asked_of_a_result_may_be_to_show_itself(shown: str, tmp_path: Path) -> None:
    code = f"import interplay as ip; ip.fit(ip.design(3, 8), range(8)).{shown}"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=tmp_path)


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
    runner = doctest.DocTestRunner()
    for example in Examples().find(module, name):
        runner.run(example)
    assert runner.failures == 0


def test_the_examples_of_published_classes_are_found_in_the_files_that_define_them() -> None:
    found = Examples().find(importlib.import_module("interplay._game.game"), "game")
    assert any("game = ip.Game(lambda masks" in one.docstring for one in found if one.examples)
