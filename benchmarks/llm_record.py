"""Record what a real chat model says to the ablated prompts of `llm_prompts.py`: the first step of `llm.py`.

    python benchmarks/llm_record.py --model PATH.gguf --device cuda --designs designs.npz --out values

It needs PyTorch, transformers and NumPy, and none of what fits explanations. For every prompt there is a file of
values for each design of masks: "unseen" and "uniform", drawn here from fixed seeds; those of ``--designs``, made by
`llm.py designs`; and "passages", whole passages left out, with the log-probability of the right answer. Short prompts
and the first designs come first, and nothing new is begun after ``--seconds``, so that what is there is whole.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import interplay as ip
import llm_prompts

MASKS, UNSEEN, PASSAGES = 1280, 400, 256
OWN = ("uniform", "unseen", "passages", "passages_unseen")
LONGEST = 16  # tokens of the model's own response


def drawn(design: str, number: int, n: int) -> np.ndarray:
    """Uniform masks of one prompt, by a fixed seed; those to fit to hold the whole prompt and the empty one."""
    rng = np.random.default_rng((OWN.index(design), number))
    count = UNSEEN if design.endswith("unseen") else PASSAGES if design == "passages" else MASKS
    masks = rng.random((count, n)) < 0.5
    if not design.endswith("unseen"):
        masks[0], masks[1] = True, False
    return masks


def words_game(lm: ip.models.CausalLM, prompt: llm_prompts.Prompt) -> ip.Game:
    """Words of a prompt; the margin of its two answers, or the log-probability of the model's own response."""
    scorer = lm.margin(*prompt.answers) if prompt.answers else lm.logprob(max_tokens=LONGEST)
    return ip.lenses.text(scorer, prompt.text, template=prompt.template, unit="word")


def passages_game(lm: ip.models.CausalLM, prompt: llm_prompts.Prompt) -> ip.Game:
    """Passages of a prompt; the log-probability of the right answer."""
    template = prompt.template.replace("{text}", "{documents}")
    return ip.lenses.documents(lm.logprob(prompt.truth), prompt.passages, template=template, between=" ")


def bare_seconds(lm: ip.models.CausalLM, texts: list[str]) -> float:
    """Seconds of the model's forward pass alone on the prompts' tokens, ready in batches of one length or nearly.

    What is measured after a prompt, up to 16 tokens, is not among them.
    """
    import torch

    rows = sorted((lm.reader.prompt(text) for text in texts), key=len, reverse=True)
    device, size = lm.model.device, 16_384 if lm.model.device.type == "cuda" else 512
    batches = []
    while rows:
        count = max(1, size // len(rows[0]))
        batch, rows = rows[:count], rows[count:]
        batches.append(torch.tensor([row + row[-1:] * (len(batch[0]) - len(row)) for row in batch], device=device))
    best = np.inf
    for _ in range(3):
        began = time.perf_counter()
        with torch.inference_mode():
            for batch in batches:
                last = lm.model(input_ids=batch, use_cache=False, logits_to_keep=1).logits
                float(last[0, 0, 0])  # waits for the device
        best = min(best, time.perf_counter() - began)
    return best


def record(
    lm: ip.models.CausalLM, prompt: llm_prompts.Prompt, design: str, masks: np.ndarray, timed: bool
) -> dict[str, Any]:
    """The values (N,) of one prompt's masks, and what they took."""
    game = passages_game(lm, prompt) if design.startswith("passages") else words_game(lm, prompt)
    began = time.perf_counter()
    values = np.asarray(game(masks), dtype=np.float64)
    seconds = time.perf_counter() - began
    texts = game.inputs(masks[:128])
    told = {"seconds": seconds, "notes": list(game.notes), "kind": prompt.kind, "bin": prompt.bin, "n": game.n}
    told["tokens"] = float(np.mean([len(lm.reader.prompt(text)) for text in texts]))
    if timed:
        game(masks[:128])
        began = time.perf_counter()
        game(masks[:128])
        told |= {"ours_128": time.perf_counter() - began, "bare_128": bare_seconds(lm, texts)}
    return {"values": values, "told": json.dumps(told)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--designs", type=Path, help="masks of methods that choose their own")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=np.inf, help="after which nothing new is begun")
    parser.add_argument("--only", nargs="*", type=int, help="numbers of prompts")
    parser.add_argument("--most", type=int, default=MASKS, help="masks of each design, for a trial")
    options = parser.parse_args()
    began = time.perf_counter()
    import torch

    torch.set_float32_matmul_precision("high")
    options.out.mkdir(parents=True, exist_ok=True)
    lm = ip.models.CausalLM.load(options.model, device=options.device, chat=True)
    print(f"loaded in {time.perf_counter() - began:.0f} s on {lm.model.device}", flush=True)
    made = np.load(options.designs) if options.designs else {}
    others = sorted({name.split("-", 1)[1] for name in made}, key=lambda name: (name != "spex", name))
    chosen = [(i, p) for i, p in enumerate(llm_prompts.prompts()) if options.only is None or i in options.only]
    chosen.sort(key=lambda pair: (pair[1].words, pair[0]))
    for design in ("unseen", "uniform", "passages_unseen", "passages", *others):
        for number, prompt in chosen:
            path = options.out / f"{number:02}-{design}.npz"
            n = len(prompt.passages) if design.startswith("passages") else prompt.words
            if path.exists() or (design.startswith("passages") and n < 4):
                continue
            if time.perf_counter() - began > options.seconds:
                print("out of time", flush=True)
                return
            if design in OWN:
                masks = drawn(design, number, n)
            else:
                key = f"{number:02}-{design}"
                if key not in made:
                    continue
                masks = np.unpackbits(made[key], axis=1, count=n).astype(bool)
            timed = design == "unseen" and prompt.kind == "passages"
            found = record(lm, prompt, design, masks[: options.most], timed)
            np.savez_compressed(path, **found)
            print(f"{path.stem} n={n} {json.loads(found['told'])['seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    main()
