"""Pruning: the held-out metric against the share of heads kept, by interactions and by every other ranking.

    python benchmarks/prune.py minilm                                  # 72 heads, sentence similarity
    python benchmarks/prune.py smollm2 --task capitals --layers four   # 36 heads of layers 13 to 16
    python benchmarks/prune.py smollm2 --task copying --layers all --device cuda --out copying.jsonl

Tasks of SmolLM2 are those it can do: copying a list of words, capitals, the sentiment of two words; the metric is the
log-probability of the right answer. Half of the inputs are for the explanation and the choice, the
other half judges; then the halves change places. At each share to keep the heads are explained by ablations that keep
that share, and random choices cost as much as ours: explanation and checks together. Every line of ``--out`` is one
share of one half, written when it is known.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import interplay as ip
from reviews import smollm2

FOUR = (13, 14, 15, 16)
PAIRS = (
    ("A dog runs across the wet grass.", "A puppy is running over a lawn after the rain."),
    ("The bank raised its interest rates.", "Borrowing money has become more expensive."),
    ("She plays the violin every evening.", "Each night the musician practises her instrument."),
    ("The old bridge was closed for repairs.", "Engineers shut the crossing to fix it."),
    ("Heavy snow delayed our train.", "We arrived late because of the winter storm."),
    ("The chef tasted the soup twice.", "Before serving, the cook tried the broth again."),
    ("Prices of bread have doubled.", "A loaf now costs twice as much."),
    ("The child fell asleep in the car.", "On the drive home the little boy dozed off."),
    ("He forgot his umbrella at work.", "The umbrella was left behind in his office."),
    ("Scientists found water on the moon.", "Researchers discovered lunar ice."),
    ("Our team lost the final match.", "We were beaten in the last game."),
    ("The library opens at nine.", "Readers can enter from nine o'clock on."),
    ("The kettle boils on the stove.", "Water is heating up in the kitchen."),
    ("Two boys threw stones into the lake.", "Children were tossing pebbles in the water."),
    ("The mayor promised new schools.", "More classrooms were pledged by the head of the city."),
    ("My phone has no battery left.", "My mobile needs to be charged."),
    ("The plane landed an hour early.", "Our flight arrived sooner than planned."),
    ("A fire destroyed the old barn.", "The farm building burned to the ground."),
    ("The judge set the man free.", "The court released the prisoner."),
    ("Snails ate all of my lettuce.", "The salad in my garden was eaten by slugs."),
    ("The shop sells second-hand books.", "Used novels can be bought there."),
    ("She painted the fence white.", "The garden fence got a coat of white paint."),
    ("The patient took two pills a day.", "Twice daily he swallowed his medicine."),
    ("The road was blocked by a fallen tree.", "A trunk lay across the street, so nobody could pass."),
)
CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Germany": "Berlin", "Spain": "Madrid", "Japan": "Tokyo", "Egypt": "Cairo",
    "Greece": "Athens", "Russia": "Moscow", "Cuba": "Havana", "Peru": "Lima", "Norway": "Oslo", "Ireland": "Dublin",
    "Austria": "Vienna", "Portugal": "Lisbon", "Poland": "Warsaw", "Hungary": "Budapest", "Iran": "Tehran",
    "Iraq": "Baghdad", "Sweden": "Stockholm", "Denmark": "Copenhagen", "China": "Beijing", "England": "London",
    "Thailand": "Bangkok", "Kenya": "Nairobi", "Turkey": "Ankara", "Finland": "Helsinki", "Belgium": "Brussels",
    "Bulgaria": "Sofia", "Romania": "Bucharest", "Serbia": "Belgrade", "Croatia": "Zagreb", "Ukraine": "Kiev",
    "Scotland": "Edinburgh", "Wales": "Cardiff", "Canada": "Ottawa", "Argentina": "Buenos Aires", "Chile": "Santiago",
    "Vietnam": "Hanoi", "Indonesia": "Jakarta", "Lebanon": "Beirut", "Syria": "Damascus", "Israel": "Jerusalem",
    "Afghanistan": "Kabul", "Nepal": "Kathmandu", "Venezuela": "Caracas", "Colombia": "Bogota", "Morocco": "Rabat",
    "South Korea": "Seoul",
}  # fmt: skip
NOUNS = (
    "tree", "house", "river", "dog", "cat", "table", "book", "car", "stone", "bird", "door", "fish", "cloud", "horse",
    "paper", "garden", "window", "road", "ship", "king", "bread", "glass", "song", "fire",
)  # fmt: skip
GOOD = ("wonderful", "brilliant", "delightful", "charming", "superb", "excellent")
BAD = ("awful", "boring", "terrible", "dreadful", "horrible", "dull")


def capitals() -> list[tuple[str, str]]:
    """Inputs and right answers."""
    return [(f"The capital of {country} is the city of", f" {capital}") for country, capital in CAPITALS.items()]


def copying() -> list[tuple[str, str]]:
    """A list of five words twice and the first four once more."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(24):
        words = rng.permutation(NOUNS)[:5].tolist()
        found.append((" ".join([*words, *words, *words[:4]]), f" {words[4]}"))
    return found


def sentiment() -> list[tuple[str, str]]:
    """Two words of praise or of complaint, and whether the film was good or bad."""
    found = []
    for number in range(12):
        for words, right in ((GOOD, " good"), (BAD, " bad")):
            first, second = words[number % 6], words[(number + 1 + number // 6) % 6]
            found.append((f"The film was {first} and {second}. In short, the film was very", right))
    return found


TASKS: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "capitals": capitals,
    "copying": copying,
    "sentiment": sentiment,
}


def attribution(game: ip.Game) -> np.ndarray:
    """Attribution patching: the slope of every part's gate with everything kept."""
    assert game.slopes is not None
    _, slopes = game.slopes(np.ones((1, game.n), dtype=bool))
    return np.asarray(slopes).reshape(-1, game.n)[0]


def magnitude(network: object, game: ip.Game) -> np.ndarray:
    """The norm of the weights that read each head."""
    modules = dict(network.named_modules())
    scores = np.zeros(game.n)
    for site in game.value.ablator.sites:
        for feature, columns in site.slices:
            scores[feature] = float(modules[site.path].weight[:, columns.start : columns.stop].detach().norm())
    return scores


def half(
    network: object, make: Callable[[int, float], ip.Game], options: argparse.Namespace, number: int, deadline: float
) -> list[dict[str, object]]:
    """One row a share to keep: the held-out metric by way of choosing, the inputs of half ``number`` explained."""
    found: list[dict[str, object]] = []
    for keep in options.keeps:
        if time.perf_counter() > deadline:
            break
        began = time.perf_counter()
        game, held_out = make(number, keep if options.rate is None else options.rate), make(1 - number, keep)
        explanation = ip.explain(game, budget=options.budget, progress=False)
        done = ip.actions.prune(
            game,
            explanation,
            keep=keep,
            held_out=held_out,
            rankings={"magnitude": magnitude(network, game), "attribution patching": attribution(game)},
            checks=options.checks,
            random=explanation.used + options.checks,
        )
        held = {"everything kept": done.untouched, "interactions": done.held_out}
        inside = {"interactions": done.measured}
        for rival in done.rivals:
            name = "best random" if rival.name.startswith("best of") else rival.name
            held[name], inside[name] = rival.held_out, rival.measured
        row: dict[str, object] = {"model": options.what, "task": options.task, "layers": options.layers, "half": number}
        row |= {"heads": game.n, "keep": keep, "kept": len(done.kept), "used": explanation.used}
        row |= {"r2": float(explanation.faithfulness.r2), "method": explanation.method, "held out": held}
        row |= {"inside": inside, "random": explanation.used + options.checks}
        if done.energy is not None:
            row["energy"] = [done.energy.single, done.energy.within, done.energy.across]
        row["seconds"] = round(time.perf_counter() - began, 1)
        print(json.dumps(row), flush=True)
        if options.out is not None:
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
        found.append(row)
    return found


def tables(rows: list[dict]) -> None:
    """The mean over both halves, one table a task and choice of layers."""
    groups: dict[tuple[str, str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["task"], row["layers"]), []).append(row)
    for (model, task, layers), group in groups.items():
        keeps = sorted({row["keep"] for row in group})
        halves = {keep: [row for row in group if row["keep"] == keep] for keep in keeps}
        count, title = group[0]["heads"], f"{model}, {task}, {layers} layers"
        print(f"\n| {title}: {count} heads, kept at most | {' | '.join(f'{keep:.0%}' for keep in keeps)} |")
        print(f"|---|{'---|' * len(keeps)}")
        for name in group[0]["held out"]:
            means = [np.mean([row["held out"][name] for row in halves[keep]]) for keep in keeps]
            print(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
        fits = [np.mean([row["r2"] for row in halves[keep]]) for keep in keeps]
        print(f"| r2 of the explanation | {' | '.join(f'{fit:.2f}' for fit in fits)} |")
        print(f"| halves | {' | '.join(str(len(halves[keep])) for keep in keeps)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["minilm", "smollm2", "tables"])
    parser.add_argument("files", nargs="*", type=Path, help="with tables: files that --out wrote")
    parser.add_argument("--task", choices=sorted(TASKS), default="capitals")
    parser.add_argument("--layers", choices=["four", "all"], default="four")
    parser.add_argument("--budget", type=int, default=600)
    parser.add_argument("--checks", type=int, default=60)
    parser.add_argument("--rate", type=float, help="what the explanation's ablations keep; the share when left out")
    parser.add_argument("--keeps", type=float, nargs="+", default=[0.5, 0.66, 0.83, 0.9])
    parser.add_argument("--halves", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--inputs", type=int, default=24)
    parser.add_argument("--gguf", type=Path, help="SmolLM2's file; that of its wheel when left out")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seconds", type=float, default=np.inf, help="start no further share after so long")
    options = parser.parse_args()
    began = time.perf_counter()
    if options.what == "tables":
        tables([json.loads(line) for file in options.files for line in file.read_text().splitlines()])
        return
    if options.what == "minilm":
        options.task, options.layers = "similarity", "all"
        encoder = ip.models.Encoder.load(ip.demo_model(), device=options.device)
        metric = ip.lenses.metrics.similarity()
        network = encoder.model

        def make(number: int, keep: float) -> ip.Game:
            return ip.lenses.heads(encoder, PAIRS[: options.inputs][number::2], metric, keep=keep)
    else:
        model = smollm2(options.gguf, options.device)
        network, cases = model.model, TASKS[options.task]()
        cases = [cases[i] for i in np.random.default_rng(0).permutation(len(cases))[: options.inputs]]
        layers = list(FOUR) if options.layers == "four" else None

        def make(number: int, keep: float) -> ip.Game:
            texts, right = map(list, zip(*cases[number::2]))
            return ip.lenses.heads(model, texts, ip.lenses.metrics.logprob(right), layers=layers, keep=keep)

        whole = [make(number, 0.5) for number in (0, 1)]
        print([float(game(np.ones((1, game.n), dtype=bool))[0]) for game in whole])
        del whole
    rows = [row for number in options.halves for row in half(network, make, options, number, began + options.seconds)]
    tables(rows)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
