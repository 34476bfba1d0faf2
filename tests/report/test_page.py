"""The page as a file: self-contained, small, inert; and its static part in notebooks."""

from __future__ import annotations

import base64
import hashlib
import html as entities
import json
import re
import sys
import types
from pathlib import Path

import pytest

import interplay as ip
from interplay._findings.views import Facts, Matrix, Table, View
from results import EVERY, HOSTILE, hostile, large, lesson, picture, sentences, training, words

KINDS = sorted(EVERY)


def page_of(tmp_path: Path, *results: object) -> str:
    ip.report.html(list(results), tmp_path / "page.html", title="A title")
    return (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_holds_the_answer_and_refers_to_nothing_outside(kind: str, tmp_path: Path) -> None:
    explanation = EVERY[kind]()
    page = page_of(tmp_path, explanation)
    shown = ip.report.view(explanation)
    assert entities.unescape(page).count(shown.answer) >= 1
    if kind != "hostile":
        assert not re.search(r"""(src|href)=["'](?!data:image/png|#)""", page)
    assert "@import" not in page
    assert " style=" not in page or kind == "hostile"  # the policy would forbid it


def test_the_policy_allows_this_style_and_this_script_and_nothing_more(tmp_path: Path) -> None:
    page = page_of(tmp_path, words())
    policy = entities.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_pages_are_small(tmp_path: Path) -> None:
    assert large().n == 200
    assert len(large().interactions("fourier", order=4)) >= 3000
    assert len(page_of(tmp_path, large()).encode()) < 1_000_000
    assert len(page_of(tmp_path, picture()).encode()) < 5_000_000


def test_every_string_is_inert_and_whole(tmp_path: Path) -> None:
    page = page_of(tmp_path, hostile())
    outside = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    for tag in ("script", "img", "style", "svg onload"):
        assert f"<{tag}" not in outside
    assert page.count("<script") == 2
    text = entities.unescape(re.sub(r"<[^>]*>", "", outside))
    for word in HOSTILE:
        assert (
            word.replace("\x1b", "␛").replace("\x07", "␇").replace("\u202e", "\ufffd").replace("\u202c", "\ufffd")
            in text
        )
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_several_results_of_several_kinds_share_a_page(tmp_path: Path) -> None:
    from interplay.report import influences

    class Audit:
        def view(self) -> View:
            parts = (
                Table("Flips", ("set", "measured"), (("never & fails", -0.25),), left=3),
                Facts("Cost", (("ablations", "120"),)),
                Matrix("Over prompts", ("a",), ("first", "second"), ((0.5, -0.5),)),
            )
            return View("What recurs?", "Nothing much.", parts)

    explanation = training()
    page = page_of(tmp_path, words(), words().interactions(), words().spectrum, influences(explanation), Audit())
    for part in ("never &amp; fails", "120", "What recurs?", "Nothing much.", "3 more rows", 'id="result-5"'):
        assert part in page
    assert page.count("<section") == 5


def test_the_data_of_the_script_are_the_view(tmp_path: Path) -> None:
    page = page_of(tmp_path, sentences())
    data = json.loads(re.search(r'class="data">(.*?)</script>', page, flags=re.DOTALL)[1])
    assert [len(out["effects"]) for out in data["outs"]] == [5, 5, 5]
    found = sentences().for_output(0).interactions()
    value, reach, features = data["outs"][0]["sets"][0]
    assert features == list(next(iter(found)))
    assert value == pytest.approx(next(iter(found.values())), rel=1e-3)
    assert reach is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_notebook_gets_a_part_without_script(kind: str) -> None:
    shown = EVERY[kind]()._repr_html_()
    assert len(shown) < 200_000
    assert "<script" not in re.sub(r"&lt;script", "", shown)
    assert " id=" not in shown.replace('id="result-1"', "")
    assert shown.startswith('<div class="interplay">')


def test_every_result_has_a_representation_for_notebooks() -> None:
    from interplay.report import influences

    for result in (words(), words().interactions(), words().spectrum, influences(training())):
        assert "<section" in result._repr_html_()


def test_show_is_the_page_in_a_notebook_and_the_report_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words().show(top=2)
    assert "Together" in capsys.readouterr().out
    displayed: list[str] = []
    shell = types.SimpleNamespace(kernel=object())
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    inner = types.ModuleType("IPython.display")
    inner.HTML, inner.display = str, displayed.append
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", inner)
    words().show()
    assert capsys.readouterr().out == ""
    assert "<iframe" in displayed[0]
    assert 'sandbox="allow-scripts"' in displayed[0]


def test_what_cannot_be_written_or_shown_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ip.InputError, match="there is nothing to show"):
        ip.report.html([], tmp_path / "page.html")
    with pytest.raises(ip.InputError, match="str has nothing to show"):
        ip.report.html(["text"], tmp_path / "page.html")
    with pytest.raises(ip.InputError, match="cannot write"):
        words().to_html(tmp_path / "absent" / "page.html")


def test_commands_write_pages(run: object, tmp_path: Path) -> None:
    sentences().save(tmp_path / "out.json")
    status, out, err = run("show", "out.json", "--html", "page.html", "--index", "sv")
    assert status == 0, err
    assert "Which sentences" in out
    assert "Shapley value" in (tmp_path / "page.html").read_text(encoding="utf-8")
    status, _, err = run("show", "out.json", "--html", "absent/page.html")
    assert status == 2
    assert "its folder does not exist" in err


def test_the_wheel_has_the_template_style_and_script() -> None:
    folder = Path(ip.report.__file__).parent / "_html"
    assert {path.name for path in folder.iterdir()} >= {"page.html", "parts.html", "result.html", "page.css", "page.js"}


def test_losses_turn_their_sign_in_pages_too(tmp_path: Path) -> None:
    page = page_of(tmp_path, ip.explain(lesson(losses=True), budget=64))
    assert "d helps most" in page


def test_a_book_is_shown_where_it_was_opened(tmp_path: Path) -> None:
    """Long parts that stayed whole are cut, and words are called by themselves, whatever else is long."""
    filler = [f"Paragraph {i}. " + f"Nothing at all happens on day {i} of that year. " * 12 for i in range(40)]
    filler[9] += "The silver key lies here."
    game = ip.lenses.text(
        lambda texts: [float("silver" in text and "key" in text) for text in texts],
        "\n\n".join(filler),
        unit=("paragraph", "sentence", "word"),
        ablate="delete",
    )
    found = ip.explain(game, budget=160)
    found.to_html(tmp_path / "book.html")
    page = (tmp_path / "book.html").read_text()
    assert "silver + key" in str(found)
    assert "both ends are shown" in page
    assert page.count("Nothing at all happens on day 20 of that year.") <= 6  # of 12, label and key included
    assert page.count("Nothing at all happens on day 9 of that year.") >= 12
