"""Pruning: the held-out metric against the share of heads kept, by interactions and by every other ranking.

    python benchmarks/prune.py minilm          # 72 heads, sentence similarity
    python benchmarks/prune.py smollm2         # 36 heads of layers 13 to 16, capitals

Random choices cost as much as ours: explanation and checks together.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import interplay as ip
from reviews import smollm2

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
)
CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Germany": "Berlin", "Spain": "Madrid", "Japan": "Tokyo", "Egypt": "Cairo",
    "Greece": "Athens", "Russia": "Moscow", "Cuba": "Havana", "Peru": "Lima", "Norway": "Oslo", "Ireland": "Dublin",
}  # fmt: skip


def attribution(game: ip.Game) -> np.ndarray:
    """Attribution patching: the slope of every part's gate with everything kept."""
    assert game.slopes is not None
    _, slopes = game.slopes(np.ones((1, game.n), dtype=bool))
    return np.asarray(slopes).reshape(-1, game.n)[0]


def magnitude(network: object, game: ip.Game) -> np.ndarray:
    """The norm of the weights that read each head."""
    modules = dict(network.named_modules())
    scores = np.zeros(game.n)
    for site in game.value.suppression.sites:
        for feature, columns in site.slices:
            scores[feature] = float(modules[site.path].weight[:, columns.start : columns.stop].detach().norm())
    return scores


def curves(network: object, game: ip.Game, held_out: ip.Game, budget: int, keeps: list[float]) -> None:
    explanation = ip.explain(game, budget=budget, progress=False)
    print(f"{game.n} heads, {explanation.used} ablations, {explanation.faithfulness}")
    rankings = {"magnitude": magnitude(network, game), "attribution patching": attribution(game)}
    rows: dict[str, list[float]] = {}
    for keep in keeps:
        done = ip.actions.prune(
            game,
            explanation,
            keep=keep,
            held_out=held_out,
            rankings=rankings,
            checks=60,
            random=explanation.used + 60,
        )
        rows.setdefault("interactions", []).append(done.held_out)
        for rival in done.rivals:
            rows.setdefault("best random" if rival.name.startswith("best of") else rival.name, []).append(
                rival.held_out
            )
        if keep == keeps[0]:
            print(f"everything kept: {done.untouched:.4f}; energy {done.energy}")
    print(f"\n| kept at most | {' | '.join(f'{keep:.0%}' for keep in keeps)} |")
    print(f"|---|{'---|' * len(keeps)}")
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["minilm", "smollm2"])
    parser.add_argument("--budget", type=int, default=0)
    parser.add_argument("--keeps", type=float, nargs="+", default=[0.5, 0.66, 0.83, 0.9])
    options = parser.parse_args()
    began = time.perf_counter()
    if options.what == "minilm":
        encoder = ip.models.Encoder.load(ip.demo_model(), device="cpu")
        metric = ip.lenses.metrics.similarity()
        game, other = (ip.lenses.heads(encoder, pairs, metric) for pairs in (PAIRS[:6], PAIRS[6:]))
        curves(encoder.model, game, other, options.budget or 600, options.keeps)
    else:
        model = smollm2()
        countries = list(CAPITALS)

        def capitals(chosen: list[str]) -> ip.Game:
            wrong = [CAPITALS[countries[(countries.index(country) + 1) % len(countries)]] for country in chosen]
            metric = ip.lenses.metrics.margin([f" {CAPITALS[c]}" for c in chosen], [f" {city}" for city in wrong])
            texts = [f"The capital of {country} is the city of" for country in chosen]
            return ip.lenses.heads(model, texts, metric, layers=[13, 14, 15, 16])

        curves(model.model, capitals(countries[:6]), capitals(countries[6:]), options.budget or 300, options.keeps)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
