"""Whatever names, cells, notes and errors hold: nothing steers the terminal, and nothing is read as markup."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import interplay as ip
from interplay._game.layout import Gallery, GridLayout, Layout, TableLayout, TextLayout, TrainingLayout
from interplay._visible import visible, visible_json
from interplay.report import show

EVIL = "\x1b]0;t\x07\x1b[2J\x9b2J\u202e\u2066\u200f\u061c\u2028\U000e0041\ud800\r"
MARKUP = "[bold]A[/bold] [/INST] [link=http://x]b[/link] :warning:"
STEERING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff\U000e0041]"
)
Run = Callable[..., tuple[int, str, str]]


def two(masks: np.ndarray) -> np.ndarray:
    return np.c_[masks[:, 0] * 1.0, masks[:, 0] & masks[:, 1]]


def layouts(name: str) -> list[Layout | None]:
    gallery = Gallery((name + "a", name + "b"), classes=(name, "c"))
    return [
        None,
        TextLayout(name + " one", ((0, len(name)), (len(name) + 1, len(name) + 4))),
        GridLayout((name,), (name, "h1"), ((0, 0), (0, 1))),
        TableLayout((name, "b"), (name, "2"), (name, "3")),
        TrainingLayout(gallery, targets=gallery),
    ]


def printed(name: str, layout: Layout | None) -> str:
    game = ip.Game(two, [name + "a", name + "b"], outputs=[name + "A", "B"], layout=layout, notes=[name])
    found = ip.explain(game, budget=4)
    found = replace(found, fits=tuple(replace(fit, method=name, notes=(name,)) for fit in found.fits))
    page = io.StringIO()
    show(found, console=Console(file=page, width=2000))
    return page.getvalue() + repr(found) + "".join(repr(found.for_output(i).interactions()) for i in (0, 1))


@pytest.mark.parametrize("kind", range(5))
def test_no_report_sends_control_characters_of_names_and_notes(kind: int) -> None:
    page = printed(EVIL, layouts(EVIL)[kind])
    assert not STEERING.findall(page)
    assert "␛" in page


@pytest.mark.parametrize("kind", range(5))
def test_markup_and_emoji_codes_in_names_and_notes_are_printed_letter_for_letter(kind: int) -> None:
    page = printed(MARKUP, layouts(MARKUP)[kind])
    assert page.count(MARKUP) >= 3
    assert "⚠" not in page


def test_an_image_whose_labels_hold_control_characters_or_markup_is_shown_with_them_made_visible() -> None:
    picture = np.arange(0, 96, 2, dtype=np.uint8).reshape(4, 4, 3)
    game = ip.lenses.image(lambda x: np.asarray(x).reshape(len(x), -1).mean(1) ** 2, picture, grid=(1, 2))
    page = io.StringIO()
    show(ip.explain(game.relabelled([EVIL, MARKUP]), budget=4), console=Console(file=page, width=500))
    assert not STEERING.findall(page.getvalue())
    assert MARKUP[:30] in page.getvalue()  # long labels are cut


def test_the_library_s_errors_are_safe_to_print_wherever_they_are_caught() -> None:
    with pytest.raises(ip.InputError) as caught:
        ip.load(f"none{EVIL.replace(chr(0xD800), '')}.json")
    assert not STEERING.findall(str(caught.value))
    assert "␛" in str(caught.value)


def test_json_has_the_same_content_with_such_characters_as_escapes(run: Run, tmp_path: Path) -> None:
    ip.explain(ip.Game(two, [EVIL[:-2], "b"], outputs=["A", "é漢"]), budget=4).save(tmp_path / "x.json")
    status, out, err = run("show", "x.json", "--json")
    assert (status, err) == (0, "")
    assert not STEERING.findall(out)
    assert json.loads(out)["labels"][0] == EVIL[:-2]
    assert "é漢" in out
    assert json.loads(visible_json(json.dumps(EVIL, ensure_ascii=False))) == EVIL


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "x\x1b[2J\u202e.json"),
        ("show", "x.json", "--top", "\x1b[2J"),
        ("show", "x.json", "--\x1b[2Jtop", "1"),
        ("\x1b[2Jshow",),
        ("show", "x.json", "--index", "\x9b2J"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence_without_control_characters(
    run: Run, arguments: tuple[str]
) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("interplay: ")
    assert not STEERING.findall(err)
    assert err.count("\n") == 1


def test_visible_text_is_as_long_as_before_and_leaves_scripts_and_emoji_alone() -> None:
    assert len(visible(EVIL)) == len(EVIL)
    plain = "Zwölf — 漢字 עברית العربية 👩‍🚀 \u200c\n"
    assert visible(plain) == plain
