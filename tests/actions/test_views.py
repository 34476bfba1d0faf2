"""Every result of an action shows itself: in the terminal, in a notebook, and as a page."""

from __future__ import annotations

from pathlib import Path

import pytest

import interplay as ip
from oracles import dense_game


def results() -> dict[str, object]:
    game = dense_game(6, 0)
    explanation = ip.explain(game, budget=64, progress=False)
    words = ip.lenses.text(lambda texts: [1.0 * ("red" in text) for text in texts], "a red <b>door</b>", ablate="_")
    rows = ip.lenses.training(lambda kept: len(kept), lambda model: -float(model), examples=5)
    cases = [f"{who} {what}" for who in ("he", "she", "it") for what in ("ran", "sat", "fell")]
    return {
        "flips": ip.actions.flip(game, explanation, below=-1.0),
        "replacement": ip.actions.replace(words, ip.explain(words, budget=16, progress=False), "neutral", below=0.5),
        "pruning": ip.actions.prune(game, explanation, keep=3, held_out=game),
        "curation": ip.actions.curate(rows, ip.explain(rows, budget=32, progress=False), remove=1, held_out=rows),
        "audit": ip.actions.audit(
            lambda text: ip.lenses.text(lambda texts: [1.0 * ("he" in t.split()) for t in texts], text, ablate="_"),
            cases,
            budget=9 * 8,
            at_least=3,
        ),
    }


@pytest.fixture(scope="module")
def made() -> dict[str, object]:
    return results()


@pytest.mark.parametrize("name", ["flips", "replacement", "pruning", "curation", "audit"])
def test_a_result_shows_itself_everywhere(
    name: str, made: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = made[name]
    view = ip.report.view(result)
    assert view.question.endswith("?")
    assert view.answer
    assert view.parts
    result.show()
    shown = " ".join(capsys.readouterr().out.split())
    assert " ".join(view.answer.split())[:40] in shown
    result.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<b>door" not in page
    assert result._repr_html_()


def test_the_page_of_an_audit_holds_the_worst_prompts_explanations(made: dict[str, object], tmp_path: Path) -> None:
    audit = made["audit"]
    assert isinstance(audit, ip.actions.Audit)
    assert audit.worst()
    audit.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<section") == 1 + len(audit.worst())
