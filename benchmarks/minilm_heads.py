"""What pairs of heads across layers do for sentence similarity in MiniLM: R² on unseen ablations, and the report.

    python benchmarks/minilm_heads.py --work DIR                 # keeps its ablations there: a run that stops goes on
    python benchmarks/minilm_heads.py --work DIR --recorded FILE # ablations measured before, of which many are at hand

FILE is an .npz of ``n``, ``masks`` (N, n, by np.packbits) and ``values`` (N,), uniform ablations of all heads: each
of the --draws takes --budget others of them to fit, and all are judged on the last 2,000.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import interplay as ip
from interplay import demo_model
from interplay._demo import PAIRS
from interplay.ablate import measure
from interplay.estimators._validation import r_squared
from interplay.report import show


def recorded(options: argparse.Namespace) -> None:
    with np.load(options.recorded) as game:
        masks = np.unpackbits(game["masks"], axis=1)[:, : int(game["n"])].astype(np.bool_)
        values = game["values"].astype(np.float64)
    if len(values) < options.draws * options.budget + 2000:
        raise SystemExit(f"{options.recorded} holds {len(values)} ablations: too few for {options.draws} draws.")
    for draw in range(options.draws):
        rows = slice(draw * options.budget, (draw + 1) * options.budget)
        for method in options.methods:
            result = ip.fit(masks[rows], values[rows], method=method)
            fresh = r_squared(values[-2000:], result.spectrum.predict(masks[-2000:]))
            print(f"draw {draw}, {method}: R² {fresh:.4f} on 2000 unseen; {result.fits[0].notes[:1]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--unseen", type=int, default=500)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--methods", nargs="+", default=["lasso", "proxyspex", "gp", "auto"])
    parser.add_argument("--recorded", type=Path)
    parser.add_argument("--draws", type=int, default=3)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.recorded is not None:
        recorded(options)
        return
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
