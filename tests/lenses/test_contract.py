"""What every lens promises, held for each that `interplay.lenses` exports: a new one needs an example here, no test."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import interplay as ip
from interplay.ablate import measure

LENSES = sorted(
    name
    for name in ip.lenses.__all__
    if inspect.isfunction(lens := getattr(ip.lenses, name)) and inspect.signature(lens).return_annotation == "Game"
)


@dataclass(frozen=True)
class Example:
    """A game of a lens, and what is known of it from elsewhere."""

    make: Callable[..., ip.Game]
    untouched: Any  # what the model itself gives
    original: Any  # what it reads when nothing is ablated
    others: tuple[dict[str, Any], ...] = ()  # each changes what the game measures
    batch: Callable[[int], dict[str, Any]] | None = field(default=None)  # how to make the game with other batches


def length_and_shouts(texts: list[str]) -> list[list[float]]:
    return [[float(len(text)), float(text.count("!"))] for text in texts]


def identity_of_lengths() -> dict[str, str]:
    return {"of": "length and shouts"}


def text_example() -> Example:
    def make(
        text: Any = "Never! It fails, never.",
        size: int = 64,
        of: Callable[[], Any] = identity_of_lengths,
        **options: Any,
    ) -> ip.Game:
        return ip.lenses.text(ip.models.Scorer(length_and_shouts, "length", of, batch_size=size), text, **options)

    others = (
        {"text": "Never? It fails, never."},
        {"ablate": "_"},
        {"ablate": "mend"},
        {"unit": "sentence"},
        {"of": lambda: {"of": "x"}},
    )
    around: tuple[dict[str, Any], ...] = ({"template": "<{text}"}, {"template": "{text}>"})
    return Example(make, [23.0, 1.0], "Never! It fails, never.", others + around, lambda size: {"size": size})


def documents_example() -> Example:
    def make(documents: Any = ("One!", "Two."), size: int = 64, of: Any = None, **options: Any) -> ip.Game:
        known = of or identity_of_lengths
        scorer = ip.models.Scorer(length_and_shouts, "length", known, batch_size=size)
        return ip.lenses.documents(scorer, documents, **options)

    others = (
        {"documents": ("One?", "Two.")},
        {"unit": "word"},
        {"ablate": "_"},
        {"ablate": ["_", "-"]},
        {"form": "[{number}] {text}"},
    )
    around = ({"template": "<{documents}>"}, {"between": " "}, {"numbering": "renumbered"}, {"of": lambda: {"of": "x"}})
    return Example(make, [10.0, 1.0], "One!\n\nTwo.", others + around, lambda size: {"size": size})


TURNS = [
    {"role": "system", "content": "Be brief!"},
    {"role": "user", "content": "It rains."},
    {"role": "assistant", "content": "So it does."},
    {"role": "user", "content": "And now?"},
]


def chat_example() -> Example:
    def make(messages: Any = TURNS, size: int = 64, of: Any = None, **options: Any) -> ip.Game:
        known = of or identity_of_lengths
        scorer = ip.models.Scorer(length_and_shouts, "length", known, batch_size=size)
        return ip.lenses.chat(scorer, messages, **options)

    original = ip.models.Conversation(TURNS)
    others: tuple[dict[str, Any], ...] = ({"messages": TURNS[1:]}, {"unit": "message"}, {"region": "system"})
    others += ({"unit": "word"}, {"unit": "word", "ablate": "_"}, {"tools": [{"name": "sum"}]})
    others += ({"options": {"enable_thinking": False}}, {"of": lambda: {"of": "x"}})
    return Example(make, [float(len(original)), 1.0], original, others, lambda size: {"size": size})


BACKGROUND = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0], [8.0, 2.0, 1.0]])


def product(rows: Any) -> Any:
    return np.prod(np.asarray(rows, dtype=float), axis=1)


def tabular_example() -> Example:
    def make(**options: Any) -> ip.Game:
        return ip.lenses.tabular(product, np.array([2.0, 3.0, 5.0]), BACKGROUND, **options)

    return Example(make, 30.0, {"x0": 2.0, "x1": 3.0, "x2": 5.0}, batch=lambda size: {"batch_size": size})


PICTURE = np.arange(36.0).reshape(6, 6)


def weigh(images: Any) -> Any:
    return np.tensordot(images, np.cos(PICTURE), axes=2) ** 2


def image_example() -> Example:
    def make(**options: Any) -> ip.Game:
        return ip.lenses.image(weigh, PICTURE, grid=(2, 2), **options)

    return Example(make, float(weigh(PICTURE[None])[0]), PICTURE, batch=lambda size: {"batch_size": size})


X = np.random.default_rng(0).normal(size=(12, 2))
Y = (X[:, 0] > 0).astype(int)


def training_example() -> Example:
    from sklearn.linear_model import LogisticRegression

    def make(c: float = 1.0, output: str = "margin", examples: Any = 8, shift: float = 0.0, **options: Any) -> ip.Game:
        pair = ip.lenses.sklearn_training(LogisticRegression(C=c), X[:8] + shift, Y[:8], X[8:], Y[8:], output=output)
        return ip.lenses.training(*pair, examples, **options)

    model = LogisticRegression().fit(X[:8], Y[:8])
    untouched = np.where(Y[8:] == 1, 1, -1) * model.decision_function(X[8:])
    others = ({"c": 2.0}, {"output": "loss"}, {"shift": 0.1}, {"seeds": 2}, {"seed": 1}, {"always": [7], "examples": 7})
    grouped = ({"examples": [[0, 1, 2, 3], [4, 5, 6, 7]]},)
    return Example(make, untouched, list(range(8)), others + grouped, lambda size: {"batch_size": size})


def components_example(lens: Callable[..., ip.Game] | None = None) -> Example:
    from networks import network, tokens

    metrics, model = ip.lenses.metrics, network("gpt2")

    def make(seed: int = 0, metric: Any = None, parts: Any = "heads", **options: Any) -> ip.Game:
        given = (tokens("gpt2", seed=seed), metric or metrics.logit(7))
        return lens(model, *given, **options) if lens else ip.lenses.components(model, parts, *given, **options)

    rows = tokens("gpt2")
    last = rows["attention_mask"].sum(1) - 1  # of each row, without its padding
    untouched = float(model(**rows).logits.detach()[range(len(last)), last, 7].double().mean())
    others: tuple[dict[str, Any], ...] = ({"seed": 1}, {"metric": metrics.logit(8)}, {"ablate": "mean"})
    others += ({"layers": [1]},) if lens else ({"parts": "mlps"},)
    return Example(make, untouched, None, others, lambda size: {"batch_size": size})


def heads_example() -> Example:
    return components_example(ip.lenses.heads)


SINGLE = {"rtol": 1e-5, "atol": 1e-6}  # models compute in single precision, and other batches round otherwise
EXAMPLES = {name: globals().get(f"{name}_example") for name in LENSES}


@pytest.fixture(params=LENSES)
def example(request: pytest.FixtureRequest) -> Example:
    made = EXAMPLES[request.param]
    assert made is not None, f"the lens {request.param} needs an example here: {request.param}_example"
    return made()


def some_masks(n: int) -> np.ndarray:
    masks = np.random.default_rng(1).random((9, n)) < 0.6
    masks[0] = True
    return masks


def test_contract_all_kept_is_the_untouched_model(example: Example) -> None:
    game = example.make()
    np.testing.assert_allclose(game(np.ones((1, game.n), dtype=bool))[0], example.untouched, **SINGLE)


def test_contract_the_inputs_of_all_kept_are_the_original(example: Example) -> None:
    game = example.make()
    masks = some_masks(game.n)
    seen = game.inputs(masks)
    assert len(seen) == len(masks)
    np.testing.assert_equal(seen[0], game.labels if example.original is None else example.original)
    assert all(str(other) != str(seen[0]) for other, mask in zip(seen, masks, strict=True) if not mask.all())
    with pytest.raises(ip.InputError, match="columns, but there are"):
        game.inputs(np.ones((1, game.n + 1), dtype=bool))


def test_contract_batch_size_changes_no_value(example: Example) -> None:
    assert example.batch is not None
    masks = some_masks(example.make().n)
    values = [example.make(**example.batch(size))(masks) for size in (1, 2, 7, 64)]
    for other in values[1:]:
        np.testing.assert_allclose(other, values[0], **SINGLE)


def test_contract_identity_changes_with_everything_that_matters_and_with_nothing_else(example: Example) -> None:
    game = example.make()
    if game.fingerprint is None:  # nobody can know what a plain function does: only a name can
        assert game.named("mine").fingerprint == example.make(name="mine").fingerprint is not None
        return
    assert example.make().fingerprint == game.fingerprint
    assert example.batch is not None
    for same in (example.batch(3), {"keep": 0.8}):
        assert example.make(**same).fingerprint == game.fingerprint
    others = [example.make(**other).fingerprint for other in example.others]
    assert len({game.fingerprint, *others}) == 1 + len(others)
    assert None not in others


def test_contract_it_can_be_sent_to_another_process_or_says_why_not(example: Example) -> None:
    game = example.make()
    masks = some_masks(game.n)
    try:
        sent = pickle.loads(pickle.dumps(game.value))
    except Exception:
        refused = ""
        with ip.executors.processes(1) as executor:
            try:
                found = measure(game, masks, executor=executor).values
            except ip.InputError as error:
                refused = str(error)
        if refused:
            assert "cannot be sent to another process" in refused
        else:  # closures travel, too
            np.testing.assert_allclose(found, game.value(masks), **SINGLE)
    else:
        np.testing.assert_allclose(sent(masks), game.value(masks), **SINGLE)


def test_contract_the_price_is_known_before_anything_is_spent(example: Example) -> None:
    game = example.make()
    one, many = game.price(1), game.price(100)
    assert one.number > 0
    assert many.number == 100 * one.number
    assert many.unit == one.unit
    assert str(game.price(0)) == "nothing"
    with pytest.raises(ip.InputError, match="ablations must be a whole number of at least 0, not -1"):
        game.price(-1)


def test_contract_parts_are_kept_at_the_rate_asked_for(example: Example) -> None:
    game = example.make(keep=0.9)
    assert game.keep == 0.9
    with pytest.raises(ip.InputError, match="keep must lie strictly between 0 and 1, not 1"):
        example.make(keep=1.0)


@pytest.mark.parametrize("lens", LENSES)
def test_contract_the_measured_thing_and_the_material_come_first_and_all_else_by_keyword(lens: str) -> None:
    parameters = inspect.signature(getattr(ip.lenses, lens)).parameters
    by_keyword = {name for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}
    assert {"keep", "name"} <= by_keyword
    for name, one in parameters.items():
        assert (name in by_keyword) == (one.default is not one.empty), f"{name} of {lens}"
    assert not {"by", "batch", "batch_rows", "suppress", "replace"} & set(parameters)


def test_a_price_in_words() -> None:
    assert str(ip.Cost(1, "retrainings")) == "1 retraining"
    assert str(ip.Cost(1200, "calls", 5000, at_most=True)) == "at most about 1,200 calls and 5,000 tokens"
    table = ip.lenses.tabular(product, BACKGROUND[0], BACKGROUND)
    assert table.price(10) == ip.Cost(30, "predictions")
    assert ip.lenses.training(lambda kept, seed: seed, float, 4, seeds=3).price(10) == ip.Cost(30, "retrainings")


def test_what_the_model_sees_is_readable() -> None:
    masks = np.array([[True, False, True]])
    for ablate, absent in (("rows", [2.0, 5.0, 2.0]), ("mean", 3.0)):
        game = ip.lenses.tabular(product, [9.0, 8.0, 7.0], BACKGROUND, ablate=ablate, columns=["a", "b", "c"])
        assert game.inputs(masks) == [{"a": 9.0, "b": absent, "c": 7.0}]
    drawn = ip.lenses.tabular(product, [9.0, 8.0, 7.0], BACKGROUND, ablate="sample")
    (row,) = drawn.inputs(masks)
    assert drawn(masks).tolist() == [9.0 * row["x1"] * 7.0]
    grouped = ip.lenses.training(len, float, {"a": [0, 3], "b": [1], "c": [4]}, always=[2])
    assert grouped.inputs(masks) == [[0, 2, 3, 4]]
    assert ip.Game(lambda masks: masks.sum(1), ["x", "y", "z"]).inputs(masks) == [("x", "z")]
    (picture,) = ip.lenses.image(weigh, PICTURE, grid=(1, 3), ablate=0).inputs(masks)
    np.testing.assert_array_equal(picture, np.where(np.arange(6) // 2 == 1, 0, PICTURE))
