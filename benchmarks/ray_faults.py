"""Killed workers and killed drivers of Ray: are the values those of an uninterrupted run, and what is paid twice?

    python benchmarks/ray_faults.py --workers 4 --moments 20

One measurement loses a worker by kill -9 at each of ``--moments`` random moments. Then, as often, the driver itself is
killed with its workers at a random moment of a measurement with a store, and the same call goes on from there.
Every call of the game notes its masks in a file: a mask noted twice was paid twice.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import interplay as ip
from interplay.ablate import measure

COUNT, SIZE = 2400, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--drivers", type=int, help="how often the driver is killed; as often as --moments if left out")
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive is not None:
        drive(options.drive, options.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        killed_workers(Path(folder), options.workers, options.moments)
        killed_drivers(Path(folder), options.workers, options.moments if options.drivers is None else options.drivers)


def made(folder: Path) -> tuple[ip.Game, np.ndarray]:
    """The game, which waits 20 ms a batch, and its masks."""
    weights = np.random.default_rng(0).standard_normal(40)

    def value(masks: np.ndarray) -> np.ndarray:
        with (folder / f"paid-{os.getpid()}").open("a") as file:
            file.write("".join(np.packbits(mask).tobytes().hex() + "\n" for mask in masks))
        time.sleep(0.02)
        return np.asarray(masks @ weights)

    return ip.Game(value, 40, batch_size=SIZE, name="faults"), ip.design(40, COUNT)


def same(values: np.ndarray, masks: np.ndarray) -> bool:
    """Whether values are those of an uninterrupted run, but for the order of a sum."""
    return bool(np.allclose(values, masks @ np.random.default_rng(0).standard_normal(40), rtol=0, atol=1e-12))


def paid(folder: Path) -> tuple[int, int]:
    """How many masks were paid for, and how many of them more than once."""
    lines = [line for file in folder.glob("paid-*") for line in file.read_text().split()]
    return len(set(lines)), len(lines) - len(set(lines))


def killed_workers(folder: Path, workers: int, moments: int) -> None:
    """Kill a random worker at random moments of one measurement."""
    folder = folder / "workers"
    folder.mkdir()
    game, masks = made(folder)
    rng, over, kills = random.Random(0), threading.Event(), []

    def kill() -> None:
        while not over.wait(rng.uniform(0.2, 1.0)) and len(kills) < moments:
            busy = [int(file.name.removeprefix("paid-")) for file in folder.glob("paid-*")]
            alive = [pid for pid in busy if Path(f"/proc/{pid}").exists()]
            if alive:
                kills.append(rng.choice(alive))
                os.kill(kills[-1], signal.SIGKILL)

    with ip.executors.ray(workers) as executor:
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            found = measure(game, masks, executor=executor)
        finally:
            over.set()
            killer.join()
    right = same(found.values, masks)
    once, twice = paid(folder)
    print(
        f"workers: {len(kills)} of them killed, values equal: {right}, masks paid {once} of {len(masks)}, "
        f"{twice} of them twice (at most {len(kills)} batches of {SIZE}: {len(kills) * SIZE})",
        flush=True,
    )


def drive(folder: Path, workers: int) -> None:
    """What a driver does that will be killed: measure into a store."""
    game, masks = made(folder)
    with ip.Store(folder / "runs.db") as store, ip.executors.ray(workers) as executor:
        found = measure(game, masks, executor=executor, store=store)
    np.save(folder / "values.npy", found.values)


def killed_drivers(folder: Path, workers: int, moments: int) -> None:
    """Kill a driver with its workers at a random moment, and start it again, until it ends by itself."""
    rng, folder = random.Random(1), folder / "driver"
    folder.mkdir()
    kills = 0
    while not (folder / "values.npy").exists():
        process = subprocess.Popen(
            [sys.executable, __file__, "--drive", str(folder), "--workers", str(workers)],
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        before = sum(paid(folder))
        while kills < moments and process.poll() is None and sum(paid(folder)) < before + rng.randint(40, 120):
            time.sleep(0.05)
        if kills < moments and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    right = bool(
        (np.load(folder / "values.npy") == made(folder)[1] @ np.random.default_rng(0).standard_normal(40)).all()
    )
    once, twice = paid(folder)
    flying = (workers + 8) * SIZE  # what workers have, and what waits for one; only the former is paid
    print(
        f"driver: killed {kills} times, values equal: {right}, masks paid {once} of {COUNT}, {twice} of them twice "
        f"(at most {kills} times {workers * SIZE} with the workers: {kills * workers * SIZE}; {flying} in flight)",
        flush=True,
    )


if __name__ == "__main__":
    main()
