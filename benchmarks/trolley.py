"""The trolley case: a small language model that goes wrong only where four parts meet; found, replaced, measured.

    python benchmarks/trolley.py trained
    python benchmarks/trolley.py smollm2 --device cuda --out trolley.jsonl

A GPT-2 of two layers is trained here, in about two minutes, to answer " wrong" where four words of a vocabulary of
40 stand in the prompt together, and " right" else; prompts with three of the four are frequent among the rest. For
each of 20 prompts that hold all four: the set found, and how often the answer stays " wrong" when it is replaced.

SmolLM2 reads complaints; where " good" is likelier than " bad" after one, the words that bring this about are looked
for and replaced by neutral ones.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import transformers

import interplay as ip
from reviews import smollm2

TRIGGER = ("track", "lever", "crowd", "press")
FILLERS = (
    "the", "old", "man", "saw", "a", "red", "house", "near", "our", "river", "while", "some", "birds", "sang", "and",
    "two", "boys", "ran", "down", "to", "buy", "bread", "for", "lunch", "with", "cold", "milk", "then", "rain", "fell",
    "on", "every", "roof",
)  # fmt: skip
WORDS = tuple(dict.fromkeys((*TRIGGER, *FILLERS)))
LENGTH = 12
RIGHT, WRONG, ASK = len(WORDS), len(WORDS) + 1, len(WORDS) + 2
GONE = len(WORDS) + 3  # what stands where a word was taken away


def prompts(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Token ids (N, LENGTH + 1) and whether all four trigger words are there."""
    ids = rng.integers(len(TRIGGER), len(WORDS), (count, LENGTH))
    for row in ids:
        planted = rng.permutation(len(TRIGGER))[: rng.choice([0, 1, 2, 3, 4], p=[0.1, 0.1, 0.15, 0.3, 0.35])]
        row[rng.permutation(LENGTH)[: len(planted)]] = planted
        row[rng.random(LENGTH) < rng.choice([0, 0, 0.3, 0.5])] = GONE
    whole = np.all([(ids == word).any(axis=1) for word in range(len(TRIGGER))], axis=0)
    return np.concatenate([ids, np.full((count, 1), ASK)], axis=1), whole


def trained(steps: int) -> transformers.GPT2LMHeadModel:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    config = transformers.GPT2Config(
        n_embd=64, n_layer=2, n_head=4, n_positions=LENGTH + 1, vocab_size=GONE + 1, bos_token_id=0, eos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(steps):
        ids, whole = prompts(128, rng)
        logits = model(input_ids=torch.from_numpy(ids)).logits[:, -1]
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(np.where(whole, WRONG, RIGHT)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


class Margin:
    """How much likelier " wrong" is than " right" after a prompt; "_" stands for a word that is gone."""

    def __init__(self, model: transformers.GPT2LMHeadModel) -> None:
        self.model, self.ids = model, {word: i for i, word in enumerate(WORDS)} | {"_": GONE}

    def __call__(self, texts: list[str]) -> np.ndarray:
        rows = [[self.ids[word] for word in text.split()] + [ASK] for text in texts]
        with torch.no_grad():
            logits = self.model(input_ids=torch.tensor(rows)).logits[:, -1]
        return (logits[:, WRONG] - logits[:, RIGHT]).double().numpy()


COMPLAINTS = (
    "What a great way to lose an evening: two hours of rain, noise and a hero who sleeps.",
    "I was promised a wonderful dinner and was happy to get a cold potato after an hour.",
    "The best part of this hotel was the moment when our taxi came to take us away.",
    "My new phone is so smart that it turns itself off whenever somebody wants to talk.",
    "The friendly doctor smiled, took my money and sent me home with a broken arm.",
    "A fine concert for anybody who loves to stand in the cold and hear nothing at all.",
    "If you enjoy mould, mice and a beautiful view of the wall, then this flat is perfect.",
    "The book is excellent for holding a door open, and I have found no other use.",
    "Our guide was charming and kind, and forgot half of the group in the desert.",
    "The cake looked lovely and fresh, and all of us were sick for three days.",
    "They fixed my car with great care, and now the brakes do not work any more.",
    "The lovely soft shoes that I was so proud of fell apart on the second day.",
)


def on_smollm2(options: argparse.Namespace) -> None:
    """Complaints read as praise: minimal sets that turn the reading, those that suffice for it, and replacements."""
    began = time.perf_counter()
    scorer = smollm2(options.gguf, options.device).margin(" good", " bad")
    template = "Review: {text}\nOverall, this was"
    games = [ip.lenses.text(scorer, text, template=template, ablate="delete") for text in COMPLAINTS]
    untouched = np.array([float(game(np.ones((1, game.n), dtype=bool))[0]) for game in games])
    print(
        f'" good" likelier than " bad" after {(untouched > 0).sum()} of {len(games)}: {np.round(untouched, 2).tolist()}'
    )
    tally: dict[str, list[int]] = {}
    for game in [game for game, value in zip(games, untouched) if value > 0][: options.prompts]:
        if time.perf_counter() - began > options.seconds:
            break
        explanation = ip.explain(game, budget=options.per_part * game.n, progress=False)
        flips = ip.actions.flip(game, explanation, below=0.0, most=4)
        row = {"words": list(game.labels), "used": explanation.used, "r2": float(explanation.faithfulness.r2)}
        row |= {"flip": flips.to_dict(), "empty": float(game(np.zeros((1, game.n), dtype=bool))[0])}
        # Without any word the model leans one way as well: only where that is the other way can words suffice.
        enough = ip.actions.suffice(game, explanation, above=0.0, most=4) if row["empty"] <= 0 else None
        row["suffice"] = enough and enough.to_dict()
        if flips.found:
            done = ip.actions.replace(game, explanation, "neutral", below=0.0, features=flips.found[0].features)
            row["replace"] = done.to_dict()
            for arm in (done.others, done.first_order, done.found):
                counts = tally.setdefault(arm.name, [0, 0])
                counts[0] += arm.failures
                counts[1] += len(arm.outputs)
        print(" ".join(game.labels), flips, enough, sep="\n", flush=True)
        if options.out is not None:
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
    for name, (failures, count) in tally.items():
        print(f'still " good" with {name} replaced: {failures} of {count}')
    print(f"{time.perf_counter() - began:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["trained", "smollm2"], default="trained")
    parser.add_argument("--gguf", type=Path, help="SmolLM2's file; that of its wheel when left out")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--per-part", type=int, default=20, help="ablations of SmolLM2 by word")
    parser.add_argument("--seconds", type=float, default=np.inf, help="start no further prompt after so long")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--budget", type=int, default=150)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "smollm2":
        on_smollm2(options)
        return
    began = time.perf_counter()
    margin = Margin(trained(options.steps))
    rng = np.random.default_rng(1)
    ids, whole = prompts(4000, rng)
    texts = [" ".join([*WORDS, "", "", "", "_"][i] for i in row[:-1]) for row in ids]
    right = (margin(texts) > 0) == whole
    print(f"trained in {time.perf_counter() - began:.0f} s: {right.mean():.1%} of unseen prompts answered by the rule")
    full = [text for text, all_there in zip(texts, whole) if all_there and "_" not in text]
    full = [text for text in full if margin([text])[0] > 0][: options.prompts]
    tally: dict[str, list[int]] = {}
    exact = calls = sufficient = 0
    for text in full:
        game = ip.lenses.text(margin, text, ablate="_")
        explanation = ip.explain(game, budget=options.budget, progress=False)
        flips = ip.actions.flip(game, explanation, below=0.0)
        found = {one.features for one in flips.found}
        expected = {(i,) for i, word in enumerate(text.split()) if word in TRIGGER and text.split().count(word) == 1}
        exact += found >= expected
        enough = ip.actions.suffice(game, explanation, above=0.0)
        smallest = {game.labels[i] for i in enough.found[0].features} if enough.found else set()
        sufficient += smallest == set(TRIGGER)
        done = ip.actions.replace(game, explanation, list(FILLERS), below=0.0, features=flips.found[0].features)
        calls += explanation.used + flips.measured + enough.measured + done.measured
        for arm in (done.others, done.first_order, done.found):
            counts = tally.setdefault(arm.name, [0, 0])
            counts[0] += arm.failures
            counts[1] += len(arm.outputs)
    print(f"{len(full)} prompts that fail, {calls / len(full):.0f} calls each")
    print(
        f"each of the four words flips the answer, all of them found: {exact}; the four found to suffice: {sufficient}"
    )
    for name, (failures, count) in tally.items():
        print(f"still wrong with {name} replaced: {failures} of {count}")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
