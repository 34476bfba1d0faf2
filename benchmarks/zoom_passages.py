"""Zooming into 8,000 tokens of passages that SmolLM2-135M reads, of which two sentences answer a question.

    python benchmarks/zoom_passages.py --model SmolLM2.gguf --device cuda --dtype float16 --out passages.jsonl
    python benchmarks/zoom_passages.py --table passages.jsonl

Either of the two sentences suffices ("ship", "horse", "baker"), or each gives half of the answer ("halves"). The
log-probability of the answer is explained by passages that open into sentences; every seed has passages of its own. All
methods have the same budget, but for SPEX, which has its least. Which two sentences does each of them name first, and
what do the fits explain of fresh ablations of single sentences? Rows are written as they come.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import interplay as ip
from zoom_contest import METHODS, Contest, Row, smollm

PEOPLE = ["Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jonas", "Karin", "Leo"]
TOWNS = ["Ashford", "Brixham", "Calder", "Denby", "Elston", "Farley", "Gorham", "Holt", "Ipley", "Kelso", "Lydney"]
THINGS = ["a bicycle", "two lamps", "an old piano", "a red coat", "some apples", "a map", "a kite", "three chairs"]
PLACES = ["the market", "the mill", "the harbour", "the school", "the library", "the station", "the old bridge"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
ASKED = {  # the question and the beginning of its answer, the answer, and the two sentences that give it
    "ship": (
        "Question: What is the captain's ship called?\nAnswer: The captain's ship is called",
        " Marigold",
        ("The captain's ship is called Marigold.", "The ship of the captain bears the name Marigold on its side."),
    ),
    "halves": (  # of 135 million parameters none follows two steps: where Mira is, and that she has the cup
        "Question: Where are the golden cup and the silver cup kept?\nAnswer: The golden cup is kept in",
        " Kelso, and the silver cup is kept in Denby",
        ("The golden cup is kept in Kelso.", "The silver cup is kept in Denby."),
    ),
    "horse": (
        "Question: What is the queen's horse called?\nAnswer: The queen's horse is called",
        " Juniper",
        ("The queen's horse is called Juniper.", "Juniper is the name of the horse that the queen rides."),
    ),
    "baker": (
        "Question: Who bakes the bread of the castle?\nAnswer: The bread of the castle is baked by",
        " Tobias",
        ("The bread of the castle is baked by Tobias.", "Tobias gets up at four to bake all of the castle's bread."),
    ),
}


@dataclass(frozen=True)
class Remembered:
    """A score of texts that asks for none of them twice: methods and budgets share their ablations."""

    score: Any
    known: dict[str, float] = field(default_factory=dict)

    def __call__(self, texts: list[str]) -> list[float]:
        missing = [text for text in dict.fromkeys(texts) if text not in self.known]
        if missing:
            self.known.update(zip(missing, map(float, self.score(missing)), strict=True))
        return [self.known[text] for text in texts]


def contest_of(lm: Any, case: str, seed: int, tokens: int, fresh: int) -> Contest:
    """Passages with the two sentences in two of them, and what the model says without one and without both."""
    (question, answer, sentences), rng = ASKED[case], np.random.default_rng([seed, list(ASKED).index(case)])
    texts, count = [], 0
    while count < tokens - 400:
        texts.append(_passage(rng))
        count += len(lm.tokenizer(texts[-1])["input_ids"]) + 8
    for place, sentence in zip(rng.choice(len(texts), 2, replace=False), sentences, strict=True):
        said = texts[place].split(". ")
        said.insert(2, sentence.removesuffix("."))
        texts[place] = ". ".join(said)
    scorer = lm.logprob(answer)
    game = ip.lenses.documents(
        replace(scorer, score=Remembered(scorer.score)),
        {f"passage {i + 1}": text for i, text in enumerate(texts)},
        template=f"{{documents}}\n\n{question}",
        form="[{number}] {text}",
        unit=("document", "sentence"),
    )
    contest, labels = Contest("passages", case, seed, game, sentences, 2), game.finest.labels
    ends = np.ones((4, len(labels)), dtype=bool)
    for i, sentence in enumerate(sentences):
        ends[[i + 1, 3], labels.index(sentence)] = False
    values = [round(float(value), 3) for value in contest.values(ends)]
    whole = len(lm.tokenizer(game.finest.inputs(ends[:1])[0])["input_ids"])
    print(f"{case} {seed}: {whole} tokens, {len(texts)} passages, {len(labels)} sentences; "
          f"log-probability whole, without first, second, both: {values}", flush=True)  # fmt: skip
    masks = np.random.default_rng([seed, 99]).random((fresh, len(labels))) < 0.5
    return replace(contest, fresh=(masks, contest.values(masks)))


def _passage(rng: np.random.Generator) -> str:
    """Four to six sentences of small talk that say nothing of the question."""

    def one() -> str:
        who, town, thing, place, day = (str(rng.choice(of)) for of in (PEOPLE, TOWNS, THINGS, PLACES, DAYS))
        number = int(rng.integers(3, 90))
        return str(
            rng.choice(
                [
                    f"{who} went from {town} to {place} on {day} at {number} past nine.",
                    f"On {day} {who} bought {thing} near {place} in {town} for {number} crowns.",
                    f"It took {who} {number} minutes to carry {thing} to {place}.",
                    f"{who} told everybody in {town} about {thing} and the {number} visitors.",
                    f"The fair in {town} lasts {number} days and ends at {place}.",
                ]
            )
        )

    return " ".join(one() for _ in range(int(rng.integers(4, 7))))


def rows_of(lm: Any, case: str, seed: int, options: argparse.Namespace, until: float) -> Iterator[Row]:
    """All methods on one document, the budgets in turn, as long as there is time; SPEX has one of its own, last."""
    if time.time() > until:
        return
    contest = contest_of(lm, case, seed, options.tokens, options.fresh)
    for budget in options.budgets:
        for method in [name for name in options.methods if not name.startswith("SPEX")]:
            if time.time() < until:
                yield from contest.rows(budget, [method])
    if "SPEX, least" in options.methods and time.time() < until:
        yield from contest.rows(0, ["SPEX, least"])


def table(rows: list[dict]) -> str:
    """Kinds of document and budgets by methods: both named, one named, none, and the median R² on fresh ablations."""
    lines = []
    for case in dict.fromkeys(row["case"] for row in rows):
        for method in dict.fromkeys(row["method"] for row in rows):
            for budget in sorted({row["budget"] for row in rows if row["method"] == method}):
                these = [r for r in rows if (r["case"], r["method"], r["budget"]) == (case, method, budget)]
                counts = " ".join(str(sum(row["found"] == k for row in these)) for k in (2, 1, 0))
                fresh = [row["fresh"] for row in these if row["fresh"] is not None]
                shown = f"{np.median(fresh):.3f} ({min(fresh):.3f})" if fresh else ""
                falls = np.median([row["falls"] for row in these]) if these else np.nan
                lines.append(f"| {case} | {method} | {budget} | {len(these)} | {counts} | {shown} | {falls:.1f} |")
    head = "| case | method | budget | documents | named both, one, none | R² median (least) | output falls by |\n"
    return head + "|---" * 7 + "|\n" + "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="the GGUF file of SmolLM2-135M-Instruct")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", help="float16 takes a fourth of the time on a GPU")
    parser.add_argument("--cases", nargs="+", default=list(ASKED), choices=list(ASKED))
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--budgets", type=int, nargs="+", default=[200, 400, 100])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=8000)
    parser.add_argument("--fresh", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1, help="documents side by side: one is fitted while others ask")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no run of a method later than that")
    parser.add_argument("--out", type=Path, help="a file of rows, one JSON line each, added to")
    parser.add_argument("--table", type=Path, help="print what such a file holds, and do nothing else")
    options = parser.parse_args()
    if options.table is not None:
        print(table([json.loads(line) for line in options.table.read_text().splitlines()]))
        return
    until, lock = time.time() + options.seconds, threading.Lock()
    lm = smollm(options.model, options.device, options.dtype)

    def run(case: str, seed: int) -> None:
        for row in rows_of(lm, case, seed, options, until):
            line = json.dumps(asdict(row))
            with lock:
                print(line, flush=True)
                if options.out is not None:
                    with options.out.open("a") as file:
                        file.write(line + "\n")

    with ThreadPoolExecutor(options.threads) as pool:
        documents = [(case, seed) for seed in range(options.seeds) for case in options.cases]
        for done in as_completed([pool.submit(run, case, seed) for case, seed in documents]):
            done.result()


if __name__ == "__main__":
    main()
