"""Pruning: the choice against brute force, what may not be looked at, and models that do what the game measured."""

from __future__ import annotations

import numpy as np
import pytest

import interplay as ip
from interplay.actions._keeping import Keeping
from interplay.actions._toggles import Toggles
from networks import network, tokens
from oracles import dense_game, sparse_spectrum

HEADS = {"llama": True, "bert": True, "gpt2": False, "opt": False}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("aim", ["high", "low"])
def test_in_a_game_fully_known_the_best_choice_is_made(seed: int, aim: str) -> None:
    game = ip.Game(sparse_spectrum(10, 20, 4, seed).predict, 10)
    done = ip.actions.prune(
        game, ip.explain(game, budget=1024, progress=False), keep=5, held_out=game, aim=aim, random=4
    )
    masks = ip.design(10, 1024)
    values = game(masks[(masks.sum(axis=1) <= 5) & masks.any(axis=1)])
    best = values.max() if aim == "high" else values.min()
    assert [done.measured, done.held_out, done.predicted] == pytest.approx([best] * 3)
    assert len(done.kept) <= 5
    assert sorted(done.kept + done.dropped) == list(range(10))
    for rival in done.rivals:
        assert (rival.measured <= best + 1e-9) if aim == "high" else (rival.measured >= best - 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_integer_program_is_optimal_under_a_budget_of_sizes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spectrum, sizes = sparse_spectrum(8, 16, 3, seed), rng.uniform(1, 5, 8)
    keeping = Keeping(spectrum, 1.0, sizes, 0.5 * sizes.sum())
    solved, gap = keeping.solved()
    masks = ip.design(8, 256)
    allowed = masks[(masks @ sizes <= 0.5 * sizes.sum()) & masks.any(axis=1)]
    assert solved is not None
    assert spectrum.predict(solved[None])[0] == pytest.approx(spectrum.predict(allowed).max())
    assert gap == pytest.approx(0, abs=1e-6)
    for mask in (keeping.backward(np.ones(8, bool)), keeping.improved(keeping.by_rank(rng.normal(size=8))), solved):
        assert keeping.fits(mask)
    turned = np.ones((8, 8), bool) ^ np.eye(8, dtype=bool)
    gains = spectrum.predict(turned) - spectrum.predict(np.ones((1, 8), bool))
    np.testing.assert_allclose(keeping.gains(np.ones(8, bool)), gains)


def test_choices_of_many_parts_are_evaluated_term_by_term() -> None:
    spectrum = sparse_spectrum(40, 60, 3, 0)
    toggles = Toggles.of(spectrum, np.zeros(40, bool), range(40), 3)
    rng = np.random.default_rng(0)
    for size in (0, 2, 9, 35):  # 35 parts have 2^35 subsets
        sets = np.sort([rng.permutation(40)[:size] for _ in range(5)], axis=1).astype(np.intp)
        masks = np.zeros((5, 40), bool)
        np.put_along_axis(masks, sets, values=True, axis=1)
        np.testing.assert_allclose(toggles.at(sets), spectrum.predict(masks), atol=1e-9)
    solved, gap = Keeping(spectrum, 1.0, np.ones(40), 35.0).solved()
    assert solved is not None
    assert solved.sum() <= 35
    assert gap >= 0
    greedy = Keeping(spectrum, 1.0, np.ones(40), 35.0).backward(np.ones(40, bool))
    assert spectrum.predict(solved[None])[0] >= spectrum.predict(greedy[None])[0] - gap - 1e-9


def test_held_out_inputs_take_no_part_in_the_choice_and_every_measurement_is_counted() -> None:
    seen: dict[str, list[np.ndarray]] = {"game": [], "held out": []}

    def watched(name: str, game: ip.Game) -> ip.Game:
        return ip.Game(lambda masks: (seen[name].append(masks), game(masks))[1], 9)

    game, other = watched("game", dense_game(9, 0)), watched("held out", dense_game(9, 1))
    explanation = ip.explain(game, budget=200, progress=False)
    seen["game"].clear()
    done = ip.actions.prune(
        game, explanation, keep=0.5, held_out=other, checks=20, random=10, rankings={"mine": range(9)}
    )
    assert len(done.kept) <= 4
    assert [rival.name for rival in done.rivals] == ["first order", "mine", "best of 10 random"]
    assert done.rivals[1].kept == (5, 6, 7, 8)
    assert sum(map(len, seen["held out"])) == done.held_out_checks <= 5
    last = max(i for i, masks in enumerate(seen["game"]) if len(masks))
    assert sum(map(len, seen["game"][: last + 1])) == done.checks <= 20 + 10 + 4
    reversed_ = ip.actions.prune(game, explanation, keep=0.5, held_out=dense_game(9, 2), checks=20, random=10)
    assert reversed_.kept == done.kept


@pytest.mark.parametrize("family", HEADS)
def test_a_pruned_model_gives_what_the_game_measured(family: str) -> None:
    import torch

    model = network(family)
    metric = ip.lenses.metrics.logit(7) if family != "bert" else (lambda out: out[0][:, 0, :3].sum(-1))
    inputs = tokens(family, rows=2)
    for select in ("heads", "neurons", "mlps"):
        game = ip.lenses.components(model, select, inputs, metric)
        explanation = ip.fit(masks := ip.design(game.n, 30), game(masks), labels=game.labels, method="lasso")
        done = ip.actions.prune(game, explanation, keep=0.4, held_out=game, checks=4, random=0)
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        for cut in (False, True):
            made = done.apply(model, cut=cut)
            again = ip.lenses.components(made, "mlps", inputs, metric)
            value = float(again(np.ones((1, again.n), bool))[0])
            assert value == pytest.approx(done.measured, abs=1e-4)
            if cut and select == "neurons" and family != "gpt2":
                assert sum(w.numel() for w in made.parameters()) < sum(w.numel() for w in model.parameters())
        assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("family", HEADS)
def test_heads_are_cut_out_where_the_architecture_allows(family: str) -> None:
    model, inputs = network(family), tokens(family, rows=2)
    metric = ip.lenses.metrics.logit(7) if family != "bert" else (lambda out: out[0][:, 0, :3].sum(-1))
    game = ip.lenses.heads(model, inputs, metric)
    # All heads of the first layer, and the first two of the others: one group where keys and values are shared.
    keep = np.array([not (i < 4 or i % 4 < 2) for i in range(game.n)])
    favoured = ip.Game(lambda masks: (masks == keep).sum(axis=1) * 1.0, game.labels)
    explanation = ip.explain(favoured, budget=300, progress=False)
    done = ip.actions.prune(game, explanation, keep=int(keep.sum()), held_out=game, checks=1, random=0)
    assert done.kept == tuple(np.flatnonzero(keep))
    zeroed, cut = done.apply(model), done.apply(model, cut=True)
    smaller = sum(w.numel() for w in cut.parameters()) < sum(w.numel() for w in zeroed.parameters())
    assert smaller is HEADS[family]
    for made in (zeroed, cut):
        again = ip.lenses.components(made, "mlps", inputs, metric)
        assert again(np.ones((1, again.n), bool))[0] == pytest.approx(game(keep[None])[0], abs=1e-4)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_dropped_layers_are_taken_out(family: str) -> None:
    model, inputs = network(family), tokens(family, rows=2)
    metric = ip.lenses.metrics.logit(7) if family == "llama" else (lambda out: out[0][:, 0, :3].sum(-1))
    game = ip.lenses.components(model, "layers", inputs, metric)
    explanation = ip.explain(game, budget=8, progress=False)
    done = ip.actions.prune(game, explanation, keep=2, held_out=game)
    made = done.apply(model)
    assert made.config.num_hidden_layers == len(done.kept) <= 2
    again = ip.lenses.components(made, "mlps", inputs, metric)
    assert again(np.ones((1, again.n), bool))[0] == pytest.approx(done.measured, abs=1e-4)
    assert done.energy is None or done.energy.single <= 1


def test_results_read_as_text_json_and_table() -> None:
    import json

    game = dense_game(6, 0)
    done = ip.actions.prune(game, ip.explain(game, budget=64, progress=False), keep=3, held_out=game)
    assert json.loads(json.dumps(done.to_dict(), allow_nan=False))["kept"] == list(done.kept)
    assert done.to_frame()["name"].tolist() == ["interactions", "first order", "best of 32 random"]
    assert f"{len(done.kept)} of 6 parts kept" in str(done)
    with pytest.raises(ip.InputError, match="only parts of a network"):
        done.apply(network("bert"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": 0}, "keep must be a share"),
        ({"keep": 6}, "whole number from 1 to 5"),
        ({"keep": 1.0}, "keep must be a share"),
        ({"keep": True}, "keep must be a share"),
        ({"keep": 3, "sizes": [1.0] * 6}, "keep must be a share"),
        ({"sizes": [1.0] * 5 + [-2.0]}, "sizes must be 6 positive"),
        ({"sizes": [1.0, 2.0]}, "sizes: 2 numbers for 6 parts"),
        ({"aim": "best"}, "unknown aim"),
        ({"rankings": {"mine": [1.0]}}, "'mine': 1 numbers for 6 parts"),
        ({"held_out": dense_game(5, 0)}, "same parts"),
    ],
)
def test_a_mistake_gets_one_sentence(options: dict[str, object], words: str) -> None:
    game = dense_game(6, 0)
    explanation = ip.explain(game, budget=64, progress=False)
    with pytest.raises(ip.InputError, match=words):
        ip.actions.prune(game, explanation, **({"keep": 0.5, "held_out": game} | options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"random": -1}, "random must be a whole number of at least 0, not -1"),
        ({"random": 2.5}, "random must be"),
        ({"held_out": 3}, "held_out must be a game, as .* makes it, not 3"),
        ({"rankings": {"mine": [1.0, float("nan"), 2.0, 3.0, 4.0, 5.0]}}, r"'mine' has no number \(NaN\) for 'x1'"),
        ({"rankings": {"mine": ["high"] * 6}}, "the ranking 'mine' must be a list of numbers"),
        ({"rankings": {"": range(6)}}, "cannot be called ''"),
        ({"rankings": {"first order": range(6)}}, "cannot be called 'first order'"),
        ({"rankings": range(6)}, "rankings must map a name"),
        ({"held_out": ip.Game(lambda masks: masks[:, :2] * 1.0, 6, outputs=["a", "b"])}, "the outputs 'a', 'b', none"),
    ],
)
def test_a_mistake_is_named_before_anything_is_paid(options: dict[str, object], words: str) -> None:
    dense, paid = dense_game(6, 0), []
    game = ip.Game(lambda masks: (paid.append(len(masks)), dense(masks))[1], 6)
    explanation = ip.explain(game, budget=64, progress=False)
    paid.clear()
    with pytest.raises(ip.InputError, match=words):
        ip.actions.prune(game, explanation, **({"keep": 0.5, "held_out": game} | options))
    assert paid == []


def two(names: list[str] | None, turned: bool = False) -> ip.Game:
    """Two outputs, the second of which is high where the first is low; ``turned``, the other way round."""
    first = dense_game(6, 0)
    both = (lambda v: np.stack([-v, v], axis=1)) if turned else (lambda v: np.stack([v, -v], axis=1))
    return ip.Game(lambda masks: both(first(masks)), 6, outputs=names)


def test_the_explained_output_is_judged_by_its_name() -> None:
    game = two(["up", "down"])
    explanation = ip.explain(game, budget=64, progress=False).for_output("down")
    for held_out in (game, two(["down", "up"], turned=True), two(None)):
        done = ip.actions.prune(game, explanation, keep=3, held_out=held_out, random=3)
        assert done.held_out == pytest.approx(done.measured)
        assert done.untouched == pytest.approx(game(np.ones((1, 6), bool))[0, 1])
    with pytest.raises(ip.InputError, match="'up', 'side', none of which is known to be 'down'"):
        ip.actions.prune(game, explanation, keep=3, held_out=two(["up", "side"]))
    dense = dense_game(6, 0)
    single, renamed = (ip.Game(lambda masks: dense(masks)[:, None], 6, outputs=[one]) for one in ("ours", "theirs"))
    done = ip.actions.prune(single, ip.explain(single, budget=64, progress=False), keep=3, held_out=renamed)
    assert done.held_out == pytest.approx(done.measured)


def test_outputs_without_names_that_cannot_be_those_explained_cost_one_measurement() -> None:
    game, paid = dense_game(6, 0), []
    explanation = ip.explain(game, budget=64, progress=False)
    several = ip.Game(lambda masks: (paid.append(len(masks)), two(None)(masks))[1], 6)
    with pytest.raises(ip.InputError, match="held_out has 2 outputs, but the explained game has 1"):
        ip.actions.prune(game, explanation, keep=3, held_out=several)
    assert sum(paid) == 1
    second = ip.explain(two(None), budget=64, progress=False).for_output(1)
    with pytest.raises(ip.InputError, match="held_out has 1 outputs, but the explained game has at least 2"):
        ip.actions.prune(two(None), second, keep=3, held_out=game)
