"""The terminal report: short, one line a row, long parts numbered, and silent on what is no news."""

from __future__ import annotations

import functools
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import interplay as ip
from interplay._findings.views import Ranking
from results import EVERY, grid, training

TEXT = (
    "The museum opens at nine on weekdays. It is closed on Mondays for cleaning and small repairs. Tickets cost twelve "
    "euros for adults. The café has a view of the river. Large bags must be left in the lockers near the entrance."
)


def printed(explanation: ip.Explanation, width: int = 80, **options: object) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    ip.report.show(explanation, console=console, **options)
    return console.file.getvalue()


@functools.cache
def sentences() -> ip.Explanation:
    def score(texts: list[str]) -> np.ndarray:
        return np.array([2.0 * ("nine" in t) + 1.5 * ("nine" in t and "Mondays" in t) - ("bags" in t) for t in texts])

    return ip.explain(ip.lenses.text(score, TEXT, unit="sentence", ablate="delete"), budget=32)


@functools.cache
def noisy(n: int = 40) -> ip.Explanation:
    """Two parts and a pair that matter among many, with noise: most sets cannot be told from zero."""
    rng = np.random.default_rng(0)
    masks = ip.design(n, 300)
    values = 2.0 * masks[:, 3] - masks[:, 7] + 1.5 * (masks[:, 3] & masks[:, 9]) + 0.3 * rng.normal(size=len(masks))
    return ip.fit(masks, values, method="gp", labels=[f"word{i}" for i in range(n)])


def test_the_report_opens_with_the_question_and_answers_it_with_measured_numbers() -> None:
    lines = printed(sentences(), width=200).splitlines()
    assert lines[0] == "Which sentences drive the score?"
    assert lines[1].startswith("The output is 2.5 with everything kept and 0 with nothing; it is driven most by “The")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_one_output_takes_at_most_40_lines_and_a_row_one_line(width: int) -> None:
    for explanation in (sentences(), noisy()):
        lines = printed(explanation, width).splitlines()
        assert len(lines) <= 40
        assert max(map(len, lines)) <= width
    numbered = [line for line in printed(sentences(), width).splitlines() if "  S1" in line]
    assert len(numbered) == 2  # the pair, and its key


@pytest.mark.parametrize("kind", ["words", "grid", "picture", "training", "plain", "large"])
def test_every_kind_of_result_takes_at_most_40_lines_of_80_characters(kind: str) -> None:
    lines = printed(EVERY[kind]()).splitlines()
    assert 5 < len(lines) <= 40
    assert max(map(len, lines)) <= 80


def test_long_parts_are_numbered_with_a_key() -> None:
    text = printed(sentences())
    together = text[text.index("Together") : text.index("Alone")]
    assert "S1 + S2" in together
    assert "museum" not in together
    assert "S1  The museum opens at nine" in text
    assert "S2  It is closed on Mondays" in text


def test_effects_that_cannot_be_told_from_zero_are_counted_and_not_listed() -> None:
    explanation = noisy()
    found = explanation.interactions("bii")
    view = ip.report.view(explanation, index="bii")
    ranking = next(part for part in view.parts if hasattr(part, "removals"))
    for effect in ranking.effects:
        low, high = found.interval(effect.features)
        assert effect.faint == (low <= 0 <= high)
    text = printed(explanation, index="bii")
    assert f"and {ranking.faint(1, 1)} that these ablations cannot tell from zero" in text
    listed = text[text.index("Alone") :]
    for effect in ranking.effects:
        if effect.faint and len(effect.features) == 1:
            assert f"word{effect.features[0]}\n" not in listed.replace(" ", "")


def test_how_a_good_fit_was_made_is_told_to_those_who_ask() -> None:
    explanation = sentences()
    note = explanation.fit.notes[0]
    assert note[:40] not in printed(explanation, 200)
    assert note[:40] in printed(explanation, 200, verbose=True)
    poor = ip.fit(ip.design(30, 60), np.random.default_rng(1).normal(size=60))
    assert poor.faithfulness.r2 < 0.5
    assert poor.fit.notes[0][:40] in printed(poor, 200)


def test_a_constant_output_says_so() -> None:
    text = printed(ip.explain(lambda masks: np.full(len(masks), 3.0), labels=3, budget=8), 200)
    assert "no part and no combination of parts differs from zero" in text
    assert "R² is undefined" in text


def test_measured_removals_make_the_answer() -> None:
    from interplay._findings.views import Removal
    from interplay.report._views.explained import explanation_view

    view = explanation_view(sentences(), "bii", removals=[Removal((0,), 2.5, -1.0)])
    assert view.answer.endswith("without “The museum opens at nine on…” it goes from 2.5 to -1 (measured).")


def test_interactions_spectra_and_influences_are_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    explanation = sentences()
    ip.report.show(explanation.interactions("mobius"))
    ip.report.show(explanation.spectrum)
    assert "S1 + S2" in capsys.readouterr().out
    with pytest.raises(ip.InputError, match="int has nothing to show"):
        ip.report.show(3)


def test_anything_with_a_view_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from interplay._findings.views import Table, View

    class Flips:
        def view(self) -> View:
            rows = (("never", 0.5, -0.25), ("fails", 0.5, 0.375))
            return View("What flips it?", "Removing never does.", (Table("Sets", ("set", "before", "after"), rows),))

    ip.report.show(Flips())
    out = capsys.readouterr().out
    for words in ("What flips it?", "Removing never does.", "never", "-0.25"):
        assert words in out


def test_json_has_the_answer_and_the_intervals(run: object, tmp_path: Path) -> None:
    noisy().save(tmp_path / "out.json")
    machine = json.loads(run("show", "out.json", "--json", "--top", "3")[1])
    assert machine["answer"] == ip.report.view(noisy()).answer
    found = noisy().interactions(top=3)
    for item, key in zip(machine["interactions"][0], found, strict=True):
        assert (item["low"], item["high"]) == pytest.approx(found.interval(key), rel=1e-3)  # saved in four digits


def test_every_finding_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    ip.report.influences(training(), "first").show()
    out = capsys.readouterr().out
    assert "#2 + #3" in out
    assert "synergistic" in out
    ip.report.training_summary(training()).show()
    assert "3 pairs act together" in capsys.readouterr().out
    shares = ip.report.energy_shares(grid().spectrum, grid().layout)
    assert shares is not None
    shares.show()
    assert f"{shares.within:.1%}" in capsys.readouterr().out


def test_a_spectrum_is_shown_with_signs_that_read_naturally() -> None:
    view = ip.report.view(sentences().spectrum)
    found = sentences().interactions("bii", order=5)
    ranking = view.parts[0]
    assert isinstance(ranking, Ranking)
    assert {effect.features: effect.value for effect in ranking.certain()} == pytest.approx(
        {key: value for key, value in found.items() if abs(value) > 1e-9}
    )
