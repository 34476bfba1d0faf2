"""A circuit that is known, recovered: train a small model until it does induction, then ablate its heads.

    python benchmarks/induction.py --work /tmp/induction            # trains (minutes), then studies; resumes if stopped

Sequences repeat a random period of 12 to 19 tokens, so the next token is known only from what followed the same token
before. The known circuit (Elhage et al. 2021, Olsson et al. 2022): a *previous-token head* in an early layer writes
into each position what stood before it, and an *induction head* in a later layer looks for the position that
remembers the present token and copies what stands there. Neither is of any use without the other: an interaction
across layers. Which heads do it is read off the attention patterns, which the ablations never see.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

import interplay as ip
from interplay.report import energy_shares

VOCABULARY, LENGTH, SHORTEST, LONGEST = 32, 40, 12, 19
LAYERS, HEADS = 2, 4


def sequences(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (count, LENGTH) that repeat a period, and the periods (count,)."""
    period = torch.randint(SHORTEST, LONGEST + 1, (count,), generator=generator)
    base = torch.stack([torch.randperm(VOCABULARY, generator=generator)[:LONGEST] for _ in range(count)])
    return base.gather(1, torch.arange(LENGTH) % period[:, None]), period


def fresh_model(seed: int) -> Any:
    """Relative positions only: with absolute ones a model might find the token and count on (a guess, untested)."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=64,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=64,
            vocab_size=VOCABULARY,
            max_position_embeddings=LENGTH,
            bos_token_id=0,
            eos_token_id=0,
            attn_implementation="eager",  # gives the attention patterns that tell the truth
        )
    )


def score(model: Any, count: int = 256, seed: int = 1) -> float:
    """Share of right predictions, where the next token is known, on sequences never trained on."""
    ids, period = sequences(count, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        right = model(input_ids=ids, use_cache=False).logits[:, :-1].argmax(-1) == ids[:, 1:]
    known = torch.arange(1, LENGTH) >= period[:, None] + 1
    return float(right[known].double().mean())


def train(model: Any, work: Path, seconds: float) -> None:
    """Until 99% are right, or the time is over; goes on from what is in ``work``."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    saved, step = work / "model.pt", 0
    if saved.exists():
        parts = torch.load(saved)
        model.load_state_dict(parts["model"])
        optimiser.load_state_dict(parts["optimiser"])
        step = parts["step"]
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if step % 100 == 0:
            model.eval()
            right = score(model)
            print(f"step {step}: {right:.3f} right", flush=True)
            if right > 0.99:
                break
            model.train()
        ids, period = sequences(64, torch.Generator().manual_seed(1000 + step))
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        known = (torch.arange(1, LENGTH) >= period[:, None]).float()
        optimiser.zero_grad()
        ((losses * known).sum() / known.sum()).backward()
        optimiser.step()
        step += 1
    torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, saved)
    model.eval()


def patterns(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """How much each head (LAYERS, HEADS) attends to the previous token, and to what followed the present one."""
    ids, period = sequences(128, torch.Generator().manual_seed(2))
    with torch.no_grad():
        attention = model(input_ids=ids, output_attentions=True, use_cache=False).attentions
    here = torch.arange(LENGTH)
    back = here[:, None] - here  # from a position (rows) to those it may attend to (columns)
    before = (back == 1).expand(len(ids), -1, -1)
    after_same = ((back + 1) % period[:, None, None] == 0) & (back > 0)
    late = here >= period[:, None] + 1
    found = []
    for target in (before, after_same):
        share = [(layer * target[:, None]).sum(-1).transpose(1, 2)[late].mean(0) for layer in attention]
        found.append(torch.stack(share).numpy())
    return found[0], found[1]


def study(model: Any) -> None:
    ids, period = sequences(64, torch.Generator().manual_seed(3))
    known = (torch.arange(1, LENGTH) >= period[:, None] + 1).float()

    def log_probability(output: Any, rows: torch.Tensor) -> torch.Tensor:
        """Of the right next token, the mean over positions where it is known."""
        chosen = output.logits[:, :-1].log_softmax(-1).gather(-1, ids[rows, 1:].unsqueeze(-1))[..., 0]
        return (chosen * known[rows]).sum(-1) / known[rows].sum(-1)

    previous, induction = patterns(model)
    print("\nattention to the previous token, by head\n", previous.round(2))
    print("attention to what followed the same token before, by head\n", induction.round(2))
    for ablate in ("zero", "mean"):
        game = ip.lenses.heads(model, {"input_ids": ids}, log_probability, ablate=ablate)
        result = ip.explain(game, budget=256)
        shares = energy_shares(result.spectrum, game.layout)
        print(f"\nablate={ablate!r}: {result.full[0]:.3f} nats whole, {result.empty[0]:.3f} without heads")
        print(result.faithfulness)
        print(shares)
        for index, order in (("sv", 1), ("fbii", 3)):
            print(result.interactions(index, order=order, top=10))
        pairs = result.interactions("fbii", order=2)
        across = [(i, HEADS + j) for i in range(HEADS) for j in range(HEADS)]
        measured = [pairs.get(pair, 0.0) for pair in across]
        within = [value for pair, value in pairs.of_order(2).items() if pair not in across]
        truth = [previous[0, i] * induction[1, j - HEADS] for i, j in across]
        print(
            f"pairs across layers against (previous-token attention) x (induction attention): Spearman "
            f"{spearmanr(measured, truth).statistic:.2f}; strongest pair within a layer {max(map(abs, within)):.2f}, "
            f"across {max(map(abs, measured)):.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    model = fresh_model(options.seed)
    train(model, options.work, options.seconds)
    print(f"right on unseen sequences: {score(model, seed=9):.3f}")
    study(model)


if __name__ == "__main__":
    main()
