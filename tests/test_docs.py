"""What README and docs show is true: their Python blocks run, and their commands exist."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_the_examples_of_a_page_run_and_print_what_it_shows(page: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for number, block in enumerate(blocks(page)):
        if ">>>" in block:
            example = parser.get_doctest(block, names, f"{page.name} block {number}", str(page), 0)
            runner.run(example, clear_globs=False)
            names = example.globs
        else:
            exec(compile(block, f"{page.name} block {number}", "exec"), names)
    assert runner.failures == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_show_public_names_only(page: Path) -> None:
    code = "\n".join(re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
    private = re.findall(r"\b(?:interplay|ip)(?:\.\w+)*\._[a-z]\w*|from interplay\S* import .*\b_[a-z]\w*", code)
    assert not private


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_holds_its_two_commands_with_constraints() -> None:
    commands = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 2
    assert all("-c constraints.txt" in command for command in commands)


def test_every_dependency_is_justified_and_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    reasons = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    pins = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    extras = [
        name for extra in ("hf", "demo", "frame", "api", "words") for name in project["optional-dependencies"][extra]
    ]
    for requirement in [*project["dependencies"], *extras]:
        name = re.split(r"[\[<>=]", requirement)[0]
        if name != "interplay":
            assert name in reasons, name
            assert name.lower() in pins, name
