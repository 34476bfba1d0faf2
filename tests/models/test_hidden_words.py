"""Words hidden from attention: the value does not depend on what they are, only on where the others stand."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import interplay as ip
from interplay._networks.hidden import Hidden
from tests.models.test_causal import FAMILIES, OTHERS, TARGET, built, lm, tokenizer

TEXT, OTHER = "so the cat sat on the mat and", "so the dog sat on the mat and"
WORD = TEXT.index("cat"), TEXT.index("cat") + 3
# What an encoder reads, a state that every token changes, positions counted by the mask, or a window of its own.
REFUSED = {"t5", "bart", "mamba", "bloom", "mpt", "mistral, window of 6", "gemma2, window of 6"}


@pytest.mark.parametrize("family", [*FAMILIES, *OTHERS])
def test_a_hidden_word_may_be_any_word_or_the_model_is_refused(family: str) -> None:
    scorer = lm(family).logprob(TARGET)
    assert len(tokenizer()(TEXT)["input_ids"]) == len(tokenizer()(OTHER)["input_ids"])
    if family in REFUSED:
        with pytest.raises(ip.InputError, match="hidden"):
            scorer([Hidden(TEXT, [WORD])])
        return
    whole, other = scorer([TEXT, OTHER])
    hidden, too = scorer([Hidden(TEXT, [WORD]), Hidden(OTHER, [WORD])])
    assert hidden == pytest.approx(too, abs=1e-5)
    assert abs(whole - other) > 1e-3
    assert abs(hidden - whole) > 1e-3
    assert scorer([Hidden(TEXT)]) == pytest.approx([whole], abs=1e-6)


def test_it_is_the_text_without_the_word_with_the_places_of_the_others_kept() -> None:
    import torch

    model, ids = built("llama"), tokenizer()(TEXT + TARGET)["input_ids"]
    offsets = tokenizer()(TEXT + TARGET, return_offsets_mapping=True)["offset_mapping"]
    kept = [i for i, (a, b) in enumerate(offsets) if not (WORD[0] - 1 <= a and b <= WORD[1])]
    with torch.no_grad():
        said = (
            model(
                input_ids=torch.tensor([[ids[i] for i in kept]]),
                attention_mask=torch.ones((1, len(kept)), dtype=torch.long),
                position_ids=torch.tensor([kept]),
            )
            .logits[0]
            .double()
            .log_softmax(-1)
        )
    count = len(tokenizer()(TARGET)["input_ids"])
    truth = sum(float(said[place - 1, ids[kept[place]]]) for place in range(len(kept) - count, len(kept)))
    assert lm("llama").logprob(TARGET)([Hidden(TEXT, [WORD])]) == pytest.approx([truth], abs=1e-4)


def test_hidden_rows_are_the_same_alone_and_in_a_batch_of_other_lengths() -> None:
    scorer = lm("gpt2").margin(TARGET, " mat")
    texts: list[str] = [Hidden(TEXT, [WORD]), TEXT, Hidden(TEXT[:20], [(0, 2), WORD]), Hidden("so the", [(0, 2)])]
    assert scorer(texts) == pytest.approx([scorer([text])[0] for text in texts], abs=1e-4)


def test_a_game_hides_the_units_that_are_ablated() -> None:
    model = lm("llama")
    game = ip.lenses.text(model.logprob(TARGET), "cat sat on", template="so the {text} mat", ablate="attention")
    masks = np.array([[True, True, True], [False, True, False]])
    whole, shown = game.inputs(masks)
    assert (whole, shown) == ("so the cat sat on mat", "so the ··· sat ·· mat")
    assert pickle.loads(pickle.dumps(shown)).spans == ((7, 10), (15, 17))
    assert game(masks) == pytest.approx(model.logprob(TARGET)([str(whole), shown]), abs=1e-5)
    deleted = ip.lenses.text(model.logprob(TARGET), "cat sat on", template="so the {text} mat", ablate="delete")
    assert deleted.fingerprint != game.fingerprint
    assert abs(deleted(masks)[1] - game(masks)[1]) > 1e-4  # deletion moves what follows


@pytest.mark.parametrize("scorer", [len, ip.models.Scorer(lambda texts: [1.0] * len(texts), "one")])
def test_what_has_no_attention_is_refused(scorer: Any) -> None:
    with pytest.raises(ip.InputError, match="which this scorer cannot do"):
        ip.lenses.text(scorer, TEXT, ablate="attention")
    with pytest.raises(ip.InputError, match=r"is for ip\.lenses\.text"):
        ip.lenses.documents(lm("llama").logprob(TARGET), [TEXT], ablate="attention")
