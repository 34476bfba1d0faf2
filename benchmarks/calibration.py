"""Do nominal 90% credible intervals hold the truth 90% of the time? On noisy spectra that are known.

    python benchmarks/calibration.py --games DIR --methods auto gp

DIR holds spectra in the format of ``games.py``, whose values carry noise of 0.3 of the spectrum's norm. The strongest
sets are the strongest *reported* ones: nobody can look at the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import games
import interplay as ip
from interplay._spectrum.indices import compute_index

WITHIN = 1.6448536  # standard deviations on either side of 90% of a Gaussian
WHAT = (("fourier", 5, (20, 100)), ("fbii", 2, (20, 100)), ("sv", 1, (10, None)), ("bv", 1, (10, None)))


def covered(found: ip.Explanation, truth: ip.Spectrum, index: str, order: int, most: int | None) -> tuple[int, int]:
    """How many of the strongest intervals hold the truth, and how many there are."""
    reported = found.interactions(index, order=order)
    true = truth.coefficients if index == "fourier" else compute_index(truth, index, order)[0]
    deviations = found.fit.uncertainty.of(index, order)
    keys = [key for key in reported if key and key in deviations][:most]
    return sum(abs(reported[key] - true.get(key, 0.0)) <= WITHIN * deviations[key] for key in keys), len(keys)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=Path, required=True)
    parser.add_argument("--multiples", nargs="*", type=float, default=[0.5, 1, 2])
    parser.add_argument("--methods", nargs="*", default=["auto"])
    options = parser.parse_args()
    for method in options.methods:
        shares: dict[tuple[str, int | None], list[float]] = {}
        cases = without = 0
        for path in sorted(options.games.glob("*.npz")):
            game = games.read(path)
            if game.spectrum is None:
                continue
            for multiple in options.multiples:
                count = int(multiple * game.n * np.log2(game.n))
                found = ip.fit(game.masks[:count], game.values[:count], method=method)
                cases += 1
                if found.fit.uncertainty is None:
                    without += 1
                    continue
                for index, order, limits in WHAT:
                    for most in limits:
                        held, there = covered(found, game.spectrum, index, order, most)
                        if there:
                            shares.setdefault((index, most), []).append(held / there)
        print(f"{method}: {cases} cases, {without} without intervals")
        for (index, most), found_shares in shares.items():
            mean, low, high = np.mean(found_shares), min(found_shares), max(found_shares)
            print(
                f"  {index:8} strongest {most or 'all'}: {mean:.1%} (single cases {low:.0%} to {high:.0%})", flush=True
            )


if __name__ == "__main__":
    main()
