"""Record what a real chat model says to the ablated prompts of `llm_prompts.py`: the first step of `llm.py`.

    python benchmarks/llm_record.py --model PATH.gguf --device cuda --designs designs.npz --out values

It needs PyTorch, transformers and NumPy, and none of what fits explanations. For every prompt there is a file of
values for each design of masks: "unseen" and "uniform", drawn here from fixed seeds; those of ``--designs``, made by
`llm.py designs`; and "passages", whole passages left out, with the log-probability of the right answer. One prompt of
each kind and length comes first, with all its designs; any number of processes may share an ``--out``. Nothing new is
begun after ``--seconds``, so that what is there is whole.

With ``--dtype float16`` the first ablations of each prompt are measured in float32, too, and all of them where the two
disagree.
"""

from __future__ import annotations

import argparse
import copy
import fcntl
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
CHECKED, AGREES = 32, 0.998  # ablations of a prompt in both precisions, and the R² from which on half of it will do
BATCH = {"cuda": 32_768, "cpu": None}  # tokens; a GPU that others use, too, is too uneven to find the best by trying


def in_turn() -> list[int]:
    """Numbers of prompts: one of each kind and length first, short ones before long ones, then the second ones."""
    found = list(enumerate(llm_prompts.prompts()))
    first = {prompt.bin: number for number, prompt in reversed(found)}
    return sorted(range(len(found)), key=lambda i: ((i - first[found[i][1].bin]) // len(llm_prompts.KINDS), i))


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


def agreement(half: ip.Game, full: ip.Game, masks: np.ndarray) -> float:
    """R² of values in half precision against those in float32; 0 where the two models' own responses differ."""
    measured = [[note for note in game.notes if note.startswith("measured: ")] for game in (half, full)]
    if measured[0] != measured[1]:
        return 0.0
    try:
        found = np.asarray(half(masks), dtype=np.float64)
    except ip.AblationError:  # numbers beyond those of float16
        return 0.0
    wanted = np.asarray(full(masks), dtype=np.float64)
    return float(1 - ((found - wanted) ** 2).sum() / ((wanted - wanted.mean()) ** 2).sum())


def record(lm: ip.models.CausalLM, game: ip.Game, masks: np.ndarray, timed: bool) -> dict[str, Any]:
    """The values (N,) of one prompt's masks, and what they took."""
    began = time.perf_counter()
    values = np.asarray(game(masks), dtype=np.float64)
    told: dict[str, Any] = {"seconds": time.perf_counter() - began, "notes": list(game.notes), "n": game.n}
    if timed:
        texts = game.inputs(masks[:128])
        told["tokens"] = float(np.mean([len(lm.reader.prompt(text)) for text in texts]))
        game(masks[:128])
        began = time.perf_counter()
        game(masks[:128])
        told |= {"ours_128": time.perf_counter() - began, "bare_128": bare_seconds(lm, texts)}
    return {"values": values, "told": told}


class Recording:
    """Writes the files of one prompt after another, each whole or not at all."""

    def __init__(self, options: argparse.Namespace, began: float) -> None:
        self.options, self.began = options, began
        self.full = ip.models.CausalLM.load(
            options.model, device=options.device, dtype="float32", chat=True, batch_tokens=BATCH[options.device]
        )
        self.half = None
        if options.dtype == "float16":
            model = copy.deepcopy(self.full.model)
            for weight in model.parameters():  # and no buffer: angles of positions stay as they are
                weight.data = weight.data.half()
            self.half = ip.models.CausalLM(model, self.full.tokenizer, chat=True, batch_tokens=BATCH[options.device])
        self.made = np.load(options.designs) if options.designs else {}
        named = {name.split("-", 1)[1] for name in self.made}
        others = sorted(named, key=lambda name: (name != "spex", name))
        self.designs = ("unseen", "uniform", "passages_unseen", "passages", *others)

    @property
    def is_over(self) -> bool:
        return time.perf_counter() - self.began > self.options.seconds

    def prompt(self, number: int) -> None:
        """Record all designs of a prompt that are not there yet."""
        prompt = llm_prompts.prompts()[number]
        for of_passages in (False, True):
            wanted = [one for one in self.designs if one.startswith("passages") == of_passages]
            wanted = [one for one in wanted if not self.path(number, one).exists()]
            if not wanted or (of_passages and len(prompt.passages) < 4):
                continue
            make = passages_game if of_passages else words_game
            lm, game, agreed = self.full, make(self.full, prompt), None
            if self.half is not None:
                half = make(self.half, prompt)
                agreed = agreement(half, game, drawn(wanted[0], number, game.n)[:CHECKED])
                if agreed >= AGREES:
                    lm, game = self.half, half
            for design in wanted:
                masks = self.masks(number, design, game.n)
                if masks is None or self.is_over:
                    continue
                timed = design == "unseen" and prompt.kind == "passages"
                found = record(lm, game, masks[: self.options.most], timed)
                told = found["told"] | {"kind": prompt.kind, "bin": prompt.bin, "agreement": agreed}
                told["dtype"] = str(lm.model.dtype).removeprefix("torch.")
                path = self.path(number, design)
                with path.with_suffix(".part").open("wb") as out:
                    np.savez_compressed(out, values=found["values"], told=json.dumps(told))
                path.with_suffix(".part").replace(path)
                print(f"{path.stem} n={game.n} {told['seconds']:.1f} s {told['dtype']} {agreed}", flush=True)

    def path(self, number: int, design: str) -> Path:
        found: Path = self.options.out / f"{number:02}-{design}.npz"
        return found

    def masks(self, number: int, design: str, n: int) -> np.ndarray | None:
        if design in OWN:
            return drawn(design, number, n)
        key = f"{number:02}-{design}"
        if key not in self.made:
            return None
        return np.unpackbits(self.made[key], axis=1, count=n).astype(bool)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="cpu", choices=sorted(BATCH))
    parser.add_argument("--dtype", default="float32", choices=("float32", "float16"))
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
    recording = Recording(options, began)
    print(f"loaded in {time.perf_counter() - began:.0f} s on {recording.full.model.device}", flush=True)
    for number in in_turn():
        if options.only is not None and number not in options.only:
            continue
        if recording.is_over:
            print("out of time", flush=True)
            break
        with (options.out / f"{number:02}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # another process measures this one
                continue
            recording.prompt(number)


if __name__ == "__main__":
    main()
