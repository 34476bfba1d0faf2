"""The command line: what it prints, what it saves, and one sentence for every mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import interplay as ip
from interplay import demo_model

REVIEW = "The plot is thin, yet the leads never fail to charm."


@pytest.fixture
def run(run: object, tmp_path: Path) -> object:
    """The command line, beside a review."""
    (tmp_path / "review.txt").write_text(REVIEW)
    return run


@pytest.fixture
def explain_review(run: object) -> object:
    def call(*arguments: str) -> tuple[int, str, str]:
        options = ["--model", str(demo_model()), "--reference", "a charming film"]
        options += [] if "--budget" in arguments else ["--budget", "120"]
        return run("text", "review.txt", *options, *arguments)

    return call


@pytest.mark.model
def test_a_text_is_explained_in_the_users_words_at_80_columns(explain_review: object) -> None:
    status, out, err = explain_review("--top", "5")
    assert status == 0
    assert "features   11" in err
    assert "budget     120" in err
    assert "calls      120 to the model" in err
    assert "time       about" in err
    assert "R² on unseen ablations" in out
    assert "first order alone" in out
    assert "Together" in out
    assert "Alone" in out
    assert "[+charm+]" in out
    assert "\x1b" not in out + err  # no colour codes where the reader is no terminal
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.model
def test_a_second_run_takes_everything_from_the_store(explain_review: object) -> None:
    first = json.loads(explain_review("--json")[1])
    status, out, err = explain_review("--json")
    second = json.loads(out)
    assert (status, first["from_store"], second["from_store"]) == (0, 0, 120)
    assert "calls      0 to the model (120 more are in the store)" in err
    assert second["fits"] == first["fits"]
    third = explain_review("--json", "--no-store")
    assert json.loads(third[1])["from_store"] == 0


@pytest.mark.model
def test_what_is_saved_is_shown_again(explain_review: object, run: object, tmp_path: Path) -> None:
    saved = tmp_path / "out.json"
    status, out, _ = explain_review("--save", str(saved), "--index", "fsii", "--method", "proxyspex")
    assert status == 0
    assert ip.load(saved).used == 120
    status, shown, _ = run("show", str(saved), "--index", "fsii")
    assert status == 0
    assert shown == out
    machine = json.loads(run("show", str(saved), "--json", "--index", "sv", "--top", "2")[1])
    assert machine["index"] == "sv"
    assert all(set(item) >= {"features", "labels", "value"} for item in machine["interactions"][0])
    assert len(machine["interactions"][0]) == 2


@pytest.mark.model
@pytest.mark.slow
def test_the_demo_explains_a_review_from_a_bare_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "interplay", "demo", "--store", str(tmp_path / "runs.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, cwd=tmp_path)
    assert "Together" in done.stdout
    assert "from the store" not in done.stdout
    assert "Traceback" not in done.stderr


def test_a_colourful_terminal_gets_shading_instead_of_marks() -> None:
    from io import StringIO

    from rich.console import Console

    from interplay.report import show

    game = ip.lenses.text(lambda texts: [float("good" in t) for t in texts], "a good one")
    result = ip.explain(game, budget=8)
    coloured = Console(file=StringIO(), force_terminal=True, color_system="truecolor", width=80)
    show(result, console=coloured)
    text = coloured.file.getvalue()
    assert "\x1b[30;48;2;" in text
    assert "[+good+]" not in text


def test_a_long_text_is_shown_around_its_strongest_features() -> None:
    from io import StringIO

    from rich.console import Console

    from interplay.report import show

    text = "filler " * 600 + "brilliant " + "filler " * 600
    game = ip.lenses.text(lambda texts: [float("brilliant" in t) for t in texts], text, unit=[(0, 6), (4200, 4209)])
    console = Console(file=StringIO(), width=80)
    show(ip.explain(game, budget=4), console=console)
    shown = console.file.getvalue()
    assert "[+brilliant+]" in shown
    assert "…" in shown
    assert len(shown) < 2000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "absent.json"], "cannot read absent.json: No such file or directory"),
        (["show", "review.txt"], "review.txt is not a saved explanation: it is not JSON"),
        (["text", "absent.txt", "--model", "/m", "--reference", "x"], "cannot read absent.txt"),
        (["text", "review.txt", "--model", "/no/model", "--reference", "x"], "there is no model at '/no/model'"),
        (["text", "review.txt", "--model", "/m"], "either --reference TEXT or --label NAME"),
        (["text", "review.txt", "--model", "/m", "--reference", "x", "--index", "shap"], "unknown index 'shap'"),
        (["text", "review.txt", "--model", "/m", "--reference", "x", "--method", "gpp"], "unknown method 'gpp'"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(run: object, arguments: list[str], message: str) -> None:
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("interplay: ")
    assert message in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


@pytest.mark.model
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--unit", "phrase"], "unknown unit 'phrase'"),
        (["--budget", "0"], "budget must be at least 1"),
        (["--budget", "1"], "a budget of 1 is too small"),
        (["--store", "review.txt"], "the input and --store are the same file"),
        (["--store", "a.db", "--no-store"], "exclude each other"),
        (["--save", "no/where.json"], "its folder does not exist"),
        (["--top=-1"], "--top must not be negative"),
    ],
)
def test_a_mistake_beside_a_real_model_is_one_sentence_too(
    explain_review: object, arguments: list[str], message: str
) -> None:
    status, _, err = explain_review(*arguments)
    assert status == 2
    assert err.splitlines()[-1].startswith("interplay: ")
    assert message in err
    assert "Traceback" not in err


def test_text_that_is_not_utf8_is_named(run: object, tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    status, _, err = run("text", "latin.txt", "--model", "/m", "--reference", "x")
    assert status == 2
    assert "latin.txt is not UTF-8 text" in err


@pytest.mark.model
@pytest.mark.slow
def test_a_text_comes_from_standard_input() -> None:
    command = [sys.executable, "-m", "interplay", "text", "-", "--model", str(demo_model()), "--no-store"]
    command += ["--reference", "good", "--budget", "8", "--json"]
    done = subprocess.run(command, input="It never fails.", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["labels"] == ["It", "never", "fails"]


def test_control_characters_of_a_text_never_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from interplay.report import show

    game = ip.lenses.text(lambda texts: [float(len(t)) for t in texts], "\x1b[31mred \u202eevil\x07 end", ablate="_")
    show(ip.explain(game, budget=8))
    printed = capsys.readouterr().out
    assert not any(code in printed for code in "\x1b\u202e\x07")
    assert "␛" in printed


def test_ctrl_c_keeps_what_was_measured_and_says_how_to_resume(tmp_path: Path) -> None:
    import signal
    import time

    (tmp_path / "review.txt").write_text(REVIEW + " " + REVIEW.lower())
    command = [sys.executable, "-m", "interplay", "text", "review.txt", "--model", str(demo_model())]
    command += ["--reference", "a charming film", "--budget", "20000", "--store", "runs.db", "--method", "lasso"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stderr is not None
    said = ""
    deadline = time.monotonic() + 120
    while "time       " not in said and time.monotonic() < deadline:
        said += process.stderr.readline()
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "of 19968 ablations are kept in runs.db; run the same again to go on" in said  # 32 come last: removals
    assert "Traceback" not in said


def test_a_text_is_read_as_it_is_line_breaks_included(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from interplay.cli._shared import read_text

    text = "One line.\r\nAnother 🍜\r最後\n"
    (tmp_path / "text.txt").write_bytes(text.encode())
    assert read_text(str(tmp_path / "text.txt")) == text
    # Standard input is UTF-8, whatever the terminal's encoding.
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="latin-1"))
    assert read_text("-") == text


def test_line_breaks_of_windows_are_shown_as_line_breaks() -> None:
    from interplay._visible import visible

    assert visible("One.\r\nTwo.\rThree.") == "One. \nTwo.␍Three."  # as long as the text, for its spans


def test_values_of_single_features_do_not_speak_of_interactions(run: object, tmp_path: Path) -> None:
    ip.explain(lambda masks: 1.0 * masks.all(axis=1), labels=3, budget=8).save(tmp_path / "out.json")
    for index in ("sv", "bv"):
        _, out, _ = run("show", "out.json", "--index", index)
        assert "Alone  3 of 3" in out
        assert "no interaction" not in out
    assert "Together" in run("show", "out.json", "--index", "sii")[1]


def test_a_place_that_cannot_be_saved_to_is_named_before_anything_is_spent(tmp_path: Path) -> None:
    from interplay.cli._options import Options

    (tmp_path / "folder").mkdir()
    for place, message in {"no/out.json": "its folder does not exist", "folder": "it is a folder"}.items():
        with pytest.raises(ip.InputError, match=message):
            Options(save=tmp_path / place).check()


def test_a_place_in_the_home_folder_is_saved_to_and_shown(
    run: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ip.explain(lambda masks: 1.0 * masks[:, 0], labels=3, budget=8).save("~/out.json")
    assert ip.load("~/out.json").used == 8
    assert "3 features, 8 ablations" in run("show", "~/out.json")[1]
