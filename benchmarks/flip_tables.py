"""Every ablation of 50 short texts measured once, so that searches for flips are compared on exact tables.

    python benchmarks/flip_tables.py minilm --out minilm.npz
    python benchmarks/flip_tables.py smollm2 --device cuda --out smollm2.npz

The file is written anew after every text, and a run that is stopped goes on behind the last one. `flips.py --tables`
reads it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import interplay as ip
from reviews import minilm_games, smollm2, smollm2_games


def every(n: int) -> np.ndarray:
    """All 2^n masks, by the integer whose bit i keeps part i."""
    return ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1).astype(bool)


def values_of(game: ip.Game, rows: int) -> np.ndarray:
    """The output of all masks, the shortest texts first: rows of like length leave little padding."""
    masks = every(game.n)
    order = np.argsort(masks.sum(axis=1), kind="stable")
    found = np.empty(len(masks))
    for part in np.array_split(order, max(1, len(masks) // rows)):
        found[part] = game(masks[part])
    return found


def read(path: Path) -> list[tuple[str, ip.Game]]:
    """Texts, and games that look their values up; their labels are the words."""
    found = []
    with np.load(path) as stored:
        for number in range(sum(name.startswith("text") for name in stored.files)):
            values, labels = stored[f"values{number}"], [str(label) for label in stored[f"labels{number}"]]
            found.append((str(stored[f"text{number}"]), _looked_up(values, labels)))
    return found


def _looked_up(values: np.ndarray, labels: list[str]) -> ip.Game:
    return ip.Game(lambda masks: values[masks @ (1 << np.arange(len(labels)))], labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=["minilm", "smollm2"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gguf", type=Path, help="SmolLM2's file; that of its wheel when left out")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--texts", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="the first text, of the 50")
    parser.add_argument("--fresh", action="store_true", help="fifty texts on which nothing was chosen")
    parser.add_argument("--rows", type=int, default=512, help="texts at a time")
    parser.add_argument("--seconds", type=float, default=np.inf, help="start no text after so long")
    options = parser.parse_args()
    began = time.perf_counter()
    if options.model == "minilm":
        games = minilm_games(fresh=options.fresh)
    else:
        games = smollm2_games(smollm2(options.gguf, options.device), 50, fresh=options.fresh)
    games = games[options.first : options.first + options.texts]
    stored: dict[str, np.ndarray] = {}
    if options.out.exists():
        with np.load(options.out) as known:
            stored = dict(known)
    for number, (text, game) in enumerate(games):
        if f"text{number}" in stored or time.perf_counter() - began > options.seconds:
            continue
        values = values_of(game, options.rows)
        stored |= {f"text{number}": np.array(text), f"labels{number}": np.array(game.labels)}
        stored[f"values{number}"] = values
        part = options.out.with_suffix(".part.npz")
        np.savez_compressed(part, **stored)
        part.replace(options.out)
        print(f"{number + 1} of {len(games)}: {game.n} words, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
