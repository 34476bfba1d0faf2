"""Seconds to fit 1,000 ablations of 100 features: ours and the authors' ProxySPEX, same masks, in turns.

    python benchmarks/fit_time.py --work /tmp/fit --rounds 3

Ours is the whole of ``ip.fit``, faithfulness and first-order baseline included; theirs the fit alone, imports excluded.
For one core each: ``OMP_NUM_THREADS=1 taskset -c 0 python ...``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import compare
import games
import interplay as ip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--peer-python", type=Path, help="a Python that has the peers; made in --work when left out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--masks", type=int, default=1000)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    python = options.peer_python or compare.peers_environment(options.work)
    path = options.work / "fit_time.npz"
    spectrum = games.synthetic(options.features, 5, hierarchical=True)
    supports = np.zeros((len(spectrum), spectrum.n), dtype=bool)
    for row, key in enumerate(spectrum.coefficients):
        supports[row, list(key)] = True
    strengths = list(spectrum.coefficients.values())
    np.savez(path, n=spectrum.n, supports=np.packbits(supports, axis=1), coefficients=strengths)
    game = games.read(path)
    for method in ("lasso", "proxyspex", "gp"):
        ip.fit(game.masks[:60], game.values[:60], method=method)  # imports
    seconds: dict[str, list[float]] = {}
    accuracy: dict[str, float] = {}
    for _ in range(options.rounds):
        found = {
            "authors' ProxySPEX": compare.run_peer(python, "proxyspex", game, options.masks, None, options.work, 3600)
        }
        found |= {method: compare.run_ours(method, game, options.masks) for method in ("proxyspex", "gp", "auto")}
        for name, result in found.items():
            seconds.setdefault(name, []).append(float(result["seconds"]))
            accuracy[name] = float(result["r2"])
    theirs = np.median(seconds["authors' ProxySPEX"])
    print("| method | seconds (median) | times as fast | R² on unseen masks |\n|---|---|---|---|")
    for name, spent in seconds.items():
        print(f"| {name} | {np.median(spent):.1f} | {theirs / np.median(spent):.1f} | {accuracy[name]:.3f} |")


if __name__ == "__main__":
    main()
