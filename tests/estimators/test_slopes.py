"""Values and slopes fitted together: what they recover, what is counted as unseen, and how sure they are."""

import numpy as np
import pytest

import interplay as ip
from interplay.estimators import r_squared
from interplay.estimators._slopes.fit import fit_slopes
from interplay.estimators._slopes.observations import Observations
from interplay.estimators._slopes.solve import Calibration, Equations
from tests.support.slopes import jumps_of, planted_spectrum


def _sample(n: int, count: int, *, seed: int = 0, error: float = 0.0):
    """A planted spectrum, masks, values and slopes that are jumps but for an error, a share of their spread."""
    rng = np.random.default_rng(seed)
    spectrum = planted_spectrum(n, seed)
    masks = ip.design(n, count, method="lasso", seed=seed)
    jumps = jumps_of(spectrum, masks)
    return spectrum, masks, spectrum.predict(masks), jumps + error * jumps.std() * rng.normal(size=jumps.shape)


def _fresh_r2(spectrum, found, seed: int = 99) -> float:
    masks = np.random.default_rng(seed).random((1000, spectrum.n)) < 0.5
    return r_squared(spectrum.predict(masks), found.predict(masks))


def test_slopes_find_sets_of_several_features_from_fewer_masks_than_features():
    spectrum, masks, values, slopes = _sample(24, 20)
    with_slopes = fit_slopes(masks, values, slopes, order=5, seed=0)
    without = ip.fit(masks, values, method="gp").fits[0]
    assert _fresh_r2(spectrum, with_slopes.spectrum) > 0.8
    assert _fresh_r2(spectrum, without.spectrum) < 0.7


def test_noisy_slopes_still_help_and_uniform_gain_is_found_from_the_data():
    spectrum, masks, values, slopes = _sample(20, 40, error=0.5)
    plain = _fresh_r2(spectrum, ip.fit(masks, values, method="gp").fits[0].spectrum)
    for gain in (1.0, 0.5):
        found = fit_slopes(masks, values, gain * slopes, order=4, seed=0)
        assert _fresh_r2(spectrum, found.spectrum) > max(0.7, plain + 0.05)


def test_an_ablations_prediction_depends_on_neither_its_value_nor_its_slopes():
    _, masks, values, slopes = _sample(12, 25, error=0.2)
    before = fit_slopes(masks, values, slopes, order=3, seed=0).unseen
    for row in (0, 7, 24):
        other_values, other_slopes = values.copy(), slopes.copy()
        other_values[row] += 10.0
        other_slopes[row] = -5.0
        after = fit_slopes(masks, other_values, other_slopes, order=3, seed=0).unseen
        assert after[row] == before[row]
        assert (after != before).any()


def test_block_equations_are_the_dense_ones():
    """Against ridge regression on all value and slope rows stacked, with the errors' whole covariance inverted."""
    _, masks, values, slopes = _sample(6, 20, error=0.3)
    slopes[3] = np.nan
    seen = Observations.of(masks, values, slopes)
    sets = [(), (0,), (2,), (5,), (0, 2), (2, 5), (1, 2, 5)]
    weights = np.linspace(0.1, 0.4, 6)
    equations = Equations(seen, sets, weights)
    rng = np.random.default_rng(1)
    calibration = Calibration(
        rng.uniform(0.5, 1.5, (2, 6)), rng.uniform(0.1, 0.3, (2, 6)), 0.2, np.array([1.0, 0.5, 0.25, 0.125]), shared=0.7
    )
    posterior = equations.solve(calibration)

    basis = np.stack([np.prod(seen.signs[:, list(s)], axis=1) if s else np.ones(20) for s in sets], axis=1)
    matrix = basis.T @ basis / 0.2 + np.diag(1.0 / (calibration.decay[equations.sizes] * equations.products))
    right = basis.T @ seen.values / 0.2
    for h, state, rows in seen.blocks():
        design = np.stack(
            [-2.0 * np.prod(seen.signs[np.ix_(rows, [j for j in s if j != h])], axis=1) * (h in s) for s in sets],
            axis=1,
        )
        design *= calibration.beta[state, h]
        precision = np.linalg.inv(calibration.tau2[state, h] * (np.eye(len(rows)) + 0.7))
        matrix += design.T @ precision @ design
        right += design.T @ precision @ seen.slopes[rows, h]
    assert np.allclose(posterior.means, np.linalg.solve(matrix, right), rtol=1e-6, atol=1e-9)
    assert np.allclose(posterior.covariance, np.linalg.inv(matrix), rtol=1e-3, atol=1e-6)


def test_what_errs_alike_in_all_masks_does_not_outvote_the_values():
    spectrum, masks, values, slopes = _sample(20, 60, error=0.0)
    wrong = slopes + slopes.std() * np.random.default_rng(0).normal(size=20)
    found = fit_slopes(masks, values, wrong, order=4, seed=0)
    assert _fresh_r2(spectrum, found.spectrum) > 0.8
    assert r_squared(values, found.unseen) < _fresh_r2(spectrum, found.spectrum)


def test_masks_without_slopes_take_part_with_their_values():
    spectrum, masks, values, slopes = _sample(20, 80, error=0.5)
    slopes[25:] = np.nan
    part = fit_slopes(masks[:25], values[:25], slopes[:25], order=4, seed=0)
    both = fit_slopes(masks, values, slopes, order=4, seed=0)
    assert _fresh_r2(spectrum, both.spectrum) > _fresh_r2(spectrum, part.spectrum)


@pytest.mark.parametrize("error", [0.1, 0.6])
def test_intervals_hold_the_planted_coefficients_about_as_often_as_they_say(error):
    held = []
    for seed in range(3):
        spectrum, masks, values, slopes = _sample(20, 40, seed=seed, error=error)
        found = fit_slopes(masks, values, slopes, order=4, seed=0)
        for key, truth in spectrum.coefficients.items():
            if key in found.uncertainty.deviations:
                reach = 1.645 * found.uncertainty.deviations[key]
                held.append(abs(found.spectrum.coefficients[key] - truth) <= reach)
    assert len(held) > 60
    assert np.mean(held) >= 0.8
