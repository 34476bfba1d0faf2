"""Many outputs of the same ablations: sharing changes little, executors nothing, and few outputs share nothing."""

from __future__ import annotations

import concurrent.futures as futures
import pickle

import numpy as np
import pytest

import interplay as ip
from interplay.estimators import Auto, Lasso
from interplay.estimators._gp.hyper import Hyper
from interplay.estimators._gp.kernel import Evidence
from interplay.estimators._lasso.wide import Wide
from interplay.estimators._many import MANY
from interplay.estimators._validation import r_squared


def family(count: int, n: int, outputs: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Masks and noisy values (N, T) of mixtures of three sparse games, then unseen masks with true values."""
    rng = np.random.default_rng(seed)
    masks = rng.random((count + 300, n)) < 0.5
    signs = np.where(masks, -1.0, 1.0)
    sets = [rng.choice(n, size, replace=False) for size in (1, 2, 1, 3, 2, 1, 2, 1)]
    parts = np.stack([signs[:, chosen].prod(axis=1) for chosen in sets], axis=1)
    truth = parts @ rng.standard_normal((len(sets), 3)) @ rng.standard_normal((3, outputs))
    noisy = truth + 0.2 * truth.std(axis=0) * rng.standard_normal(truth.shape)
    return masks[:count], noisy[:count], masks[count:], truth[count:]


@pytest.mark.slow
def test_sharing_loses_little_and_executors_change_nothing():
    masks, values, unseen, truth = family(64, 8, MANY + 8, 0)
    here = Auto().fit_outputs(masks, values, order=3, seed=0)
    with ip.executors.processes(1) as executor:
        there = Auto().spread_outputs(masks, values, order=3, seed=0, executor=executor)
    assert [one.spectrum for one in there] == [one.spectrum for one in here]
    assert [one.notes for one in there] == [one.notes for one in here]
    assert "share what" in here[1].notes[-1]
    assert "share" not in " ".join(here[0].notes)  # fitted in full
    for t in (0, 1, 9):
        alone = Auto().fit(masks, values[:, t].copy(), order=3, seed=0)
        ours, full = (r_squared(truth[:, t], one.spectrum.predict(unseen)) for one in (here[t], alone))
        assert ours > full - 0.03
        assert (here[t].spectrum == alone.spectrum) == (t == 0)


def test_few_outputs_are_fitted_as_if_each_were_the_only_one():
    masks, values, *_ = family(40, 5, 2, 1)
    for estimator in (Auto(), Lasso()):
        together = estimator.fit_outputs(masks, values, order=3, seed=0)
        for t, one in enumerate(together):
            assert one.spectrum == estimator.fit(masks, values[:, t].copy(), order=3, seed=0).spectrum


def test_recoveries_travel_between_processes():
    masks, values, *_ = family(40, 5, 1, 2)
    recovery = Auto().fit(masks, values[:, 0].copy(), order=3, seed=0)
    back = pickle.loads(pickle.dumps(recovery))
    assert back.spectrum == recovery.spectrum
    assert (back.unseen == recovery.unseen).all()
    assert back.uncertainty.deviations == recovery.uncertainty.deviations
    assert back.chosen == recovery.chosen


def test_the_evidence_of_many_outputs_is_the_mean_of_theirs():
    masks, values, *_ = family(40, 5, 4, 3)
    signs, values = np.where(masks, -1.0, 1.0), values / values.std(axis=0)
    theta = Hyper(np.log(np.linspace(0.1, 0.6, 5)), 0.1, -2.0, np.array([-0.5, 0.1, 0.3])).packed()
    together = Evidence(signs, np.ascontiguousarray(values))(theta)
    alone = [Evidence(signs, np.ascontiguousarray(column))(theta) for column in values.T]
    assert together[0] == pytest.approx(np.mean([value for value, _ in alone]), rel=1e-10)
    assert np.allclose(together[1], np.mean([gradient for _, gradient in alone], axis=0), atol=1e-8)
    light = Evidence(signs, np.ascontiguousarray(values), light=True)(theta)
    assert light[0] == pytest.approx(together[0], rel=1e-5)
    assert np.allclose(light[1], together[1], rtol=1e-3, atol=1e-3)


def test_the_lasso_of_many_outputs_is_near_that_of_each():
    masks, values, unseen, truth = family(150, 8, 5, 4)
    for t, together in enumerate(Wide().cross_validated(masks, values, seed=0)):
        alone = Lasso().fit(masks, values[:, t].copy(), order=1, seed=0)
        ours, theirs = (r_squared(truth[:, t], one.spectrum.predict(unseen)) for one in (together, alone))
        assert ours > theirs - 0.02
        assert r_squared(values[:, t], together.unseen) == pytest.approx(
            r_squared(values[:, t], alone.unseen), abs=0.03
        )


def test_outputs_are_fitted_by_an_executor_with_designed_masks_too():
    masks = ip.design(6, 40, index="sv")
    values = masks @ np.random.default_rng(0).standard_normal((6, 2)) + 0.1 * (masks[:, :1] & masks[:, 1:2])
    with futures.ThreadPoolExecutor(2) as threads:
        found = ip.fit(masks, values, index="sv", executor=threads)
    assert [fit.spectrum for fit in found.fits] == [fit.spectrum for fit in ip.fit(masks, values, index="sv").fits]
    for t, column in enumerate(values.T):
        full, empty = column[masks.all(axis=1)][0], column[~masks.any(axis=1)][0]
        assert sum(found.for_output(t).interactions("sv").values()) == pytest.approx(full - empty)
