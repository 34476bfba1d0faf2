"""Which gate a word should have, if slopes of words were to pay: an experiment, nothing of it is in the library.

    python benchmarks/word_slopes.py                # correlation of slopes with true jumps, three texts
    python benchmarks/word_slopes.py --fit 120      # and R² of fits to so many masks with them

MiniLM's similarity of a text with a short one about it; an ablated word becomes [UNK], or is hidden from attention.
Slopes of a gate between a word's and [UNK]'s embedding, with backward rules of layer-wise relevance (attention weights
or the sizes by which layers are normalised taken as constant); the same after some layers, where the gate lies between
the means of a word's states in the masks that keep it and in those that do not; at gates other than 0 and 1.
"""

from __future__ import annotations

import argparse
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import interplay as ip
from interplay import demo_model
from interplay.estimators import GP, fit_slopes, r_squared

TEXTS = (
    (
        "The room was clean and the staff were friendly , but nobody ever answered the phone and the heating did not "
        "work , so we will never come back to this place .",
        "A bad hotel with rude service.",
    ),
    (
        "I have read many books about the history of Rome and this one is not the worst , although the author seems to "
        "believe that emperors were kind .",
        "A history book about ancient Rome.",
    ),
    (
        "When the last train had left the station , the old man sat down on his suitcase and wondered whether anyone "
        "would notice that he was gone .",
        "A lonely man misses the train.",
    ),
)


class Words:
    """The similarity of a text, its words gated, with another one."""

    def __init__(self, text: str, other: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(demo_model())
        self.model = AutoModel.from_pretrained(demo_model(), attn_implementation="eager").eval().requires_grad_(False)
        tokens = tokenizer(text, return_tensors="pt")
        self.ids = tokens["input_ids"][0]
        self.owner = torch.tensor([-1 if word is None else word for word in tokens.word_ids(0)])
        self.n = int(self.owner.max()) + 1
        self.table = self.model.embeddings.word_embeddings.weight
        self.unknown = self.table[tokenizer.unk_token_id]
        with torch.no_grad():
            states = self.model(**tokenizer(other, return_tensors="pt")).last_hidden_state
        self.other = F.normalize(states.mean(1), dim=-1)

    def spread(self, gates: torch.Tensor) -> torch.Tensor:
        """Gates of words (B, n) as gates of tokens (B, L), 1 for those of no word."""
        return torch.where(self.owner >= 0, gates[:, self.owner.clamp(min=0)], 1.0)

    def unk(self, gates: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Similarities (B,) and the states after every layer, with words towards [UNK]."""
        own = self.table[self.ids]
        states = [
            self.model.embeddings(inputs_embeds=self.unknown + self.spread(gates)[..., None] * (own - self.unknown))
        ]
        for layer in self.model.encoder.layer:
            states.append(_first(layer(states[-1])))
        return (F.normalize(states[-1].mean(1), dim=-1) * self.other).sum(-1), states

    def hidden(self, gates: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The same with words hidden from attention."""
        each = self.spread(gates)
        states = self.model.embeddings(inputs_embeds=self.table[self.ids].expand(len(gates), -1, -1))
        for layer in self.model.encoder.layer:
            states = _first(layer(states, torch.log(each.clamp(min=1e-9))[:, None, None, :]))
        pooled = (states * each[..., None]).sum(1) / each.sum(1, keepdim=True)
        return (F.normalize(pooled, dim=-1) * self.other).sum(-1), []


def _first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


@contextlib.contextmanager
def constant(*, weights: bool = False, norms: bool = False) -> Iterator[None]:
    """Attention weights, or standard deviations of layers, without slopes of their own."""
    softmax, norm = F.softmax, F.layer_norm

    def normed(x: Any, _shape: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
        scale = (x.var(-1, unbiased=False, keepdim=True) + eps).sqrt().detach()
        return (x - x.mean(-1, keepdim=True)) / scale * weight + bias

    try:
        if weights:
            F.softmax = lambda *args, **options: softmax(*args, **options).detach()
        if norms:
            F.layer_norm = normed
        yield
    finally:
        F.softmax, F.layer_norm = softmax, norm


def slopes_of(words: Words, masks: np.ndarray, after: int = 0, **rules: bool) -> np.ndarray:
    """Slopes (N, n) of the gates of words after so many layers, in the values of which they are ablated as [UNK]."""
    gates = torch.tensor(masks.astype(np.float32))
    pushes, states = [], []
    with constant(**rules):
        for rows in gates.split(40):
            value, seen = words.unk(rows.clone().requires_grad_())
            pushes.append(torch.autograd.grad(value.sum(), seen[after])[0])
            states.append(seen[after].detach())
    push, state, of_tokens = torch.cat(pushes), torch.cat(states), words.spread(gates)
    means = [
        torch.einsum("rt,rtd->td", share, state) / share.sum(0)[:, None].clamp(min=1)
        for share in (of_tokens, 1.0 - of_tokens)
    ]
    return by_word(words, torch.einsum("rtd,td->rt", push, means[0] - means[1]).numpy())


def by_word(words: Words, of_tokens: np.ndarray) -> np.ndarray:
    """The sum over every word's tokens."""
    found = np.zeros((len(of_tokens), words.n))
    for token, word in enumerate(words.owner.tolist()):
        if word >= 0:
            found[:, word] += of_tokens[:, token]
    return found


def gradient(measure: Callable[..., Any], masks: np.ndarray, lift: float = 0.0, **rules: bool) -> np.ndarray:
    """Slopes (N, n) of the gates themselves, at ``lift`` instead of 0 and 1 - ``lift`` instead of 1."""
    gates = torch.tensor(masks.astype(np.float32) * (1 - 2 * lift) + lift).requires_grad_()
    with constant(**rules):
        return torch.autograd.grad(measure(gates)[0].sum(), gates)[0].numpy()


def values_of(measure: Callable[..., Any], masks: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        rows = torch.tensor(masks.astype(np.float32)).split(64)
        return np.concatenate([measure(part)[0].numpy() for part in rows]).astype(np.float64)


def jumps_of(measure: Callable[..., Any], masks: np.ndarray) -> np.ndarray:
    """f(with) - f(without) of every word at every mask, (N, n)."""
    found = np.empty(masks.shape)
    for row, mask in enumerate(masks):
        others = np.where(np.eye(len(mask), dtype=bool), ~mask, mask)
        found[row] = (values_of(measure, mask[None]) - values_of(measure, others)) * np.where(mask, 1, -1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masks", type=int, default=4, help="at which jumps are measured")
    parser.add_argument("--fit", type=int, default=0)
    options = parser.parse_args()
    found = defaultdict(list)
    both = {"weights": True, "norms": True}
    for text, other in TEXTS:
        words = Words(text, other)
        around = np.random.default_rng(1).random((32, words.n)) < 0.5
        masks = np.random.default_rng(0).random((options.masks, words.n)) < 0.5
        unk, hidden = (jumps_of(measure, masks) for measure in (words.unk, words.hidden))
        tried = {
            "[UNK]": (gradient(words.unk, masks), unk),
            "[UNK], attention weights constant": (gradient(words.unk, masks, weights=True), unk),
            "[UNK], norms constant": (gradient(words.unk, masks, norms=True), unk),
            "[UNK], both constant": (gradient(words.unk, masks, **both), unk),
            "[UNK], gates .25 and .75": (gradient(words.unk, masks, 0.25), unk),
            "[UNK], gates .5": (gradient(words.unk, masks, 0.5), unk),
            "hidden": (gradient(words.hidden, masks), hidden),
            "hidden, norms constant": (gradient(words.hidden, masks, norms=True), hidden),
        }
        together = np.concatenate([masks, around])
        for after in (1, 3, 5):
            for name, rules in (("", {}), (", both constant", both)):
                tried[f"[UNK], after {after} layers{name}"] = (
                    slopes_of(words, together, after, **rules)[: len(masks)],
                    unk,
                )
        for name, (slopes, jumps) in tried.items():
            parts = [np.ones(masks.shape, dtype=bool), masks, ~masks]
            found[name].append([np.corrcoef(slopes[part], jumps[part])[0, 1] for part in parts])
        if options.fit:
            design = ip.design(words.n, 2 * options.fit, method="gp")
            fresh = np.random.default_rng(5).random((400, words.n)) < 0.5
            values, truth = values_of(words.unk, design), values_of(words.unk, fresh)
            plain = GP().fit(design, values, order=5, seed=0).spectrum
            print(f"{text[:24]}..., {2 * options.fit} without slopes: R² {r_squared(truth, plain.predict(fresh)):.3f}")
            half = design[: options.fit]
            for name, after, rules in (("plain", 0, {}), ("constant", 0, both), ("constant, after 3", 3, both)):
                fit = fit_slopes(half, values[: len(half)], slopes_of(words, half, after, **rules), order=5, seed=0)
                print(f"    {len(half)} with slopes, {name}: {r_squared(truth, fit.spectrum.predict(fresh)):.3f}")
    print("| gate | all | kept | ablated |\n|---|---|---|---|")
    for name, rows in found.items():
        print(f"| {name} | {' | '.join(f'{mean:.2f}' for mean in np.mean(rows, axis=0))} |")


if __name__ == "__main__":
    main()
