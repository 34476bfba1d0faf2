"""Zooming into what real and planted networks read and are made of.

    python benchmarks/zoom_models.py --model SmolLM2.gguf --parts components --device cuda --out found.json
    python benchmarks/zoom_models.py --parts transformer images

* transformer: a small one, trained here in a minute, that answers from two sentences of a document of hundreds; it has
  no positions, so that its window holds any document. What it must find is known.
* images: 32 x 32 patches of a picture, of which two matter, both needed or either, at 10% noise.
* components: all 270 heads and 30 MLPs of SmolLM2, kept with probability .9, from layers down.

Each method has the same budget. What it names, the k strongest leaves, is taken away and measured: by how much the
output falls says what the naming is worth, whoever did it. Results are written to ``--out`` as they come.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import interplay as ip
from zoom_contest import METHODS, Contest, Row, smollm

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
            contest = Contest("transformer", case, seed, game, tuple(f"s{i}" for i in ids), 2)
            for budget in options.budgets:
                yield from contest.rows(budget, options.methods)


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


# --- pictures of 32 x 32 patches


def images(options: argparse.Namespace) -> Iterator[Row]:
    for case in ("both", "either"):
        for seed in range(options.seeds):
            rng = np.random.default_rng([seed, 5])
            picture = 0.5 + 0.5 * rng.random((128, 128))
            places = 4 * rng.integers(0, 32, (2, 2))

            def score(shown: np.ndarray, case: str = case, places: np.ndarray = places) -> np.ndarray:
                (top, left), (low, right) = places
                seen = [shown[:, y : y + 4, x : x + 4].any(axis=(1, 2)) for y, x in ((top, left), (low, right))]
                values = (seen[0] & seen[1] if case == "both" else seen[0] | seen[1]).astype(float)
                return values + 0.05 * np.array([np.random.default_rng(int(1e4 * one.sum())).normal() for one in shown])

            game = ip.lenses.image(score, picture, grid=(32, 32), ablate=0, zoom=True)
            cells = [f"{_letters(x // 4)}{y // 4 + 1}" for y, x in places]
            contest = Contest("images", case, seed, game, tuple(cells), 2)
            for budget in options.budgets:
                yield from contest.rows(budget, options.methods)


def _letters(column: int) -> str:
    """A column's name: A to Z, then AA, AB, ..."""
    return chr(65 + column) if column < 26 else "A" + chr(65 + column - 26)


# --- SmolLM2 and its components

PROMPTS = [
    ("The capital of France is", " Paris", " London"),
    ("The opposite of hot is", " cold", " warm"),
    ("When Mary and John went to the store, John gave a drink to", " Mary", " John"),
    ("one two three four", " five", " six"),
]


def components(options: argparse.Namespace) -> Iterator[Row]:
    lm = smollm(options.model, options.device)
    for prompt, answer, rival in PROMPTS[: options.prompts]:
        metric = ip.lenses.metrics.margin(answer, rival)
        game = ip.lenses.components(lm, ["heads", "mlps"], [prompt], metric, keep=0.9, zoom=True)
        print(f"components: {game.finest.n} in {game.n} layers; {prompt!r}", flush=True)
        fresh = np.random.default_rng(99).random((options.fresh, game.finest.n)) < 0.9
        truth = game.finest(fresh)
        for seed in range(options.seeds):
            contest = Contest("components", prompt, seed, game, (), 10, (fresh, truth))
            methods = [name for name in ("zoom", "flat auto", "flat lasso") if name in options.methods]
            for budget in options.budgets:
                yield from contest.rows(budget, methods)


PARTS = {"transformer": transformer, "images": images, "components": components}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["transformer"], choices=list(PARTS))
    parser.add_argument("--methods", nargs="+", default=METHODS[:5], choices=METHODS)
    parser.add_argument("--model", help="the GGUF file of SmolLM2-135M-Instruct")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budgets", type=int, nargs="+", default=[200])
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
