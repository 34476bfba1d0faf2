"""A grid of layers by heads: what it shows, and how energy divides within and across layers."""

from __future__ import annotations

import json
import sys
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import interplay as ip
from interplay.report import energy_shares, show

LAYOUT = ip.GridLayout(("L0", "L1"), ("H0", "H1", "H2"), tuple((i // 3, i % 3) for i in range(6)))
LABELS = tuple(f"L{i // 3}.H{i % 3}" for i in range(6))


def explained(layout: ip.GridLayout | None = LAYOUT) -> ip.Explanation:
    """Heads 1 and 2 of the first layer, and heads of both layers, matter together."""

    def value(masks: np.ndarray) -> np.ndarray:
        m = masks.astype(float)
        return 2 * m[:, 1] * m[:, 2] - 3 * m[:, 0] * m[:, 5] + m[:, 4]

    return ip.explain(ip.Game(value, LABELS, layout=layout), budget=64)


def shown(explanation: ip.Explanation, **options: object) -> str:
    console = Console(file=StringIO(), width=80, highlight=False, **options)
    show(explanation, console=console)
    return console.file.getvalue()


def test_energy_divides_by_parseval() -> None:
    explanation = explained()
    shares = energy_shares(explanation.spectrum, LAYOUT)
    assert shares is not None
    everything = (np.arange(64)[:, None] >> np.arange(6) & 1).astype(bool)
    variance = explanation.spectrum.predict(everything).var()
    # A product a*x*y of two kept features has the pair coefficient a/4.
    assert shares.within == pytest.approx((2 / 4) ** 2 / variance)
    assert shares.across == pytest.approx((3 / 4) ** 2 / variance)
    assert shares.single + shares.within + shares.across == pytest.approx(1)
    assert energy_shares(ip.Spectrum(6, {(): 1.0}), LAYOUT) is None


def test_the_report_has_the_grid_the_pairs_and_their_energy_at_80_columns() -> None:
    text = shown(explained())
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    within, across = text.index("Together within a layer"), text.index("Together across layers")
    assert "L0.H1 + L0.H2" in text[within:across]
    assert "L0.H0 + L1.H2" in text[across:]
    assert "Energy" in text
    rows = text[text.index("Layers") :].splitlines()
    # Mean effects are -1.5 (twice), 1 (three times) and 0, in per cent of the strongest.
    assert rows[1].split() == ["H0", "H1", "H2"]
    assert rows[2].split() == ["L0", "-100", "+67", "+67"]
    assert rows[3].split() == ["L1", "·", "+67", "-100"]
    coloured = shown(explained(), force_terminal=True, color_system="truecolor")
    assert "\x1b[30;48;2;" in coloured


def test_a_wide_grid_is_folded_into_blocks() -> None:
    n = 40
    layout = ip.GridLayout(("L0",), tuple(f"H{i}" for i in range(n)), tuple((0, i) for i in range(n)))
    game = ip.Game(lambda masks: masks[:, 39].astype(float), n, layout=layout)
    text = shown(ip.explain(game, budget=100, method="lasso"))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("L0 ") == 3
    assert "+100" in text.splitlines()[-1] or "+100" in text


def test_a_grid_is_saved_and_loaded(tmp_path: Path) -> None:
    explained().save(tmp_path / "out.json")
    loaded = ip.load(tmp_path / "out.json")
    assert loaded.layout == LAYOUT
    assert shown(loaded) == shown(explained())


# The command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small random-weight causal model with a tokenizer of words, saved as users save theirs."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = {"[PAD]": 0, "[UNK]": 1} | {word: 2 + i for i, word in enumerate(["the", "cat", "dog", "runs", "sleeps"])}
    backend = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    config = GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=16, vocab_size=8, bos_token_id=1, eos_token_id=1)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "model")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_heads_of_a_language_model_are_explained_by_a_targets_logprob(run: object, folder: Path) -> None:
    Path("prompts.tsv").write_text("the cat\t runs\nthe dog\t sleeps the\n")
    arguments = ["heads", "--model", str(folder), "--inputs", "prompts.tsv", "--budget", "16", "--json"]
    status, out, err = run(*arguments, "--each")
    assert status == 0, err
    assert "features   4" in err
    found = json.loads(out)
    assert found["outputs"] == ["the cat", "the dog"]
    assert found["labels"] == ["L0.H0", "L0.H1", "L1.H0", "L1.H1"]
    assert len(found["energy"]) == 2
    assert sum(found["energy"][0].values()) == pytest.approx(1)
    assert found["layout"]["kind"] == "grid"
    again = json.loads(run(*arguments, "--each")[1])
    assert again["from_store"] == 16
    others = json.loads(run(*arguments, "--parts", "mlps", "--layers", "-1")[1])
    assert others["labels"] == ["L1.MLP"]


def test_lines_are_read_from_standard_input(run: object, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"the cat\t runs\n")))
    status, out, _ = run("heads", "--model", str(folder), "--inputs", "-", "--budget", "16", "--json", "--no-store")
    assert status == 0
    assert json.loads(out)["used"] == 16


@pytest.mark.model
def test_heads_of_an_encoder_are_explained_by_similarity(run: object) -> None:
    from interplay import demo_model

    Path("pairs.tsv").write_text("A dog runs.\tA puppy is running.\n\nRates rose.\tLoans cost more.\n")
    arguments = ["heads", "--model", str(demo_model()), "--inputs", "pairs.tsv", "--layers", "0,4-5"]
    status, out, err = run(*arguments, "--budget", "60", "--method", "lasso")
    assert status == 0
    assert "features   36" in err
    assert "similarity of 2 pairs of texts" in err
    assert [line.split()[0] for line in out.splitlines()[-3:]] == ["L0", "L4", "L5"]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("the cat runs\n", [], "line 1 of in.tsv must be two texts with one tab between: 'the cat runs'"),
        ("\n", [], "in.tsv is empty"),
        ("the\t cat\n", ["--layers", "first"], "--layers must be numbers and ranges such as 0,2,8-11, not 'first'"),
        ("the\t cat\n", ["--layers", "1-0"], "--layers has the range 1-0, which must go up from the lower layer"),
        ("the\t cat\n", ["--layers", "0", "--parts", "lm_head"], "--layers goes with a kind of parts"),
        ("the\t cat\n", ["--seed", "-1"], "seed must be a whole number of at least 0, not -1"),
        ("the cat " * 9 + "\tcat\n", [], "the model's window is 16: shorten it"),
        ("the\t cat\n", ["--layers", "7"], "there is no layer 7: there are 2"),
        ("the\t cat\n", ["--parts", "headz"], "unknown module path 'headz'"),
        ("the\t cat\n", ["--ablate", "resample"], "there is only one: pass more inputs"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(
    run: object, folder: Path, content: str, arguments: list[str], message: str
) -> None:
    Path("in.tsv").write_text(content)
    status, out, err = run("heads", "--model", str(folder), "--inputs", "in.tsv", *arguments)
    assert status == 2
    assert out == ""
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.model
@pytest.mark.slow
def test_the_demo_of_heads_runs(run: object) -> None:
    status, out, _ = run("demo", "heads", "--budget", "100", "--no-store")
    assert status == 0
    assert "H11" in out
