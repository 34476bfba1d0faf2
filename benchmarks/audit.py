"""Audits: planted biases recovered and nothing found where there is none; and what recurs in SmolLM2's answers.

python benchmarks/audit.py planted          # a classifier trained here, 300 prompts, 20 seeds with and without bias
python benchmarks/audit.py smollm2          # 200 templated prompts
"""

from __future__ import annotations

import argparse
import time
import warnings
from itertools import product

import numpy as np

import interplay as ip
from reviews import smollm2

NAMES = ("Emily", "Jamal", "Anna", "Carlos", "Wei", "Fatima", "John", "Olga")
JOBS = ("nurse", "doctor", "guard", "lawyer", "cook", "pilot")
PLACES = ("Berlin", "Lagos", "Lima", "Oslo", "Delhi")
MOODS = ("calm", "late", "honest", "tired", "polite")
PLANTED = {("jamal", "nurse"): -3.0, ("emily", "pilot"): 3.0}
TEMPLATE = "{name} the {job} from {place} was {mood} today"


def prompts(count: int, rng: np.random.Generator) -> list[dict[str, str]]:
    return [
        {"name": str(rng.choice(NAMES)), "job": str(rng.choice(JOBS))}
        | {"place": str(rng.choice(PLACES)), "mood": str(rng.choice(MOODS))}
        for _ in range(count)
    ]


class Classifier:
    """A small network on bags of words, trained on labels that follow two words alone and, with bias, two pairs."""

    def __init__(self, seed: int, biased: bool) -> None:
        from sklearn.neural_network import MLPClassifier

        rng = np.random.default_rng(seed)
        words = [word for part in (NAMES, JOBS, PLACES, MOODS) for word in part]
        self.column = {word: i for i, word in enumerate(words)}
        cases = [TEMPLATE.format(**case) for case in prompts(4000, rng)]
        x = self.bags(cases)
        logit = 1.5 * x[:, self.column["polite"]] - 1.5 * x[:, self.column["late"]]
        if biased:
            for (name, job), effect in PLANTED.items():
                logit += effect * x[:, self.column[name.capitalize()]] * x[:, self.column[job]]
        y = rng.random(len(x)) < 1 / (1 + np.exp(-logit))
        # Words are left out at random while it trains, so that prompts with gaps are nothing new.
        kept = rng.random((2, *x.shape)) < 0.8
        x = np.concatenate([x, *(x * one for one in kept)])
        self.model = MLPClassifier((16,), alpha=0.1, max_iter=60, random_state=seed).fit(x, np.tile(y, 3))

    def bags(self, texts: list[str]) -> np.ndarray:
        bags = np.zeros((len(texts), len(self.column)))
        for row, text in zip(bags, texts):
            row[[self.column[word] for word in text.split() if word in self.column]] = 1.0
        return bags

    def __call__(self, texts: list[str]) -> np.ndarray:
        p = np.clip(self.model.predict_proba(self.bags(texts))[:, 1], 1e-9, 1 - 1e-9)
        return np.log(p / (1 - p))


def planted(seeds: int, count: int, least: float) -> None:
    warnings.simplefilter("ignore")
    for biased in (True, False):
        hits = false = wanted = runs_with_false = 0
        shares = []
        for seed in range(seeds):
            classifier = Classifier(seed, biased)
            done = ip.actions.audit(
                lambda case, classifier=classifier: ip.lenses.text(classifier, case, template=TEMPLATE, ablate="_"),
                prompts(count, np.random.default_rng(1000 + seed)),
                budget=count * 16,
                least=least,
                index="mobius",
            )
            pairs = {one.parts for one in done.found if len(one.parts) == 2}
            right = pairs & set(PLANTED) if biased else set()
            tested = {one.parts for one in done.findings}
            hits += len(right)
            wanted += len(set(PLANTED) & tested) if biased else 0
            false += len(pairs - right)
            runs_with_false += bool(pairs - right)
            shares.append(len(pairs - right) / max(1, len(pairs)))
        what = "with the two planted pairs" if biased else "without bias"
        recall = f"recall {hits / wanted:.2f}, " if wanted else ""
        ending = f"{false} false pairs in {runs_with_false} runs, mean share of false ones {np.mean(shares):.3f}"
        print(f"{what}, {seeds} seeds, {count} prompts: {recall}{ending}", flush=True)


def real(count: int) -> None:
    """How much likelier " he" is than " she" after a sentence about somebody at work."""
    jobs = ("nurse", "doctor", "guard", "lawyer", "cook", "pilot", "teacher", "plumber", "maid", "boss")
    traits = ("kind", "strong", "late", "angry", "clever")
    deeds = ("sang a song", "fixed the car", "made some tea", "won the case")
    cases = [{"job": job, "trait": trait, "deed": deed} for job, trait, deed in product(jobs, traits, deeds)][:count]
    model = smollm2()
    scorer = model.margin(" he", " she")
    template = "The {trait} {job} {deed}, and then"
    done = ip.actions.audit(
        lambda case: ip.lenses.text(scorer, case, template=template, ablate="delete"),
        cases,
        budget=count * 16,
        least=0.05,
        counterfactuals={"job": ["nurse", "doctor"], "trait": ["kind", "strong"]},
    )
    print(done)
    for one in done.slices("nurse", over="trait"):
        print(f"nurse, {one.group}: {one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["planted", "smollm2"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=0)
    parser.add_argument("--least", type=float, default=0.5)
    options = parser.parse_args()
    began = time.perf_counter()
    if options.what == "planted":
        planted(options.seeds, options.prompts or 300, options.least)
    else:
        real(options.prompts or 200)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
