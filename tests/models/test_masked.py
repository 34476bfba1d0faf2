"""Infilling: the likeliest words of a masked language model in a gap, never the one that stood there."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import interplay as ip

TEXT = "the red key opens the old chest"


@cache
def masked(window: int = 64) -> ip.models.MaskedLM:
    """A small BERT with random weights and the real tokenizer of MiniLM: its likeliest words are its own."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(ip.demo_model())
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=window,
    )
    model = transformers.BertForMaskedLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return ip.models.MaskedLM(model.eval(), tokenizer)


def likeliest(ids: list[int], place: int, first: bool) -> list[str]:
    """Words by their logit at one place of one text, best first; of the first in a gap only those that begin a word."""
    import torch

    lm = masked()
    with torch.no_grad():
        logits = lm.model(input_ids=torch.tensor([ids])).logits[0, place]
    words = lm.tokenizer.convert_ids_to_tokens(logits.argsort(descending=True).tolist())
    special = set(lm.tokenizer.all_special_tokens)
    usable = [w for w in words if w not in special]
    return [w for w in usable if not w.startswith("##") and any(c.isalnum() for c in w)] if first else usable


def gapped(word: str) -> tuple[list[int], int, int]:
    """The text's tokens with the word's masked, and where they begin and end."""
    tokenizer = masked().tokenizer
    left, right = TEXT.split(word)
    count = len(tokenizer(word, add_special_tokens=False)["input_ids"])
    ids = tokenizer(left + " ".join([tokenizer.mask_token] * count) + right)["input_ids"]
    start = ids.index(tokenizer.mask_token_id)
    return ids, start, start + count


def span(word: str) -> tuple[int, int]:
    return TEXT.index(word), TEXT.index(word) + len(word)


@pytest.mark.model
def test_a_word_is_filled_with_the_likeliest_others_of_one_pass_over_the_rest() -> None:
    (found,) = masked().fill(TEXT, [span("key")], 3)
    ids, start, _ = gapped("key")
    truth = [word for word in likeliest(ids, start, True) if word != "key"]
    assert list(found) == truth[:3]


@pytest.mark.model
def test_several_tokens_are_filled_from_left_to_right_and_all_units_at_once() -> None:
    unit = "opens the old"
    together = masked().fill(TEXT, [span("red"), span(unit), span("chest")], 2)
    ids, start, end = gapped(unit)
    texts = []
    for first in likeliest(ids, start, True)[:2]:
        row = list(ids)
        row[start] = masked().tokenizer.convert_tokens_to_ids(first)
        for place in range(start + 1, end):
            row[place] = masked().tokenizer.convert_tokens_to_ids(likeliest(row, place, False)[0])
        texts.append(masked().tokenizer.decode(row[start:end], clean_up_tokenization_spaces=False))
    assert list(together[1]) == texts
    assert together[0] == masked().fill(TEXT, [span("red")], 2)[0]


@pytest.mark.model
def test_what_stands_there_is_never_its_own_stand_in() -> None:
    lm = masked()
    ids, start, _ = gapped("key")
    best = likeliest(ids, start, True)[0]
    text = TEXT.replace("key", best.upper())
    (found,) = lm.fill(text, [(TEXT.index("key"), TEXT.index("key") + len(best))], 2)
    assert best not in [word.casefold() for word in found]


@pytest.mark.model
def test_a_long_text_is_read_around_the_gap() -> None:
    lm = masked(24)
    long = " ".join(["rain"] * 100 + [TEXT] + ["sun"] * 100)
    place = long.index("key")
    near = " ".join(["rain"] * 30 + [TEXT] + ["sun"] * 30)
    (found,) = lm.fill(long, [(place, place + 3)], 2)
    assert found == lm.fill(near, [(near.index("key"), near.index("key") + 3)], 2)[0]
    with pytest.raises(ip.InputError, match="a unit has 100 tokens"):
        lm.fill(long, [(0, 499)], 1)


@pytest.mark.model
def test_a_game_averages_over_the_fillings_where_they_stand() -> None:
    length = ip.models.Scorer(lambda texts: [float(len(text)) for text in texts], "length", identity=lambda: {"a": 1})
    text = "the key and the key"
    game = ip.lenses.text(length, text, template="Open: {text}.", ablate=masked().infill(2))
    fillings = masked().fill(f"Open: {text}.", [(10, 13), (22, 25)], 2)
    everything = np.ones((1, 5), dtype=bool)
    without = everything.copy()
    without[0, [1, 4]] = False
    worlds = [f"Open: the {fillings[0][i]} and the {fillings[1][i]}." for i in (0, 1)]
    assert game.inputs(without) == worlds[:1]
    assert game(without) == pytest.approx([np.mean([len(world) for world in worlds])])
    assert game.price(3).number == 6
    one = ip.lenses.text(length, text, template="Open: {text}.", ablate=masked().infill(1))
    assert one.fingerprint != game.fingerprint
    passages = ip.lenses.documents(length, [text, "the chest"], unit="word", ablate=masked().infill())
    assert passages.inputs(np.zeros((1, 7), dtype=bool))[0].count("key") == 0


@pytest.mark.model
def test_models_without_gaps_are_refused() -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(ip.demo_model())
    tokenizer.mask_token = None
    with pytest.raises(ip.InputError, match="no mask token"):
        ip.models.MaskedLM(masked().model, tokenizer)
    with pytest.raises(ip.InputError, match="alternatives must be"):
        masked().infill(0)

    class Short(ip.models.Infill):
        def __call__(self, text: str, spans: Any) -> list[tuple[str, ...]]:
            return [("x",)]

    with pytest.raises(ip.InputError, match="gave 1 fillings for 2 units"):
        ip.lenses.text(len, "two words", ablate=Short())
