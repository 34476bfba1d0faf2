"""What the reuse of shared beginnings buys on a prompt of 2,000 tokens of SmolLM2, by which parts are left out.

    python benchmarks/llm_prefix.py --model PATH.gguf --device cuda --out prefix.jsonl

Each design of masks is measured with reuse and without, in turn, after a first call that tries the model out; the best
of ``--turns`` counts, in processor time, which waits for a GPU as well. "one" leaves out one part a row, "two" two,
"kept .9" and "kept .5" each with that chance. Values of both ways should agree.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import combinations, islice
from pathlib import Path
from unittest.mock import patch

import numpy as np

import interplay as ip
import llm_prompts
from interplay.models._causal import likelihood

TOKENS = 2000


def story(parts: int, tokens_of: object) -> list[str]:
    """So many passages of one length, about ``TOKENS`` tokens together."""
    rng = np.random.default_rng(parts)
    fillers = llm_prompts._FILLERS
    passages = [""] * parts
    while len(tokens_of(" ".join(passages))) < TOKENS:  # type: ignore[operator]
        shortest = int(np.argmin([len(one) for one in passages]))
        passages[shortest] = f"{passages[shortest]} {rng.choice(fillers)}".strip()
    return passages


def designs(n: int, rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    whole = np.ones((rows, n), dtype=bool)
    one, two = whole[: min(n, rows)].copy(), whole.copy()
    for i in range(len(one)):
        one[i, i] = False
    pairs = list(islice(combinations(range(n), 2), 10_000))
    chosen = [pairs[i] for i in rng.permutation(len(pairs))[:rows]]
    for row, pair in zip(two, chosen):
        row[list(pair)] = False
    two = two[: len(chosen)]
    return {"one": one, "two": two, "kept .9": rng.random((rows, n)) < 0.9, "kept .5": rng.random((rows, n)) < 0.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--parts", type=int, nargs="*", default=[8, 64])
    parser.add_argument("--designs", nargs="*", default=["one", "two", "kept .9", "kept .5"])
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument(
        "--later", action="store_true", help="leave the first call out, whose trial is then in the next"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    lm = ip.models.CausalLM.load(options.model, device=options.device, dtype="float32", chat=True, batch_tokens=16_384)
    for parts in options.parts:
        passages = story(parts, lm.tokenizer.tokenize)
        game = ip.lenses.documents(
            lm.logprob(" It rained."), passages, template="Read these notes.\n\n{documents}\n\nWhat happened?"
        )
        for name, masks in designs(parts, options.rows).items():
            if name not in options.designs:
                continue
            read = [lm.reader.prompt(text) for text in game.inputs(masks)]
            best, values = {True: np.inf, False: np.inf}, {}
            began = time.process_time()
            if not options.later:
                game(masks)  # tries out whether reuse changes nothing
            first = time.process_time() - began
            for _ in range(options.turns):
                for reuse in (True, False):
                    never = {} if reuse else dict.fromkeys(likelihood._WORTH, 10**9)
                    with patch.dict(likelihood._WORTH, never):
                        began = time.process_time()
                        values[reuse] = np.asarray(game(masks))
                        best[reuse] = min(best[reuse], time.process_time() - began)
            told = {
                "parts": parts,
                "design": name,
                "rows": len(masks),
                "tokens": float(np.mean([len(row) for row in read])),
                "first": first,
                "reuse": best[True],
                "plain": best[False],
                "apart": float(np.abs(values[True] - values[False]).max()),
            }
            with options.out.open("a") as out:
                out.write(json.dumps(told) + "\n")
            print(told, flush=True)


if __name__ == "__main__":
    main()
