"""What was paid for is printed and saved, whichever of them cannot be written; and what is announced comes true."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay.cli._announce import announced
from interplay.cli._forecast import fit_seconds
from interplay.cli._options import Options
from interplay.cli._shared import _drawn_for
from interplay.cli._shared import run as run_game

Run = Callable[..., tuple[int, str, str]]
COMMAND = [sys.executable, "-c", "from interplay.cli import main; main()"]


def weigh(masks: np.ndarray) -> np.ndarray:
    return masks @ np.arange(1.0, masks.shape[1] + 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full disk to write to")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_output_to_a_full_disk_is_one_sentence(tmp_path: Path, options: list[str]) -> None:
    ip.explain(weigh, labels=4, budget=16).save(tmp_path / "x.json")
    with open("/dev/full", "w") as full:
        command = [*COMMAND, "show", str(tmp_path / "x.json"), *options]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "interplay: cannot write the result to standard output: No space left on device.\n"


def test_a_reader_that_has_seen_enough_is_no_failure_and_the_page_is_written_all_the_same(tmp_path: Path) -> None:
    ip.explain(weigh, labels=4, budget=16).save(tmp_path / "x.json")
    command = [*COMMAND, "show", str(tmp_path / "x.json"), "--html", str(tmp_path / "x.html")]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
    assert (tmp_path / "x.html").exists()


def test_a_result_that_cannot_be_saved_is_printed_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    options = Options(budget=16, no_store=True, save=tmp_path / "x.json")
    options.check()
    with pytest.raises(ip.InputError, match=r"cannot write .*x.json: No space left on device"):
        run_game(ip.Game(weigh, 4), options)
    assert "x3" in capsys.readouterr().out


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no such files")
def test_closed_standard_output_is_one_sentence_and_the_page_is_written_all_the_same(tmp_path: Path) -> None:
    ip.explain(weigh, labels=4, budget=16).save(tmp_path / "x.json")
    words = [*COMMAND, "show", str(tmp_path / "x.json"), "--html", str(tmp_path / "x.html")]
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *words], stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (
        2,
        "interplay: cannot write the result to standard output: it is closed.\n",
    )
    assert (tmp_path / "x.html").exists()


def test_utf_16_without_a_mark_is_no_text(tmp_path: Path, run: Run) -> None:
    (tmp_path / "t.txt").write_bytes("the film".encode("utf-16-le"))
    status, out, err = run("text", "t.txt", "--model", "m", "--reference", "x")
    assert (status, out) == (2, "")
    assert err == "interplay: t.txt holds the character NUL, as UTF-16 read as UTF-8 does: save it as UTF-8.\n"


@pytest.mark.parametrize(
    ("first", "second"), [("--save", "--html"), ("--store", "--save"), ("the input", "--html"), ("the input", "--save")]
)
def test_no_result_is_written_over_another_or_over_what_was_read(tmp_path: Path, first: str, second: str) -> None:
    file = tmp_path / "x"
    given = {option.removeprefix("--"): file for option in (first, second) if option.startswith("--")}
    inputs = [str(file)] if first == "the input" else []
    with pytest.raises(ip.InputError, match="are the same file"):
        Options(**given).check(*inputs)  # type: ignore[arg-type]
    Options(**given | {second.removeprefix("--"): tmp_path / "y"}).check(*inputs)  # type: ignore[arg-type]


def test_show_leaves_the_saved_file_alone(tmp_path: Path, run: Run) -> None:
    ip.explain(weigh, labels=4, budget=16).save(tmp_path / "x.json")
    before = (tmp_path / "x.json").read_bytes()
    status, _, err = run("show", "x.json", "--html", "x.json")
    assert (status, err) == (2, "interplay: the input and --html are the same file, x.json: give each its own.\n")
    assert (tmp_path / "x.json").read_bytes() == before


def test_a_device_is_no_place_to_save_to_and_a_link_stays_one(tmp_path: Path) -> None:
    result = ip.explain(weigh, labels=4, budget=16)
    with pytest.raises(ip.InputError, match="it is no regular file"):
        result.save("/dev/null")
    with pytest.raises(ip.InputError, match="it is no regular file"):
        Options(save=Path("/dev/null")).check()
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    result.save(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert ip.load(tmp_path / "real.json").used == 16
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "real.json"]


def test_the_longest_name_that_a_file_may_have_is_saved_to(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".json")
    ip.explain(weigh, labels=4, budget=16).save(path)
    assert ip.load(path).used == 16


def test_the_time_announced_counts_fits_and_the_rounds_that_may_follow(capsys: pytest.CaptureFixture[str]) -> None:
    game = ip.Game(weigh, 12)
    with announced(game.price, 1000, lambda: 500.0) as progress:
        progress(ip.Progress(0, 100, 0, 0.0, None))
        progress(ip.Progress(50, 100, 0, 50.0, 50.0))
    # 50 s have passed, 50 are left of this round, 900 may follow at one a second, and 500 go to the fits
    assert "time       at most about 25 min, fits included" in capsys.readouterr().err


def test_the_calls_announced_count_what_may_follow_the_first_round(capsys: pytest.CaptureFixture[str]) -> None:
    """Removals from the real input come after the round that is announced, out of the same budget."""
    game = ip.Game(weigh, 12)
    for total, stored in ((570, 0), (600, 0), (570, 570)):
        with announced(game.price, 600, lambda: 1.0) as progress:
            progress(ip.Progress(0, total, stored, 0.0, None))
    assert capsys.readouterr().err.splitlines() == [
        "calls      at most 600 to the model",
        "calls      600 to the model",
        "calls      at most 30 to the model (570 more are in the store)",
    ]


@pytest.mark.parametrize(("index", "drawn"), [("sv", "sv"), ("fsii", "fsii"), ("bii", None), ("fbii", None)])
def test_an_index_that_has_ablations_of_its_own_gets_them_and_a_game_that_cannot_says_so(
    index: str, drawn: str | None
) -> None:
    game, options = ip.Game(weigh, 12), Options(index=index)
    assert _drawn_for(game, options) == (game, drawn)
    parts = [ip.Part("first", "half", 0, 6), ip.Part("second", "half", 6, 12)]
    for other, why in ((ip.Game(weigh, 12, keep=0.7), "kept in 70%"), (game.zoomed(parts), "opened from round to")):
        noted, nothing = _drawn_for(other, options)
        assert nothing is None
        assert [index in note and why in note for note in noted.notes] == ([] if drawn is None else [True])


def test_the_forecast_of_fits_grows_with_outputs_and_rounds_and_is_nothing_where_all_is_measured() -> None:
    one, many = ip.Game(weigh, 12), ip.Game(weigh, 12, outputs=[str(i) for i in range(200)])
    lasso = Options(budget=100, method="lasso")
    assert fit_seconds(many, lasso) > 20 * fit_seconds(one, lasso) > 0
    assert fit_seconds(ip.Game(weigh, 5), lasso) == 0
