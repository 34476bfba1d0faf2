"""The authors' SPEX (spectralexplain 0.0.4, sparse-transform 0.2.1), run in an environment that has it.

    python spectralexplain_spex.py GAME.npz OUT.npz soft hard

A game is ``supports`` (K, n) and ``coefficients`` (K,), with ``b``, ``t``, ``noise`` (a standard deviation) and
``seed``. OUT has the queries (N, n)
and values (N,) in the order group, delay, l; the matrices Ms (C, n, b) and Ds (C, P + 1, n); and for every decoder
``<decoder>_supports``, ``<decoder>_coefficients`` and ``<decoder>_seconds``: of decoding and its regression alone,
with the transforms already computed, as this package does them while it samples.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import spectralexplain as spex


def main(game_path: str, out_path: str, decoders: list[str]) -> None:
    game = np.load(game_path)
    supports, coefficients = game["supports"].astype(np.int64), game["coefficients"]
    rng = np.random.default_rng(int(game["seed"]))
    np.random.seed(int(game["seed"]))  # noqa: NPY002 - the package draws its design from it
    values = []

    def value(queries: np.ndarray) -> np.ndarray:
        signs = 1 - 2 * (np.asarray(queries) @ supports.T % 2)
        out = signs @ coefficients + float(game["noise"]) * rng.normal(size=len(signs))
        values.append(out)
        return out

    b, t = int(game["b"]), int(game["t"])
    signal, _ = spex.sampling_strategy(value, b, b, supports.shape[1], None, t=t)
    parts = {
        "queries": np.concatenate([np.concatenate(queries) for queries in signal.all_queries]).astype(np.uint8),
        "values": np.concatenate(values),
        "Ms": np.array(signal.Ms).astype(np.uint8),
        "Ds": np.array([ds[0] for ds in signal.Ds]).astype(np.uint8),
    }
    for decoder in decoders:
        start = time.perf_counter()
        found = spex.support_recovery(decoder, signal, b, t=t)["transform"]
        parts[f"{decoder}_seconds"] = time.perf_counter() - start
        found = found if isinstance(found, dict) else found.item()
        parts[f"{decoder}_supports"] = np.array(list(found), dtype=np.uint8).reshape(len(found), -1)
        parts[f"{decoder}_coefficients"] = np.real(np.array(list(found.values())))
    np.savez_compressed(out_path, **parts)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
