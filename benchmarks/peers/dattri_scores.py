"""dattri's influence function and TRAK for a logistic regression, run in an environment that has dattri.

    python dattri_scores.py IN.npz OUT.npz

IN: training examples ``X`` (n, d) and classes ``y`` (n,), 0 or 1; test points ``X_test`` (T, d), ``y_test`` (T,); the
``penalty`` C of the regression; the ``ridge`` of TRAK's kernel; ``whole`` (d + 1,), weights and intercept of the model
trained on everything; and ``subsets`` (M, d + 1), those of M models trained on subsets. OUT: the effect of each example
on each test point's log-odds (T, n), in the sign and scale of dattri, by ``influence`` (at the whole model) and
``trak`` (over M models).
"""

from __future__ import annotations

import os
import sys

os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is imported

import numpy as np
import torch
from dattri.algorithm.influence_function import IFAttributorExplicit
from dattri.algorithm.trak import TRAKAttributor
from dattri.task import AttributionTask
from torch.utils.data import DataLoader, TensorDataset


def main(source: str, target: str) -> None:
    given = np.load(source)
    width = given["X"].shape[1]
    model = torch.nn.Linear(width, 1).double()

    def state(row: np.ndarray) -> dict[str, torch.Tensor]:
        weights = torch.from_numpy(row)
        return {"weight": weights[None, :-1].clone(), "bias": weights[-1:].clone()}

    def log_odds(params: dict, data: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Of the right class."""
        x, y = data
        return torch.func.functional_call(model, params, (x,)).squeeze(-1) * (2 * y - 1)

    def loss(params: dict, data: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.softplus(-log_odds(params, data)).sum()

    def total(params: dict, data: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return log_odds(params, data).sum()

    def right(params: dict, data: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return torch.sigmoid(log_odds(params, data))

    def loader(x: str, y: str) -> DataLoader:
        data = TensorDataset(torch.from_numpy(given[x]).double(), torch.from_numpy(given[y]).double())
        return DataLoader(data, batch_size=len(data), shuffle=False)

    train, test = loader("X", "y"), loader("X_test", "y_test")
    whole = AttributionTask(loss, model, state(given["whole"]), target_func=total)
    influence = IFAttributorExplicit(whole, regularization=1 / float(given["penalty"]))
    influence.cache(train)
    found = {"influence": influence.attribute(train, test).detach().numpy().T}

    subsets = AttributionTask(loss, model, [state(row) for row in given["subsets"]], target_func=total)
    # As many projected as real dimensions, so that the projection loses nothing.
    trak = TRAKAttributor(
        subsets, right, projector_kwargs={"proj_dim": width + 1}, regularization=float(given["ridge"])
    )
    trak.cache(train)
    with torch.no_grad():
        found["trak"] = trak.attribute(test).detach().numpy().T
    np.savez(target, **found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
