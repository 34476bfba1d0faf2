"""Zooming into what real and planted networks read and are made of.

    python benchmarks/zoom_models.py --model SmolLM2.gguf --parts passages components --device cuda --out found.json
    python benchmarks/zoom_models.py --parts transformer

* transformer: a small one, trained here in a minute, that answers from two sentences of a document of hundreds; it has
  no positions, so that its window holds any document. What it must find is known.
* passages: SmolLM2-135M reads about 8,000 tokens of passages (``--tokens``) of which two answer a question: either
  suffices, or each gives half of the answer. Its log-probability is explained by passages that open into sentences.
* components: all 270 heads and 30 MLPs of SmolLM2, kept with probability .9, from layers down.

Each method has the same budget. What it names, the k strongest leaves, is taken away and measured: by how much the
output falls says what the naming is worth, whoever did it. Results are written to ``--out`` as they come.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import interplay as ip


@dataclass(frozen=True)
class Row:
    """One method on one game: which of the leaves that matter it named, and how far the output falls without those."""

    part: str
    case: str
    seed: int
    method: str
    budget: int
    used: int
    leaves: int
    features: int
    named: list[str]
    found: int
    of: int
    r2: float
    full: float
    falls: float
    seconds: float


def named_by(explanation: ip.Explanation, leaves: tuple[str, ...], count: int) -> list[str]:
    """The leaves of the strongest sets, alone or together, that the explanation shows one by one."""
    names: list[str] = []
    known = set(leaves)
    for key in explanation.interactions(top=4 * count + 8):  # by number: long labels are shortened where they are shown
        names += [found for i in key if (found := explanation.labels[i]) not in names and found in known]
    return names[:count]


def rows_of(
    part: str,
    case: str,
    seed: int,
    game: ip.Game,
    truth: list[str],
    budget: int,
    count: int,
    *,
    zoomed: bool,
    method: str = "auto",
) -> Row:
    """Explain a zoomed game as it is, or flat, and measure what the named leaves are worth."""
    finest, began = game.finest, time.perf_counter()
    found = ip.explain(game if zoomed else finest, budget=budget, method=method, seed=seed, removals=0, progress=False)
    seconds = time.perf_counter() - began
    names = named_by(found, finest.labels, count)
    return row_of(part, case, seed, game, truth, names, found, budget, seconds, "zoom" if zoomed else f"flat {method}")


def row_of(
    part: str,
    case: str,
    seed: int,
    game: ip.Game,
    truth: list[str],
    names: list[str],
    found: ip.Explanation | None,
    budget: int,
    seconds: float,
    method: str,
) -> Row:
    """What the leaves of those names are worth."""
    labels = game.finest.labels
    without = np.array([[True] * len(labels), [label not in names for label in labels]])
    full, left = game.finest(without)
    return Row(
        part,
        case,
        seed,
        method,
        budget,
        budget if found is None else found.used,
        len(labels),
        len(labels) if found is None else found.n,
        [" ".join(name.split())[:80] for name in names],
        len(set(truth) & set(names)),
        len(truth),
        float("nan") if found is None else round(found.faithfulness.r2, 4),
        round(float(full), 4),
        round(float(full - left), 4),
        round(seconds, 2),
    )


def one_out(part: str, case: str, seed: int, game: ip.Game, truth: list[str], budget: int, count: int) -> Row:
    """Leave one out: the untouched input without each leaf, in random order, as far as the budget goes."""
    labels, began = game.finest.labels, time.perf_counter()
    tried = np.random.default_rng(seed).permutation(len(labels))[: budget - 1]
    effects = without_each(game, [[i] for i in tried])
    names = [labels[i] for i in tried[np.argsort(-np.abs(effects))[:count]]]
    return row_of(
        part, case, seed, game, truth, names, None, len(tried) + 1, time.perf_counter() - began, "leave-one-out"
    )


def coarse_out(part: str, case: str, seed: int, game: ip.Game, truth: list[str], budget: int, count: int) -> Row:
    """Hierarchical leave one out (AttriBoT): parts first, then what is inside the strongest of them, level by level."""
    labels, began = game.finest.labels, time.perf_counter()
    parts, used = list(game.tree.parts), 1
    scored: dict[int, float] = {}
    while parts:
        parts = parts[: budget - used]
        used += len(parts)
        effects = np.abs(without_each(game, [range(one.start, one.end) for one in parts]))
        scored |= {one.start: effect for one, effect in zip(parts, effects, strict=True) if not one.parts}
        opened = [parts[i] for i in np.argsort(-effects) if parts[i].parts][:count]
        parts = [inner for one in opened for inner in one.parts]
    best = sorted(scored, key=lambda i: -scored[i])[:count]
    seconds = time.perf_counter() - began
    return row_of(part, case, seed, game, truth, [labels[i] for i in best], None, used, seconds, "hierarchical l.o.o.")


def without_each(game: ip.Game, sets: list[Any]) -> np.ndarray:
    masks = np.ones((len(sets) + 1, game.finest.n), dtype=bool)
    for row, ids in zip(masks, sets, strict=False):
        row[list(ids)] = False
    values = np.concatenate([game.finest(masks[at : at + 16]) for at in range(0, len(masks), 16)])
    return values[-1] - values[:-1]


def contest(
    part: str, case: str, seed: int, game: ip.Game, truth: list[str], budget: int, count: int, methods: list[str]
) -> Iterator[Row]:
    """Every method on one game."""
    given = (part, case, seed, game, truth, budget, count)
    runs: dict[str, Callable[[], Row]] = {
        "zoom": lambda: rows_of(*given, zoomed=True),
        "leave-one-out": lambda: one_out(*given),
        "hierarchical": lambda: coarse_out(*given),
        "flat lasso": lambda: rows_of(*given, zoomed=False, method="lasso"),
        "flat auto": lambda: rows_of(*given, zoomed=False),
    }
    for name in methods:
        yield runs[name]()


# --- a planted transformer

WORDS = ["ann", "has", "the", "red", "key", "opens", "chest", ".", "gold", "map", "ask"]
KEYS = ("ann has the key .", "key opens the chest .")
FILLING = 40  # other words, in sentences of five


def transformer(options: argparse.Namespace) -> Iterator[Row]:
    import torch

    for case in ("both", "either"):
        device = torch.device(options.device)
        model, loss = _trained(case, device, options.steps)
        print(f"transformer {case}: cross-entropy {loss:.3f} (best possible 0.325)", flush=True)
        for seed in range(options.seeds):
            rng = np.random.default_rng([seed, 7])
            n = options.sentences
            ids = np.sort(rng.choice(n, 2, replace=False))
            document = _fillers(rng, n)
            for place, key in zip(ids, KEYS, strict=True):
                document[place] = [WORDS.index(word) for word in key.split()]
            game = _reading(model, document, device).zoomed()
            truth = [f"s{i}" for i in ids]
            for budget in options.budgets:
                yield from contest("transformer", case, seed, game, truth, budget, 2, options.methods)


def _fillers(rng: np.random.Generator, count: int) -> list[list[int]]:
    words = rng.integers(len(WORDS), len(WORDS) + FILLING, (count, 4))
    return [[*row, WORDS.index(".")] for row in words.tolist()]


def _network(device: Any) -> Any:
    import torch

    class Reader(torch.nn.Module):
        """Two layers without positions: words find each other by neighbours' mean, and the last word asks."""

        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(len(WORDS) + FILLING + 1, 64, padding_idx=len(WORDS) + FILLING)
            layer = torch.nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True, norm_first=True)
            self.body = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = torch.nn.Linear(64, 2)

        def forward(self, words: Any) -> Any:
            """(B, S, 5) sentences to the log-odds (B,) of "gold" against "map"."""
            vectors = self.embedding(words).mean(dim=2)
            gone = (words[:, :, 0] == len(WORDS) + FILLING).clone()
            gone[:, -1] = False  # the question stays
            read = self.body(vectors, src_key_padding_mask=gone)[:, -1]
            pair = self.head(read).log_softmax(-1)
            return pair[:, 0] - pair[:, 1]

    return Reader().to(device)


def _trained(case: str, device: Any, steps: int) -> tuple[Any, float]:
    """A network that has learned from documents of 8 to 512 sentences: "gold" in 9 of 10 if both keys (or either)."""
    import torch

    torch.manual_seed(0)
    rng, model = np.random.default_rng(0), _network(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    losses = []
    for _ in range(steps):
        count = int(2 ** rng.uniform(3, 9))
        rows, wants = [], []
        for _ in range(32):
            document, here = _fillers(rng, count), rng.random(2) < (0.6 if case == "both" else 0.35)
            for place, key, is_here in zip(rng.permutation(count), KEYS, here, strict=False):
                if is_here:
                    document[place] = [WORDS.index(word) for word in key.split()]
            rows.append([*document, _question()])
            wants.append(0.9 if (here.all() if case == "both" else here.any()) else 0.1)
        odds = model(torch.tensor(rows, device=device))
        wanted = torch.tensor(wants, device=device)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, wanted)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return model.eval(), float(np.mean(losses[-20:]))


def _question() -> list[int]:
    return [WORDS.index("ask")] * 5


def _reading(model: Any, document: list[list[int]], device: Any) -> ip.Game:
    import torch

    words = torch.tensor([*document, _question()], device=device)
    gone = torch.full_like(words[:1], len(WORDS) + FILLING)

    def value(masks: np.ndarray) -> np.ndarray:
        found = []
        for mask in masks:  # what is ablated is not there at all
            kept = torch.tensor(np.append(np.flatnonzero(mask), len(document)), device=device)
            with torch.no_grad():
                found.append(float(model(torch.cat([gone, words[kept]])[None])[0]))
        return np.array(found)

    return ip.Game(value, [f"s{i}" for i in range(len(document))])


# --- SmolLM2 and its passages

PEOPLE = ["Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jonas", "Karin", "Leo"]
TOWNS = ["Ashford", "Brixham", "Calder", "Denby", "Elston", "Farley", "Gorham", "Holt", "Ipley", "Kelso", "Lydney"]
THINGS = ["a bicycle", "two lamps", "an old piano", "a red coat", "some apples", "a map", "a kite", "three chairs"]
PLACES = ["the market", "the mill", "the harbour", "the school", "the library", "the station", "the old bridge"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
ASKED = {  # the question and the beginning of its answer, the answer, and the two sentences that give it
    "either": (
        "Question: What is the captain's ship called?\nAnswer: The captain's ship is called",
        " Marigold",
        ("The captain's ship is called Marigold.", "The ship of the captain bears the name Marigold on its side."),
    ),
    "halves": (  # of 135 million parameters none follows two steps: where Mira is, and that she has the cup
        "Question: Where are the golden cup and the silver cup kept?\nAnswer: The golden cup is kept in",
        " Kelso, and the silver cup is kept in Denby",
        ("The golden cup is kept in Kelso.", "The silver cup is kept in Denby."),
    ),
}


def passages(options: argparse.Namespace) -> Iterator[Row]:
    lm = _smollm(options)
    for seed in range(options.seeds):
        for case, (question, answer, sentences) in ASKED.items():
            rng = np.random.default_rng([seed, 11])
            texts, count = [], 0
            while count < options.tokens - 400:
                texts.append(_passage(rng))
                count += len(lm.tokenizer(texts[-1])["input_ids"]) + 8
            places = rng.choice(len(texts), 2, replace=False)
            for place, sentence in zip(places, sentences, strict=True):
                said = texts[place].split(". ")
                said.insert(2, sentence.removesuffix("."))
                texts[place] = ". ".join(said)
            template = f"{{documents}}\n\n{question}"
            game = ip.lenses.documents(
                lm.logprob(answer),
                {f"passage {i + 1}": text for i, text in enumerate(texts)},
                template=template,
                form="[{number}] {text}",
                unit=("document", "sentence"),
            )
            ends = np.ones((4, game.finest.n), dtype=bool)
            labels = game.finest.labels
            for i, sentence in enumerate(sentences):
                ends[[i + 1, 3], labels.index(sentence)] = False
            values = [round(float(game.finest(mask[None])[0]), 3) for mask in ends]
            whole = len(lm.tokenizer(game.finest.inputs(ends[:1])[0])["input_ids"])
            print(f"passages {case} {seed}: {whole} tokens, {len(texts)} passages, {len(labels)} sentences; "
                  f"log-probability whole, without first, second, both: {values}", flush=True)  # fmt: skip
            for budget in options.budgets:
                yield from contest("passages", case, seed, game, list(sentences), budget, 2, options.methods)


def _smollm(options: argparse.Namespace) -> Any:
    if options.model is None:
        raise SystemExit("passages and components need --model, the GGUF file of SmolLM2-135M-Instruct.")
    return ip.models.CausalLM.load(options.model, device=options.device)


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


# --- SmolLM2 and its components

PROMPTS = [
    ("The capital of France is", " Paris", " London"),
    ("The opposite of hot is", " cold", " warm"),
    ("When Mary and John went to the store, John gave a drink to", " Mary", " John"),
    ("one two three four", " five", " six"),
]


def components(options: argparse.Namespace) -> Iterator[Row]:
    lm = _smollm(options)
    for prompt, answer, rival in PROMPTS[: options.prompts]:
        metric = ip.lenses.metrics.margin(answer, rival)
        game = ip.lenses.components(lm, ["heads", "mlps"], [prompt], metric, keep=0.9, zoom=True)
        print(f"components: {game.finest.n} in {game.n} layers; {prompt!r}", flush=True)
        fresh = np.random.default_rng(99).random((options.fresh, game.finest.n)) < 0.9
        truth = game.finest(fresh)
        for seed in range(options.seeds):
            for budget in options.budgets:
                for method in ("zoom", "flat auto", "flat lasso"):
                    if method not in options.methods:
                        continue
                    began = time.perf_counter()
                    zoomed, kind = method == "zoom", method.removeprefix("flat ") if method != "zoom" else "auto"
                    found = ip.explain(
                        game if zoomed else game.finest, budget=budget, method=kind, seed=seed, removals=0,
                        progress=False,
                    )  # fmt: skip
                    seconds = time.perf_counter() - began
                    names = named_by(found, game.finest.labels, 10)
                    row = row_of("components", prompt, seed, game, [], names, found, budget, seconds, method)
                    r2 = 1 - np.mean((truth - at_leaves(found, fresh)) ** 2) / truth.var()
                    yield replace(row, r2=round(float(r2), 4))


def at_leaves(found: ip.Explanation, leaves: np.ndarray) -> np.ndarray:
    """The fit at masks of the leaves (N, L): a part that stayed closed counts by the share of it that is kept."""
    sizes = np.ones(found.n, dtype=int)
    stack = list(found.outline)
    while stack:
        branch = stack.pop()
        stack += branch.parts
        if branch.feature is not None:
            sizes[branch.feature] = branch.leaves
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    signs = 1.0 - 2.0 * np.add.reduceat(leaves, starts, axis=1, dtype=float) / sizes
    total = np.zeros(len(leaves))
    for ids, value in found.spectrum.coefficients.items():
        total += value * signs[:, list(ids)].prod(axis=1)
    return total


PARTS = {"transformer": transformer, "passages": passages, "components": components}
METHODS = ["zoom", "leave-one-out", "hierarchical", "flat lasso", "flat auto"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["transformer"], choices=list(PARTS))
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--model", help="the GGUF file of SmolLM2-135M-Instruct")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budgets", type=int, nargs="+", default=[200])
    parser.add_argument("--tokens", type=int, default=8000)
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--prompts", type=int, default=len(PROMPTS))
    parser.add_argument("--fresh", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="a file of rows, one JSON line each")
    options = parser.parse_args()
    for name in options.parts:
        for row in PARTS[name](options):
            line = json.dumps(asdict(row))
            print(line, flush=True)
            if options.out is not None:
                with options.out.open("a") as file:
                    file.write(line + "\n")


if __name__ == "__main__":
    main()
