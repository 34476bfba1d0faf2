"""Our ProxySPEX and the authors', side by side on the same masks: R² on unseen masks and seconds.

    python benchmarks/proxyspex.py --work /tmp/proxyspex --out docs/proxyspex.md

The authors' code (``spectralexplain==0.0.4``, ``utils.proxy_spex``) runs in an environment of its own, made in
``--work`` on the first run or given by ``--peer-python``. Its seconds are taken around the fit alone, imports
excluded; ours around the whole of ``ip.fit``, faithfulness and first-order baseline included. Both may use all cores.
Games are those of ``games.py``; ``--games DIR`` adds recorded ones, ``--skip-own`` leaves ours out. Every finished case
is kept in ``--work``, where `compare.py` finds it, too, and not run again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import compare
import games
import interplay as ip

SLACK = 0.01  # ours may fall so much below the authors' R²
FASTER = 10  # and is to be so many times faster, in the median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--games", type=Path)
    parser.add_argument("--skip-own", action="store_true")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--multiples", nargs="*", type=float, default=[0.5, 1, 2, 4])
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    python = options.peer_python or compare.peers_environment(options.work)
    if not options.skip_own:
        games.record(options.work / "games")
    paths = sorted((options.work / "games").glob("*.npz")) + sorted(
        options.games.glob("*.npz") if options.games else []
    )
    paths = [path for path in paths if not options.only or any(name in path.stem for name in options.only)]

    warm_up = ip.design(12, 60, method="lasso")
    ip.fit(warm_up, warm_up.sum(axis=1), method="proxyspex")  # our imports, like theirs, are outside the clock
    recorded = [games.read(path) for path in paths]
    todo = compare.cases(recorded, options.multiples, ["peer:proxyspex", "ours:proxyspex"])
    rows = paired(compare.run_all(todo, python, options.work), {game.name for game in recorded}, options.multiples)
    report = summary(rows)
    print("\n" + report)
    if options.out is not None:
        options.out.write_text(document(rows, report), encoding="utf-8")


def paired(results: list[dict], names: set[str], multiples: list[float]) -> list[dict]:
    """One row for each game and multiple that both have run."""
    by = {(r["multiple"], r["game"], r["by"]): r for r in results if "r2" in r}
    rows = []
    for multiple, name, who in sorted(by):
        theirs = by.get((multiple, name, "peer:proxyspex"))
        if who != "ours:proxyspex" or theirs is None or name not in names or multiple not in multiples:
            continue
        ours = by[multiple, name, who]
        rows.append(
            {key: ours[key] for key in ("game", "n", "multiple", "N")}
            | {"ours": ours["r2"], "theirs": theirs["r2"]}
            | {"seconds": ours["seconds"], "their_seconds": theirs["seconds"]}
        )
    return rows


def summary(rows: list[dict]) -> str:
    gains = np.array([row["ours"] - row["theirs"] for row in rows])
    ratios = np.array([row["their_seconds"] / row["seconds"] for row in rows])
    worst = rows[int(gains.argmin())]
    return "\n".join(
        [
            f"R², ours minus theirs, {len(rows)} cases: median {np.median(gains):+.3f}, worst {gains.min():+.3f} "
            f"({worst['game']}, N = {worst['N']}).",
            f"Not more than {SLACK} below: {(gains >= -SLACK).sum()} of {len(rows)}.",
            f"Seconds, theirs over ours: median {np.median(ratios):.1f}, from {ratios.min():.1f} to {ratios.max():.1f} "
            f"(goal {FASTER}).",
        ]
    )


def document(rows: list[dict], report: str) -> str:
    head = "| game | n | N | R² ours | R² theirs | difference | s ours | s theirs | ratio |"
    body = [
        f"| {r['game']} | {r['n']} | {r['N']} | {r['ours']:.3f} | {r['theirs']:.3f} | {r['ours'] - r['theirs']:+.3f} | "
        f"{r['seconds']:.2f} | {r['their_seconds']:.2f} | {r['their_seconds'] / r['seconds']:.1f} |"
        for r in rows
    ]
    return "\n".join(
        [
            "# ProxySPEX: ours and the authors'\n",
            "Written by `benchmarks/proxyspex.py --work DIR --out docs/proxyspex.md`, whose head has the rules.\n",
            report + "\n",
            head,
            "|---" * 9 + "|",
            *body,
            "",
        ]
    )


if __name__ == "__main__":
    main()
