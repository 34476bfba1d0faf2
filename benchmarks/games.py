"""Real and synthetic games for the benchmarks, recorded once as uniform masks and their values.

A recorded game is an ``.npz`` with ``n``, ``masks`` (packed bits, 1 = kept) and ``values``; one with a known truth
holds ``supports`` (packed bits, one row per coefficient) and ``coefficients`` of its Walsh-Fourier spectrum instead,
and noise of 0.3 of the spectrum's norm is added to the values that a method sees (never to those it is judged on).

    python benchmarks/games.py --out /tmp/games
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import interplay as ip

UNSEEN = 2000  # masks kept back for judging
NOISE = 0.3  # of the norm of the nonconstant spectrum

REVIEW = (
    "Slow, talky and far too long, this is nevertheless the rare sequel that nobody should miss: what it lacks in "
    "pace it makes up in heart, and not one of its many jokes falls flat."
)
NEWS = (
    "The central bank kept interest rates unchanged on Thursday, warning that inflation had not fallen as quickly as "
    "expected. Shares rose at first but lost their gains after the governor refused to rule out another increase "
    "before the end of the year."
)
GUIDE = (
    "Turn the oven on. Do not open the door while it heats. Mix the flour with the butter. Add sugar. Never use cold "
    "eggs. Beat them first. Pour in the milk. Stir until smooth. Let the dough rest. Grease the tin. Fill it halfway. "
    "Bake for forty minutes. Check with a needle. If it is wet, bake longer. Take the cake out. Let it cool. Whip the "
    "cream. Spread it on top. Cut the strawberries. Arrange them in circles. Dust with sugar. Serve at once."
)
LETTER = (
    "I ordered the blue lamp in March and received a green one, which would be fine if it worked. It does not. Your "
    "service was friendly but no help, and unless I hear from you by Friday I will never buy here again."
)
MINUTES = (
    "The meeting began late. Nobody had read the report. Anna presented the budget. It is twice as large as last year. "
    "The board did not approve it. Tom proposed a smaller plan. It was rejected as well. A vote was postponed. The "
    "printer is broken again. Lunch was served at noon. The new office opens in May. Parking will be free. Rents have "
    "risen. Two people resigned. Their posts stay empty. Sales fell in the north. They rose in the south. No bonus "
    "will be paid. The coffee is better now. Anna will revise the budget. The next meeting is on Monday."
)


@dataclass(frozen=True)
class Recorded:
    """Masks with the values a method may see and the true ones, unseen masks last, and the spectrum where known."""

    name: str
    masks: np.ndarray
    values: np.ndarray
    truth: np.ndarray
    spectrum: ip.Spectrum | None = None

    @property
    def n(self) -> int:
        return self.masks.shape[1]

    def most(self) -> int:
        """How many masks a method may be given."""
        return len(self.masks) - UNSEEN


def read(path: Path, *, seed: int = 0, most: int = 10_000) -> Recorded:
    """A recorded game; for a spectrum, masks and noise are drawn from ``seed``."""
    data = np.load(path)
    n = int(data["n"])
    if "masks" in data:
        masks = np.unpackbits(data["masks"], axis=1)[:, :n].astype(bool)
        values = data["values"].astype(float)
        return Recorded(path.stem, masks, values, values)
    supports = np.unpackbits(data["supports"], axis=1)[:, :n]
    coefficients = {tuple(np.flatnonzero(s).tolist()): float(c) for s, c in zip(supports, data["coefficients"])}
    spectrum = ip.Spectrum(n, coefficients)
    rng = np.random.default_rng(seed)
    masks = rng.random((most + UNSEEN, n)) < 0.5
    truth = spectrum.predict(masks)
    noisy = truth + NOISE * np.sqrt(spectrum.variance) * rng.standard_normal(len(truth))
    return Recorded(path.stem, masks, noisy, truth, spectrum)


def words(text: str, reference: str, **options: object) -> ip.Game:
    from interplay import demo_model

    return ip.lenses.text(ip.models.Encoder.load(demo_model()).similarity(reference), text, **options)


def heads(first: str, second: str) -> ip.Game:
    """The 72 attention heads of MiniLM, zeroed before the output projection; the cosine of two sentences."""
    import torch

    from interplay import demo_model

    encoder = ip.models.Encoder.load(demo_model())
    config = encoder.model.config
    layers, count = config.num_hidden_layers, config.num_attention_heads
    width = config.hidden_size // count
    tokens = encoder.tokenizer([first, second], padding=True, return_tensors="pt")
    state = {"mask": torch.ones(1, layers, count)}

    def suppress(layer: int) -> Callable[..., tuple[torch.Tensor, ...]]:
        def hook(_module: object, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            scale = state["mask"][:, layer].repeat_interleave(2, 0).repeat_interleave(width, 1)
            return (given[0] * scale[:, None, :], *given[1:])

        return hook

    for index, layer in enumerate(encoder.model.encoder.layer):
        layer.attention.output.dense.register_forward_pre_hook(suppress(index))

    @torch.inference_mode()
    def value(masks: np.ndarray) -> np.ndarray:
        state["mask"] = torch.tensor(masks.reshape(-1, layers, count), dtype=torch.float32)
        rows = {key: part.repeat(len(masks), 1) for key, part in tokens.items()}
        weight = rows["attention_mask"].unsqueeze(-1)
        pooled = (encoder.model(**rows).last_hidden_state * weight).sum(1) / weight.sum(1)
        pooled = torch.nn.functional.normalize(pooled.double(), dim=-1)
        return (pooled[::2] * pooled[1::2]).sum(-1).numpy()

    return ip.Game(value, layers * count)


def retrained_digits() -> ip.Game:
    """40 groups of training digits; the margin of one test digit after retraining a logistic regression."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import RidgeClassifier

    X, y = load_digits(return_X_y=True)
    chosen = np.isin(y, (3, 8, 9))
    X, y = X[chosen] / 16, y[chosen]
    groups = np.random.default_rng(0).permutation(240) % 40

    def margin(mask: np.ndarray) -> float:
        kept = mask[groups]
        if len(set(y[:240][kept])) < 3:
            return 0.0
        scores = RidgeClassifier(alpha=0.5).fit(X[:240][kept], y[:240][kept]).decision_function(X[300:301])[0]
        order = list(np.unique(y[:240])).index(y[300])
        return float(scores[order] - np.delete(scores, order).max())

    return ip.Game(lambda masks: [margin(mask) for mask in masks], 40)


def retrained_neighbours() -> ip.Game:
    """60 training tumours one by one; the share of 7 nearest neighbours of a test tumour that are malignant."""
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(0)) / X.std(0)
    distance = np.linalg.norm(X[:60] - X[101], axis=1)
    order = np.argsort(distance)
    malignant = y[:60][order] == 0

    def share(mask: np.ndarray) -> float:
        nearest = np.flatnonzero(mask[order])[:7]
        weight = np.exp(-distance[order][nearest] / 4)
        return float((weight * malignant[nearest]).sum() / max(1e-9, weight.sum()))

    return ip.Game(lambda masks: [share(mask) for mask in masks], 60)


def tabular(kind: str) -> ip.Game:
    """One row of a table, columns replaced by their mean; the output of a forest or a neural network."""
    from sklearn.datasets import load_breast_cancer, load_digits
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.neural_network import MLPClassifier

    if kind == "forest":
        X, y = load_breast_cancer(return_X_y=True)
        model = RandomForestRegressor(200, random_state=0).fit(X[1:], y[1:])
        row, predict = X[0], model.predict
    else:
        X, y = load_digits(return_X_y=True)
        X = X / 16
        network = MLPClassifier((64,), random_state=0, max_iter=80).fit(X[1:], y[1:])
        row, predict = X[0], lambda rows: np.log(network.predict_proba(rows)[:, y[0]] + 1e-6)
    mean = X.mean(0)
    return ip.Game(lambda masks: predict(np.where(masks, row, mean)), len(row))


def retrained_wine() -> ip.Game:
    """45 groups of training wines; the log-odds of one test wine's class after retraining naive Bayes."""
    from sklearn.datasets import load_wine
    from sklearn.naive_bayes import GaussianNB

    X, y = load_wine(return_X_y=True)
    mixed = np.random.default_rng(3).permutation(len(y))
    X, y = (X[mixed] - X.mean(0)) / X.std(0), y[mixed]
    groups = np.arange(135) % 45

    def odds(mask: np.ndarray) -> float:
        kept = mask[groups]
        if min(np.bincount(y[:135][kept], minlength=3)) < 2:
            return 0.0
        chances = GaussianNB(var_smoothing=1.0).fit(X[:135][kept], y[:135][kept]).predict_proba(X[140:141])[0]
        return float(np.log(chances[y[140]] + 1e-3) - np.log(1 - chances[y[140]] + 1e-3))

    return ip.Game(lambda masks: [odds(mask) for mask in masks], 45)


def table_boosted() -> ip.Game:
    """One row of the breast cancer table, columns replaced by another row's; the log-odds of boosted trees."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import GradientBoostingClassifier

    X, y = load_breast_cancer(return_X_y=True)
    model = GradientBoostingClassifier(random_state=0).fit(X[2:], y[2:])
    other = X[2:][y[2:] != y[1]][0]
    return ip.Game(lambda masks: model.decision_function(np.where(masks, X[1], other)), X.shape[1])


def synthetic(n: int, seed: int, *, hierarchical: bool) -> ip.Spectrum:
    """A random sparse spectrum: with every subset of a few sets, or with sets of order 2 to 5 on their own."""
    rng = np.random.default_rng(seed)
    coefficients: dict[tuple[int, ...], float] = {}
    for _ in range(12 if hierarchical else 40):
        top = rng.choice(n, int(rng.integers(2, 5 if hierarchical else 6)), replace=False).tolist()
        size = float(rng.laplace())
        for bits in range(1, 1 << len(top)) if hierarchical else [(1 << len(top)) - 1]:
            key = tuple(sorted(top[i] for i in range(len(top)) if bits >> i & 1))
            coefficients[key] = coefficients.get(key, 0.0) + size * float(rng.choice([-1, 1])) / (1 + len(key) / 2)
    return ip.Spectrum(n, coefficients)


GAMES: dict[str, Callable[[], ip.Game]] = {
    "words_review": lambda: words(REVIEW, "a film that is worth watching"),
    "words_news": lambda: words(NEWS, "the stock market fell", ablate="delete"),
    "sentences_guide": lambda: words(GUIDE, "how to bake a strawberry cake", unit="sentence"),
    "heads_pair": lambda: heads("The bank raised its interest rates.", "Borrowing money became more expensive."),
    "retrained_digits": retrained_digits,
    "retrained_neighbours": retrained_neighbours,
    "table_forest": lambda: tabular("forest"),
    "table_network": lambda: tabular("network"),
    # Made when all choices had been made: none was tuned on these.
    "new_words": lambda: words(LETTER, "I am happy with my purchase"),
    "new_sentences": lambda: words(MINUTES, "the budget was approved", unit="sentence", ablate="delete"),
    "new_heads": lambda: heads("The trial was postponed.", "Judges moved the hearing to a later date."),
    "new_retrained": retrained_wine,
    "new_table": table_boosted,
}
SPECTRA: dict[str, Callable[[], ip.Spectrum]] = {
    "synthetic_hierarchical": lambda: synthetic(60, 1, hierarchical=True),
    "synthetic_scattered": lambda: synthetic(60, 2, hierarchical=False),
    "new_synthetic": lambda: synthetic(80, 11, hierarchical=True),
}


def record(out: Path) -> None:
    """Record every game that is not there yet: 8 n log2 n masks, and those to be judged on."""
    out.mkdir(parents=True, exist_ok=True)
    for name, make in GAMES.items():
        path = out / f"{name}.npz"
        if path.exists():
            continue
        began = time.perf_counter()
        game = make()
        count = int(8 * game.n * np.log2(game.n)) + 1 + UNSEEN
        masks = np.random.default_rng(7).random((count, game.n)) < 0.5
        values = np.concatenate([game(masks[start : start + 128]) for start in range(0, count, 128)])
        np.savez_compressed(path, n=game.n, masks=np.packbits(masks, axis=1), values=values)
        print(f"{name}: {game.n} features, {count} masks, {time.perf_counter() - began:.0f} s", flush=True)
    for name, build in SPECTRA.items():
        spectrum = build()
        supports = np.zeros((len(spectrum), spectrum.n), dtype=bool)
        for row, key in enumerate(spectrum.coefficients):
            supports[row, list(key)] = True
        coefficients = np.array(list(spectrum.coefficients.values()))
        np.savez_compressed(
            out / f"{name}.npz", n=spectrum.n, supports=np.packbits(supports, axis=1), coefficients=coefficients
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the recorded games")
    record(parser.parse_args().out)
