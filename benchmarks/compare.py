"""Ours and the peers on the same games: R² on unseen masks, recall of true interactions, seconds.

    python benchmarks/compare.py --work /tmp/compare --out docs/comparison-r2.md

Records the games, makes the peers' environment, runs every method on every game at N = n log2 n x the multiples,
and writes tables and plots. Each finished case is kept in ``--work``: a run that stops goes on where it was.
``--games DIR`` adds recorded games of your own (the format is in ``games.py``).

Methods marked * fit the same masks as ours; the others choose their own, at the same budget, on games that can be
called here (not on recorded ones; "own masks" is `auto` as `ip.explain` runs it). R² is judged on 2,000 masks that no
method saw, noiseless where the truth is known. ``--masks 500 --methods ours:auto ...`` adds recall from 500 masks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Listener
from pathlib import Path

import numpy as np

import games
import interplay as ip

HERE = Path(__file__).parent
OURS = ("auto", "gp", "proxyspex", "lasso", "explain")  # the last is auto on masks of its own
GIVEN = {"proxyspex": "ProxySPEX, authors'*", "contextcite": "ContextCite*", "lime": "LIME*"}
CHOOSING = {
    "spex": "SPEX, authors'",
    "shapiq_proxyspex": "shapiq ProxySPEX",
    "shapiq_fbii": "shapiq regression FBII",
}
TOP = 20
FIRST = 200  # of what was found, among which the true ones are looked for as well


def r_squared(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def recall(spectrum: ip.Spectrum, truth: ip.Spectrum | None, first: int = TOP) -> float | None:
    """The share of the true 20 strongest interactions among the ``first`` strongest found."""
    if truth is None:
        return None
    true = strongest(truth, TOP)
    return len(set(true) & set(strongest(spectrum, first))) / max(1, len(true))


def strongest(spectrum: ip.Spectrum, most: int) -> list[tuple[int, ...]]:
    ranked = sorted(spectrum.coefficients, key=lambda key: -abs(spectrum.coefficients[key]))
    return [key for key in ranked if len(key) > 1][:most]


def judge(spectrum: ip.Spectrum, game: games.Recorded) -> dict[str, object]:
    unseen, truth = game.masks[-games.UNSEEN :], game.truth[-games.UNSEEN :]
    return {
        "r2": r_squared(truth, spectrum.predict(unseen)),
        "r2_50": r_squared(truth, spectrum.top(50).predict(unseen)),
        "recall": recall(spectrum, game.spectrum),
        "recall_200": recall(spectrum, game.spectrum, FIRST),
        "kept": len(spectrum),
    }


def run_ours(method: str, game: games.Recorded, count: int, live: ip.Game | None = None) -> dict[str, object]:
    began = time.perf_counter()
    if live is None:
        found = ip.fit(game.masks[:count], game.values[:count], method=method)
        seconds = time.perf_counter() - began
    else:
        found = ip.explain(live, budget=count)
        seconds = time.perf_counter() - began - found.seconds  # without what the ablations took
    return judge(found.spectrum, game) | {
        "seconds": seconds,
        "reported": found.faithfulness.r2,
        "low": found.faithfulness.low,
        "high": found.faithfulness.high,
        "method": found.method,
        "used": found.used,
    }


def run_peer(
    python: Path, method: str, game: games.Recorded, count: int, live: ip.Game | None, work: Path, limit: float
) -> dict:
    source, target = work / "in.npz", work / "out.npz"
    given: dict[str, object] = {"n": game.n}
    command = [str(python), str(HERE / "peers" / "run.py"), method, str(source), str(target)]
    if method in GIVEN:
        np.savez(source, masks=game.masks[:count], values=game.values[:count], **given)
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=limit)
    else:
        assert live is not None
        address = str(work / "socket")
        Path(address).unlink(missing_ok=True)
        np.savez(source, budget=count, address=address, **given)
        with Listener(address) as listener:
            threading.Thread(target=serve, args=(listener, live), daemon=True).start()
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=limit)
    out = np.load(target)
    spectrum = to_spectrum(game.n, str(out["basis"]), out["keys"], out["coefficients"])
    return judge(spectrum, game) | {"seconds": float(out["seconds"]), "used": int(out["used"])}


def serve(listener: Listener, live: ip.Game) -> None:
    """Measure what the peer asks for until it is done."""
    with listener.accept() as connection:
        try:
            while True:
                masks = connection.recv()
                connection.send(np.concatenate([live(masks[i : i + 128]) for i in range(0, len(masks), 128)]))
        except EOFError:
            pass


def to_spectrum(n: int, basis: str, keys: np.ndarray, coefficients: np.ndarray) -> ip.Spectrum:
    """A peer's polynomial in our basis: F(S) = (-1)^|S| sum over T >= S of 2^-|T| M(T)."""
    sums: dict[tuple[int, ...], float] = {}
    for row, value in zip(keys, coefficients.tolist()):
        key = np.flatnonzero(row).tolist()
        if basis == "fourier":
            sums[tuple(key)] = sums.get(tuple(key), 0.0) + value
            continue
        for bits in range(1 << len(key)):
            part = tuple(key[i] for i in range(len(key)) if bits >> i & 1)
            sums[part] = sums.get(part, 0.0) + (-1) ** len(part) * value / 2 ** len(key)
    return ip.Spectrum(n, sums)


def live_game(name: str, game: games.Recorded) -> ip.Game | None:
    """The game as something to call, with the noise that the others see: None where only a recording exists."""
    if game.spectrum is not None:
        scale, rng, spectrum = games.NOISE * np.sqrt(game.spectrum.variance), np.random.default_rng(1), game.spectrum
        return ip.Game(lambda masks: spectrum.predict(masks) + scale * rng.standard_normal(len(masks)), game.n)
    return games.GAMES[name]() if name in games.GAMES else None


def peers_environment(work: Path) -> Path:
    python = work / "peers" / "bin" / "python"
    if not python.exists():
        print("making the peers' environment", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(work / "peers")], check=True)
        requirements = (HERE / "peers" / "requirements.txt").read_text().splitlines()
        torch = next(line for line in requirements if line.startswith("torch"))
        for arguments in ([torch], ["-r", str(HERE / "peers" / "requirements.txt")]):
            subprocess.run([str(python), "-m", "pip", "install", "-q", *arguments], check=True)
    return python


def cases(
    recorded: list[games.Recorded], multiples: list[float], methods: list[str], masks: int | None = None
) -> Iterator[tuple]:
    """Every method on every game at every multiple of n log2 n; or with so many ``masks``, where that is given."""
    for multiple in [0.0] if masks else multiples:  # 0 marks results that are not at a multiple
        for game in recorded:
            count = masks or int(multiple * game.n * np.log2(game.n))
            if count <= game.most():
                for method in methods:
                    if not underdetermined(method, game.n, count):
                        yield game, multiple, count, method


def underdetermined(method: str, n: int, count: int) -> bool:
    """Whether shapiq's regression has more coefficients (all pairs) than ablations: what it gives then is no answer."""
    return method == "peer:shapiq_fbii" and count < 1 + n + n * (n - 1) // 2


def run_all(
    todo: Iterable[tuple], python: Path | None, work: Path, redo: Sequence[str] = (), limit: float = 3600
) -> list[dict]:
    """Run the cases that ``work`` does not hold yet, one line of its results.jsonl each; all results, old and new."""
    path = work / "results.jsonl"
    results = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    results = [result for result in results if result["by"] not in redo]
    done = {(result["game"], result["N"], result["by"]) for result in results}
    for game, multiple, count, method in todo:
        if (game.name, count, method) in done:
            continue
        side, name = method.split(":")
        own = name in (*CHOOSING, "explain")
        live = live_game(game.name, game) if own else None
        if own and live is None:
            continue
        result = {"game": game.name, "n": game.n, "multiple": multiple, "N": count, "by": method}
        try:
            if side == "ours":
                result |= run_ours(name, game, count, live)
            else:
                assert python is not None
                result |= run_peer(python, name, game, count, live, work, limit)
        except subprocess.CalledProcessError as error:
            result |= {"failed": (error.stderr or "").strip().splitlines()[-1:]}
        except subprocess.TimeoutExpired:
            result |= {"failed": [f"stopped after {limit:g} seconds at N = {count} on {game.name}"]}
        except ip.InputError as error:
            result |= {"failed": [str(error)]}
        with path.open("a") as out:
            out.write(json.dumps(result) + "\n")
        results.append(result)
        shown = f"R² {result['r2']:.3f}  {result['seconds']:.1f} s" if "r2" in result else result["failed"]
        print(f"{game.name:24} N={count:<6} {method:24} {shown}", flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for recordings, environment and results")
    parser.add_argument("--games", type=Path, help="folder of more recorded games")
    parser.add_argument("--only", nargs="*", default=[], help="games whose names hold one of these")
    parser.add_argument("--multiples", nargs="*", type=float, default=[0.5, 1, 2, 4, 8])
    parser.add_argument("--masks", type=int, help="as many masks for every game, instead of the multiples")
    parser.add_argument("--limit", type=float, default=3600, help="seconds after which a peer is stopped")
    parser.add_argument("--methods", nargs="*", help="ours:NAME and peer:NAME; all when left out")
    parser.add_argument("--peer-python", type=Path, help="a Python that has the peers; made in --work when left out")
    parser.add_argument("--redo", nargs="*", default=[], help="methods to run again although results are there")
    parser.add_argument("--out", type=Path, help="write the report to this Markdown file, plots beside it")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)

    games.record(options.work / "games")
    paths = sorted((options.work / "games").glob("*.npz"))
    paths += sorted(options.games.glob("*.npz")) if options.games else []
    recorded = [games.read(path) for path in paths if not options.only or any(o in path.stem for o in options.only)]
    every = [f"ours:{name}" for name in OURS] + [f"peer:{name}" for name in (*GIVEN, *CHOOSING)]
    methods = options.methods or every
    python = options.peer_python
    if python is None and any(method.startswith("peer") for method in methods):
        python = peers_environment(options.work)

    warm_up = ip.design(12, 60, method="lasso")
    ip.fit(warm_up, warm_up.sum(axis=1))  # imports are no part of anybody's seconds
    todo = cases(recorded, options.multiples, methods, options.masks)
    results = run_all(todo, python, options.work, options.redo, options.limit)
    if options.out is not None:
        from report import write_report

        write_report(results, options.out)


if __name__ == "__main__":
    main()
