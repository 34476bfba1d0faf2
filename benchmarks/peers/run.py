"""Run one peer's method in the peers' own environment; interplay is not needed here.

    python run.py METHOD input.npz output.npz [input.npz output.npz ...]

Methods that fit given ablations read ``masks`` (N, n) and ``values`` (N,) from the input. Methods that choose their own
ablations read ``n``, ``budget`` and ``address``, the socket of a process that measures the masks sent to it. The output
holds a polynomial (``basis`` "fourier" or "mobius", ``keys`` as packed rows, ``coefficients``), the ``seconds`` of the
method alone, imports and measurements excluded, and ``used``, the ablations it made.
"""

from __future__ import annotations

import contextlib
import functools
import io
import sys
import time
import warnings
from multiprocessing.connection import Client

import numpy as np
from pairs import each, save

warnings.filterwarnings("ignore")


class Remote:
    """A game measured by the process at the other end of the socket; counts distinct masks and waiting time."""

    def __init__(self, address: str) -> None:
        self.connection = Client(address)
        self.known: dict[bytes, float] = {}
        self.waited = 0.0

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        began = time.perf_counter()
        masks = np.atleast_2d(np.asarray(masks)).astype(bool)
        keys = [mask.tobytes() for mask in masks]
        new = [row for row, key in enumerate(dict.fromkeys(keys)) if key not in self.known]
        distinct = list(dict.fromkeys(keys))
        if new:
            asked = np.array([np.frombuffer(distinct[row], dtype=bool) for row in new])
            self.connection.send(asked)
            for key, value in zip((distinct[row] for row in new), self.connection.recv()):
                self.known[key] = float(value)
        self.waited += time.perf_counter() - began
        return np.array([self.known[key] for key in keys])


def proxyspex(given: dict) -> tuple[str, dict]:
    from spectralexplain.utils import proxy_spex

    found = proxy_spex((given["masks"].astype(int), given["values"]))
    return "fourier", {tuple(np.flatnonzero(key)): float(value) for key, value in found.items()}


def contextcite(given: dict) -> tuple[str, dict]:
    from context_cite.solver import LassoRegression

    weights, bias = LassoRegression().fit(given["masks"], given["values"], 1)
    return "mobius", {(): float(bias)} | {(i,): float(w) for i, w in enumerate(weights)}


def lime(given: dict) -> tuple[str, dict]:
    """LIME's weighted ridge on the given masks, with the kernel of its text explainer."""
    from lime.lime_base import LimeBase
    from sklearn.metrics import pairwise_distances

    masks, values = given["masks"].astype(int), given["values"]
    whole = np.ones((1, masks.shape[1]))
    distances = pairwise_distances(masks, whole, metric="cosine").ravel() * 100
    base = LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / 25**2)), random_state=np.random.RandomState(0))
    intercept, weights, _, _ = base.explain_instance_with_data(
        masks, values[:, None], distances, 0, num_features=masks.shape[1], feature_selection="none"
    )
    return "mobius", {(): float(intercept)} | {(int(i),): float(w) for i, w in weights}


def spex(given: dict, game: Remote) -> tuple[str, dict]:
    import spectralexplain

    explainer = spectralexplain.Explainer(game, int(given["n"]), sample_budget=int(given["budget"]), algorithm="spex")
    found = {key: np.real(value) for key, value in explainer.fourier_transform.items()}
    return "fourier", {tuple(np.flatnonzero(key)): float(value) for key, value in found.items()}


def shapiq_proxyspex(given: dict, game: Remote) -> tuple[str, dict]:
    import shapiq

    approximator = shapiq.ProxySPEX(n=int(given["n"]), max_order=5, index="FBII", random_state=0)
    return "mobius", _of(approximator.approximate(int(given["budget"]), game))


def shapiq_fbii(given: dict, game: Remote) -> tuple[str, dict]:
    from shapiq.approximator import RegressionFBII

    approximator = RegressionFBII(n=int(given["n"]), max_order=2, random_state=0)
    return "mobius", _of(approximator.approximate(int(given["budget"]), game))


def _of(found: object) -> dict:
    values = {tuple(map(int, key)): float(value) for key, value in found.dict_values.items()}
    values[()] = float(found.baseline_value)
    return values


GIVEN = {"proxyspex": proxyspex, "contextcite": contextcite, "lime": lime}
CHOOSING = {
    "spex": spex,
    "shapiq_proxyspex": shapiq_proxyspex,
    "shapiq_fbii": shapiq_fbii,
}


def one(method: str, source: str, target: str) -> None:
    given = dict(np.load(source, allow_pickle=False))
    game = Remote(str(given["address"])) if method in CHOOSING else None
    with contextlib.redirect_stdout(io.StringIO()):  # some of them print
        import lightgbm  # noqa: F401 - loaded before the clock starts, as are the peers' own modules
        import sklearn.linear_model  # noqa: F401

        if method in GIVEN:
            import context_cite.solver  # noqa: F401
            import spectralexplain.utils
        else:
            import shapiq.approximator  # noqa: F401
            import spectralexplain  # noqa: F401
        began = time.perf_counter()
        basis, found = CHOOSING[method](given, game) if game else GIVEN[method](given)
        seconds = time.perf_counter() - began - (game.waited if game else 0.0)
    used = len(game.known) if game else len(given["masks"])
    save(target, basis, found, int(given["n"]), seconds, used)


if __name__ == "__main__":
    name, *paths = sys.argv[1:]
    each(functools.partial(one, name), tuple(paths))
