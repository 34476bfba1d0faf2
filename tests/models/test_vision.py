"""A picture and a text in one game: as the model reads one at a time, and a word and a corner found together."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interplay as ip
import vision

FAMILIES: dict[str, Callable[[], Any]] = {"llava": vision.llava, "qwen": vision.qwen, "smolvlm": vision.smolvlm}


@cache
def lm(family: str) -> ip.models.VisionLM:
    return ip.models.VisionLM(*FAMILIES[family]())


def game_of(model: ip.models.VisionLM, **options: Any) -> ip.Game:
    given: dict[str, Any] = {"image": vision.picture(), "grid": (2, 2), "fill": 0, **options}
    return ip.lenses.text(model.margin(" yes", " no"), vision.QUESTION, ablate="mend", **given)


def one_at_a_time(model: ip.models.VisionLM, text: str, image: Any, target: str) -> float:
    """The target's log-probability by the processor's reading of the joint text."""
    import torch

    content = [{"type": "image"}, {"type": "text", "text": text}]
    prompt = model.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    inputs = model.processor(text=[prompt + target], images=[image], return_tensors="pt")
    with torch.no_grad():
        said = model.model(**inputs).logits[0].double().log_softmax(-1)
    ids = inputs["input_ids"][0]
    count = len(target.split())
    return sum(float(said[place - 1, ids[place]]) for place in range(len(ids) - count, len(ids)))


@pytest.mark.model
@pytest.mark.parametrize("family", FAMILIES)
def test_values_are_those_of_one_picture_and_text_at_a_time(family: str) -> None:
    model = lm(family)
    masks = np.random.default_rng(0).random((6, 8)) < 0.6
    game = game_of(model)
    inputs = game.inputs(masks)
    truth = [
        one_at_a_time(model, one, one.image, " yes") - one_at_a_time(model, one, one.image, " no") for one in inputs
    ]
    assert game(masks) == pytest.approx(truth, abs=1e-4)
    longer = model.logprob(" yes the corner")(inputs)
    assert longer == pytest.approx(
        [one_at_a_time(model, one, one.image, " yes the corner") for one in inputs], abs=1e-4
    )
    one_gone = np.ones((2, 8), dtype=bool)
    one_gone[1, 0] = False
    assert abs(np.diff(game(one_gone))[0]) > 1e-5  # the picture is read
    own = ip.lenses.text(
        model.logprob(max_tokens=3), vision.QUESTION, image=vision.picture(), grid=(2, 2), ablate="mend"
    )
    assert own.notes[0].startswith("measured: log-probability of ")
    said = model.respond(vision.QUESTION, vision.picture(), max_tokens=3)
    assert repr(said) in own.notes[0]


def test_the_parts_of_both_are_what_a_mask_leaves_of_them() -> None:
    game = game_of(lm("llava"))
    assert game.labels == ("A1", "B1", "A2", "B2", "is", "the", "bright", "corner")
    mask = np.array([[False, True, True, True, True, True, False, True]])
    (left,) = game.inputs(mask)
    assert left == "is the corner"
    assert (left.image[:16, :16] == 0).all()
    assert (left.image[16:] == vision.picture()[16:]).all()
    assert game.fingerprint == game_of(lm("llava")).fingerprint
    others = [
        game_of(lm("llava"), image=vision.picture(1)),
        game_of(lm("llava"), fill=255),
        game_of(lm("llava"), grid=(2, 1)),
    ]
    assert len({game.fingerprint, *(one.fingerprint for one in others)}) == 4


@pytest.mark.model
@pytest.mark.slow
def test_a_word_and_a_corner_that_an_answer_needs_together_are_found_and_shown(tmp_path: Path) -> None:
    inputs = game_of(lm("llava")).inputs(vision.EVERY)
    model = ip.models.VisionLM(*vision.planted(inputs, vision.EVERY))
    game = game_of(model)
    truth = np.where(vision.EVERY[:, vision.KEY] & vision.EVERY[:, 4 + vision.WORD], 1, -1) * np.log(9)
    assert np.abs(game(vision.EVERY) - truth).max() < 1  # it has learned it
    result = ip.explain(game, budget=64, progress=False)
    ((found, effect),) = result.interactions("mobius", top=1).named()
    assert found == ("A1", "bright")
    assert effect == pytest.approx(2 * np.log(9), abs=1)
    assert result.question is not None
    assert "segments of the picture and words" in result.question

    result.save(tmp_path / "saved.json")
    again = ip.load(tmp_path / "saved.json")
    assert again.layout == result.layout
    result.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert 'class="picture"' in page
    assert 'class="text"' in page
    assert ">bright</span>" in page
    shown = capture(again)
    assert "bright" in shown
    assert "Image" in shown


MESSAGES = [
    {"role": "user", "content": "what colour has it"},
    {"role": "assistant", "content": "white"},
    {"role": "user", "content": vision.QUESTION},
]


def chat_of(model: ip.models.VisionLM, messages: Any = MESSAGES, **options: Any) -> ip.Game:
    given: dict[str, Any] = {"image": vision.picture(), "grid": (2, 2), "fill": 0, "region": [2], "unit": "word"}
    return ip.lenses.chat(model.margin(" yes", " no"), messages, **given | options)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_chat_of_one_message_is_the_text_with_the_picture(family: str) -> None:
    model = lm(family)
    masks = np.random.default_rng(0).random((6, 8)) < 0.6
    chat, text = chat_of(model, MESSAGES[2:], region=[0]), game_of(model)
    assert chat.labels == text.labels
    assert chat(masks) == pytest.approx(text(masks), abs=1e-5)


def test_a_picture_stands_where_its_message_has_it_and_goes_with_it() -> None:
    model = lm("llava")
    pixels = vision.picture()
    first = [{"role": "user", "content": [{"type": "text", "text": "what colour"}, {"type": "image"}]}, *MESSAGES[1:]]
    game = chat_of(model, first, region=[0, 2])
    assert game.labels[4:6] == ("what", "colour")
    (left,) = game.inputs(np.array([[True, True, False, True, False, True, True, True, True, True]]))
    assert left == "user:  colour\n[picture]\n\nassistant: white\n\nuser: is the bright corner"
    assert model._rendered(left) == " colour<image> whiteis the bright corner answer"
    held = [{"role": "user", "content": [first[0]["content"][0], {"type": "image", "image": pixels}]}, *MESSAGES[1:]]
    assert chat_of(model, held, region=[0, 2], image=None).fingerprint == game.fingerprint
    turns = chat_of(model, first, region=[0, 1], unit="turn")
    assert turns.labels[4:] == ("turn 1: what colour [picture]",)
    masks = np.ones((4, 5), dtype=bool)
    masks[1:, 4] = False  # without the turn there is no picture
    masks[2:, 0] = masks[3:, 1] = False
    values = turns(masks)
    assert values[1] == pytest.approx(values[2], abs=1e-6) == pytest.approx(values[3], abs=1e-6)
    assert abs(values[0] - values[1]) > 1e-5
    assert "<image>" not in model._rendered(turns.inputs(masks)[1])


@pytest.mark.model
@pytest.mark.slow
def test_a_word_of_a_chat_and_a_corner_that_an_answer_needs_together_are_found_and_shown(tmp_path: Path) -> None:
    inputs = chat_of(lm("llava")).inputs(vision.EVERY)
    game = chat_of(ip.models.VisionLM(*vision.planted(inputs, vision.EVERY)))
    result = ip.explain(game, budget=64, progress=False)
    ((found, effect),) = result.interactions("mobius", top=1).named()
    assert found == ("A1", "bright")
    assert effect == pytest.approx(2 * np.log(9), abs=1)
    result.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert 'class="picture"' in page
    assert ">bright</span>" in page
    assert "what colour has it" in page
    assert "[picture]" in capture(result)


def test_a_template_around_the_text_takes_a_picture() -> None:
    model = lm("llava")
    options: dict[str, Any] = {"image": vision.picture(), "grid": (2, 2), "fill": 0}
    around = ip.lenses.text(model.margin(" yes", " no"), "bright corner", template="is the {text}", **options)
    assert around.labels == ("A1", "B1", "A2", "B2", "bright", "corner")
    whole = np.ones((1, 6), dtype=bool)
    assert around(whole) == pytest.approx(game_of(model)(np.ones((1, 8), dtype=bool)), abs=1e-6)


@pytest.mark.parametrize(
    ("parts", "options", "words"),
    [
        ([{"type": "image"}], {"image": None}, "reads a picture with the text"),
        ([{"type": "image"}, {"type": "image"}], {}, "holds 2 pictures"),
        ([{"type": "image", "image": vision.picture()}], {}, "in message 0 and in image="),
        ([{"type": "image", "url": "https://example.org/a.png"}], {"image": None}, "none is fetched"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}], {"image": None}, "be read"),
        ([], {"region": None}, "nothing to ablate"),
    ],
)
def test_mistakes_in_a_chat_with_a_picture_are_one_sentence(parts: Any, options: dict[str, Any], words: str) -> None:
    message = {"role": "user", "content": [*parts, {"type": "text", "text": vision.QUESTION}]}
    with pytest.raises(ip.InputError, match=words):
        chat_of(lm("llava"), [message], **{"region": [0], **options})


def test_a_picture_for_a_model_that_sees_none_is_refused() -> None:
    with pytest.raises(ip.InputError, match="reads no picture"):
        ip.lenses.chat(lambda chats: [0.0 for _ in chats], MESSAGES, image=vision.picture(), grid=(2, 2))


def capture(result: ip.Explanation) -> str:
    from io import StringIO

    from rich.console import Console

    from interplay.report import show

    out = StringIO()
    show(result, console=Console(file=out, width=100))
    return out.getvalue()


def test_damaged_layouts_are_refused(tmp_path: Path) -> None:
    game = ip.Game(lambda masks: masks.sum(axis=1) * 1.0, 8, layout=game_of(lm("llava")).layout)
    ip.explain(game, budget=32, progress=False).save(tmp_path / "one.json")
    saved = json.loads((tmp_path / "one.json").read_text())
    saved["layout"]["picture"]["segments"][0][0] = 7
    (tmp_path / "one.json").write_text(json.dumps(saved))
    with pytest.raises(ip.InterplayError, match="a segment beyond the 4"):
        ip.load(tmp_path / "one.json")


@pytest.mark.parametrize(
    ("scorer", "options", "words"),
    [
        (len, {"image": vision.picture(), "grid": (2, 2)}, "reads no picture"),
        (len, {"grid": (2, 2)}, "grid and segments cut a picture"),
        (None, {}, "pass image="),
        (None, {"image": vision.picture()}, "pass either grid"),
        (None, {"image": vision.picture(), "grid": (2, 2), "unit": ("sentence", "word")}, "takes one unit"),
    ],
)
def test_mistakes_are_one_sentence(scorer: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ip.InputError, match=words):
        ip.lenses.text(scorer or lm("llava").margin(" yes", " no"), vision.QUESTION, **options)
