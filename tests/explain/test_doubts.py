"""Notes on games that are not worth explaining."""

from __future__ import annotations

import pytest

import interplay as ip

TEXT = "It never fails to charm although extraordinarily long sentences do."


def notes(score):
    game = ip.lenses.text(lambda texts: [float(score(text)) for text in texts], TEXT, unit="word", ablate="delete")
    return " ".join(ip.explain(game, budget=60, method="lasso").notes)


def test_what_is_only_length_is_said_to_be():
    assert "is the length of the text" in notes(len)
    assert "is the length of the text" in notes(lambda text: -len(text))
    assert "is the length of the text" not in notes(lambda text: 2.0 * ("never" in text) + ("charm" in text))


def test_an_output_that_everything_ablated_has_as_well_is_doubted():
    assert "as high as with everything kept" in notes(lambda text: -1.0 * ("never" in text))
    assert "as high as with everything kept" not in notes(lambda text: 1.0 * ("never" in text))


@pytest.mark.parametrize(
    ("ids", "loops"),
    [([5, 5, 5, 5, 5, 5, 5], True), ([1, 2, 1, 2, 1, 2, 1], True), ([1, 2, 3, 4, 5, 6, 7], False), ([4, 4], False)],
)
def test_loops_are_known(ids, loops):
    pytest.importorskip("torch")
    from interplay.models._causal.doubts import repeats_itself

    assert repeats_itself(ids) == loops
