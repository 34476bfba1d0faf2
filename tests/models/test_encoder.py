"""The encoder scores each text as the model would on its own, and refuses what it cannot do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import interplay as ip

pytestmark = pytest.mark.model

TEXTS = ["A film.", "", "The ending never fails to charm " * 8, "你好", "a b c d e f g", "The cast is superb."]


def reference_embedding(encoder: ip.models.Encoder, text: str) -> np.ndarray:
    """Mean pooling of one unpadded text, straight from the model."""
    import torch

    tokens = encoder.tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        states = encoder.model(**tokens).last_hidden_state[0].double().mean(0)
    return (states / states.norm()).numpy()


def test_batched_padded_embeddings_equal_one_at_a_time(minilm: ip.models.Encoder) -> None:
    expected = np.array([reference_embedding(minilm, text) for text in TEXTS])
    np.testing.assert_allclose(minilm.embed(TEXTS), expected, atol=1e-5)


def test_similarity_is_the_cosine_with_the_reference(minilm: ip.models.Encoder) -> None:
    scorer = minilm.similarity("A film.")
    scores = scorer(TEXTS)
    assert scores[0] == pytest.approx(1.0, abs=1e-6)
    assert scores.shape == (len(TEXTS),)
    assert (np.abs(scores) <= 1 + 1e-6).all()


def test_a_text_beyond_the_window_is_refused_with_both_lengths(minilm: ip.models.Encoder) -> None:
    long = "word " * 600
    with pytest.raises(ip.InputError, match=r"a text has 602 tokens, but the model's window is 256: .* truncate=True"):
        minilm.similarity("x")([long])
    with pytest.raises(ip.InputError, match="602 tokens"):
        ip.lenses.text(minilm.similarity("x"), long)


def test_truncation_said_aloud_reads_the_beginning_and_notes_it(minilm: ip.models.Encoder) -> None:
    cutting = ip.models.Encoder(minilm.model, minilm.tokenizer, minilm.pooling, truncate=True, max_length=256)
    long = "good film " * 400
    np.testing.assert_allclose(cutting.embed([long]), cutting.embed([long[: 10 * 127]]), atol=1e-5)
    game = ip.lenses.text(cutting.similarity("x"), long, unit=[(0, 4), (5, 9)])
    assert any("truncated: the text has 802 tokens, and the model reads only the first 256" in n for n in game.notes)


def test_tokens_of_the_model_are_units_and_its_mask_token_ablates(minilm: ip.models.Encoder) -> None:
    game = ip.lenses.text(minilm.similarity("x"), "unbelievably good", unit="token", ablate="mask")
    assert len(game.labels) > 2
    assert "".join(game.labels) == "unbelievablygood"
    assert game.value.texts(np.zeros((1, game.n), dtype=bool))[0].count("[MASK]") == game.n


def test_a_replacement_that_only_looks_special_is_noted(minilm: ip.models.Encoder) -> None:
    notes = ip.lenses.text(minilm.similarity("x"), "a b", ablate="<unk>").notes
    assert any("'<unk>' is not a special token of this tokenizer" in note for note in notes)
    assert ip.lenses.text(minilm.similarity("x"), "a b", ablate="[UNK]").notes == ()


def test_identity_follows_the_content_of_model_text_and_target(minilm: ip.models.Encoder) -> None:
    import copy

    import torch

    def fingerprint(encoder: ip.models.Encoder, reference: str = "x", text: str = "a b", **options: str) -> str | None:
        return ip.lenses.text(encoder.similarity(reference), text, **options).fingerprint

    base = fingerprint(minilm)
    minilm.embed(TEXTS)  # use leaves traces in a tokenizer, which must not change who it is
    assert fingerprint(minilm) == base
    changed = ip.models.Encoder(copy.deepcopy(minilm.model), minilm.tokenizer, max_length=minilm.max_length)
    assert fingerprint(changed) == base
    with torch.no_grad():
        next(changed.model.parameters())[0, 0] += 1e-3
    others = [
        fingerprint(changed),
        fingerprint(minilm, reference="y"),
        fingerprint(minilm, text="a c"),
        fingerprint(minilm, ablate="delete"),
        fingerprint(minilm, template="q: {text}"),
    ]
    assert len({base, *others}) == 6


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, minilm: ip.models.Encoder) -> Path:
    """A small random-weight classification model, saved as users save theirs."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(minilm.tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        id2label={0: "bad", 1: "fair", 2: "good"},
        label2id={"bad": 0, "fair": 1, "good": 2},
    )
    folder = tmp_path_factory.mktemp("classifier")
    BertForSequenceClassification(config).save_pretrained(folder)
    minilm.tokenizer.save_pretrained(folder)
    return folder


def test_labels_are_logits_of_the_classification_head(classifier: Path) -> None:
    import torch

    encoder = ip.models.Encoder.load(classifier, device="cpu")
    assert encoder.labels == ("bad", "fair", "good")
    expected = []
    for text in TEXTS:
        with torch.no_grad():
            expected.append(encoder.model(**encoder.tokenizer(text, return_tensors="pt")).logits[0].numpy())
    np.testing.assert_allclose(encoder.label("good")(TEXTS), np.array(expected)[:, 2], atol=1e-5)
    scorer = encoder.label(["good", "bad"])
    np.testing.assert_allclose(scorer(TEXTS), np.array(expected)[:, [2, 0]], atol=1e-5)
    result = ip.explain(ip.lenses.text(scorer, "the ending never fails"), budget=16)
    assert result.outputs == ("good", "bad")
    with pytest.raises(ip.InputError, match=r"unknown label 'goood'\. Did you mean 'good'\?"):
        encoder.label("goood")
    with pytest.raises(ip.InputError, match="there is no label 3: there are 3, counted from 0"):
        encoder.label(3)


def test_the_dtype_and_device_are_as_asked(classifier: Path) -> None:
    import torch

    half = ip.models.Encoder.load(classifier, dtype="bfloat16", device="cpu")
    assert next(half.model.parameters()).dtype == torch.bfloat16
    assert ip.lenses.text(half.label(0), "a b").fingerprint is not None
    with pytest.raises(ip.InputError, match=r"unknown dtype 'float61'"):
        ip.models.Encoder.load(classifier, dtype="float61")
    with pytest.raises(ip.InputError, match="cannot use the device 'cuda:9'"):
        ip.models.Encoder.load(classifier, device="cuda:9")


def test_what_is_no_model_is_named(tmp_path: Path, minilm: ip.models.Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ip.InputError, match="there is no model at '/no/such/model': pass the folder"):
        ip.models.Encoder.load("/no/such/model")
    with pytest.raises(ip.InputError, match="there is no model at 'nobody/nothing': it is no folder here"):
        ip.models.Encoder.load("nobody/nothing")
    with pytest.raises(ip.InputError, match="there is no model at 'nothing': it is no folder here"):  # as gpt2 is named
        ip.models.Encoder.load("nothing")
    with pytest.raises(ip.InputError, match="the model's path is empty"):
        ip.models.Encoder.load("")
    with pytest.raises(ip.InputError, match=r"holds no model: it has no config.json"):
        ip.models.Encoder.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ip.InputError, match="cannot load a model from"):
        ip.models.Encoder.load(tmp_path)
    with pytest.raises(ip.InputError, match="is a file: pass a GGUF file, or the folder"):
        ip.models.Encoder.load(tmp_path / "config.json")
    with pytest.raises(ip.InputError, match=r"BertModel has no classification head.*use similarity\(text\)"):
        minilm.label("good")
    with pytest.raises(ip.InputError, match="the reference must be a string, not int"):
        minilm.similarity(5)
    with pytest.raises(ip.InputError, match="the reference text is empty"):
        minilm.similarity(" ")


def test_interactions_of_a_real_model_predict_ablations_it_never_made(minilm: ip.models.Encoder) -> None:
    """The whole path on a real transformer, judged on fresh ablations."""
    text = "I never found this film dull, and the ending is anything but a disappointment. The cast is superb."
    game = ip.lenses.text(minilm.similarity("a film worth seeing"), text)
    result = ip.explain(game, budget=400)
    fresh = ip.design(game.n, 300, method="lasso", seed=99)
    truth = game(fresh)
    actual = 1 - ((truth - result.spectrum.predict(fresh)) ** 2).mean() / truth.var()
    assert actual > 0.9
    assert actual > (result.faithfulness.first_order or 0)
    assert result.faithfulness.low - 0.03 <= actual <= result.faithfulness.high + 0.03
