"""SPEX on a real model: 200 sentences of one text, far more than a window of MiniLM holds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import interplay as ip

SENTENCES, GROUP, BUDGET = 200, 5, 2000
QUERY = "The guest is angry because the room was never cleaned."


def long_text(seed=0):
    """Short sentences in which negations, reversals and answers make neighbours matter together."""
    rng = np.random.default_rng(seed)
    subjects = ["The room", "Our host", "The bed", "Breakfast", "The pool", "Nobody", "The cleaner", "My wife"]
    verbs = ["was clean", "never came", "smelled of smoke", "made us happy", "was not ready", "cost too much", "helped"]
    turns = ["That was a lie.", "Not at all.", "Quite the opposite.", "We believed it.", "Then everything changed."]
    sentences = []
    while len(sentences) < SENTENCES:
        sentences.append(f"{rng.choice(subjects)} {rng.choice(verbs)}.")
        if rng.random() < 0.4:
            sentences.append(str(rng.choice(turns)))
    return sentences[:SENTENCES]


@pytest.fixture(scope="module")
def sentences_game(minilm):
    """The text is read in windows of five sentences; the score is the cosine of their mean embedding to the query.

    A window of MiniLM holds 512 tokens, 200 sentences do not fit. So sentences interact inside their window, through
    the encoder, and across windows, through the norm. Every subset of every window is embedded once, really.
    """
    text = long_text()
    windows = [text[start : start + GROUP] for start in range(0, SENTENCES, GROUP)]
    subsets = list(itertools.product((False, True), repeat=GROUP))
    distinct = {" ".join(itertools.compress(window, kept)) for window in windows for kept in subsets} - {""}
    names = sorted(distinct)
    embedded = dict(zip(names, np.asarray(minilm.embed(names), dtype=float), strict=True))
    nothing = np.zeros_like(embedded[names[0]])
    table = np.stack(
        [[embedded.get(" ".join(itertools.compress(window, kept)), nothing) for kept in subsets] for window in windows]
    )
    query = np.asarray(minilm.embed([QUERY]), dtype=float)[0]
    powers = 1 << np.arange(GROUP)[::-1]

    def score(masks):
        rows = masks.reshape(len(masks), -1, GROUP) @ powers
        mean = table[np.arange(len(windows)), rows].mean(axis=1)
        return mean @ query / np.maximum(np.linalg.norm(mean, axis=1) * np.linalg.norm(query), 1e-12)

    return ip.Game(score, labels=text)


@pytest.mark.model
def test_sentences_of_a_long_text_are_explained_from_designed_masks(sentences_game, capsys):
    fresh = np.random.default_rng(99).random((4000, SENTENCES)) < 0.5
    truth = sentences_game(fresh)
    scores = {}
    for method in ("spex", "proxyspex", "lasso"):
        explanation = ip.explain(sentences_game, budget=BUDGET, method=method, progress=False)
        error = ((truth - explanation.spectrum.predict(fresh)) ** 2).sum()
        scores[method] = 1 - error / ((truth - truth.mean()) ** 2).sum()
        assert explanation.used <= BUDGET
        assert explanation.faithfulness.r2 == pytest.approx(scores[method], abs=0.1)
        with capsys.disabled():
            print(f"\n  {method}: unseen R² {scores[method]:.4f}; it says {explanation.faithfulness}", end="")
    # Hundreds of weak effects fill every bin: here SPEX loses to methods that look at low orders only. It must say so.
    assert scores["spex"] > 0.4
