"""The demo: which handwritten digits act together in teaching a classifier."""

from __future__ import annotations

import numpy as np

from interplay._errors import InputError
from interplay._game.game import Game
from interplay._game.layout import Gallery
from interplay.lenses import sklearn_training, training


def digits_training(
    examples: int = 60, tests: int = 12, *, keep: float = 0.5, seed: int = 0, copies: int = 2, mislabelled: int = 2
) -> Game:
    """Logistic regression on a few of scikit-learn's handwritten 3s, 5s and 8s, pictures included.

    Parameters
    ----------
    examples, tests
        How many training examples and test points, drawn at random, the classes in turn.
    keep
        The probability of keeping each example.
    seed
        Seed of the draw and of the ablations' training.
    copies, mislabelled
        So many of the training examples are exact copies of the first ones, and so many carry a wrong label: what
        the report should find.
    """
    if seed < 0:
        raise InputError(f"seed must be at least 0, not {seed}.")
    if examples < 12 or tests < 1 or copies + mislabelled > examples // 3:
        raise InputError(f"the demo needs 12 examples and 1 test point or more, not {examples} and {tests}.")
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    data = load_digits(n_class=10)
    rng = np.random.default_rng(seed)
    classes = (3, 5, 8)
    rows = [rng.permutation(np.flatnonzero(data.target == digit)) for digit in classes]
    most = 3 * min(map(len, rows))
    if examples + tests > most:
        raise InputError(f"the demo has {most} digits, fewer than {examples} examples and {tests} test points.")
    order = np.array([rows[i % 3][i // 3] for i in range(examples + tests)])
    X, y = data.data[order] / 16.0, data.target[order]
    train, labels = X[:examples].copy(), y[:examples].copy()
    names = [f"#{i} a {y[i]}" for i in range(examples)]
    for k in range(copies):
        i = examples - 1 - k
        train[i], labels[i], names[i] = train[k], labels[k], f"#{i} copy of #{k}, a {labels[k]}"
    for k in range(mislabelled):
        i = examples - 1 - copies - k
        wrong = next(digit for digit in classes if digit != labels[i])
        names[i], labels[i] = f"#{i} a {labels[i]} labelled {wrong}", wrong
    shown = [f"test {i}: a {digit}" for i, digit in enumerate(y[examples:])]
    fit, score = sklearn_training(LogisticRegression(C=10.0, max_iter=500), train, labels, X[examples:], y[examples:])
    return training(
        fit,
        score,
        examples,
        show=_gallery(names, labels.tolist(), train),
        targets=_gallery(shown, y[examples:].tolist(), X[examples:]),
        keep=keep,
        seed=seed,
    )


def _gallery(names: list[str], classes: list[int], X: np.ndarray) -> Gallery:
    pictures = tuple(tuple(tuple(map(float, row)) for row in picture) for picture in X.reshape(-1, 8, 8))
    return Gallery(tuple(names), tuple(map(str, classes)), pictures)
