"""The inputs of `interplay heads`: two texts a line, by a tab or as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import interplay as ip
from interplay.cli._heads import pairs_in

PAIRS = [("Question: who?\nAnswer:", " Ann\tor Bo\n"), ('He said "no".\u2028', "\n")]


@pytest.mark.parametrize("name", ["inputs.jsonl", "inputs.txt"])
@pytest.mark.parametrize("kind", [list, lambda pair: {"prompt": pair[0], "target": pair[1]}])
def test_json_lines_hold_prompts_of_several_lines(tmp_path: Path, name: str, kind: object) -> None:
    lines = [json.dumps(kind(pair)) for pair in PAIRS]
    (tmp_path / name).write_text("\n".join([lines[0], "", lines[1], ""]))
    assert pairs_in(str(tmp_path / name)) == PAIRS


def test_lines_with_a_tab_may_look_like_json_and_hold_other_separators(tmp_path: Path) -> None:
    path = tmp_path / "inputs.tsv"
    path.write_bytes('["a", "b"]\t{}\r\none\u2028two\x0b\t x\r\n'.encode())
    assert pairs_in(str(path)) == [('["a", "b"]', "{}"), ("one\u2028two\x0b", " x")]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", '["a", "b"]\n["a"]\n', r'line 2 of .*a.jsonl must be \["prompt", "target"\]'),
        ("a.jsonl", '["a", 1]', "line 1 of"),
        ("a.jsonl", "[" * 9999, "line 1 of"),
        ("a.tsv", '["a", "b"]\n["a"]\n', "line 1 of .*a.tsv must be two texts with one tab between"),
        ("a.tsv", "one\ttwo\tthree", "must be two texts with one tab between"),
        ("a.tsv", " \n\n", "a.tsv is empty"),
    ],
)
def test_a_line_that_is_not_two_texts_is_named(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ip.InputError, match=words):
        pairs_in(str(tmp_path / name))
