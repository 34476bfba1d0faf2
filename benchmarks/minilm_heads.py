"""What pairs of heads across layers do for sentence similarity in MiniLM: R² on unseen ablations, and the report.

python benchmarks/minilm_heads.py --work /tmp/minilm     # keeps its ablations there: a run that stops goes on
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import interplay as ip
from interplay._demo import PAIRS, demo_model
from interplay._faithfulness import r_squared
from interplay.ablate import measure
from interplay.report import show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--unseen", type=int, default=500)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--methods", nargs="+", default=["lasso", "gp"])
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    encoder = ip.models.Encoder.load(demo_model())
    game = ip.lenses.heads(encoder, PAIRS[: options.pairs], ip.lenses.metrics.similarity())
    unseen = np.random.default_rng(12345).random((options.unseen, game.n)) < 0.5
    with ip.Store(options.work / "runs.db") as store:
        truth = measure(game, unseen, store=store).values
        for method in options.methods:
            result = ip.explain(game, budget=options.budget, method=method, store=store)
            fresh = r_squared(truth, result.spectrum.predict(unseen))
            print(
                f"{method}: R² {fresh:.3f} on {len(unseen)} unseen ablations; by itself it says {result.faithfulness}"
            )
    show(result, top=8)


if __name__ == "__main__":
    main()
