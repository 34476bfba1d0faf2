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
