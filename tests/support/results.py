"""Explanations of every kind of game, small and made without a model."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

import interplay as ip

HOSTILE = (
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    '" onfocus="window.hacked = 1" x="',
    "</style><style>*{display:none}</style>",
    "</script><svg onload='window.hacked = 1'>",
    "javascript:window.hacked=1",
    "{{ 7 * 7 }} {% raw %}",
    "\x1b[31mred\x07",
    "\u202egnp.exe\u202c",
    "מילה בעברית",
    "w" * 10_000,
    "👩‍👩‍👧‍👦 🇫🇷",
    "line one\nline two",
    "&lt;b&gt; &amp;",
)


def noise(n: int, count: int = 200) -> np.ndarray:
    return 0.05 * np.random.default_rng(n).normal(size=count)


@functools.cache
def words() -> ip.Explanation:
    """Words with a strong pair, measured with noise, so that most sets cannot be told from zero."""
    text = "It never fails to charm, and the ending is anything but a disappointment for those who came to see it."
    game = ip.lenses.text(lambda texts: [0.0] * len(texts), text, ablate="_", unit="word")
    masks = ip.design(game.n, 200)
    at = {label: masks[:, i] for i, label in enumerate(game.labels)}
    values = 1.2 * at["charm"] - 0.8 * at["fails"] + 2.0 * (at["never"] & at["fails"]) - 0.7 * at["disappointment"]
    found = ip.fit(masks, values + noise(game.n), method="gp", labels=game.labels)
    return dataclasses.replace(found, layout=game.layout, question=game.question, full=(1.7,), empty=(0.0,))


@functools.cache
def sentences() -> ip.Explanation:
    """Sentences that drive the three sentences of an answer."""
    text = (
        "The museum opens at nine on weekdays. It is closed on Mondays for repairs. Tickets cost twelve euros for "
        "adults. The café has a view of the river. The last admission is half an hour before closing."
    )

    def score(texts: list[str]) -> np.ndarray:
        def one(t: str) -> list[float]:
            nine, monday, euros, last = ("nine" in t, "Mondays" in t, "twelve" in t, "admission" in t)
            return [
                2.0 * nine + 1.5 * (nine and monday),
                3.0 * euros - 0.5 * monday,
                1.0 * last - 0.8 * (last and nine),
            ]

        return np.array([one(t) for t in texts])

    outputs = ("It opens at nine.", "Adults pay twelve euros.", "Come early.")
    scorer = ip.models.Scorer(score, "the answer's log-probability", outputs=outputs)
    return ip.explain(ip.lenses.text(scorer, text, unit="sentence", ablate="delete"), budget=32)


@functools.cache
def grid() -> ip.Explanation:
    layout = ip.GridLayout(("L0", "L1"), ("H0", "H1", "H2"), tuple((i // 3, i % 3) for i in range(6)))

    def value(masks: np.ndarray) -> np.ndarray:
        m = masks.astype(float)
        return 2 * m[:, 1] * m[:, 2] - 3 * m[:, 0] * m[:, 5] + m[:, 4]

    labels = tuple(f"L{i // 3}.H{i % 3}" for i in range(6))
    return ip.explain(ip.Game(value, labels, layout=layout), budget=64)


@functools.cache
def row() -> ip.Explanation:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 4))
    return ip.explain(
        ip.lenses.tabular(lambda t: t[:, 0] + 2 * t[:, 1] * t[:, 2], X[0], background=X, columns=list("abcd")),
        budget=16,
    )


@functools.cache
def picture() -> ip.Explanation:
    image = (np.add.outer(np.arange(24), np.arange(32)) * 4 % 256).astype(np.uint8)

    def predict(images: np.ndarray) -> np.ndarray:
        kept = images.reshape(len(images), -1).mean(axis=1) / 255
        return kept + (images[:, 2, 2] == image[2, 2]) * (images[:, 20, 28] == image[20, 28])

    return ip.explain(ip.lenses.image(predict, image, grid=(3, 4), ablate=7), budget=300)


def lesson(keep: float = 0.5, *, losses: bool = False) -> ip.Game:
    """0 and 1 are duplicates, 2 and 3 only help together, 4 harms what 5 does; the second output is half the first."""
    pictures = tuple(((0.0, 1.0), (1.0, 1.0), (k / 6, 0.0)) for k in range(6))

    def score(kept: np.ndarray) -> np.ndarray:
        has = np.isin(np.arange(6), kept)
        value = 2.0 * (has[0] | has[1]) + 3.0 * (has[2] & has[3]) - has[4] + 0.5 * has[5] - 0.25 * (has[4] & has[5])
        return (-1.0 if losses else 1.0) * np.array([value, value / 2])

    if losses:
        score.lower_is_better = True
    show = ip.lenses.Gallery(tuple("abcdef"), tuple("xxyyxy"), pictures)
    targets = ip.lenses.Gallery(("first", "second"), ("x", "y"), pictures[:2])
    return ip.lenses.training(lambda kept: kept, score, 6, keep=keep, show=show, targets=targets)


@functools.cache
def training() -> ip.Explanation:
    return ip.explain(lesson(), budget=64)


@functools.cache
def plain() -> ip.Explanation:
    """Features that lie nowhere."""
    return ip.explain(lambda masks: 1.0 * (masks[:, 0] & masks[:, 2]) - masks[:, 1], labels=["a", "b", "c"], budget=8)


@functools.cache
def hostile() -> ip.Explanation:
    """A text whose every word would do harm, and whose other strings would, too."""
    text, spans = "", []
    for word in HOSTILE:
        spans.append((len(text), len(text) + len(word)))
        text += word + " "
    n = len(spans)
    game = ip.Game(
        lambda masks: np.stack(
            [masks @ np.arange(1.0, n + 1) + 3 * (masks[:, 0] & masks[:, 1]), 1.0 - masks[:, 2]], axis=1
        ),
        list(HOSTILE),
        outputs=[HOSTILE[0], HOSTILE[3]],
        layout=ip.TextLayout(text, tuple(spans)),
        notes=[HOSTILE[1], HOSTILE[4]],
        question=f"Which words {HOSTILE[0]}?",
    )
    return ip.explain(game, budget=150, method="lasso")


@functools.cache
def large(n: int = 200, pairs: int = 150) -> ip.Explanation:
    """Two hundred words, and thousands of sets."""
    rng = np.random.default_rng(1)
    words = [f"word{i}" for i in range(n)]
    starts = np.cumsum([0, *(len(word) + 1 for word in words)])
    layout = ip.TextLayout(
        " ".join(words), tuple((int(a), int(a) + len(w)) for a, w in zip(starts, words, strict=False))
    )
    values = {(): 1.0} | {(i,): float(x) for i, x in enumerate(rng.normal(size=n))}
    while len(values) < 3000 + n:
        size = int(rng.integers(2, 5))
        values[tuple(sorted(rng.choice(n, size, replace=False).tolist()))] = float(rng.normal() / 3)
    quality = ip.Faithfulness(0.9, 0.88, 0.92, 0.7, "unseen", 100)
    fit = ip.Fit(ip.Spectrum(n, values), quality, 4, "gp")
    return ip.Explanation(labels=tuple(words), fits=(fit,), layout=layout, used=1000)


@functools.cache
def unfolded() -> ip.Explanation:
    """Sentences of mixed size, of which a pair in different paragraphs was opened."""
    filler = [f"Paragraph {i} is about the weather. It says nothing of note. It ends." for i in range(40)]
    filler[9], filler[31] = "The code is in the red book. It rains.", "Nobody has moved the red book. It ends."
    parts = ["code is in", "has moved", "Paragraph 20 "]

    def answers(texts: list[str]) -> list[float]:
        here = np.array([[part in text for part in parts] for text in texts])
        return (2.0 * here[:, :2].all(axis=1) - 0.7 * here[:, 2]).tolist()

    game = ip.lenses.text(answers, "\n\n".join(filler), unit=("paragraph", "sentence"), ablate="delete")
    return ip.explain(game, budget=140, method="gp")


EVERY = {
    kind.__name__: kind for kind in (words, sentences, grid, row, picture, training, plain, hostile, large, unfolded)
}
"""Functions that make an explanation, by its kind."""
