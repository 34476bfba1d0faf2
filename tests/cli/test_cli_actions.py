"""`interplay flip`, `audit`, `prune`, `curate`: what they print is what they measured; mistakes end in one sentence."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import interplay as ip

Run = Callable[..., tuple[int, str, str]]
REVIEW = "I would not say this film is bad at all."


@pytest.mark.model
def test_flip_prints_sets_that_were_measured(run: Run, minilm: ip.models.Encoder, tmp_path: Path) -> None:
    (tmp_path / "review.txt").write_text(REVIEW)
    status, out, err = run(
        *("flip", "review.txt", "--model", str(ip.demo_model()), "--reference", "a bad film", "--below", "0.3"),
        *("--budget", "40", "--checks", "12", "--ablate", "delete", "--json", "--html", "page.html"),
    )
    assert status == 0
    assert "up to 12 measurements after the budget" in err
    assert "store" in err
    found = json.loads(out)
    assert found["measured"] <= 12
    words = REVIEW.rstrip(".").split()
    for one in found["found"]:
        left = " ".join("" if i in one["features"] else word for i, word in enumerate(words)) + "."
        assert minilm.similarity("a bad film")([left])[0] == pytest.approx(one["measured"], abs=1e-5)
        assert one["measured"] < 0.3
    assert "Which smallest sets" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.model
def test_audit_reads_lines_of_slots(run: Run, tmp_path: Path) -> None:
    lines = [json.dumps({"who": who, "what": what}) for who in ("he", "she", "it") for what in ("ran", "sat")]
    (tmp_path / "cases.jsonl").write_text("\n".join(lines))
    arguments = ("audit", "cases.jsonl", "--template", "{who} {what} home", "--model", str(ip.demo_model()))
    arguments += ("--reference", "a woman", "--budget", "48", "--at-least", "2", "--counterfactual", "who=he,she")
    status, out, err = run(*arguments, "--json")
    assert status == 0
    assert "prompts    6" in err
    found = json.loads(out)
    assert found["used"] == 48 + 4  # he and she, each of whom ran and sat
    assert {tuple(one["parts"]) for one in found["findings"]} >= {("he",), ("he", "home"), ("ran",)}
    assert found["contrasts"][0]["slot"] == "who"
    status, out, _ = run(*arguments)
    assert status == 0
    assert "Which parts, alone and together, do the same in 6 prompts?" in out


@pytest.fixture
def speaker(tmp_path: Path) -> Path:
    """The folder of a small language model."""
    pytest.importorskip("transformers")
    from networks import network, tokenizer

    network("llama").save_pretrained(tmp_path / "lm")
    tokenizer().save_pretrained(tmp_path / "lm")
    return tmp_path / "lm"


@pytest.mark.parametrize("against", [(), ("--against", " London")])
def test_flip_measures_a_language_model_s_answer(
    run: Run, speaker: Path, tmp_path: Path, against: tuple[str, ...]
) -> None:
    (tmp_path / "text.txt").write_text("the cat never runs here")
    lm = ip.models.CausalLM.load(speaker, device="cpu")
    scorer = lm.margin(" Paris", " London") if against else lm.logprob(" Paris")
    whole = float(scorer(["the cat never runs here"])[0])
    options = ("--model", str(speaker), "--target", " Paris", *against, "--ablate", "delete", "--budget", "32")
    status, out, err = run("flip", "text.txt", *options, "--below", str(whole - 1e-4), "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["start"] == pytest.approx(whole, abs=1e-5)
    words = ["the", "cat", "never", "runs", "here"]
    for one in found["found"]:
        left = "".join(" " * (i > 0) + ("" if i in one["features"] else word) for i, word in enumerate(words))
        assert float(scorer([left])[0]) == pytest.approx(one["measured"], abs=1e-5)


def test_a_line_on_the_wrong_side_is_refused_before_the_budget_is_spent(
    run: Run, speaker: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("the cat never runs here")
    options = ("text.txt", "--model", str(speaker), "--target", " Paris", "--store", "runs.db", "--budget", "32")
    status, _, err = run("flip", *options, "--below", "0")
    assert status == 2
    assert "already below 0: choose a line on its other side" in err
    status, _, err = run("flip", *options, "--suffice", "--above", "-1000")
    assert (status, "the empty text scores" in err) == (2, True)
    with sqlite3.connect(tmp_path / "runs.db") as store:
        assert store.execute("SELECT count(*) FROM ablation").fetchone() == (2,)
    store.close()


def test_audit_measures_a_language_model_s_answers(run: Run, speaker: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"who": who, "what": what}) for who in ("the cat", "never") for what in ("runs", "sleeps")]
    (tmp_path / "cases.jsonl").write_text("\n".join(lines))
    options = ("--template", "{who} {what} here", "--model", str(speaker), "--target", " Paris", "--against", " London")
    options += ("--budget", "64", "--at-least", "2", "--counterfactual", "what=runs,sleeps", "--json")
    status, out, err = run("audit", "cases.jsonl", *options)
    assert status == 0, err
    scorer = ip.models.CausalLM.load(speaker, device="cpu").margin(" Paris", " London")
    runs, sleeps = (scorer([f"{who} {what} here" for who in ("the cat", "never")]) for what in ("runs", "sleeps"))
    (contrast,) = json.loads(out)["contrasts"]
    assert contrast["mean"] == pytest.approx(float((runs - sleeps).mean()), abs=1e-5)


@pytest.mark.slow
def test_a_chat_model_is_asked_in_its_template(run: Run, planted: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("Tom drinks tea. The sun is out.")
    options = ("text.txt", "--model", str(planted), "--target", " gold", "--unit", "sentence", "--budget", "4")
    status, out, err = run("flip", *options, "--chat", "--below", "-1000", "--json")
    assert status == 0, err
    asked = ip.models.CausalLM.load(planted, device="cpu", chat=True).logprob(" gold")
    assert json.loads(out)["start"] == pytest.approx(float(asked(["Tom drinks tea. The sun is out."])[0]), abs=1e-5)


@pytest.mark.model
def test_prune_writes_a_model_that_gives_what_was_measured(run: Run, tmp_path: Path) -> None:
    (tmp_path / "lines.tsv").write_text("A dog runs.\tA puppy runs.\nIt rains.\tThe rain falls.\n")
    (tmp_path / "others.tsv").write_text("He sings.\tA man is singing.\n")
    options = ("prune", "--model", str(ip.demo_model()), "--inputs", "lines.tsv", "--held-out", "others.tsv")
    options += ("--layers", "4,5", "--budget", "60", "--checks", "4")
    status, out, _ = run(*options, "--keep", "0.5", "--write", "pruned", "--json")
    assert status == 0
    found = json.loads(out)
    assert len(found["kept"]) <= 12
    made = ip.models.Encoder.load(tmp_path / "pruned", device="cpu")
    assert made.similarity("A man is singing.")(["He sings."])[0] == pytest.approx(found["held_out"], abs=1e-4)
    status, _, err = run(*options[:6], "lines.tsv")
    assert (status, "held-out lines must be others" in err) == (2, True)


def test_curate_judges_by_other_rows(run: Run, tmp_path: Path) -> None:
    rows = [f"{i % 7},{i % 5},{'yes' if i % 7 > 2 else 'no'}" for i in range(40)]
    (tmp_path / "data.csv").write_text("a,b,answer\n" + "\n".join(rows))
    options = ("curate", "data.csv", "--target", "answer", "--remove", "3", "--tests", "4", "--budget", "60")
    status, out, err = run(*options, "--json", "--save", "kept.json")
    assert status == 0
    assert ip.load(tmp_path / "kept.json").used == 60
    assert "rows       32, of which 3 may go" in err
    found = json.loads(out)
    assert len(found["removed"]) == 3
    assert found["lower_is_better"]
    assert {rival["name"] for rival in found["rivals"]} == {"first order", "random"}


def test_flip_and_text_open_the_sentences_that_matter(run: Run, tmp_path: Path) -> None:
    """From sentences to words, within a budget that is announced for all of them."""
    text = "It rains in the hills. Nobody sings today. A man is singing loudly. The trains are late again. It ends."
    (tmp_path / "book.txt").write_text(text)
    options = ("book.txt", "--model", str(ip.demo_model()), "--reference", "A man sings.", "--unit", "sentence, word")
    status, out, err = run("flip", *options, "--below", "0.2", "--budget", "60", "--json")
    assert status == 0, err
    assert "features   5, which open into 20" in err
    assert json.loads(out)["found"]
    status, out, err = run("text", *options, "--budget", "60", "--html", "book.html")
    assert status == 0, err
    page = (tmp_path / "book.html").read_text()
    assert "were opened into finer ones" in page


def test_layers_and_groups_of_rows_are_opened(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("A man sings.\tA man is singing.\nIt rains.\tThe weather is wet.\n")
    (tmp_path / "others.tsv").write_text("A dog runs.\tA puppy is running.\n")
    model = ("--model", str(ip.demo_model()), "--inputs", "pairs.tsv", "--parts", "heads, mlps", "--zoom")
    status, out, err = run("heads", *model, "--keep", "0.8", "--budget", "40", "--json")
    assert status == 0, err
    assert "features   6, which open into 78" in err
    assert any(label.startswith("layer: ") for label in json.loads(out)["labels"])
    status, out, err = run("prune", *model, "--held-out", "others.tsv", "--budget", "40", "--checks", "2", "--json")
    assert status == 0, err
    found = json.loads(out)
    assert sum(found["leaves"]) == 78
    assert sum(found["leaves"][i] for i in found["kept"]) <= 39
    rows = [f"{i % 7},{i % 5},{'yes' if i % 7 > 2 else 'no'},{'abcd'[i // 10]}" for i in range(40)]
    (tmp_path / "data.csv").write_text("a,b,answer,source\n" + "\n".join(rows))
    data = ("data.csv", "--target", "answer", "--group", "source", "--zoom", "--tests", "4", "--budget", "60", "--json")
    status, out, err = run("training", *data)
    assert status == 0, err
    assert "features   4, which open into 36" in err
    status, out, err = run("curate", *data, "--remove", "3")
    assert status == 0, err
    found = json.loads(out)
    assert 1 <= sum(found["sizes"][i] for i in found["removed"]) <= 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("flip", "t", "--model", "m", "--below", "0"), "say what to score"),
        (("flip", "t", "--model", "m", "--reference", "x"), "say which line to cross"),
        (("flip", "t", "--model", "m", "--reference", "x", "--target", "y", "--below", "0"), "one of the three"),
        (("flip", "t", "--model", "m", "--reference", "x", "--against", "y", "--below", "0"), "goes with --target"),
        (("flip", "t", "--model", "m", "--reference", "x", "--below", "0", "--index", "sv"), "--index sv is for the"),
        (("flip", "t", "--model", "m", "--reference", "x", "--chat", "--below", "0"), "--chat goes with --target"),
        (("audit", "t", "--model", "m", "--reference", "x"), "is not JSON"),
        (("audit", "n", "--model", "m", "--reference", "x"), "must be a text"),
        (("audit", "deep", "--model", "m", "--reference", "x"), "is not JSON"),
        (("audit", "n", "--model", "m", "--reference", "x", "--template", "{a.b}"), "does not fill the template"),
        (("audit", "s", "--model", "m", "--reference", "x", "--save", "x"), "an audit makes many"),
        (("audit", "s", "--model", "m", "--reference", "x", "--until", ".9"), "an audit makes many"),
        (("prune", "--model", "m", "--inputs", "a", "--held-out", "b", "--write", "t"), "cannot write to the folder t"),
        (("prompt", "deep.json", "--model", "m"), "is not JSON"),
        (("audit", "n", "--model", "m", "--reference", "x", "--template", "{b}"), "does not fill the template"),
        (("audit", "s", "--model", "m", "--reference", "x", "--counterfactual", "who"), "such as who=he,she"),
        (("audit", "line", "--model", "no/such/m", "--reference", "x"), "there is no model"),
        (("curate", "t", "--target", "a", "--tests", "0"), "--tests must be"),
        (("curate", "csv", "--target", "a", "--tests", "1", "--remove", "9"), "--remove must be from 1 to"),
        (("curate", "csv", "--target", "a", "--tests", "1", "--remove", "0"), "--remove must be from 1 to"),
        (("prune", "--model", "m", "--inputs", "a", "--held-out", "b", "--keep", "1.5"), "--keep must be a share"),
        (("flip", "t", "--model", "m", "--reference", "x", "--below", "0", "--checks", "1"), "--checks must be"),
        (("audit", "s", "--model", "m", "--reference", "x", "--level", "2"), "--level must be a rate"),
        (("audit", "s", "--model", "m", "--reference", "x", "--budget", "7"), "too small for 1 prompts"),
        (("audit", "s", "--model", "m", "--reference", "x", "--by", "slot"), "needs slots"),
    ],
)
def test_a_mistake_ends_in_one_sentence_before_a_model_is_loaded(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "t").write_text("some words")
    (tmp_path / "n").write_text('{"a": 1}')
    (tmp_path / "csv").write_text("a,b\n" + "".join(f"{i % 2},{i}\n" for i in range(8)))
    for name in ("deep", "deep.json"):
        (tmp_path / name).write_text("[" * 100_000)
    # A line separator, a line break to Python's splitlines alone, is a character like any other within JSON.
    (tmp_path / "line").write_text('"some\u2028words"', encoding="utf-8")
    (tmp_path / "s").write_text('"some words"')
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert words in " ".join(err.split())
    assert "Traceback" not in err
