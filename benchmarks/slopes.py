"""What slopes buy at equal cost: R² on unseen masks of `auto` with and without them, and of methods of one gradient.

    python benchmarks/slopes.py --work DIR                       # every part; values are kept there and measured once
    python benchmarks/slopes.py --work DIR --part heads --games 4 --jobs 4
    python benchmarks/slopes.py --work DIR --part prompt --recorded RECORDINGS      # of slope_games.py
    python benchmarks/slopes.py --work DIR --table      # all that DIR/slopes.jsonl holds: what slopes gain, and misses

An ablation with slopes counts as two (`game.slope_cost`), so that all contenders of a line spend the same; "at thrice
the cost" is `auto` without slopes at three times the budget. Each is judged on masks that no fit has seen. "one
gradient" is attribution patching, the slopes at the full input as effects, for training examples influence functions;
"five gradients" integrates them along the way from everything ablated to everything kept; "mean slope" averages those
at as many random masks as the budget pays (a first-order AtP*); "second order" adds to one gradient how slopes change
when each part alone is ablated (arXiv 2605.15675), n + 1 ablations with slopes, whatever the budget is; "TRAK" is
dattri's, over the models of as many retrainings as the budget pays, in the scale that fits their outputs best.

Parts: heads (MiniLM, 72 heads, sentence pairs), prompt (SmolLM2, heads, factual margins), digits (60 training examples
of a logistic regression), mlp (60 of a small network), planted (training.py's clouds and corners).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import interplay as ip
from interplay.ablate import measure, measure_slopes
from interplay.estimators import r_squared
from slope_games import GAMES, SECOND, Pair, Recorded, fresh_masks, integrated, minilm, smollm2
from training import dattri_scores, planted

ALLOWED = 0.01  # of R² that slopes may lose
BUDGETS = {
    "digits": (40, 80, 160),
    "mlp": (40, 80, 160),
    "planted": (50, 100, 200),
    "heads": (132, 276, 552),
}
COLUMNS = (
    "auto, no slopes",
    "auto",
    "at thrice the cost",
    "one gradient",
    "five gradients",
    "mean slope",
    "second order",
    "TRAK",
)


def split_digits(seed: int, *classes: int) -> tuple[np.ndarray, ...]:
    from sklearn.datasets import load_digits

    data = load_digits()
    chosen = np.isin(data.target, classes)
    rows = np.random.default_rng(seed).permutation(int(chosen.sum()))
    X, y = data.data[chosen][rows] / 16.0, np.searchsorted(classes, data.target[chosen])[rows]
    return X[:60], y[:60], X[60:72], y[60:72]


def digits(seed: int) -> ip.Game:
    from sklearn.linear_model import LogisticRegression

    fit, score = ip.lenses.sklearn_training(LogisticRegression(C=1.0, max_iter=1000), *split_digits(seed, 3, 8))
    return ip.lenses.training(fit, score, 60, batch_size=32)


def mlp(seed: int) -> ip.Game:
    import torch

    def make() -> Any:
        return torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))

    fit, score = ip.lenses.torch_training(make, *split_digits(seed, 3, 5, 8), steps=100, batch=32, rate=0.05)
    return ip.lenses.training(fit, score, 60, batch_size=32)


@dataclass(frozen=True)
class Line:
    """A game, made anew in the process that needs it, and a budget."""

    part: str
    number: int
    budget: int

    def game(self, options: argparse.Namespace) -> tuple[str, ip.Game, np.ndarray | None]:
        """Its name, the game itself, and slopes integrated from all ablated to all kept (1, n), where it has those."""
        if self.part in ("prompt", "heads"):
            played = GAMES[self.number] if self.part == "prompt" else Pair(self.number)

            def model() -> Any:
                return smollm2(options.model, "cpu") if self.part == "prompt" else minilm()

            path = options.recorded / played.file if options.recorded else None
            if path is None or not path.exists():
                game = played.game(model())
                return played.name, game, integrated(game)
            recorded = Recorded(played, path, None if options.alone else model)
            return played.name, recorded.game(), recorded.integrated
        if self.part == "planted":
            return f"planted pairs, {self.number}", planted(self.number)[0], None
        if self.part == "digits":
            return f"60 digits, logistic regression, {self.number}", digits(self.number), None
        return f"60 digits, small network, {self.number}", mlp(self.number), None


def lines(options: argparse.Namespace) -> list[Line]:
    """What is asked for."""
    found: list[Line] = []
    for part, budgets in BUDGETS.items():
        if options.part in (part, "all"):
            found += [Line(part, k, b) for k in range(options.games) for b in options.budgets or budgets]
    if options.part in ("prompt", "all"):
        for number, played in enumerate(GAMES):
            if played.prompt < options.games and options.only in played.name:
                budgets = (72, 144, 288) if played.layers else (200,) if played.keep == 0.5 else (270, 540, 1080)
                found += [Line("prompt", number, b) for b in options.budgets or budgets]
    return sorted(found, key=lambda line: line.budget)


def first_order(slopes: np.ndarray, values: np.ndarray, masks: np.ndarray) -> Callable[..., np.ndarray]:
    """Effects (T, n) as a predictor: their sum over what is kept, around the mean of the measured values."""
    centre = values.mean(axis=0) - masks.mean(axis=0) @ slopes.T
    return lambda fresh: centre + fresh @ slopes.T


def second_order(game: ip.Game, store: ip.Store) -> Callable[..., np.ndarray] | None:
    """The value, slopes, and pairwise changes of slopes where everything is kept, as a predictor."""
    masks = np.concatenate([np.ones((1, game.n), dtype=bool), ~np.eye(game.n, dtype=bool)])
    slopes = measure_slopes(game, masks, store=store, progress=None).slopes
    value = measure(game, masks[:1], store=store, progress=None).values.reshape(1, -1)
    value = value.reshape(1, -1, game.repeats).mean(axis=2)
    if not np.isfinite(slopes).all():
        return None
    pairs = slopes[0][None] - slopes[1:]  # (i, T, j): how much the slope of j loses when i is gone
    pairs = (pairs + pairs.transpose(2, 1, 0)) / 2
    pairs[np.arange(game.n), :, np.arange(game.n)] = 0.0

    def predict(fresh: np.ndarray) -> np.ndarray:
        gone = 1.0 - fresh
        return value - gone @ slopes[0].T + np.einsum("ni,itj,nj->nt", gone, pairs, gone, optimize=True) / 2

    return predict


def trak(
    options: argparse.Namespace, data: tuple[np.ndarray, ...], masks: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """dattri's scores (T, n) of a logistic regression, each test point's in its best scale on measured ``values``."""
    scores = dattri_scores(options, data, masks, C=1.0, ridge=options.ridge)["TRAK"]
    said = masks @ scores.T
    said, true = said - said.mean(axis=0), values - values.mean(axis=0)
    return scores * ((said * true).sum(axis=0) / (said**2).sum(axis=0))[:, None]


def baselines(
    game: ip.Game, budget: int, store: ip.Store, keep: float, between: np.ndarray | None
) -> dict[str, Callable[..., np.ndarray]]:
    """Predictors from slopes alone; the mean that first-order ones are put around is of what the budget pays."""
    masks = ip.design(game.n, int(budget / game.slope_cost), keep=keep)
    found = measure_slopes(game, masks, store=store, progress=None)
    values = measure(game, masks, store=store, progress=None).values
    values = values.reshape(len(masks), -1, game.repeats).mean(axis=2)
    full = measure_slopes(game, np.ones((1, game.n), dtype=bool), store=store, progress=None).slopes[0]
    made = {"one gradient": full, "mean slope": np.nanmean(found.slopes, axis=0)}
    if between is not None:
        made["five gradients"] = between
    predictors = {name: first_order(effects, values, masks) for name, effects in made.items()}
    if game.n < SECOND and (pairs := second_order(game, store)) is not None:
        predictors["second order"] = pairs
    return predictors


def judged(options: argparse.Namespace, line: Line) -> dict[str, Any]:
    """Every contender's R² on unseen masks, the median of the outputs."""
    part, game, between = line.game(options)
    named = game if game.fingerprint is not None else game.named(part)
    keep, budget = named.keep, line.budget
    fresh = fresh_masks(named.n, keep, options.unseen)
    scores: dict[str, Any] = {"part": part, "budget": budget}
    with ip.Store(options.work / f"{part}.db") as store:
        more: dict[str, Callable[..., np.ndarray]] = {}
        if options.peer_python is not None and line.part == "digits":
            masks = ip.design(named.n, budget, keep=keep)
            seen = measure(named, masks, store=store, progress=None).values
            data = split_digits(line.number, 3, 8)
            more["TRAK"] = first_order(trak(options, data, masks, seen), seen, masks)
        truth = measure(named, fresh, store=store, progress=None).values
        truth = truth.reshape(len(fresh), -1, named.repeats).mean(axis=2)
        contenders: list[tuple[str, Any, int]] = [("auto, no slopes", False, budget), ("auto", "auto", budget)]
        contenders += [("at thrice the cost", False, 3 * budget)] * (not options.quick)
        contenders = contenders[: len(contenders) * (not options.peers)]
        for name, slopes, spent in contenders:
            began = time.perf_counter()
            result = ip.explain(
                named, budget=spent, slopes=slopes, store=store, seed=options.seed, keep=keep, progress=False
            )
            found = [r_squared(truth[:, t], fit.spectrum.predict(fresh)) for t, fit in enumerate(result.fits)]
            scores[name] = float(np.median(found))
            scores[f"{name}, says"] = float(np.median([fit.faithfulness.r2 for fit in result.fits]))
            scores[f"{name}, seconds"] = round(time.perf_counter() - began, 1)
            scores[f"{name}, used"] = result.used
            if slopes == "auto":
                told = (*result.game_notes, *result.fits[0].notes)
                scores["notes"] = [note for note in told if "slopes" in note]
        for name, predict in (more | baselines(named, budget, store, keep, between)).items():
            said = predict(fresh.astype(float)).reshape(len(fresh), -1)
            scores[name] = float(np.median([r_squared(truth[:, t], said[:, t]) for t in range(truth.shape[1])]))
    return scores


def results(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What each line gives, as it comes."""
    asked = lines(options)
    if options.jobs == 1:
        yield from (judged(options, line) for line in asked)
        return
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(judged, options, line) for line in asked]):
            yield done.result()


def table(path: Path) -> None:
    """What slopes gain at equal cost in every game that was measured, the latest of each, and where they lose."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    found = {(row["part"], row["budget"]): row for row in rows if "auto" in row}
    print("| game | cost | without slopes | `auto` | gain |\n|---|---|---|---|---|")
    losses = []
    for (part, budget), row in sorted(found.items()):
        without, auto = row["auto, no slopes"], row["auto"]
        print(f"| {part} | {budget} | {without:.3f} | {auto:.3f} | {auto - without:+.3f} |")
        if auto < without - ALLOWED:
            losses.append(f"{part} at {budget}: {auto - without:+.3f}; {row['notes'][0]}")
    print(f"\n{len(losses)} of {len(found)} lose more than {ALLOWED}", *losses, sep="\n- ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--part", choices=[*BUDGETS, "prompt", "all"], default="all")
    parser.add_argument("--games", type=int, default=4, help="pairs, prompts, or draws of the data")
    parser.add_argument("--only", default="", help="prompts' games whose names hold this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unseen", type=int, default=500, help="masks that judge")
    parser.add_argument("--budgets", type=int, nargs="+")
    parser.add_argument("--model", type=Path, help="a GGUF file of SmolLM2-135M-Instruct")
    parser.add_argument("--recorded", type=Path, help="where slope_games.py put its recordings")
    parser.add_argument("--peer-python", type=Path, help="a Python that has dattri, for TRAK on digits")
    parser.add_argument("--ridge", type=float, default=0.01, help="of TRAK's kernel")
    parser.add_argument("--peers", action="store_true", help="without `auto`")
    parser.add_argument("--alone", action="store_true", help="recordings without the model: no check of slopes")
    parser.add_argument("--table", action="store_true", help="what slopes gain in all that was measured so far")
    parser.add_argument("--quick", action="store_true", help="without thrice the cost")
    parser.add_argument("--jobs", type=int, default=1, help="games at once, each in a process")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.table:
        table(options.work / "slopes.jsonl")
        return
    print(f"| game | cost | {' | '.join(COLUMNS)} |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for found in results(options):
        with (options.work / "slopes.jsonl").open("a") as file:
            file.write(json.dumps(found) + "\n")
        shown = " | ".join(f"{found[name]:.3f}" if name in found else "" for name in COLUMNS)
        print(f"| {found['part']} | {found['budget']} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
