"""A real chat model (SmolLM2-135M) on sixty prompts: how well each method explains it, by the length of the prompt.

    python benchmarks/llm.py designs --shapiq PYTHON --out designs.npz
    python benchmarks/llm_record.py --model PATH.gguf --device cuda --designs designs.npz --out values
    python benchmarks/llm.py fit --values values --designs designs.npz --peers PYTHON --shapiq PYTHON --work work
    python benchmarks/llm.py removals --model PATH.gguf --work work
    python benchmarks/llm.py table --values values --work work --out docs/llm.md

The prompts are those of `llm_prompts.py`; words are left out, and every method has 1,280 ablations of each prompt, no
more (256 where whole passages are). Ours but SPEX, ContextCite and LIME fit the same uniform masks; SPEX, KernelSHAP
and ProxySHAP have masks of their own. R² is judged on uniform masks that none has seen. Steps go on where they stopped,
a fit at a time, first with one prompt of each kind and length; ``--peers`` has context-cite and lime, ``--shapiq`` has
shapiq 1.8.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import compare
import interplay as ip
import llm_prompts
import llm_record

OURS = ("auto", "proxyspex", "spex", "lasso")
PEERS = ("contextcite", "lime", "kernelshap", "proxyshap")
OWN_MASKS = ("spex", "kernelshap", "proxyshap")
REMOVED = (1, 3, 5)
HERE = Path(__file__).parent
CASES = ("words", "passages")


def make_designs(options: argparse.Namespace) -> None:
    sizes = {f"{i:02}": prompt.words for i, prompt in enumerate(llm_prompts.prompts())}
    source, target = options.out.with_suffix(".json"), options.out.with_suffix(".peers.npz")
    source.write_text(json.dumps({"budget": llm_record.MASKS, "sizes": sizes}))
    command = [options.shapiq, str(HERE / "peers" / "shapiq_prompts.py"), "designs", str(source), str(target)]
    if not target.exists():
        subprocess.run(command, check=True)
    made = dict(np.load(target))
    for name, n in sizes.items():
        made[f"{name}-spex"] = np.packbits(ip.design(n, llm_record.MASKS, method="spex"), axis=1)
    np.savez_compressed(options.out, **made)


class Recorded:
    """The recorded values of one prompt, its words or its passages."""

    def __init__(self, number: int, case: str, values: Path, designs: Path) -> None:
        prompt = llm_prompts.prompts()[number]
        self.number, self.case, self.prompt, self.folder = number, case, prompt, values
        self.n = prompt.words if case == "words" else len(prompt.passages)
        self.made = np.load(designs)

    def design(self, design: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Masks and values; None where they were not recorded."""
        path = self.folder / f"{self.number:02}-{design}.npz"
        if not path.exists():
            return None
        values = np.load(path)["values"]
        if design in llm_record.OWN:
            masks = llm_record.drawn(design, self.number, self.n)
        else:
            masks = np.unpackbits(self.made[f"{self.number:02}-{design}"], axis=1, count=self.n).astype(bool)
        return masks[: len(values)], values

    def sample(self, method: str) -> tuple[np.ndarray, np.ndarray] | None:
        """What a method fits; None where it was not recorded."""
        if self.case == "words":
            return self.design(method if method in OWN_MASKS else "uniform")
        return None if method in OWN_MASKS else self.design("passages")

    def unseen(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Masks that no method has seen, and their values."""
        words = self.case == "words"
        found = self.design("unseen" if words else "passages_unseen")
        designs = ("uniform", *OWN_MASKS) if words else ("passages",)
        seen = {row.tobytes() for one in map(self.design, designs) if one is not None for row in one[0]}
        if found is None:
            return None
        new = [row.tobytes() not in seen for row in found[0]]
        return (found[0][new], found[1][new]) if sum(new) > 20 else None


def fit(options: argparse.Namespace) -> None:
    """Fit what is recorded and not fitted yet; until ``--wait`` seconds have passed, again and again."""
    options.work.mkdir(parents=True, exist_ok=True)
    part, parts = options.part
    path = options.work / (f"results-{part}.jsonl" if parts > 1 else "results.jsonl")
    began = time.perf_counter()
    until = began + options.seconds
    while fit_once(options, path, llm_record.in_turn()[part::parts], until) or (
        time.perf_counter() - began < options.wait
    ):
        time.sleep(1)


def fit_once(options: argparse.Namespace, path: Path, numbers: Sequence[int], until: float) -> int:
    """How many fits were made; none is begun after ``until``."""
    done = {(r["number"], r["case"], r["by"]) for r in results(options.work)}
    made = 0
    ask_peers(options, [i for i in numbers if options.only is None or i in options.only], done)
    for number in numbers:
        for case in CASES:
            game = Recorded(number, case, options.values, options.designs)
            if options.only is not None and number not in options.only:
                continue
            unseen = game.unseen() if case == "words" or game.n >= 4 else None
            if unseen is None and (case == "words" or game.n < 4):
                continue
            for method in options.methods:
                late = time.perf_counter() > until
                given = None if late or (number, case, method) in done else game.sample(method)
                if given is None:
                    continue
                result = {"number": number, "case": case, "by": method, "kind": game.prompt.kind, "n": game.n}
                result["bin"] = game.prompt.bin
                try:
                    spectrum, seconds = fitted(f"{number:02}-{case}", method, *given, options)
                except ip.InputError as error:
                    result["failed"] = str(error)
                else:
                    result |= {"seconds": seconds, "first": lowering(spectrum, game.n, max(REMOVED))}
                    if unseen is not None:  # of few passages every mask was drawn
                        result["r2"] = compare.r_squared(unseen[1], spectrum.predict(unseen[0]))
                with path.open("a") as out:
                    out.write(json.dumps(result) + "\n")
                made += 1
                print(number, case, game.n, method, result.get("r2", result.get("failed")), flush=True)
    return made


def ask_peers(options: argparse.Namespace, numbers: Sequence[int], done: set[tuple[int, str, str]]) -> None:
    """Have each peer fit all that is recorded, in one process, as starting one takes longer than most fits."""
    for method in PEERS:
        files: list[str] = []
        for number, case in ((number, case) for number in numbers for case in CASES):
            target = options.work / f"{number:02}-{case}-{method}.out.npz"
            wanted = method in options.methods and (number, case, method) not in done and not target.exists()
            given = Recorded(number, case, options.values, options.designs).sample(method) if wanted else None
            if given is not None:
                source = options.work / f"{number:02}-{case}-{method}.in.npz"
                np.savez(source, masks=given[0], values=given[1], n=given[0].shape[1], budget=llm_record.MASKS)
                files += [str(source), str(target)]
        if files:
            shapiq = method in ("kernelshap", "proxyshap")
            program = [options.shapiq, "shapiq_prompts.py", "fit"] if shapiq else [options.peers, "run.py"]
            command = [program[0], str(HERE / "peers" / program[1]), *program[2:], method, *files]
            with (options.work / "peers.log").open("a") as log:
                subprocess.run(command, check=False, stdout=log, stderr=log, timeout=options.limit)


def fitted(
    name: str, method: str, masks: np.ndarray, values: np.ndarray, options: argparse.Namespace
) -> tuple[ip.Spectrum, float]:
    """The spectrum that a method finds, and its seconds; of a peer, what it has found already."""
    if method in OURS:
        began = time.perf_counter()
        found = ip.fit(masks, values, method=method)
        return found.spectrum, time.perf_counter() - began
    target = options.work / f"{name}-{method}.out.npz"
    if not target.exists():
        raise ip.InputError(f"{method} gave nothing; its words are in {options.work}/peers.log")
    out = np.load(target)
    spectrum = compare.to_spectrum(masks.shape[1], str(out["basis"]), out["keys"], out["coefficients"])
    return spectrum, float(out["seconds"])


def lowering(spectrum: ip.Spectrum, n: int, most: int) -> list[int]:
    """The words whose removal lowers the prediction most, one after another."""
    kept, gone = np.ones(n, dtype=bool), []
    for _ in range(min(most, n)):
        rows = np.repeat(kept[None], n, axis=0)
        np.fill_diagonal(rows, False)
        predicted = np.where(kept, spectrum.predict(rows), np.inf)
        gone.append(int(predicted.argmin()))
        kept[gone[-1]] = False
    return gone


def removals(options: argparse.Namespace) -> None:
    """Measure the prompts without the words that each method called strongest."""
    path = options.work / "removals.jsonl"
    done = {(r["number"], r["by"]) for r in read(path)}
    lm = ip.models.CausalLM.load(options.model, device=options.device, chat=True)
    wanted: dict[int, dict[str, list[int]]] = {}
    for result in results(options.work):
        if result["case"] != "words" or "first" not in result:
            continue
        if options.only is None or result["number"] in options.only:
            wanted.setdefault(result["number"], {})[result["by"]] = result["first"]
    prompts = llm_prompts.prompts()
    for number, by in wanted.items():
        n = prompts[number].words
        by["random"] = np.random.default_rng(number).permutation(n)[: max(REMOVED)].tolist()
        fresh = {method: first for method, first in by.items() if (number, method) not in done}
        if not fresh:
            continue
        game = llm_record.words_game(lm, prompts[number])
        rows = np.ones((1 + len(fresh) * len(REMOVED), n), dtype=bool)
        for i, first in enumerate(fresh.values()):
            for j, k in enumerate(REMOVED):
                rows[1 + i * len(REMOVED) + j, first[:k]] = False
        values = np.asarray(game(rows)).ravel()
        drops = (values[0] - values[1:]).reshape(len(fresh), len(REMOVED)).tolist()
        with path.open("a") as out:
            for method, fell in zip(fresh, drops):
                out.write(json.dumps({"number": number, "by": method, "drops": fell}) + "\n")
        print(number, n, flush=True)


def table(options: argparse.Namespace) -> None:
    fits = [r for r in results(options.work) if "first" in r]
    dropped: dict[int, dict[str, list[float]]] = {}
    for r in read(options.work / "removals.jsonl"):
        dropped.setdefault(r["number"], {})[r["by"]] = r["drops"]
    methods = [m for m in (*OURS, *PEERS) if any(r["by"] == m for r in fits)]
    words = [r for r in fits if r["case"] == "words"]
    lines = ["## R² on unseen masks, below 0 counted as 0\n", _head(("words", "prompts", *methods))]
    for number, (low, high) in enumerate(llm_prompts.BINS):
        lines += _compared(f"{low}-{high}", [r for r in words if r["bin"] == number], methods)
    judged = _shared(words, methods)
    for kind in llm_prompts.KINDS:
        lines += _compared(kind, [r for r in words if r["kind"] == kind and r["number"] in judged], methods)
    seconds = [_mean((r["seconds"] for r in words if r["by"] == m and r["number"] in judged), 1) for m in methods]
    lines.append(_row("seconds a fit", len(judged), *seconds))
    lines += ["\n## Fall of the value (nats) without the k words called strongest\n"]
    rivals = [m for m in (*methods, "random") if any(m in drops for drops in dropped.values())]
    lines.append(_head(("k", "prompts", *rivals)))
    both = [i for i, drops in sorted(dropped.items()) if set(rivals) <= set(drops)]
    for j, k in enumerate(REMOVED):
        lines.append(_row(k, len(both), *[_mean((dropped[i][m][j] for i in both), 2) for m in rivals]))
    lines += ["\n## Share of the passages that hold the answer among those of the 5 words called strongest\n"]
    held = [r for r in words if r["kind"] == "passages"]
    judged = _shared(held, methods)
    prompts = llm_prompts.prompts()
    found = {m: [r for r in held if r["by"] == m and r["number"] in judged] for m in methods}
    shares = [_mean((_held(r["first"], prompts[r["number"]]) for r in found[m]), 2) for m in methods]
    lines += [_head(("prompts", *methods)), _row(len(judged), *shares)]
    passages = [r for r in fits if r["case"] == "passages"]
    if passages:
        lines += _of_passages(passages, [m for m in methods if any(r["by"] == m for r in passages)])
    lines += ["\n## Seconds an ablation against the bare model\n", *speed(options.values)]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def _of_passages(passages: Sequence[dict], methods: Sequence[str]) -> list[str]:
    """R² of whole passages, and the share of those that hold the answer among the two strongest."""
    lines = ["\n## Whole passages: R², and the share of those that hold the answer among the two strongest\n"]
    lines.append(_head(("", "prompts", *methods)))
    judged = _shared(passages, methods)
    passages = [r for r in passages if r["number"] in judged]
    seen, prompts = [r for r in passages if "r2" in r], llm_prompts.prompts()
    cells = [_mean(r["r2"] for r in seen if r["by"] == m) for m in methods]
    lines.append(_row("R²", len({r["number"] for r in seen}), *cells))
    each = [[_share(r["first"], prompts[r["number"]].holding) for r in passages if r["by"] == m] for m in methods]
    return [*lines, _row("recall", len({r["number"] for r in passages}), *[_mean(one, 2) for one in each])]


def _shared(fits: Sequence[dict], methods: Sequence[str]) -> set[int]:
    """Prompts that every method was run on: means over different prompts would not be comparable."""
    sets = [{r["number"] for r in fits if r["by"] == m} for m in methods]
    return set.intersection(*sets) if sets else set()


def _compared(name: str, fits: Sequence[dict], methods: Sequence[str]) -> list[str]:
    """A row of mean R² over the prompts that all its methods have: those run on three quarters of them or more."""
    count = len({r["number"] for r in fits})
    run = [m for m in methods if 4 * sum(r["by"] == m for r in fits) >= 3 * count]
    methods = [m if m in run else "" for m in methods]
    shared = _shared(fits, run)
    if not shared:
        return []
    cells = [_mean(max(r["r2"], 0.0) for r in fits if r["by"] == m and r["number"] in shared) for m in methods]
    return [_row(name, len(shared), *cells)]


def speed(values: Path) -> Sequence[str]:
    """What 128 ablations took beside the model's forward pass on the same prompts, without the answer's tokens."""
    lines = [_head(("words", "tokens of a prompt", "ours, ms", "bare model, ms", "ratio"))]
    for path in sorted(values.glob("*-unseen.npz")):
        told = json.loads(str(np.load(path)["told"]))
        if "bare_128" in told:
            ours, bare = (1000 * told[key] / 128 for key in ("ours_128", "bare_128"))
            lines.append(_row(told["n"], f"{told['tokens']:.0f}", f"{ours:.2f}", f"{bare:.2f}", f"{ours / bare:.2f}"))
    return lines


def results(work: Path) -> list[dict]:
    """All fits made so far, by whichever process."""
    return [result for path in sorted(work.glob("results*.jsonl")) for result in read(path)]


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _part(given: str) -> tuple[int, int]:
    part, parts = given.split("/")
    return int(part), int(parts)


def _share(first: Sequence[int], holding: Sequence[int]) -> float:
    return len(set(first[:2]) & set(holding)) / len(holding)


def _held(first: Sequence[int], prompt: llm_prompts.Prompt) -> float:
    """The share of the passages that hold the answer in which one of these words stands."""
    ends = np.cumsum([len(passage.split()) for passage in prompt.passages])
    places = set(np.searchsorted(ends, first, side="right").tolist())
    return len(places & set(prompt.holding)) / len(prompt.holding)


def _mean(values: object, digits: int = 3) -> str:
    listed = list(values)  # type: ignore[call-overload]
    return f"{np.mean(listed):.{digits}f}" if listed else ""


def _head(names: Sequence[object]) -> str:
    return _row(*names) + "\n" + "|---" * len(names) + "|"


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("designs", "fit", "removals", "table"))
    parser.add_argument("--values", type=Path, help="what llm_record.py wrote")
    parser.add_argument("--designs", type=Path, help="masks of methods that choose their own")
    parser.add_argument("--work", type=Path, help="folder of results")
    parser.add_argument("--model", help="the GGUF file")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peers", help="a Python with context-cite and lime")
    parser.add_argument("--shapiq", help="a Python with shapiq 1.8")
    parser.add_argument("--methods", nargs="*", choices=(*OURS, *PEERS), default=[*OURS, *PEERS])
    parser.add_argument("--part", type=_part, default=(0, 1), help="I/K: every K-th prompt from I on, for a process")
    parser.add_argument("--wait", type=float, default=0, help="seconds for which recordings are waited for")
    parser.add_argument("--seconds", type=float, default=np.inf, help="after which no fit is begun")
    parser.add_argument("--only", nargs="*", type=int, help="numbers of prompts")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a peer is stopped")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    {"designs": make_designs, "fit": fit, "removals": removals, "table": table}[options.step](options)


if __name__ == "__main__":
    main()
