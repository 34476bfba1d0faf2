"""Tables and plots of `compare.py`'s results."""

from __future__ import annotations

from pathlib import Path

import numpy as np

NAMES = {
    "ours:auto": "**interplay auto***",
    "ours:explain": "**interplay auto, own masks**",
    "ours:gp": "interplay gp*",
    "ours:proxyspex": "interplay proxyspex*",
    "ours:lasso": "interplay lasso*",
    "peer:proxyspex": "ProxySPEX, authors'*",
    "peer:contextcite": "ContextCite*",
    "peer:lime": "LIME*",
    "peer:spex": "SPEX, authors'",
    "peer:shapiq_proxyspex": "shapiq ProxySPEX",
    "peer:shapiq_fbii": "shapiq regression FBII",
}
REFERENCE = "peer:proxyspex"
OURS = ("ours:auto", "ours:explain", "ours:gp", "ours:proxyspex")  # lasso is everybody's


class Results:
    """Results by game, multiple and method."""

    def __init__(self, results: list[dict]) -> None:
        self.by = {(r["game"], r["multiple"], r["by"]): r for r in results if "r2" in r and r["multiple"]}
        self.games = sorted({r["game"] for r in results})
        self.multiples = sorted({r["multiple"] for r in results if r["multiple"]})
        self.fixed = {(r["N"], r["by"], r["game"]): r for r in results if "r2" in r and not r["multiple"]}
        self.methods = [name for name in NAMES if any(key[2] == name for key in self.by)]

    def get(self, game: str, multiple: float, method: str, what: str = "r2") -> float:
        value = self.by.get((game, multiple, method), {}).get(what)
        return float("nan") if value is None else float(value)

    def array(self, multiple: float, method: str, what: str = "r2") -> np.ndarray:
        return np.array([self.get(game, multiple, method, what) for game in self.games])


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def number(value: float, digits: int = 3) -> str:
    return "" if np.isnan(value) else f"{value:.{digits}f}"


def medians(results: Results, what: str, digits: int) -> str:
    """Medians over the games; a method that some games do not have shows on how many its median stands."""
    rows = []
    for method in results.methods:
        row = [NAMES[method]]
        for multiple in results.multiples:
            values = results.array(multiple, method, what)
            there = values[~np.isnan(values)]
            counted = f" ({len(there)})" if 0 < len(there) < len(results.games) else ""
            row.append(number(float(np.median(there)), digits) + counted if len(there) else "")
        rows.append(row)
    return table(["method", *[f"{m:g} n log2 n" for m in results.multiples]], rows)


def recalls(results: Results) -> str:
    """Recall of the true 20 strongest interactions from a fixed number of masks, by game."""
    parts = []
    for count in sorted({key[0] for key in results.fixed}):
        there = [key[1:] for key in results.fixed if key[0] == count]
        methods = [name for name in NAMES if any(by == name for by, _ in there)]
        names = [
            g
            for g in results.games
            if any(results.fixed[count, by, g]["recall"] is not None for by, h in there if h == g)
        ]
        rows = []
        for what, words in (("recall", "first 20"), ("recall_200", "first 200")):
            table_of = {
                by: [float(results.fixed.get((count, by, g), {}).get(what, np.nan)) for g in names] for by in methods
            }
            rows += [[f"{g}, {words}", *[number(table_of[by][i], 2) for by in methods]] for i, g in enumerate(names)]
            rows.append([f"**median, {words}**", *[number(float(np.nanmedian(table_of[by])), 2) for by in methods]])
        parts.append(f"From {count} masks:\n\n" + table(["game", *[NAMES[by] for by in methods]], rows))
    return "\n".join(parts)


def by_game(results: Results, multiple: float) -> str:
    rows = []
    for game in results.games:
        n = next((r["n"] for key, r in results.by.items() if key[0] == game), 0)
        rows.append([game, str(n), *[number(results.get(game, multiple, m)) for m in results.methods]])
    return table(["game", "n", *[NAMES[m] for m in results.methods]], rows)


def goals(results: Results, games: list[str]) -> str:
    """`auto` with N, N/2 and N/4 masks against the authors' ProxySPEX with N, and against lasso, on ``games``."""

    def gains(method: str, share: int, rival: str) -> list[float]:
        floor = 0.0 if rival == "ours:lasso" else -np.inf
        found = [
            results.get(game, multiple / share, method) - max(results.get(game, multiple, rival), floor)
            for game in games
            for multiple in results.multiples
        ]
        return [gain for gain in found if not np.isnan(gain)]

    cases = [
        (f"{whose} with {words}", gains(method, share, REFERENCE))
        for method, whose in (("ours:auto", "auto"), ("ours:explain", "auto, own masks,"))
        for share, words in ((1, "same N"), (2, "N/2"), (4, "N/4"))
    ]
    cases += [
        (f"{whose}, same N, against lasso and 0", gains(method, 1, "ours:lasso"))
        for method, whose in (("ours:auto", "auto"), ("ours:explain", "auto, own masks"))
    ]
    rows = [
        [
            words,
            f"{sum(gain >= 0 for gain in found)} of {len(found)}",
            f"{np.median(found):+.3f}",
            f"{np.mean(found):+.3f}",
            f"{min(found):+.3f}",
        ]
        for words, found in cases
        if found
    ]
    return table(["", "at or above", "median difference", "mean", "worst"], rows)


def losses(results: Results, margin: float = 0.0) -> str:
    """Every case in which a peer, or lasso, was better than `auto` on as many ablations."""
    rows = []
    for game in results.games:
        for multiple in results.multiples:
            ours = results.get(game, multiple, "ours:auto")
            for method in results.methods:
                theirs = results.get(game, multiple, method)
                if method not in OURS and theirs > ours + margin:
                    rows.append([game, f"{multiple:g}", NAMES[method], number(theirs, 4), number(ours, 4)])
    head = ["game", "multiple", "method", "its R²", "auto's R²"]
    return table(head, rows) if rows else "None.\n"


def needed(results: Results) -> str:
    """The ablations with which `auto` reaches the R² that the authors' ProxySPEX has at N, as a share of N."""
    rows = []
    for multiple in results.multiples:
        shares = []
        for game in results.games:
            target = results.get(game, multiple, REFERENCE)
            curve = np.array([results.get(game, m, "ours:auto") for m in results.multiples])
            if np.isnan(target) or np.isnan(curve[results.multiples.index(multiple)]):
                continue
            best = np.maximum.accumulate(np.nan_to_num(curve, nan=-np.inf))
            if best[0] >= target:
                shares.append(results.multiples[0] / multiple)
            elif best.max() < target:
                shares.append(np.inf)
            else:  # between the last budget below and the first above, linearly in log N
                k = int(np.argmax(best >= target))
                low, high = np.log(results.multiples[k - 1]), np.log(results.multiples[k])
                part = (target - best[k - 1]) / max(1e-12, best[k] - best[k - 1])
                shares.append(float(np.exp(low + part * (high - low))) / multiple)
        if shares:
            at_floor = sum(np.isclose(share, results.multiples[0] / multiple) for share in shares)
            cells = [f"{np.median(shares):.2f}", f"{np.max(shares):.2f}", f"{at_floor} of {len(shares)}"]
            rows.append([f"{multiple:g} n log2 n", *cells])
    return table(["N of the authors' ProxySPEX", "median share", "worst share", "smallest budget already enough"], rows)


def honesty(results: Results) -> str:
    """How the R² that `auto` reports compares with the R² on unseen masks, where values carry no noise."""
    lines = []
    for by, words in (("ours:auto", "Same masks"), ("ours:explain", "Own masks")):
        there = [
            result
            for (game, _, method), result in results.by.items()
            if method == by and not game.startswith(("spectrum", "synthetic", "new_synthetic"))
        ]
        if not there:
            continue
        gaps = [result["reported"] - result["r2"] for result in there]
        much = sum(result["low"] > result["r2"] for result in there)
        little = sum(result["high"] < result["r2"] for result in there)
        lines.append(
            f"{words}: reported minus actual R² is {np.median(gaps):+.3f} in the median, from {min(gaps):+.3f} to "
            f"{max(gaps):+.3f}. The 95% interval held the actual R² in {len(there) - much - little} of {len(there)} "
            f"cases, claimed too much in {much} and too little in {little}.\n"
        )
    if lines:
        lines.append(
            "It speaks of the ablations that were left out, and of fits without them, so it is rather too modest.\n"
        )
    return "\n".join(lines)


def plot(results: Results, target: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = 4
    rows = -(-len(results.games) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 2.7 * rows), squeeze=False)
    for axis, game in zip(axes.ravel(), results.games):
        n = next(r["n"] for key, r in results.by.items() if key[0] == game)
        counts = [m * n * np.log2(n) for m in results.multiples]
        for method in results.methods:
            values = [results.get(game, m, method) for m in results.multiples]
            style = "-" if method.startswith("ours") else "--"
            axis.plot(counts, np.clip(values, -0.1, 1), style, marker=".", label=NAMES[method].replace("*", ""))
        axis.set(title=f"{game} ({n})", xscale="log", ylim=(-0.1, 1.02))
    for axis in axes.ravel()[len(results.games) :]:
        axis.axis("off")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower right", ncols=2)
    figure.supxlabel("ablations")
    figure.supylabel("R² on unseen masks")
    figure.tight_layout()
    figure.savefig(target, dpi=70)


def write_report(found: list[dict], out: Path) -> None:
    """Write the Markdown report to ``out`` and the plot beside it."""
    results = Results(found)
    picture = out.with_suffix(".png")
    plot(results, picture)
    new = [game for game in results.games if game.startswith("new_")]
    failed = sorted({f"{NAMES.get(r['by'], r['by'])}: {' '.join(r['failed'])[:160]}" for r in found if "failed" in r})
    sections = [
        "# R² of whole models, compared\n",
        "Written by `python benchmarks/compare.py --work DIR --out docs/comparison-r2.md`; its head has the rules.\n",
        "Methods marked * fit the same masks, the others choose their own at the same budget. R² is on 2,000 masks "
        "that no method saw, against noiseless values where the truth is known.\n",
        f"![R² against ablations]({picture.name})\n",
        "shapiq's regression of all pairs stands only where there are as many ablations as pairs: with fewer its R² is "
        "far below 0. An empty cell did not run.\n",
        "Which games had a part in choices is said in [gp](gp.md); none was tuned on those named `new_*`.\n",
        "## Against the authors' ProxySPEX with N masks\n",
        goals(results, results.games),
        *(("The games that no choice was tuned on:\n", goals(results, new)) if new else ()),
        "## R² on unseen masks, median over games\n",
        medians(results, "r2", 3),
        "A number in brackets says on how many games a median stands, where not on all.\n",
        "## Ablations that `auto` needs for the R² that the authors' ProxySPEX has at N\n",
        needed(results),
        "## Seconds, median over games\n",
        "Of the clock: comparable only where the machine did nothing else. Ratios of a quiet run: [gp](gp.md).\n",
        medians(results, "seconds", 1),
        "## Recall of the true 20 strongest interactions, where the truth is known\n",
        medians(results, "recall", 2),
        recalls(results),
        "## R² with only the 50 strongest coefficients, median over games\n",
        medians(results, "r2_50", 3),
        "## Is the reported R² honest?\n",
        honesty(results),
        "## Every loss\n",
        losses(results),
        *[part for m in results.multiples for part in (f"## By game, N = {m:g} n log2 n\n", by_game(results, m))],
    ]
    if failed:
        sections += ["## What could not run\n", "\n".join(f"- {line}" for line in failed) + "\n"]
    out.write_text("\n".join(sections), encoding="utf-8")
