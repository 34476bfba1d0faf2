"""Actions on an explanation whose parts were opened on the way, with the game as it was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import interplay as ip


def answers(texts: list[str]) -> list[float]:
    return [2.0 * ("red book" in text and "moved" in text) + 0.1 * ("calm" in text) for text in texts]


@pytest.fixture(scope="module")
def game() -> ip.Game:
    filler = [f"Paragraph {i} is about the weather. It ends." for i in range(40)]
    filler[9], filler[31] = "The red book lies here. It rains.", "It was never moved. All is calm."
    return ip.lenses.text(answers, "\n\n".join(filler), unit=("paragraph", "sentence"), ablate="delete", name="book")


@pytest.fixture(scope="module")
def found(game: ip.Game) -> ip.Explanation:
    return ip.explain(game, budget=150)


def test_flip_measures_the_parts_that_were_opened(game: ip.Game, found: ip.Explanation, tmp_path: Path) -> None:
    flips = ip.actions.flip(game, found, below=1.0)
    names = {found.labels[i] for flip in flips.found for i in flip.features}
    assert {"The red book lies here.", "It was never moved."} <= names
    for flip in flips.found:
        mask = np.ones((1, found.n), dtype=bool)
        mask[0, list(flip.features)] = False
        assert game.opened(found.outline)(mask)[0] == pytest.approx(flip.measured)
    assert ip.actions.flip(game.opened(found.outline), found, below=1.0).found == flips.found


def test_ablations_of_a_zoom_serve_its_actions(game: ip.Game, tmp_path: Path) -> None:
    """Both are stored by the finest parts."""
    found = ip.explain(game, budget=150, store=tmp_path / "runs.db")
    with ip.Store(tmp_path / "runs.db") as store:
        assert ip.actions.flip(game, found, below=1.0, store=store).from_store >= 1  # the untouched input


def test_suffice_finds_both_needed(game: ip.Game, found: ip.Explanation) -> None:
    enough = ip.actions.suffice(game, found, above=1.5)
    assert {found.labels[i] for i in enough.found[0].features} == {"The red book lies here.", "It was never moved."}


def test_replace_puts_words_in_the_place_of_opened_parts(game: ip.Game, found: ip.Explanation) -> None:
    replaced = ip.actions.replace(game, found, ["Something else."], below=1.0, variants=2)
    assert replaced is not None
    opened = game.opened(found.outline)
    first = next(i for i, part in enumerate(opened.tree.parts) if part.parts)
    text = opened.value.replaced({first: "HERE"})
    assert text.count("HERE") == 1
    assert found.outline[0].leaves >= 1


def test_an_explanation_of_another_game_is_refused(found: ip.Explanation) -> None:
    other = ip.Game(lambda masks: masks[:, 0] * 1.0, 80).zoomed()
    with pytest.raises(ip.InputError, match="explain this game first"):
        ip.actions.flip(other, found, below=1.0)
