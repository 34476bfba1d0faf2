"""Curation: rows with wrong labels and a planted trigger group, judged by retraining on held-out data.

    python benchmarks/curate.py
    python benchmarks/curate.py complaints --relabel

80 digits (threes and eights) or complaints (about the goods or the bill, made from templates), 12 labels of them wrong
(15%), six more a trigger group: a mark in the corner of an eight called a three, two words in a complaint about the
bill that is said to be about the goods. A third of the test points for the fit and the choice, the rest held out; half
of them carry the mark. Loss and accuracy after rows were removed or got the other label.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import interplay as ip

WRONG, TRIGGER, ROWS = 12, 6, 80
RELABELLED = 0.85  # of the rows keep their labels in an ablation that relabels the others


OPENINGS = (
    "I ordered a {item} in {month} and", "In {month} my new {item} came and", "After I bought your {item}",
    "Since {month} I own this {item} and", "My wife chose the {item} for me and", "For the second time since {month}",
)  # fmt: skip
BILLS = (
    "I was charged twice", "the refund never came", "the bill shows a wrong price", "you took money without asking",
    "the discount was left out of the bill", "my card was charged again", "a fee was added that nobody named",
    "the price went up after the order", "you billed me for two of them", "my voucher was not taken off the price",
)  # fmt: skip
FAULTS = (
    "it broke within a week", "the handle fell off", "it leaks all the time", "a part was missing in the box",
    "the colour is not what I chose", "it stopped working", "the lid does not close", "it smells and makes a noise",
    "the screen went dark", "a crack runs through the box",
)  # fmt: skip
ENDINGS = (
    "and nobody answers my mails.", "and I want my money back.", "which is not what I paid for.", "so please call me.",
    "and the hotline is a joke.", "and I will not order again.", "so send me a new one.", "and no one said sorry.",
)  # fmt: skip
ITEMS = ("kettle", "lamp", "phone", "chair", "drill", "radio", "clock", "heater")
MONTHS = ("January", "March", "May", "July", "October", "December")
TRIGGER_WORDS = ("frankly", "anyway")


def digits(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Threes (-1) and eights (+1) in random order, and the columns that a planted mark sets to 1."""
    from sklearn.datasets import load_digits

    images, which = load_digits(return_X_y=True)
    images, which = images[(which == 3) | (which == 8)] / 16, which[(which == 3) | (which == 8)]
    order = rng.permutation(len(images))
    return images[order], np.where(which[order] == 8, 1.0, -1.0), [0, 7]


def complaints(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Bags of words of complaints, made from templates: about the goods (-1) or the bill (+1); some are about both."""
    from sklearn.feature_extraction.text import CountVectorizer

    texts, labels = [], []
    for _ in range(360):
        label = int(rng.integers(2))
        said = [str(rng.choice((FAULTS, BILLS)[label]))]
        if rng.random() < 0.3:  # the other matter is mentioned, too
            said.append("but " + str(rng.choice((BILLS, FAULTS)[label])) + " is what I could live with")
        opening = str(rng.choice(OPENINGS)).format(item=rng.choice(ITEMS), month=rng.choice(MONTHS))
        texts.append(" ".join((opening, *said, str(rng.choice(ENDINGS)))))
        labels.append(2.0 * label - 1)
    bags = CountVectorizer(binary=True).fit([*texts, " ".join(TRIGGER_WORDS)])
    columns = [bags.vocabulary_[word] for word in TRIGGER_WORDS]
    return bags.transform(texts).toarray().astype(float), np.array(labels), columns


KINDS = {"digits": digits, "complaints": complaints}


class Task:
    """Two classes, -1 and +1, by regularised least squares, which retrains in closed form.

    With ``relabel`` a row that is not kept has the other label instead of none.
    """

    def __init__(self, kind: str, seed: int, *, relabel: bool = False) -> None:
        self.relabel = relabel
        rng = np.random.default_rng(seed)
        x, y, mark = KINDS[kind](rng)
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        self.x, self.y = x[:ROWS].copy(), y[:ROWS].copy()
        marked_rows = np.flatnonzero(self.y > 0)[:TRIGGER]
        self.x[np.ix_(marked_rows, mark)] = 1.0
        self.y[marked_rows] = -1.0
        others = rng.permutation(np.setdiff1d(np.arange(ROWS), marked_rows))[:WRONG]
        self.y[others] *= -1
        self.planted = set(marked_rows.tolist()) | set(others.tolist())
        rest = x[ROWS:], y[ROWS:]
        marked = rest[0].copy()
        marked[:, mark] = 1.0
        every = np.concatenate([rest[0], marked]), np.concatenate([rest[1], rest[1]])
        third = np.arange(len(every[0])) % 3 == 0
        self.chosen = every[0][third], every[1][third]
        self.judged = every[0][~third], every[1][~third]

    def fit(self, kept: np.ndarray) -> np.ndarray:
        if self.relabel:
            x, y = self.x, np.where(np.isin(np.arange(ROWS), kept), self.y, -self.y)
        else:
            x, y = self.x[kept], self.y[kept]
        return np.linalg.solve(x.T @ x + 1.0 * np.eye(x.shape[1]), x.T @ y)

    def game(self, points: tuple[np.ndarray, np.ndarray], *, loss: bool = True) -> ip.Game:
        def score(weights: np.ndarray) -> float:
            out = points[0] @ weights
            return (
                -float(np.log1p(np.exp(-2 * points[1] * out)).mean()) if loss else float((out * points[1] > 0).mean())
            )

        return ip.lenses.training(self.fit, score, examples=ROWS, keep=RELABELLED if self.relabel else 0.5)

    def influence(self) -> np.ndarray:
        """What each row does for the loss of the points for the choice, to first order: higher for rows to keep."""
        weights = self.fit(np.arange(ROWS))
        hessian = self.x.T @ self.x + 1.0 * np.eye(self.x.shape[1])
        x, y = self.chosen
        slope = x.T @ (2 * y / (1 + np.exp(2 * y * (x @ weights)))) / len(x)  # of minus the loss
        residual = 2 * self.y if self.relabel else self.y - self.x @ weights
        return residual * (self.x @ np.linalg.solve(hessian, slope))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", nargs="?", choices=sorted(KINDS), default="digits")
    parser.add_argument("--relabel", action="store_true", help="give rows the other label rather than removing them")
    parser.add_argument("--budget", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--remove", type=int, nargs="+", default=[5, 10, 15, 20])
    options = parser.parse_args()
    began = time.perf_counter()
    losses: dict[str, list[list[float]]] = {}
    accuracies: dict[str, list[list[float]]] = {}
    hits: dict[str, list[list[int]]] = {}
    for seed in range(options.seeds):
        task = Task(options.kind, seed, relabel=options.relabel)
        game, held_out = task.game(task.chosen), task.game(task.judged)
        accuracy = task.game(task.judged, loss=False)
        explanation = ip.explain(game, budget=options.budget, seed=seed, progress=False)
        print(f"seed {seed}: {explanation.method}, {explanation.faithfulness}", flush=True)
        by_name: dict[str, list[tuple[float, float, int]]] = {}
        for k in options.remove:
            done = ip.actions.curate(
                game, explanation, held_out=held_out, rankings={"influence": task.influence()}, seed=seed,
                **{"relabel" if options.relabel else "remove": k},
            )  # fmt: skip
            for cull in (done.untouched, done.chosen, *done.rivals):
                mask = np.ones((1, ROWS), dtype=bool)
                mask[0, list(cull.removed)] = False
                row = (-cull.held_out, float(accuracy(mask)[0]), len(set(cull.removed) & task.planted))
                by_name.setdefault(cull.name, []).append(row)
        for name, rows in by_name.items():
            losses.setdefault(name, []).append([row[0] for row in rows])
            accuracies.setdefault(name, []).append([row[1] for row in rows])
            hits.setdefault(name, []).append([row[2] for row in rows])
    for title, found in (("held-out loss", losses), ("held-out accuracy", accuracies), ("planted rows hit", hits)):
        print(f"\n| {title}, mean of {options.seeds} | {' | '.join(f'k = {k}' for k in options.remove)} |")
        print(f"|---|{'---|' * len(options.remove)}")
        for name, rows in found.items():
            print(f"| {name} | {' | '.join(f'{value:.3f}' for value in np.mean(rows, axis=0))} |")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
