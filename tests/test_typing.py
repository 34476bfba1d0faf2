"""A user's own script passes `mypy --strict` against the types that the package ships."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OWN = """
from collections.abc import Sequence

import interplay as ip
import numpy as np


def from_a_list(texts: list[str]) -> list[float]:
    return [float(len(text)) for text in texts]


def from_a_sequence(texts: Sequence[str]) -> list[list[int]]:
    return [[len(text), 1] for text in texts]


def an_array(texts: list[str]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.zeros(len(texts), dtype=np.float32)


for scorer in (ip.models.Scorer(from_a_list, "length"), ip.models.Scorer(from_a_sequence, "lengths")):
    ip.lenses.text(scorer, "a b", ablate={"a": "b", "b": "c"}, keep=0.7)
ip.lenses.text(from_a_list, "a b", ablate=str.upper)
ip.lenses.text(from_a_sequence, {"a": "b"}, template="{a}")
ip.lenses.text(an_array, "a b")
ip.lenses.text(3, "a b")  # type: ignore[arg-type]
"""

# The package's types speak of NumPy alone; what it uses inside would take minutes to read.
CONFIG = """
[mypy]
strict = true
follow_imports = silent
[mypy-torch.*,scipy.*,pandas.*,transformers.*,sklearn.*,rich.*,cyclopts.*,openai.*,httpx.*]
follow_imports = skip
"""


@pytest.mark.slow
def test_the_readmes_first_example_and_scorers_of_every_kind_pass_mypy_strict(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.search(r"^```python\n(.*?)^```", readme, flags=re.DOTALL | re.MULTILINE)
    assert first is not None
    assert "lenses.text" in first[1]
    for name, code in {"readme.py": first[1], "own.py": OWN, "mypy.ini": CONFIG}.items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "readme.py", "own.py"]
    checked = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
