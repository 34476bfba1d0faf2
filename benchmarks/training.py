"""Training-data interactions against first-order methods: linear datamodeling scores, planted truth, acting on it.

    python benchmarks/training.py lds --task digits-logistic --keep 0.5 --method gp --work DIR
    python benchmarks/training.py lds --slopes --spend 125 --method auto --work DIR    # a quarter of the retrainings
    python benchmarks/training.py truth --slopes --budget 100 --method auto --work DIR      # 50 masks with slopes
    python benchmarks/training.py truth --method gp,auto,lasso --work DIR --peer-python PEER/bin/python
    python benchmarks/training.py act --method gp --work DIR
    python benchmarks/training.py recorded --features 10000 --budget 20000 --targets 8 --work DIR
    python benchmarks/training.py table --work DIR

Every number is on ablations that no fit saw. Retrainings are kept in DIR/runs.db, results in DIR/results.jsonl, so a
run that was stopped goes on, and all methods see the same retrainings. Nothing was tuned on these tasks.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

import interplay as ip
from interplay.ablate import measure, measure_slopes
from interplay.actions import worst_examples
from interplay.report import influences

RATES = (0.3, 0.5, 0.7, 0.9)


def split(X: np.ndarray, y: np.ndarray, train: int, test: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    rows = np.random.default_rng(seed).permutation(len(y))
    a, b = rows[:train], rows[train : train + test]
    return X[a], y[a], X[b], y[b]


def digits(train: int = 100, test: int = 40) -> tuple[np.ndarray, ...]:
    from sklearn.datasets import load_digits

    data = load_digits()
    chosen = np.isin(data.target, (3, 5, 8))
    y = np.searchsorted((3, 5, 8), data.target[chosen])
    return split(data.data[chosen] / 16.0, y, train, test)


def digits_logistic(keep: float) -> ip.Game:
    from sklearn.linear_model import LogisticRegression

    fit, score = ip.lenses.sklearn_training(LogisticRegression(C=10, max_iter=500), *digits())
    return ip.lenses.training(fit, score, 100, keep=keep, batch_size=32)


def digits_mlp(keep: float) -> ip.Game:
    import torch

    def make() -> Any:
        return torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))

    fit, score = ip.lenses.torch_training(make, *digits(), steps=100, batch=32, rate=0.05)
    return ip.lenses.training(fit, score, 100, keep=keep, batch_size=32, seeds=2)


def cancer_trees(keep: float) -> ip.Game:
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import GradientBoostingClassifier

    X, y = load_breast_cancer(return_X_y=True)
    model = GradientBoostingClassifier(n_estimators=20, max_depth=2, learning_rate=0.3)
    fit, score = ip.lenses.sklearn_training(model, *split(X, y, 100, 40), clip=1e-2)
    return ip.lenses.training(fit, score, 100, keep=keep, batch_size=32)


def minilm_logistic(keep: float) -> ip.Game:
    from sklearn.linear_model import LogisticRegression

    from interplay import demo_model
    from sentences import labelled

    texts, y = labelled()
    embeddings = ip.models.Encoder.load(demo_model(), device="cpu").embed(texts)
    fit, score = ip.lenses.sklearn_training(LogisticRegression(C=10, max_iter=500), *split(embeddings, y, 100, 40))
    return ip.lenses.training(fit, score, 100, keep=keep, batch_size=32)


TASKS: dict[str, Callable[[float], ip.Game]] = {
    "digits-logistic": digits_logistic,
    "digits-mlp": digits_mlp,
    "cancer-trees": cancer_trees,
    "minilm-logistic": minilm_logistic,
}


def lds(options: argparse.Namespace) -> None:
    """Spearman rank correlation of predicted with true outputs of unseen subsets, per target, then averaged."""
    from interplay.estimators import biased_design

    game = TASKS[options.task](options.keep)
    masks = biased_design(game.n, options.budget + options.unseen, 1, options.keep)
    with ip.Store(options.work / "runs.db") as store:
        began = time.perf_counter()
        values = measure(game, masks, store=store).values
        seconds = time.perf_counter() - began
    if game.repeats > 1:
        values = values.reshape(len(values), -1, game.repeats).mean(axis=2)
    spent = options.spend or options.budget
    seen, fresh = slice(0, spent), slice(options.budget, None)
    # The targets are the first that can be ranked (no value makes up half), chosen before anything is fitted.
    common = np.array([np.unique(column.round(9), return_counts=True)[1].max() for column in values.T])
    targets = np.flatnonzero(common < len(values) / 2)[: options.targets]
    slopes = None
    if options.slopes:
        seen = slice(0, int(spent / game.slope_cost))
        with ip.Store(options.work / "runs.db") as store:
            slopes = measure_slopes(game, masks[seen], store=store, progress=None).slopes[:, targets]
    for method in options.method.split(","):
        began = time.perf_counter()
        found = ip.fit(masks[seen], values[seen][:, targets], slopes=slopes, method=method, order=3, keep=options.keep)
        predicted = np.column_stack([fit.spectrum.predict(masks[fresh]) for fit in found.fits])
        ranks = [
            float(spearmanr(predicted[:, t], values[fresh][:, k]).statistic) if np.ptp(predicted[:, t]) > 0 else 0.0
            for t, k in enumerate(targets)  # a constant prediction ranks nothing: 0
        ]
        record(
            options,
            kind="lds",
            task=options.task,
            keep=options.keep,
            method=method + " with slopes" * options.slopes + f", {spent}" * (spent < options.budget),
            lds=float(np.mean(ranks)),
            by_target=[round(rank, 4) for rank in ranks],
            budget=spent,
            seconds=round(time.perf_counter() - began, 1),
            retraining_seconds=round(seconds, 1),
        )


def planted(seed: int) -> tuple[ip.Game, dict[tuple[int, int], str], tuple[Any, ...]]:
    """Two clouds, and six test points each with a corner of its own, where pairs of examples were planted.

    A corner is a direction that no cloud uses, so what is planted there decides its test point: two exact copies
    ("duplicates"); an example and its twin with the wrong label ("twins"); two examples that must both be there to
    outvote one of the other class that is stronger than each ("together").
    """
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    corners, width, base = 6, 4, 42
    X = np.zeros((base, width + corners))
    y = np.arange(base) % 2
    X[:, :width] = rng.normal(size=(base, width)) + 1.5 * (2 * y[:, None] - 1) * (np.arange(width) == 0)
    rows, labels, truth = [X], [y], {}
    tests, answers = [], []
    at = base
    for corner in range(corners):
        kind = ("duplicates", "twins", "together")[corner % 3]
        label = int(rng.integers(2))
        direction = np.zeros(width + corners)
        direction[width + corner] = 1.0
        truth[at, at + 1] = kind
        if kind == "duplicates":
            rows.append(np.stack([direction] * 2) * 3.0)
            labels.append(np.array([label, label]))
        elif kind == "twins":
            rows.append(np.stack([direction] * 2) * 3.0)
            labels.append(np.array([label, 1 - label]))
        else:
            rows.append(np.stack([direction * 2.0, direction * 2.0, direction * 3.0]))
            labels.append(np.array([label, label, 1 - label]))
        at += len(labels[-1])
        tests.append(direction * 2.0)
        answers.append(label)
    order = rng.permutation(at)
    place = {int(old): new for new, old in enumerate(order)}
    data = np.concatenate(rows)[order], np.concatenate(labels)[order], np.array(tests), np.array(answers)
    pairs = {tuple(sorted((place[a], place[b]))): kind for (a, b), kind in truth.items()}
    fit, score = ip.lenses.sklearn_training(LogisticRegression(C=20.0, max_iter=500), *data, output="probability")
    return ip.lenses.training(fit, score, at, batch_size=32), pairs, data


def truth(options: argparse.Namespace) -> None:
    """How each method's pair scores find the planted pairs: by kind, and as precision and recall along the ranking.

    Precision at as many pairs as were planted is recall there, too; recall at twice as many, and average precision,
    the mean of the precisions at which each planted pair is found, speak for the rest of the ranking.
    """
    for seed in range(options.rounds):
        game, pairs, data = planted(seed)
        masks = ip.design(game.n, options.budget, method="lasso", seed=seed)
        with ip.Store(options.work / "runs.db") as store:
            values = measure(game, masks, store=store).values
            slopes = None
            if options.slopes:
                masks = masks[: int(options.budget / game.slope_cost)]
                values = values[: len(masks)]
                slopes = measure_slopes(game, masks, store=store, progress=None).slopes
        scores: dict[str, np.ndarray] = {}
        for method in options.method.split(","):
            found = ip.fit(masks, values, slopes=slopes, method=method, order=3)
            table = np.zeros((len(found.fits), game.n, game.n))
            for position in range(len(found.fits)):
                for pair in influences(found, position).pairs:
                    table[(position, *pair.features)] = abs(pair.effect)
            scores[f"{method} pairs{' with slopes' * options.slopes}"] = table
            if method == "lasso":
                scores["lasso datamodel"] = both(first_order(found))
        scores["leave-one-out"] = both(leave_one_out(game))
        scores["second order"] = second_order(game)
        scores["KNN-Shapley"] = both(knn_shapley(*data))
        scores["influence function"] = both(influence_function(*data))
        if options.peer_python is not None:
            for name, effects in dattri_scores(options, data, masks).items():
                scores[f"dattri {name}"] = both(effects)
        for name, table in scores.items():
            if not table.any():
                continue
            strongest = table.max(axis=0)
            order = np.dstack(np.unravel_index(np.argsort(-strongest, axis=None), strongest.shape))[0]
            ranked = [tuple(map(int, pair)) for pair in order[: np.count_nonzero(strongest)]]
            top = set(ranked[: len(pairs)])
            hits = [kind for pair, kind in pairs.items() if pair in top]
            found_at = np.sort([ranked.index(pair) + 1 if pair in ranked else np.inf for pair in pairs])
            kinds = {kind: hits.count(kind) * 3 / len(pairs) for kind in ("duplicates", "twins", "together")}
            record(
                options,
                kind="truth",
                seed=seed,
                method=name,
                precision=len(hits) / len(pairs),
                recall_at_twice=float(np.mean(found_at <= 2 * len(pairs))),
                average_precision=float(np.mean(np.arange(1, len(pairs) + 1) / found_at)),
                **kinds,
            )


def both(effects: np.ndarray) -> np.ndarray:
    """Pair scores (T, n, n) of a method that scores examples (T, n): both must matter to the same test point."""
    strength = np.abs(effects)
    table = np.minimum(strength[:, :, None], strength[:, None, :])
    return np.triu(table, 1)


def first_order(found: ip.Explanation) -> np.ndarray:
    effects = np.zeros((len(found.fits), found.n))
    for position, fit in enumerate(found.fits):
        for key, value in fit.spectrum.coefficients.items():
            if len(key) == 1:
                effects[position, key[0]] = -2 * value
    return effects


def leave_one_out(game: ip.Game) -> np.ndarray:
    masks = np.concatenate([np.ones((1, game.n), bool), ~np.eye(game.n, dtype=bool)])
    values = game(masks)
    return (values[0] - values[1:]).T


def second_order(game: ip.Game) -> np.ndarray:
    """By how much the influence of one example changes when the other is left out, (T, n, n): n + 1 retrainings."""
    assert game.slopes is not None
    _, slopes = game.slopes(np.concatenate([np.ones((1, game.n), bool), ~np.eye(game.n, dtype=bool)]))
    change = (slopes[0][None] - slopes[1:]).transpose(1, 0, 2)
    return np.triu(np.abs(change + change.transpose(0, 2, 1)) / 2, 1)


def knn_shapley(X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, k: int = 3) -> np.ndarray:
    """Exact Shapley values of a k-nearest-neighbour classifier (Jia et al., VLDB 2019, theorem 1)."""
    result = np.zeros((len(X_test), len(X)))
    for t, (point, answer) in enumerate(zip(X_test, y_test)):
        order = np.argsort(((X - point) ** 2).sum(axis=1), kind="stable")
        right = (y[order] == answer).astype(float)
        value = right[-1] / len(X)
        result[t, order[-1]] = value
        for i in range(len(X) - 2, -1, -1):
            value += (right[i] - right[i + 1]) / k * min(k, i + 1) / (i + 1)
            result[t, order[i]] = value
    return result


def influence_function(X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray) -> np.ndarray:
    """Koh & Liang's influence on the log-odds of each test point, exact for the logistic regression used here."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=20.0, max_iter=500).fit(X, y)
    rows = np.column_stack([X, np.ones(len(X))])
    p = model.predict_proba(X)[:, 1]
    ridge = np.eye(rows.shape[1]) / 20.0
    ridge[-1, -1] = 1e-6
    hessian = (rows * (p * (1 - p))[:, None]).T @ rows + ridge
    slopes = (y - p)[:, None] * rows
    sign = np.where(y_test == 1, 1.0, -1.0)
    points = np.column_stack([X_test, np.ones(len(X_test))])
    return sign[:, None] * (points @ np.linalg.solve(hessian, slopes.T))


def dattri_scores(
    options: argparse.Namespace,
    data: tuple[np.ndarray, ...],
    masks: np.ndarray,
    C: float = 20.0,
    ridge: float = 1e-6,
) -> dict[str, np.ndarray]:
    """Influence function and TRAK as dattri has them; TRAK averages over the models of all ablations.

    ``ridge`` regularises TRAK's kernel, which has no inverse where there are more weights than examples.
    """
    from sklearn.linear_model import LogisticRegression

    X, y, X_test, y_test = data

    def weights(kept: np.ndarray) -> np.ndarray:
        model = LogisticRegression(C=C, max_iter=1000).fit(X[kept], y[kept])
        return np.concatenate([model.coef_[0], model.intercept_])

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npz"
        subsets = np.array([weights(mask) for mask in masks if len(np.unique(y[mask])) == 2])
        whole = weights(np.ones(len(y), dtype=np.bool_))
        given = {"X": X, "y": y, "X_test": X_test, "y_test": y_test, "penalty": C, "ridge": ridge}
        np.savez(source, whole=whole, subsets=subsets, **given)
        peer = Path(__file__).parent / "peers" / "dattri_scores.py"
        subprocess.run([options.peer_python, "-W", "ignore", peer, source, target], check=True)
        with np.load(target) as found:
            return {"influence function": found["influence"], "TRAK": found["trak"]}


def act(options: argparse.Namespace) -> None:
    """Remove the k examples called most harmful, retrain, and measure on test points that no choice saw."""
    from sklearn.linear_model import LogisticRegression

    for seed in range(options.rounds):
        X, y, X_test, y_test = digits(100, 340)
        rng = np.random.default_rng(seed)
        wrong = rng.permutation(100)[:15]
        y = y.copy()
        y[wrong] = (y[wrong] + 1 + rng.integers(0, 2, 15)) % 3
        model = LogisticRegression(C=10, max_iter=500)
        fit, score = ip.lenses.sklearn_training(
            model, X, y, X_test[:40], y_test[:40], output="loss", average=True, clip=1e-3
        )
        game = ip.lenses.training(fit, score, 100, keep=0.7, batch_size=32)
        judge = [
            ip.lenses.sklearn_training(model, X, y, X_test[40:], y_test[40:], output=output, average=True)[1]
            for output in ("accuracy", "loss")
        ]
        with ip.Store(options.work / "runs.db") as store:
            found = {
                method: ip.explain(game, budget=options.budget, method=method, order=3, store=store, seed=seed)
                for method in options.method.split(",")
            }
        for k in (0, 5, 10, 15, 20):
            chosen = {"random": rng.permutation(100)[:k].tolist()}
            for method, explanation in found.items():
                chosen[f"{method} first-order"] = list(worst_examples(explanation, k, pairs=False))
                if method != "lasso":
                    chosen[f"{method} with pairs"] = list(worst_examples(explanation, k))
            for name, gone in chosen.items():
                kept = np.setdiff1d(np.arange(100), gone)
                trained = fit(kept, 0)
                accuracy, loss = (float(one(trained)) for one in judge)
                hit = len(set(gone) & set(wrong.tolist())) / max(1, k)
                record(options, kind="act", seed=seed, k=k, method=name, accuracy=accuracy, loss=loss, mislabelled=hit)


def recorded(options: argparse.Namespace) -> None:
    """Seconds and memory of `ip.fit` on simulated margins: 50 linear effects for each target, as much noise again."""
    rng = np.random.default_rng(0)
    masks = np.empty((options.budget, options.features), dtype=np.bool_)
    for start in range(0, options.budget, 1000):  # in blocks, so that the data are the peak before the fit
        block = masks[start : start + 1000]
        block[:] = rng.random(block.shape, dtype=np.float32) < options.keep
    values = np.zeros((options.budget, options.targets))
    truth = [np.sort(rng.permutation(options.features)[:50]) for _ in range(options.targets)]
    for t, support in enumerate(truth):
        signal = np.where(masks[:, support], 1.0, -1.0) @ rng.normal(size=len(support))
        values[:, t] = signal + signal.std() * rng.normal(size=len(signal))
    ip.fit(masks[:200, :20], values[:200, 0], method="lasso")  # imports
    before, began, spent = peak_gigabytes(), time.perf_counter(), time.process_time()
    found = ip.fit(masks, values)
    called = [{key[0] for key in fit.spectrum.top(51).coefficients if key} for fit in found.fits]
    recall = np.mean([len(one & set(support.tolist())) / 50 for one, support in zip(called, truth, strict=True)])
    record(
        options,
        kind="recorded",
        shape=[options.budget, options.features, options.targets],
        seconds=round(time.perf_counter() - began, 1),
        processor_seconds=round(time.process_time() - spent, 1),
        data_gigabytes=round((masks.nbytes + values.nbytes) / 1e9, 3),
        peak_before=round(before, 2),
        peak=round(peak_gigabytes(), 2),
        r2=round(float(np.median([fit.faithfulness.r2 for fit in found.fits])), 3),
        recall=round(float(recall), 3),
        note=found.fits[0].notes[0],
    )


def peak_gigabytes() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def record(options: argparse.Namespace, **facts: Any) -> None:
    print(json.dumps(facts), flush=True)
    with (options.work / "results.jsonl").open("a") as out:
        out.write(json.dumps(facts) + "\n")


def gain(ours: list[float], theirs: list[float]) -> str:
    """The mean difference, its interval by bootstrap over test points, and on how many it is positive."""
    difference = np.array(ours) - np.array(theirs)
    drawn = np.random.default_rng(0).choice(difference, (10_000, len(difference))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    won = int((difference > 0).sum())
    return f"{difference.mean():+.3f} [{low:+.3f}, {high:+.3f}] ({won}/{len(difference)})"


def table(options: argparse.Namespace) -> None:
    """Means of everything recorded, as Markdown."""
    lines = [json.loads(line) for line in (options.work / "results.jsonl").read_text().splitlines()]
    latest = {json.dumps([x.get(k) for k in ("kind", "task", "keep", "method", "seed", "k")]): x for x in lines}
    facts = list(latest.values())
    scored = {(x["task"], x["keep"], x["method"]): x for x in facts if x["kind"] == "lds"}
    methods = sorted({key[2] for key in scored}, key=lambda name: (name != "lasso", name))
    print("| task | keep | points | " + " | ".join(methods) + " | gain over lasso, 95% by bootstrap over points |")
    print("|---" * (4 + len(methods)) + "|")
    for task in TASKS:
        for keep in RATES:
            row = {name: scored[task, keep, name] for name in methods if (task, keep, name) in scored}
            if "lasso" not in row or len(row) < 2:
                continue
            cells = [f"{row[name]['lds']:.3f}" if name in row else "" for name in methods]
            gains = [
                f"{name} {gain(row[name]['by_target'], row['lasso']['by_target'])}" for name in row if name != "lasso"
            ]
            points = len(row["lasso"]["by_target"])
            print(f"| {task} | {keep} | {points} | " + " | ".join(cells) + " | " + ", ".join(gains) + " |")
    for kind, columns in (
        ("truth", ("precision", "recall_at_twice", "average_precision", "duplicates", "twins", "together")),
        ("act", ("accuracy", "loss", "mislabelled")),
    ):
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for x in facts:
            if x["kind"] == kind:
                groups.setdefault((x["method"], x.get("k", "")), []).append(x)
        if groups:
            print(
                f"\n| {kind}: method | k | runs | " + " | ".join(columns) + " |\n" + "|---" * (3 + len(columns)) + "|"
            )
        for (method, k), rows in sorted(groups.items(), key=lambda item: (str(item[0][1]).zfill(3), item[0][0])):
            means = " | ".join(f"{np.mean([x[c] for x in rows]):.3f}" for c in columns)
            print(f"| {method} | {k} | {len(rows)} | {means} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("lds", "truth", "act", "recorded", "table"))
    parser.add_argument("--task", choices=tuple(TASKS), default="digits-logistic")
    parser.add_argument("--keep", type=float, default=0.5)
    parser.add_argument("--method", default="lasso", help="estimators, separated by commas")
    parser.add_argument("--budget", type=int, default=500)
    parser.add_argument("--spend", type=int, help="for lds, so much of the budget; the unseen subsets stay the same")
    parser.add_argument("--unseen", type=int, default=200)
    parser.add_argument("--targets", type=int, default=5)
    parser.add_argument("--features", type=int, default=10_000, help="of the simulated recordings")
    parser.add_argument("--slopes", action="store_true", help="half as many masks, with slopes, for the same budget")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python", type=Path, help="a Python that has dattri, for its scores in `truth`")
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    {"lds": lds, "truth": truth, "act": act, "recorded": recorded, "table": table}[options.what](options)


if __name__ == "__main__":
    main()
