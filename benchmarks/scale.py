"""Seconds and peak memory of fits and of measuring, against features, ablations, outputs and workers.

    python benchmarks/scale.py fits                          # every case in a process of its own; an hour on two cores
    python benchmarks/scale.py fits --case outputs --outputs 500 --ablations 500 --features 40 --workers 2
    python benchmarks/scale.py fits --peer-python PATH       # beside them the authors' ProxySPEX, where it runs
    python benchmarks/scale.py workers                       # what executors add to batches of 10 ms; what two bring
    python benchmarks/scale.py driver                        # seconds of the driver for each ablation and each batch
    python benchmarks/scale.py simulate                      # 64 workers and 1e6 ablations by a fake clock
    python benchmarks/scale.py store --values 10000000       # filled, verified, exported, imported, merged, compacted

Seconds of the processor (``cpu``) are told beside those of the clock: on a busy machine only they compare. Games are
sparse sums of products of up to three signs, with noise of 0.3 of their spread; R² is that of unseen masks without it.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import interplay as ip

CASES = (  # name, features, ablations, outputs, method, workers
    ("one output", 40, 500, 1, "auto", 0),
    ("outputs", 40, 500, 500, "auto", 2),
    ("test points", 40, 500, 1000, "auto", 2),
    ("square", 3000, 3000, 1, "auto", 0),
    ("wide", 5000, 1000, 1, "auto", 0),
    ("long", 300, 100_000, 1, "auto", 0),
    ("spex", 1000, 9792, 1, "spex", 0),
    ("proxyspex", 100, 1000, 1, "proxyspex", 0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["fits", "workers", "driver", "simulate", "store", "fill", "one"])
    parser.add_argument("--case", help="one of: " + ", ".join(case[0] for case in CASES))
    parser.add_argument("--features", type=int)
    parser.add_argument("--ablations", type=int)
    parser.add_argument("--outputs", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--method")
    parser.add_argument("--values", type=int, default=1_000_000, help="of the store")
    parser.add_argument("--folder", type=Path, help="where the store is made; a temporary one when left out")
    parser.add_argument("--executor", choices=["processes", "ray"], default="processes")
    parser.add_argument("--peer-python", type=Path, help="a Python with spectralexplain (see compare.py)")
    options = parser.parse_args()
    if options.what == "one":
        print(json.dumps(one_fit(options)), flush=True)
    elif options.what == "fits":
        fits(options)
    elif options.what == "workers":
        workers()
    elif options.what == "store":
        store(options.values, options.folder)
    elif options.what == "fill":
        fill(options.values, options.folder)
    elif options.what == "driver":
        print(json.dumps(driver(), indent=1))
    else:
        simulate()


def fits(options: argparse.Namespace) -> None:
    """The table of fits; each case in a process of its own, so that peak memory is its own."""
    print("| case | n | N | T | method | workers | seconds | cpu s | GiB | R² unseen |\n|" + "---|" * 10)
    for name, *case in CASES:
        if options.case not in (None, name):
            continue
        asked = [options.features, options.ablations, options.outputs, options.method, options.workers]
        n, count, outputs, method, number = (
            given if theirs is None else theirs for given, theirs in zip(case, asked, strict=True)
        )
        numbers = {"features": n, "ablations": count, "outputs": outputs, "method": method, "workers": number}
        flags = [part for key, value in numbers.items() for part in (f"--{key}", str(value))]
        ran = subprocess.run([sys.executable, __file__, "one", *flags], capture_output=True, text=True, check=True)
        found = json.loads(ran.stdout.splitlines()[-1])
        row = [name, n, count, outputs, method, number]
        row += [f"{found['seconds']:.1f}", f"{found['cpu']:.1f}", f"{found['gib']:.2f}", f"{found['r2']:.3f}"]
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
        if options.peer_python is not None and name in ("proxyspex", "one output"):
            peer(options.peer_python, n, count)


def peer(python: Path, n: int, count: int) -> None:
    """The authors' ProxySPEX on the same masks and values."""
    import compare
    import games

    masks, values, unseen, truth = drawn(n, count, 1)
    seen = np.concatenate([values[:, 0], truth[:, 0]])
    game = games.Recorded("scale", np.concatenate([masks, unseen]), seen, seen)
    with tempfile.TemporaryDirectory() as work:
        found = compare.run_peer(python, "proxyspex", game, count, None, Path(work), 3600)
    print(
        f"| authors' ProxySPEX | {n} | {count} | 1 | | 0 | {found['seconds']:.1f} | | | {found['r2']:.3f} |", flush=True
    )


def one_fit(options: argparse.Namespace) -> dict[str, float]:
    """One case: seconds, processor seconds of this process and its workers, peak memory and R²."""
    n, count, outputs = options.features, options.ablations, options.outputs
    design = ip.design(n, count, method="spex") if options.method == "spex" else None
    masks, values, unseen, truth = drawn(n, count, outputs, design)
    if options.method == "spex":  # decoding is meant for games without noise
        values = truth_of(n, masks, outputs)
    given = values if outputs > 1 else values[:, 0]
    ip.fit(masks[:50, :8], given[:50], method="lasso")  # libraries are loaded
    began, before = time.perf_counter(), used()
    if options.workers:
        make = ip.executors.ray if options.executor == "ray" else ip.executors.processes
        with make(options.workers) as executor:
            found = ip.fit(masks, given, method=options.method, executor=executor)
    else:
        found = ip.fit(masks, given, method=options.method)
    seconds, (cpu, gib) = time.perf_counter() - began, used()
    predicted = np.stack([fit.spectrum.predict(unseen) for fit in found.fits], axis=1)
    missed = ((truth - predicted) ** 2).mean(axis=0)
    r2 = 1 - missed / truth.var(axis=0)
    return {"seconds": seconds, "cpu": cpu - before[0], "gib": gib, "r2": float(np.mean(r2))}


def used() -> tuple[float, float]:
    """Processor seconds of this process and its ended children, and the peak GiB of the largest of them."""
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in each), max(one.ru_maxrss for one in each) / 2**20


def drawn(
    n: int, count: int, outputs: int, masks: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Masks (N, n) with noisy values (N, T), and 2,000 unseen masks with true ones."""
    rng = np.random.default_rng([n, count])
    seen = rng.random((count, n)) < 0.5 if masks is None else masks
    unseen = rng.random((2000, n)) < 0.5
    values = truth_of(n, seen, outputs)
    noisy = values + 0.3 * values.std(axis=0) * rng.standard_normal(values.shape)
    return seen, noisy, unseen, truth_of(n, unseen, outputs)


def truth_of(n: int, masks: np.ndarray, outputs: int) -> np.ndarray:
    """Values (N, T) of T games, mixtures of eight, each a sum of products of up to three of at most 30 features."""
    rng = np.random.default_rng([n, outputs, 7])
    parts = np.zeros((len(masks), 8))
    for k in range(8):
        features = rng.choice(n, min(n, 30), replace=False)
        for strength in rng.standard_normal(30):
            chosen = rng.choice(features, rng.integers(1, 4), replace=False)
            parts[:, k] += strength * np.where(masks[:, chosen], -1.0, 1.0).prod(axis=1)
    shares = rng.dirichlet(np.full(8, 0.4), outputs).T if outputs > 1 else np.eye(8, 1)
    return np.asarray(parts @ shares)


def workers() -> None:
    """Batches that wait 10 ms each: at home, by one worker and by two, of processes and of Ray."""
    game = ip.Game(_waits, 12, batch_size=8)
    masks = ip.design(12, 4096)
    ip.ablate.measure(game, masks[:64])
    print("| executor | workers | seconds | times the waiting |\n|---|---|---|---|")
    alone = _timed(game, masks, None)
    waiting = 0.01 * (len(masks) / 8)
    print(f"| none | | {alone:.2f} | {alone / waiting:.3f} |", flush=True)
    for name, make in (("processes", ip.executors.processes), ("ray", ip.executors.ray)):
        for number in (1, 2):
            with make(number) as executor:
                ip.ablate.measure(game, masks[:512], executor=executor)  # workers have started and have the game
                seconds = _timed(game, masks, executor)
            print(f"| {name} | {number} | {seconds:.2f} | {seconds / waiting:.3f} |", flush=True)


def _timed(game: ip.Game, masks: np.ndarray, executor: object) -> float:
    began = time.perf_counter()
    ip.ablate.measure(game, masks, executor=executor)
    return time.perf_counter() - began


def _waits(masks: np.ndarray) -> np.ndarray:
    time.sleep(0.01)
    return masks[:, 0] * 1.0


_AT_ONCE = 100_000  # ablations of one call, so that what grows is the store alone


def fill(count: int, folder: Path) -> None:
    """A store of ``count`` values in ``folder``, as runs one after another leave it."""
    game = ip.Game(_first, 40, batch_size=1000, name="a store to be filled")
    with ip.Store(folder / "runs.db") as kept:
        for began in range(0, count, _AT_ONCE):
            masks = np.random.default_rng(began).random((min(_AT_ONCE, count - began), 40)) < 0.5
            ip.ablate.measure(game, masks, store=kept)


def store(count: int, folder: Path | None) -> None:
    """Seconds and peak memory of filling a store of ``count`` values, and of each command that looks after it."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) if folder is None else folder
        runs, lines, other = place / "runs.db", place / "runs.jsonl", place / "other.db"
        command = [sys.executable, "-m", "interplay", "store"]
        steps = {
            "fill": [sys.executable, __file__, "fill", "--values", str(count), "--folder", str(place)],
            "verify": [*command, "verify", str(runs)],
            "export": [*command, "export", str(runs), str(lines)],
            "import": [*command, "import", str(other), str(lines)],
            "merge": [*command, "merge", str(other), str(runs)],
            "compact": [*command, "compact", str(other)],
        }
        print("| step | values | seconds | GiB of memory | GiB of the store |\n|---|---|---|---|---|")
        for name, step in steps.items():
            began = time.perf_counter()
            running = subprocess.Popen(step, stdout=subprocess.DEVNULL)
            _, status, spent = os.wait4(running.pid, 0)
            if status:
                raise RuntimeError(f"{name} ended with {status}")
            size = (runs if name in ("fill", "verify", "export") else other).stat().st_size / 2**30
            seconds = time.perf_counter() - began
            print(f"| {name} | {count:,} | {seconds:.1f} | {spent.ru_maxrss / 2**20:.2f} | {size:.2f} |", flush=True)


def driver(count: int = 40_000) -> dict[str, float]:
    """Processor seconds that the driver spends: per mask drawn, per ablation and per batch measured elsewhere."""
    began = time.process_time()
    masks = ip.design(100, count)
    drawing = (time.process_time() - began) / count
    spent = {}
    for size in (16, 64):
        with tempfile.TemporaryDirectory() as folder, ip.Store(Path(folder) / "runs.db") as store:
            game = ip.Game(_first, 100, batch_size=size, name=f"of {size}")
            with ip.executors.processes(1) as executor:
                ip.ablate.measure(game, masks[:500], executor=executor, store=store)
                began = time.process_time()
                ip.ablate.measure(game, masks, executor=executor, store=store)
                spent[size] = (time.process_time() - began) / count
    # spent = per ablation + per batch / size
    batch = (spent[16] - spent[64]) / (1 / 16 - 1 / 64)
    return {"mask_s": drawing, "ablation_s": spent[64] - batch / 64, "batch_s": batch}


def _first(masks: np.ndarray) -> np.ndarray:
    return masks[:, 0] * 1.0


def simulate(total: int = 1_000_000, number: int = 64) -> None:
    """The driver and its workers on a clock of their own, with what `driver` measured here."""
    costs = driver()
    print({name: f"{value * 1e6:.0f} us" for name, value in costs.items()})
    print("| s an ablation | batch | hours | workers busy | driver busy | without a driver's cost |\n|" + "---|" * 6)
    for each in (0.001, 0.01, 0.03, 0.18):
        for size in (16, 64):
            hours, busy, driving = clock(total, number, size, each, costs)
            ideal = total * each / number / 3600
            print(f"| {each} | {size} | {hours:.2f} | {busy:.0%} | {driving:.0%} | {ideal:.2f} h |", flush=True)


def clock(
    total: int, number: int, size: int, each: float, costs: dict[str, float], queued: int = 8
) -> tuple[float, float, float]:
    """Hours, and the shares of them that workers and driver are busy, of ``total`` ablations in batches of ``size``.

    The driver does one thing at a time: it submits a batch, or takes one in; at most ``queued`` wait for a worker.
    """
    rng = np.random.default_rng(0)
    batches = -(-total // size)
    lasts = each * size * rng.uniform(0.8, 1.2, batches)
    now = worked = driven = 0.0
    running: list[float] = []  # when the batches that workers have will be done
    waiting: list[float] = []  # batches handed in, in order
    began = done = 0
    free = number
    submit, take = costs["batch_s"] / 2, costs["batch_s"] / 2 + costs["ablation_s"] * size
    ready: list[float] = []
    while done < batches:
        while running and running[0] <= now:
            at = heapq.heappop(running)
            ready.append(at)
            if waiting:
                lasting = waiting.pop(0)
                heapq.heappush(running, at + lasting)
                worked += lasting
            else:
                free += 1
        if began < batches and len(waiting) < queued:
            now, driven = now + submit, driven + submit
            if free:
                free -= 1
                heapq.heappush(running, now + lasts[began])
                worked += lasts[began]
            else:
                waiting.append(float(lasts[began]))
            began += 1
        elif ready:
            ready.pop()
            now, driven, done = now + take, driven + take, done + 1
        elif running:
            now = max(now, running[0])
    return now / 3600, worked / number / now, driven / now


if __name__ == "__main__":
    main()
