"""Lenses whose features open into finer ones: every tree is the flat game seen from afar, and zooming finds a plant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from networks import network

PAIR = {"red cat", "blue dog"}


def answers(texts: list[str]) -> list[float]:
    return [float("red cat" in text and "blue dog" in text) for text in texts]


def documents() -> ip.Game:
    texts = {f"d{i}": f"Nothing is said in {i}. It ends. Once more, then." for i in range(20)}
    texts["d3"] = "Nothing here. The red cat sleeps. It ends."
    texts["d15"] = "A blue dog barks. It ends. Once more."
    return ip.lenses.documents(answers, texts, unit=("document", "sentence", "word"))


def patches() -> ip.Game:
    rng = np.random.default_rng(0)

    def both(images: np.ndarray) -> np.ndarray:
        return images[:, 9, 6] * images[:, 40, 61]

    return ip.lenses.image(both, 0.5 + rng.random((64, 64)), grid=(32, 32), ablate=0, zoom=True)


def examples() -> ip.Game:
    groups = {f"source {k}": list(range(20 * k, 20 * k + 20)) for k in range(5)}
    return ip.lenses.training(lambda kept: set(kept.tolist()), lambda kept: float({7, 91} <= kept), groups, zoom=True)


@pytest.mark.parametrize(
    ("made", "levels", "leaves", "wanted"),
    [
        (documents, {"block of documents", "document", "sentence", "word"}, None, {"red", "cat", "blue", "dog"}),
        (patches, {"block of cells", "cell"}, 1024, {"D5", "AE21"}),
        (examples, {"group", "block of examples", "example"}, 100, {"example 7", "example 91"}),
    ],
)
def test_a_planted_interaction_is_found_at_the_leaves(
    made: Callable[[], ip.Game], levels: set[str], leaves: int | None, wanted: set[str]
) -> None:
    game = made()
    found = ip.explain(game, budget=260)
    named = {name for names, _ in found.interactions(top=6).named() for name in names}
    assert wanted <= named
    assert leaves in (None, game.tree.leaves)
    assert {part.level for part in game.refine([0]).tree.parts} & levels
    closed = [label for label in found.labels if ": " in label]
    assert closed
    assert all(label.split(": ")[0] in levels for label in closed)


@pytest.mark.parametrize("made", [documents, patches, examples])
def test_coarse_features_are_the_flat_game_seen_from_afar(made: Callable[[], ip.Game]) -> None:
    """Whatever is open, a mask of the parts is measured as the same mask of the leaves."""
    game, rng = made(), np.random.default_rng(1)
    assert len(game.finest.labels) == game.tree.leaves
    for _ in range(3):
        masks = rng.random((6, game.n)) < 0.8
        assert np.array_equal(game(masks), game.finest(game.tree.expanded(masks)))
        opens = [i for i, part in enumerate(game.tree.parts) if part.parts]
        game = game.refine(rng.choice(opens, min(2, len(opens)), replace=False)) if opens else game


def test_an_image_opens_into_the_cells_of_its_grid() -> None:
    """Every cell once, each with its own pixels, as the flat game of the same grid has them."""
    picture = np.arange(36 * 36, dtype=float).reshape(36, 36) + 1
    zoomed = ip.lenses.image(lambda images: images.sum(axis=(1, 2)), picture, grid=(9, 6), ablate=0, zoom=True)
    flat = ip.lenses.image(lambda images: images.sum(axis=(1, 2)), picture, grid=(9, 6), ablate=0)
    names = zoomed.refine(range(zoomed.n)).labels
    assert sorted(names) == sorted(flat.labels)
    for label in ("A1", "F9", "C5"):
        alone = np.array([[name == label for name in names]])
        assert zoomed.finest(alone) == flat(np.array([[name == label for name in flat.labels]]))
    drawn = {i for row in zoomed.layout.segments for i in row}
    assert drawn == set(range(zoomed.n))


def test_ablated_blocks_of_an_image_show_nothing_of_what_is_inside() -> None:
    """A blur as narrow as a cell would leave a block's contents to be seen."""
    checks = np.indices((64, 64)).sum(axis=0) % 16 < 8
    game = ip.lenses.image(lambda images: images.std(axis=(1, 2)), checks.astype(float), grid=(32, 32), zoom=True)
    assert float(game(np.zeros((1, game.n), dtype=bool))[0]) < 0.25 * float(game(np.ones((1, game.n), dtype=bool))[0])


def test_layers_open_into_their_heads_and_mlps() -> None:
    """Against the flat game of the same parts, one by one."""
    model, tokens = network("gpt2"), np.array([[1, 2, 3, 4]])
    import torch

    inputs = {"input_ids": torch.from_numpy(tokens)}
    zoomed = ip.lenses.components(model, ["heads", "mlps"], inputs, ip.lenses.metrics.logit(5), zoom=True, keep=0.9)
    flat = ip.lenses.components(model, ["heads", "mlps"], inputs, ip.lenses.metrics.logit(5), keep=0.9)
    assert [label.split(": ")[0] for label in zoomed.labels] == ["layer"] * zoomed.n
    inside = zoomed.refine(range(zoomed.n))
    assert sorted(inside.labels) == sorted(flat.labels)
    for label in flat.labels:
        without = [np.array([[name != label for name in game.labels]]) for game in (inside, flat)]
        assert inside(without[0]) == pytest.approx(flat(without[1]), abs=1e-5)
    layer = zoomed.tree.parts[0]
    gone = {leaf.label for leaf in layer.parts}
    assert zoomed(np.arange(zoomed.n)[None] > 0) == pytest.approx(
        flat(np.array([[name not in gone for name in flat.labels]])), abs=1e-5
    )


def test_a_layer_of_many_parts_opens_by_module_first() -> None:
    import torch

    inputs = {"input_ids": torch.tensor([[1, 2, 3, 4]])}
    select = ip.lenses.Select.heads() + ip.lenses.Select.neurons(groups=16)
    game = ip.lenses.components(network("gpt2"), select, inputs, ip.lenses.metrics.logit(5), zoom=True)
    assert {part.level for part in game.refine([0]).tree.parts} == {"module", "layer"}  # the other layers stay closed
    modules = [part for part in game.refine([0]).tree.parts if part.level == "module"]
    assert {leaf.level for part in modules for leaf in part.parts} == {"head", "neurons"}


def test_documents_without_units_inside_are_put_into_blocks() -> None:
    game = ip.lenses.documents(answers, ["One.", "Two."] * 20, unit=("document",))
    assert game.tree.leaves == 40
    assert game.n < 16


def test_groups_of_examples_keep_their_names_and_classes() -> None:
    show = ip.lenses.Gallery([f"e{i}" for i in range(6)], classes=["a", "a", "a", "b", "a", "b"])
    game = ip.lenses.training(
        lambda kept: len(kept), lambda kept: float(kept), {"web": [0, 2, 4], "book": [1, 3, 5]}, show=show, zoom=True
    )
    assert game.labels == ("group: web", "group: book")
    assert game.layout.examples.classes == ("a", "mixed")
    assert game.refine([1]).labels == ("group: web", "e3", "e4", "e5")
    assert game.finest.inputs([[True, False, False, False, False, True]]) == [[0, 5]]


def test_mistakes_of_zooming_lenses_are_one_sentence() -> None:
    with pytest.raises(ip.InputError, match="zoom needs a grid"):
        ip.lenses.image(len, np.zeros((4, 4)), segments=np.arange(16).reshape(4, 4), zoom=True)
    with pytest.raises(ip.InputError, match="coarse to fine"):
        ip.lenses.documents(answers, ["One."], unit=("word", "document"))
    with pytest.raises(ip.InputError, match="coarse to fine"):
        ip.lenses.documents(answers, ["One."], unit=("document", "word", "sentence"))


def layers() -> ip.Game:
    import torch

    inputs = {"input_ids": torch.tensor([[1, 2, 3, 4]])}
    select = ip.lenses.Select.heads() + ip.lenses.Select.neurons(groups=8)
    return ip.lenses.components(network("gpt2"), select, inputs, ip.lenses.metrics.logit(5), zoom=True, keep=0.9)


@pytest.mark.parametrize("made", [documents, patches, examples, layers])
def test_what_a_lens_zooms_is_stored_taken_up_saved_and_shown(made: Callable[[], ip.Game], tmp_path: Path) -> None:
    game = made()
    if game.fingerprint is None:  # a plain function has no name of its own
        game = game._with(name="named here")
    store = tmp_path / "runs.db"
    found = ip.explain(game, budget=80, store=store)
    again = ip.explain(game, budget=80, store=store)
    assert again.from_store == again.used == found.used
    assert again.spectrum == found.spectrum
    closed = next(i for i, part in enumerate(game.opened(found.outline).tree.parts) if part.parts)
    deeper = found.zoom(closed, budget=30)
    assert deeper.n > found.n
    assert deeper.used <= found.used + 30
    deeper.save(tmp_path / "found.json")
    read = ip.load(tmp_path / "found.json")
    assert game.opened(read.outline).labels == deeper.labels
    page = tmp_path / "page.html"
    read.to_html(page)
    assert all(level in page.read_text() for level in {label.split(": ")[0] for label in read.labels if ": " in label})
    line = float(np.nanmean([read.full[0], read.empty[0]]))
    across = {"below": line} if read.full[0] > line else {"above": line}
    with ip.Store(store) as runs:
        assert ip.actions.flip(game, read, **across, checks=10, store=runs).from_store >= 1


def test_layers_open_down_to_single_neurons() -> None:
    """Two neurons alone write into the stream: they are found among all others."""
    import copy

    import torch

    model = copy.deepcopy(network("gpt2"))
    blocks = list(model.transformer.h)
    width = blocks[0].mlp.c_proj.weight.shape[0]
    with torch.no_grad():
        for block, neuron in zip(blocks[:2], (5, width - 2), strict=True):
            block.mlp.c_fc.bias[neuron] = 3.0  # it is on
            kept = torch.zeros(width, 1)
            kept[neuron] = 20.0
            block.mlp.c_proj.weight.mul_(kept)
    inputs = {"input_ids": torch.tensor([[1, 2, 3, 4]])}
    select = ip.lenses.Select.heads() + ip.lenses.Select.neurons(groups=width)
    game = ip.lenses.components(model, select, inputs, ip.lenses.metrics.logit(5), zoom=True, keep=0.8)
    assert game.tree.leaves == len(blocks) * (width + 4)
    found = ip.explain(game, budget=200)
    assert {"L0.N5", f"L1.N{width - 2}"} <= set(found.labels)
    assert found.faithfulness.r2 > 0.9
    levels = {label.split(": ")[0] for label in found.labels if ": " in label}
    assert levels <= {"layer", "module", "block of neurons"}
    assert "block of neurons" in levels
