"""Plots: what they draw is what was found, at any size, and nothing is read as mathematics or markup."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib
import numpy as np
import pytest

import interplay as ip
from results import grid, hostile, large, picture, plain, sentences, training, words

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

GENERAL = (ip.plots.ranking, ip.plots.matrix, ip.plots.network, ip.plots.upset)
WHOLE = (ip.plots.text, ip.plots.waterfall, ip.plots.curve)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    pyplot.close("all")


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts] + [label.get_text() for label in ax.get_yticklabels()]


@pytest.mark.parametrize("draw", [*GENERAL, *WHOLE], ids=lambda draw: draw.__name__)
def test_two_hundred_features_are_drawn_and_the_rest_is_counted(draw: Callable[..., Axes]) -> None:
    ax = draw(large())
    ax.figure.canvas.draw()
    width, height = ax.figure.get_size_inches()
    assert width < 16
    assert height < 20
    if draw in GENERAL:
        assert any("not shown" in text for text in (*texts(ax), ax.get_xlabel()))
    assert len(ax.get_yticklabels()) <= 45


@pytest.mark.parametrize("draw", GENERAL, ids=lambda draw: draw.__name__)
def test_interactions_are_drawn_as_the_explanation_is(draw: Callable[..., Axes]) -> None:
    figure, ax = pyplot.subplots()
    assert draw(words().interactions(), ax=ax) is ax
    assert ax.figure is figure
    with pytest.raises(ip.InputError, match="a plot takes an explanation or interactions, not int"):
        draw(3)
    with pytest.raises(ip.InputError, match="choose one with for_output"):
        draw(sentences())


def test_a_ranking_shows_values_intervals_and_names_strongest_first() -> None:
    found = words().interactions()
    ax = ip.plots.ranking(words(), top=4)
    bars = ax.containers[0] if hasattr(ax.containers[0], "patches") else ax.containers[1]
    keys = list(found)[:4]
    assert [bar.get_width() for bar in bars] == pytest.approx([found[key] for key in keys])
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [" + ".join(found.labels[i] for i in key) for key in keys]
    segments = ax.collections[0].get_segments()
    for key, ((left, _), (right, _)) in zip(keys, segments, strict=True):
        assert (left, right) == pytest.approx(found.interval(key))


def test_a_waterfall_leads_from_nothing_to_everything() -> None:
    explanation = plain()
    ax = ip.plots.waterfall(explanation)
    steps = sum(bar.get_width() for bar in ax.patches)
    assert steps == pytest.approx(explanation.full[0] - explanation.empty[0])
    assert "not in the fit" not in texts(ax)
    assert "not in the fit" in texts(ip.plots.waterfall(words()))  # which was not measured at its ends
    assert "17 others" in texts(ip.plots.waterfall(words(), top=3)) or "others" in " ".join(texts(ax))


def test_a_matrix_is_symmetric_with_single_effects_on_the_diagonal() -> None:
    found = plain().interactions()
    drawn = np.ma.filled(ip.plots.matrix(plain()).images[0].get_array(), np.nan)
    assert drawn[0, 2] == drawn[2, 0] == pytest.approx(found[0, 2])
    assert drawn[1, 1] == pytest.approx(found[1,])
    assert np.isnan(drawn[0, 1])


def test_an_upset_has_a_column_a_combination() -> None:
    ax = ip.plots.upset(plain())
    (bars,) = ax.child_axes
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([plain().interactions()[0, 2]])
    assert "no combination differs from zero" in texts(ip.plots.upset(hostile().for_output(0)))
    assert "no combination differs from zero" in texts(ip.plots.network(hostile().for_output(0)))


def test_a_text_is_written_out_with_its_strongest_parts_shaded() -> None:
    ax = ip.plots.text(words())
    written = " ".join(text.get_text() for text in ax.texts)
    assert "".join(written.split()) == "".join(words().layout.text.split())
    certain = [key for key, value in words().interactions("bv").items() if key]
    assert 3 <= len(ax.collections) <= len(certain)
    with pytest.raises(ip.InputError, match="this one's features lie in no text"):
        ip.plots.text(grid())


def test_a_grid_shows_cells_and_joins_those_that_act_together() -> None:
    ax = ip.plots.grid(grid())
    values = ax.images[0].get_array()
    found = grid().interactions("bv")
    assert values[0, 1] == pytest.approx(found[1,])
    assert len(ax.texts) == 2
    with pytest.raises(ip.InputError, match="this one's features lie in no grid"):
        ip.plots.grid(words())


def test_a_curve_has_a_point_a_round() -> None:
    game = ip.Game(lambda masks: 1.0 * (masks[:, 0] & masks[:, 1]) + masks[:, 2], 12)
    rounds = ip.explain(game, budget=400, tolerance=1e-6, method="proxyspex")
    ax = ip.plots.curve(rounds)
    assert list(ax.lines[0].get_xdata()) == [point.ablations for point in rounds.curve]
    ip.plots.curve(sentences()).figure.canvas.draw()


def test_pairs_of_training_examples_are_told_apart_by_kind() -> None:
    ax = ip.plots.training(training())
    legend = ax.get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {"synergistic", "redundant", "opposed"}
    one = ip.plots.training(training(), output="first", top=1)
    assert one.patches[0].get_width() == pytest.approx(3.0)
    with pytest.raises(ip.InputError, match="this one's features are no examples"):
        ip.plots.training(words())


def test_labels_are_never_mathematics() -> None:
    labels = ["$\\frac{", "$x$ and $y$", "<b>", "\x1b[2J"]
    explanation = ip.explain(
        lambda m: 1.0 * (m[:, 0] & m[:, 1]) - m[:, 2] + (m[:, 3] & m[:, 0]), labels=labels, budget=16
    )
    for draw in (*GENERAL, ip.plots.waterfall):
        draw(explanation).figure.canvas.draw()


@pytest.mark.parametrize("draw", [ip.plots.ranking, ip.plots.waterfall, ip.plots.training])
def test_top_must_be_a_number_of_rows(draw: Callable[..., Any]) -> None:
    with pytest.raises(ip.InputError, match="top must be a whole number of at least 1, not 0"):
        draw(training() if draw is ip.plots.training else picture(), top=0)


def test_matplotlib_is_loaded_only_by_a_plot_and_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, interplay; interplay.plots.ranking; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ip.MissingExtraError, match=r"pip install 'interplay\[plot\]'"):
        ip.plots.ranking(words())
