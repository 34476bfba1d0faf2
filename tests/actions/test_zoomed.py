"""Actions on an explanation whose parts were opened on the way, with the game as it was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from networks import network, tokens


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


@pytest.mark.parametrize("cut", [False, True])
def test_prune_drops_closed_layers_whole_and_the_model_gives_what_was_measured(cut: bool) -> None:
    """By a network's own layers, heads and groups of neurons."""
    inputs, metric = tokens("llama", rows=2), ip.lenses.metrics.logit(7)
    select = ip.lenses.Select.heads() + ip.lenses.Select.neurons(groups=4)
    game = ip.lenses.components(network("llama"), select, inputs, metric, zoom=True)
    found = ip.explain(game.refine([0]), budget=10)  # too few to open the others
    done = ip.actions.prune(game, found, keep=0.6, held_out=game, checks=6, random=0)
    opened = game.opened(found.outline)
    assert done.leaves == tuple(part.end - part.start for part in opened.tree.parts)
    assert sum(done.leaves[i] for i in done.kept) <= 0.6 * game.tree.leaves
    made = done.apply(network("llama"), cut=cut)
    again = ip.lenses.components(made, "mlps", inputs, metric)
    assert again(np.ones((1, again.n), bool))[0] == pytest.approx(done.measured, abs=1e-4)
    assert max(done.leaves) > 1
    assert f"of {game.tree.leaves} of the finest, kept" in str(done)


def test_prune_keeps_as_many_leaves_as_are_asked_for() -> None:
    """The two that matter of 320, from layers down, beside rankings of the leaves."""
    plain = ip.Game(
        lambda m: 1.0 * m[:, [37, 200]].all(axis=1) - 0.2 * m[:, 50], [f"s{i}" for i in range(320)], keep=0.8
    )
    game = plain.zoomed()
    found = ip.explain(game, budget=300)
    worth = np.zeros(320)
    worth[[37, 200]] = 1.0
    done = ip.actions.prune(game, found, keep=2, held_out=game, rankings={"known": worth})
    assert {done.labels[i] for i in done.kept} == {"s37", "s200"}
    assert done.measured == done.rivals[1].measured == 1.0
    with pytest.raises(ip.InputError, match="zoom=True as well"):
        ip.actions.prune(game, found, keep=2, held_out=plain)
    with pytest.raises(ip.InputError, match=r"3 numbers for \d+ parts \(320 finest ones\)"):
        ip.actions.prune(game, found, keep=2, held_out=game, sizes=[1.0] * 3)


def test_curate_removes_the_rows_that_harm_out_of_groups_that_help() -> None:
    def error(kept: set[int]) -> float:
        return 1.0 * len(kept & {7, 8, 91}) - 0.01 * len(kept)

    def made() -> ip.Game:
        groups = {f"source {k}": list(range(20 * k, 20 * k + 20)) for k in range(5)}
        score = ip.lenses.Evaluator(error, lower_is_better=True)
        return ip.lenses.training(lambda kept: set(kept.tolist()), score, groups, zoom=True)

    game = made()
    found = ip.explain(game, budget=150)
    assert found.n < 100
    done = ip.actions.curate(game, found, remove=3, held_out=made())
    assert {done.labels[i] for i in done.removed} == {"example 7", "example 8", "example 91"}
    assert done.chosen.held_out == pytest.approx(-0.97)
    assert "3 of 100 rows removed" in str(done)
    assert all(sum(done.sizes[i] for i in cull.removed) <= 3 for cull in done.rivals)
    ranked = ip.actions.curate(game, found, remove=2, held_out=made(), rankings={"last": -np.arange(100.0)})
    assert [done.labels[i] for i in ranked.rivals[1].removed] == ["example 99", "example 98"]


def test_curate_says_where_groups_are_larger_than_what_is_to_go() -> None:
    groups = [list(range(20 * k, 20 * k + 20)) for k in range(8)]
    game = ip.lenses.training(lambda kept: kept, lambda kept: float(len(kept)), groups, zoom=True)
    found = ip.fit(ip.design(8, 64), game(ip.design(8, 64)), labels=game.labels)
    with pytest.raises(ip.InputError, match="holds 20 rows, more than the 3 to go"):
        ip.actions.curate(game, found, remove=3, held_out=game)


def test_an_audit_counts_what_stays_closed_as_without_an_effect() -> None:
    """A rude word in some of many texts of ten sentences, each of them zoomed."""
    rng = np.random.default_rng(0)
    fill = [f"Sentence {k} says nothing." for k in range(12)]
    cases = []
    for k in range(8):
        said = [fill[i] for i in rng.permutation(12)]
        said[k] = "He is rude." if k % 2 else "She is rude."
        cases.append(" ".join(said))

    def made(text: str) -> ip.Game:
        score = lambda texts: [float("He" in one and "rude" in one) for one in texts]  # noqa: E731
        return ip.lenses.text(score, text, unit=("sentence", "word"), ablate="_")

    done = ip.actions.audit(made, cases, budget=8 * 120)
    rude = next(finding for finding in done.findings if finding.parts == ("rude",))
    assert rude.cases == 8  # those where it stayed closed included
    assert rude.mean == pytest.approx(0.25, abs=0.05)
