"""What a real notebook shows: a kernel of Jupyter runs the cells, as a front end would have them run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

MAKE = """
import numpy as np
import interplay as ip
def score(texts): return np.array([2.0 * ("never" in text) * ("fails" in text) for text in texts])
game = ip.lenses.text(score, "It never fails to charm")
result = ip.explain(game, budget=32)
"""
RESULTS = {
    "result": "Which words drive the score?",
    "result.interactions('sv')": "Shapley values",
    "result.spectrum": "Spectrum of 5 features",
    "result.show()": "interplay",
    "ip.actions.flip(game, result, below=0.5, checks=10)": "Which smallest sets",
}


@pytest.mark.slow
def test_a_real_kernel_shows_every_result_as_html(tmp_path: Path) -> None:
    path = tmp_path / "results.ipynb"
    cells = [nbformat.v4.new_code_cell(code) for code in (MAKE, *RESULTS)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    command = [sys.executable, "-c", "from nbclient.cli import main; main()", "--inplace", "--timeout=120", str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "IPYTHONDIR": str(tmp_path)}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=240)
    notebook = nbformat.read(path, as_version=4)
    for cell, (code, shown) in zip(notebook.cells[1:], RESULTS.items(), strict=True):
        outputs: list[Any] = [output for output in cell.outputs if "data" in output]
        assert len(outputs) == 1, code
        assert shown in outputs[0]["data"]["text/html"], code
        assert ("<iframe" in outputs[0]["data"]["text/html"]) == (code == "result.show()")
