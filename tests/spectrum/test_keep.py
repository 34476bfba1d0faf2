"""Keep rates other than one half: the same polynomial, the right measure."""

from __future__ import annotations

import numpy as np
import pytest

import interplay as ip
from interplay._spectrum.keep import keep_coefficients, keep_effects
from interplay.estimators import all_masks, biased_design
from interplay.report import influences
from oracles import dense_values, mask_bits, sparse_spectrum

RATES = [0.1, 0.3, 0.5, 0.7, 0.9]


def weights(masks: np.ndarray, keep: float) -> np.ndarray:
    return np.where(masks, keep, 1 - keep).prod(axis=1)


@pytest.mark.parametrize("keep", RATES)
def test_coefficients_and_variance_at_a_keep_rate_equal_brute_force(keep: float) -> None:
    n = 6
    masks = all_masks(n)
    values = dense_values(n, 1)
    spectrum = ip.fit(masks, values[mask_bits(masks)]).spectrum
    measure = weights(masks, keep)
    z = (np.where(masks, -1.0, 1.0) - (1 - 2 * keep)) / (2 * np.sqrt(keep * (1 - keep)))
    found = keep_coefficients(spectrum, keep)
    for key in [(), (0,), (2, 5), (0, 1, 3), (0, 1, 2, 3, 4, 5)]:
        expected = (measure * spectrum.predict(masks) * z[:, list(key)].prod(axis=1)).sum()
        assert found[key] == pytest.approx(expected, abs=1e-12)
    f = spectrum.predict(masks)
    variance = sum(value**2 for key, value in found.items() if key)
    assert variance == pytest.approx((measure * f**2).sum() - (measure * f).sum() ** 2)


@pytest.mark.parametrize("keep", RATES)
def test_effects_at_a_keep_rate_are_mean_differences(keep: float) -> None:
    n = 5
    masks = all_masks(n)
    values = dense_values(n, 2)
    spectrum = ip.fit(masks, values[mask_bits(masks)]).spectrum
    found = keep_effects(spectrum, keep, order=2)
    assert max(map(len, found)) == 2
    rest = ~masks[:, 1] & ~masks[:, 3]
    off = masks[rest]
    measure = weights(np.delete(off, [1, 3], axis=1), keep)

    def f(one: bool, three: bool) -> np.ndarray:
        changed = off.copy()
        changed[:, 1], changed[:, 3] = one, three
        return spectrum.predict(changed)

    together = f(True, True) - f(True, False) - f(False, True) + f(False, False)
    assert found[1, 3] == pytest.approx((measure * together).sum(), abs=1e-12)
    alone = keep * (f(True, True) - f(False, True)) + (1 - keep) * (f(True, False) - f(False, False))
    assert found[1,] == pytest.approx((measure * alone).sum(), abs=1e-12)


def test_at_one_half_they_are_the_spectrum_and_the_banzhaf_interactions() -> None:
    spectrum = sparse_spectrum(20, 15, 4, 0)
    assert keep_coefficients(spectrum, 0.5) == spectrum.coefficients
    for key, value in keep_effects(spectrum, 0.5).items():
        assert value == pytest.approx((-2.0) ** len(key) * spectrum.coefficients[key])


@pytest.mark.parametrize("n", [10, 40])
@pytest.mark.parametrize("keep", RATES)
def test_masks_at_a_rate_are_distinct_nested_and_at_that_rate(n: int, keep: float) -> None:
    masks = biased_design(n, 60, 3, keep)
    assert len(np.unique(masks, axis=0)) == 60
    np.testing.assert_array_equal(biased_design(n, 30, 3, keep), masks[:30])
    if keep != 0.5:
        np.testing.assert_array_equal(ip.design(n, 60, method="lasso", seed=3, keep=keep), masks)
    if n == 40:
        assert abs(masks.mean() - keep) < 4 * np.sqrt(keep * (1 - keep) / masks.size)


def test_the_first_mask_of_a_small_game_is_drawn_from_the_measure_itself() -> None:
    masks = all_masks(3)
    counts = np.zeros(8)
    for seed in range(4000):
        counts[mask_bits(biased_design(3, 1, seed, 0.8))[0]] += 1
    np.testing.assert_allclose(counts / 4000, weights(masks, 0.8)[np.argsort(mask_bits(masks))], atol=0.03)


def test_too_many_masks_of_a_lopsided_game_are_refused_and_everything_is_measured_where_it_fits() -> None:
    with pytest.raises(ip.InputError, match=r"gave only .* different ablations in .* draws: lower the budget of 500"):
        biased_design(17, 500, 0, 0.9999)
    assert len(biased_design(4, 100, 0, 0.9)) == 16
    with pytest.raises(ip.InputError, match=r"keep must lie strictly between 0 and 1, not 1.5"):
        ip.design(4, 5, keep=1.5)
    assert ip.explain(ip.Game(lambda m: m.sum(1), 4, keep=0.9), budget=16).method == "exact"


def test_recorded_ablations_have_the_effects_of_their_own_rate() -> None:
    spectrum = sparse_spectrum(8, 12, 3, 2)
    masks = all_masks(8)
    found = ip.fit(masks, spectrum.predict(masks), keep=0.8)
    effects = {(i,): value for side in (influences(found).helpful, influences(found).harmful) for i, value in side}
    expected = {key: value for key, value in keep_effects(spectrum, 0.8).items() if len(key) == 1}
    assert effects == pytest.approx(expected)
    with pytest.raises(ip.InputError, match="keep must lie strictly between 0 and 1, not 70"):
        ip.fit(masks, spectrum.predict(masks), keep=70)


def test_a_lasso_at_an_uneven_rate_recovers_the_same_noiseless_game() -> None:
    spectrum = sparse_spectrum(30, 8, 1, 4)
    for keep in RATES[1:]:
        masks = biased_design(30, 250, 0, keep)
        found = ip.fit(masks, spectrum.predict(masks), method="lasso").spectrum
        assert dict(found.coefficients) == pytest.approx(dict(spectrum.coefficients), abs=1e-6)
