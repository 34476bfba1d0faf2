"""First-order fits for very many features and outputs: as good as the lasso, in memory that stays bounded."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import interplay as ip
from interplay.estimators import Lasso
from interplay.estimators._design import biased_design
from interplay.estimators._lasso.wide import Wide


def linear_game(n: int, count: int, outputs: int, noise: float, keep: float = 0.5) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    masks = biased_design(n, count, 0, keep)
    weights = rng.normal(size=(n, outputs)) * (rng.random((n, outputs)) < 10 / n)
    signal = np.where(masks, -1.0, 1.0) @ weights
    return masks, 3.0 + signal + noise * signal.std(axis=0) * rng.normal(size=signal.shape), weights


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.9])
def test_all_outputs_at_once_predict_as_well_as_one_lasso_each(keep: float) -> None:
    masks, values, weights = linear_game(60, 2000, 4, noise=0.5, keep=keep)
    fresh = biased_design(60, 300, 9, keep)
    truth = 3.0 + np.where(fresh, -1.0, 1.0) @ weights
    for t, recovery in enumerate(Wide().fit_outputs(masks, values, order=1, seed=0)):
        single = Lasso().fit(masks, np.ascontiguousarray(values[:, t]), order=1, seed=0).spectrum
        errors = [((spectrum.predict(fresh) - truth[:, t]) ** 2).mean() for spectrum in (recovery.spectrum, single)]
        assert errors[0] < 2.0 * errors[1] + 0.002 * truth[:, t].var()


def test_what_was_held_out_is_scored_honestly() -> None:
    masks, values, weights = linear_game(80, 1200, 3, noise=1.0)
    fresh = ip.design(80, 2000, method="lasso", seed=5)
    clean = 3.0 + np.where(fresh, -1.0, 1.0) @ weights
    found = Wide(held_out=0.3).fit_outputs(masks, values, order=1, seed=0)
    for t, recovery in enumerate(found):
        assert recovery.rows is not None
        assert recovery.unseen is not None
        held = values[recovery.rows, t]
        claimed = ((recovery.unseen - held) ** 2).mean()
        real = ((recovery.spectrum.predict(fresh) - clean[:, t]) ** 2).mean() + clean[:, t].var()  # noise 1.0
        assert claimed == pytest.approx(real, rel=0.25)


def test_outputs_do_not_disturb_one_another() -> None:
    masks, values, _ = linear_game(50, 300, 3, noise=0.3)
    together = Wide().fit_outputs(masks, values, order=1, seed=0)
    alone = Wide().fit(masks, values[:, 1], order=1, seed=0)
    for key, value in alone.spectrum.coefficients.items():
        assert together[1].spectrum.coefficients.get(key, 0.0) == pytest.approx(value, abs=1e-4)


def test_many_outputs_are_fitted_in_groups_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    masks, values, _ = linear_game(40, 300, 7, noise=0.3)
    at_once = Wide().fit_outputs(masks, values, order=1, seed=0)
    monkeypatch.setattr("interplay.estimators._lasso.wide._OUTPUTS", 3)
    grouped = Wide().fit_outputs(masks, values, order=1, seed=0)
    for one, other in zip(at_once, grouped, strict=True):
        assert dict(one.spectrum.coefficients) == pytest.approx(dict(other.spectrum.coefficients), abs=1e-4)
        np.testing.assert_allclose(one.unseen, other.unseen, atol=1e-3)


def test_memory_grows_with_the_outputs_by_little_more_than_they_take_themselves() -> None:
    peaks = []
    for outputs in (256, 1024):
        masks, values, _ = linear_game(300, 2000, outputs, noise=0.3)
        tracemalloc.start()
        Wide().fit_outputs(masks, values, order=1, seed=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 2.5 * 768 * len(masks) * values.itemsize


@pytest.mark.slow
@pytest.mark.parametrize("method", ["auto", "lasso"])
def test_recorded_retrainings_are_explained_in_bounded_memory(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("_lasso.lasso", "_auto", "_doubt"):
        monkeypatch.setattr(f"interplay.estimators.{module}.LARGE", 1_000_000)
    masks, values, weights = linear_game(1500, 3000, 6, noise=0.2)
    tracemalloc.start()
    result = ip.fit(masks, values, method=method)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * masks.size  # one copy of the masks in 8-byte numbers would be more
    assert min(fit.faithfulness.r2 for fit in result.fits) > 0.8
    assert {fit.method for fit in result.fits} == {"lasso"} if method == "lasso" else {"auto", "lasso"}
    one = result.for_output(0).interactions("fourier", order=1)
    strongest = np.argsort(-np.abs(weights[:, 0]))[:5]
    assert {(int(i),) for i in strongest} <= set(one.top(12))
    assert any("single features for all outputs at once" in note for note in result.fits[0].notes) == (method == "auto")


def test_the_first_order_beside_other_fits_is_measured_in_bounded_memory() -> None:
    rng = np.random.default_rng(0)
    truth = ip.Spectrum(2600, {(i,): float(rng.normal()) for i in range(0, 2600, 100)} | {(3, 700, 2100): 2.0})
    masks = ip.design(2600, 8000, method="spex")
    values = truth.predict(masks)
    tracemalloc.start()
    found = ip.fit(masks, values, method="spex").faithfulness
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 600e6  # one copy of the masks as numbers is 166 MB
    first = sum(value**2 for key, value in truth.coefficients.items() if len(key) == 1) / truth.variance
    assert found.first_order == pytest.approx(first, abs=0.15)
    assert found.r2 > 0.999
