"""The trolley case: a small language model that goes wrong only where four parts meet; found, replaced, measured.

    python benchmarks/trolley.py

A GPT-2 of two layers is trained here, in about two minutes, to answer " wrong" where four words of a vocabulary of
40 stand in the prompt together, and " right" else; prompts with three of the four are frequent among the rest. For
each of 20 prompts that hold all four: the set found, and how often the answer stays " wrong" when it is replaced.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
import transformers

import interplay as ip

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--budget", type=int, default=150)
    options = parser.parse_args()
    torch.set_num_threads(1)
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
