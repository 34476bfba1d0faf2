"""Flips: exact on exhaustive games, and cheaper or smaller than greedy, leave-one-out and beam search on real texts.

    python benchmarks/flips.py exhaustive                    # sets returned against all minimal sets, n = 11 to 13
    python benchmarks/flips.py minilm                        # 50 short texts
    python benchmarks/flips.py smollm2                       # the same 50
    python benchmarks/flips.py smollm2 --tables smollm2.npz  # on what flip_tables.py measured

Costs count every model call: the explanation's ablations and the checks. The beam searches may use as many as ours,
or 45; all methods but "all checks" stop at their first set.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

import interplay as ip
from flip_tables import every, read
from reviews import REVIEWS, minilm_games, smollm2, smollm2_games

MOST = 4


class Counted:
    """A game that counts what it measures; an ablation seen before is free."""

    def __init__(self, game: ip.Game) -> None:
        self.game, self.known = game, {}

    def __call__(self, sets: list[tuple[int, ...]]) -> np.ndarray:
        fresh = [key for key in dict.fromkeys(sets) if key not in self.known]
        if fresh:
            masks = np.ones((len(fresh), self.game.n), dtype=bool)
            for row, key in zip(masks, fresh):
                row[list(key)] = False
            self.known.update(zip(fresh, self.game(masks).tolist()))
        return np.array([self.known[key] for key in sets])


def along(ranked: list[int], counted: Counted, sign: float) -> tuple[int, ...] | None:
    """Take away one part after the other until the sign turns."""
    for size in range(1, MOST + 1):
        key = tuple(sorted(ranked[:size]))
        if sign * counted([key])[0] < 0:
            return key
    return None


def beam(counted: Counted, calls: int, sign: float) -> tuple[int, ...] | None:
    """Grow the best sets part by part, as wide as the calls allow; the first level is leave-one-out."""
    n = counted.game.n
    width = max(1, (calls - n) // ((MOST - 1) * (n - 2)))
    stems: list[tuple[int, ...]] = [()]
    for size in range(1, MOST + 1):
        grown = sorted({tuple(sorted({*stem, part})) for stem in stems for part in range(n)} - set(stems))
        grown = [key for key in grown if len(key) == size]
        values = sign * counted(grown)
        if values.min() < 0:
            return grown[int(values.argmin())]
        stems = [grown[i] for i in np.argsort(values, kind="stable")[:width]]
    return None


def truth(game: ip.Game, sign: float) -> tuple[int, ...] | None:
    """A smallest set, by measuring all."""
    for size in range(1, MOST + 1):
        keys = list(combinations(range(game.n), size))
        crossed = np.flatnonzero(sign * Counted(game)(keys) < 0)
        if len(crossed):
            return keys[crossed[0]]
    return None


def texts(games: list[tuple[str, ip.Game]], per_word: float, checks: int, keep: float, *, exact: bool) -> None:
    rows: dict[str, list[tuple[int | None, int]]] = {}
    for number, (_, game) in enumerate(games):
        full = float(game(np.ones((1, game.n), dtype=bool))[0])
        sign = 1.0 if full > 0 else -1.0
        side = {"below" if sign > 0 else "above": 0.0}
        near = ip.Game(game.value, game.labels, keep=keep)
        explanation = ip.explain(near, budget=max(8, round(per_word * game.n)), progress=False)
        flips = ip.actions.flip(near, explanation, most=MOST, checks=checks, enough=1, **side)
        rows.setdefault("flip, one set", []).append((_size(flips.found), explanation.used + flips.measured))
        whole = ip.actions.flip(near, explanation, most=MOST, checks=checks, **side)
        rows.setdefault("flip, all checks", []).append((_size(whole.found), explanation.used + whole.measured))
        effects = explanation.interactions("bv")
        ranked = sorted(range(game.n), key=lambda part: -sign * effects.get((part,), 0.0))
        counted = Counted(game)
        found = along(ranked, counted, sign)
        rows.setdefault("single effects", []).append((found and len(found), explanation.used + len(counted.known)))
        counted = Counted(game)
        alone = sign * counted([(part,) for part in range(game.n)])
        found = along(list(np.argsort(alone)), counted, sign)
        rows.setdefault("leave-one-out", []).append((found and len(found), len(counted.known)))
        for calls in (explanation.used + checks, 45):
            counted = Counted(game)
            found = beam(counted, calls, sign)
            rows.setdefault("beam, up to 45 calls" if calls == 45 else "beam, up to as many calls as ours", []).append(
                (found and len(found), len(counted.known))
            )
        if exact:
            key = truth(game, sign)
            rows.setdefault("every set measured", []).append((key and len(key), 0))
        if number % 10 == 9 or number + 1 == len(games):
            table(rows)


def table(rows: dict[str, list[tuple[int | None, int]]]) -> None:
    """What all texts so far say."""
    print("\n| method | flipped | mean size | calls | smaller / larger than ours (one set) |\n|---|---|---|---|---|")
    ours_sizes = [size for size, _ in rows["flip, one set"]]
    for name, found in rows.items():
        sizes = [size for size, _ in found if size]
        beyond = MOST + 1
        pairs = [(mine or beyond, theirs or beyond) for mine, (theirs, _) in zip(ours_sizes, found)]
        smaller, larger = sum(b < a for a, b in pairs), sum(b > a for a, b in pairs)
        calls, size = np.mean([calls for _, calls in found]), np.mean(sizes) if sizes else np.nan
        row = f"| {name} | {len(sizes)}/{len(found)} | {size:.2f} | {calls:.0f} | {smaller} / {larger} |"
        print(row, flush=True)


def _size(found: tuple[ip.actions.Flip, ...]) -> int | None:
    return len(found[0].features) if found else None


def exhaustive_games(seed: int | None, *, with_texts: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Values of all 2^n masks, by the integer whose bit i keeps part i; with a seed, fresh games."""
    from sklearn.datasets import load_breast_cancer, load_wine
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    warnings.simplefilter("ignore")
    for name, load in (("wine", load_wine), ("cancer", load_breast_cancer)):
        x, y = load(return_X_y=True)
        rng = np.random.default_rng(seed)
        x = x[:, :12] if seed is None else x[:, rng.permutation(x.shape[1])[:12]]
        rows = (3, 60, 100) if seed is None else rng.permutation(len(x))[:3].tolist()
        forest = RandomForestClassifier(50, random_state=seed or 0).fit(x, y)
        network = make_pipeline(StandardScaler(), MLPClassifier((20,), max_iter=500, random_state=seed or 0)).fit(x, y)
        for kind, model in (("forest", forest), ("MLP", network)):
            for row in rows:
                masks = every(12)
                column = int(model.predict(x[row : row + 1])[0])
                yield f"{name}, {kind}", model.predict_proba(np.where(masks, x[row], x.mean(axis=0)))[:, column]
    if not with_texts:
        return
    encoder = ip.models.Encoder.load(ip.demo_model(), device="cpu")
    chosen = (1, 9, 4) if seed is None else np.random.default_rng(seed).permutation(len(REVIEWS))[:3].tolist()
    for text in (REVIEWS[number] for number in chosen):
        game = ip.lenses.text(encoder.similarity("a complaint"), text, ablate="delete")
        yield "text", np.concatenate([game(part) for part in np.array_split(every(game.n), 64)])


def exhaustive(per_part: int, checks: int, most: int, seeds: list[int | None], *, with_texts: bool) -> None:
    cases = []
    for name, values in (one for seed in seeds for one in exhaustive_games(seed, with_texts=with_texts)):
        n = len(values).bit_length() - 1
        game = ip.Game(lambda masks, values=values, n=n: values[masks @ (1 << np.arange(n))], n)
        explanation = ip.explain(game, budget=min(per_part * n, 1 << n), progress=False)
        by_size = {
            size: {key: values[-1 - sum(1 << i for i in key)] for key in combinations(range(n), size)}
            for size in range(most + 1)
        }
        for sign in (-1, 1):
            for size in (1, 2, 3):
                reached = max(sign * value for k in range(size) for value in by_size[k].values())
                best = max(sign * value for value in by_size[size].values())
                if best <= reached + 1e-6:
                    continue
                line = sign * (reached + 0.3 * (best - reached))
                right: set[tuple[int, ...]] = set()
                for k in range(1, most + 1):
                    right |= {
                        key
                        for key, value in by_size[k].items()
                        if sign * (value - line) > 0 and not any(set(one) < set(key) for one in right)
                    }
                side = {"below" if sign < 0 else "above": line}
                flips = ip.actions.flip(game, explanation, most=most, checks=checks, **side)
                found = {one.features for one in flips.found}
                smallest = {key for key in right if len(key) == size}
                cases.append((name, found, right, smallest, flips.measured, flips.remaining))
    pure = np.mean([found <= right for _, found, right, _, _, _ in cases])
    some = np.mean([bool(found & smallest) for _, found, _, smallest, _, _ in cases])
    whole = np.mean([found == right for _, found, right, _, _, _ in cases])
    precision = sum(len(f & r) for _, f, r, _, _, _ in cases) / sum(len(f) for _, f, _, _, _, _ in cases)
    recall = sum(len(f & r) for _, f, r, _, _, _ in cases) / sum(len(r) for _, _, r, _, _, _ in cases)
    print(f"{len(cases)} cases, explained by {per_part} n ablations, up to {checks} checks, sets of up to {most} parts")
    print(f"every returned set is minimal in {pure:.1%} of cases; {precision:.1%} of all returned sets are")
    print(f"a smallest set is returned in {some:.1%}; exactly all minimal sets in {whole:.1%}; {recall:.1%} of all")
    sure = [(remaining, found >= right) for _, found, right, _, _, remaining in cases]
    for low, high in ((0.0, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.01)):
        inside = [all_found for remaining, all_found in sure if low <= remaining < high]
        if inside:
            print(f"no other said with {low:.2f} to {min(high, 1):.2f}: true in {np.mean(inside):.2f} of {len(inside)}")
    print(f"mean checks {np.mean([measured for *_, measured, _ in cases]):.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["exhaustive", "minilm", "smollm2"])
    parser.add_argument("--per-part", type=float, default=0, help="ablations of the explanation, by part")
    parser.add_argument("--checks", type=int, default=0)
    parser.add_argument("--keep", type=float, default=0.8, help="what the ablations of texts keep")
    parser.add_argument("--tables", type=Path, help="every ablation of the texts, from flip_tables.py")
    parser.add_argument("--fresh", action="store_true", help="fifty texts on which nothing was chosen")
    parser.add_argument("--seeds", type=int, nargs="+", help="exhaustive: other games than those of the docs, by seed")
    parser.add_argument("--no-texts", action="store_true", help="exhaustive: without MiniLM's games")
    parser.add_argument("--most", type=int, default=3)
    parser.add_argument("--texts", type=int, default=50)
    options = parser.parse_args()
    began = time.perf_counter()
    if options.what == "exhaustive":
        exhaustive(
            round(options.per_part or 20), options.checks or 150, options.most, options.seeds or [None],
            with_texts=not options.no_texts,
        )  # fmt: skip
    else:
        if options.tables is not None:
            games = read(options.tables)
        else:
            games = (
                minilm_games(fresh=options.fresh)
                if options.what == "minilm"
                else smollm2_games(smollm2(), options.texts, fresh=options.fresh)
            )
        exact = options.tables is not None
        texts(games[: options.texts], options.per_part or 0.7, options.checks or 50, options.keep, exact=exact)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
