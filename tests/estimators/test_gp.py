"""The Walsh-kernel Gaussian process against brute force over all masks, and on games whose truth is known."""

from __future__ import annotations

import json
import tracemalloc
from itertools import combinations

import numpy as np
import pytest

import interplay as ip
from interplay._spectrum.characters import characters_of, signs_of
from interplay._spectrum.indices import compute_index
from interplay._spectrum.uncertainty import Uncertainty
from interplay.estimators import GP, Lasso, all_masks, uniform_design
from interplay.estimators._gp.beam import strongest
from interplay.estimators._gp.hyper import Hyper
from interplay.estimators._gp.inverse import solved
from interplay.estimators._gp.kernel import Evidence, kernel, maximise
from interplay.estimators._gp.posterior import Posterior
from interplay.estimators._gp.prior import Prior, prior_variances
from interplay.estimators._validation import r_squared


def random_hyper(n: int, seed: int, noise: float = 0.05) -> Hyper:
    rng = np.random.default_rng(seed)
    local = rng.standard_normal(3)
    return Hyper(np.log(0.3) + rng.standard_normal(n), 0.2, float(np.log(noise)), local)


def subsets(n: int, order: int) -> list[tuple[int, ...]]:
    return [features for size in range(order + 1) for features in combinations(range(n), size)]


def sparse_game(n: int, terms: int, seed: int) -> ip.Spectrum:
    """A hierarchical game: single features, and products of those that matter."""
    rng = np.random.default_rng(seed)
    active = rng.permutation(n)[: 3 + terms // 4]
    found = {(int(i),): float(rng.choice([-1, 1]) * rng.uniform(0.5, 1.5)) for i in active}
    while len(found) < terms:
        key = tuple(sorted(rng.choice(active, size=int(rng.integers(2, 4)), replace=False).tolist()))
        found[key] = float(rng.choice([-1, 1]) * rng.uniform(0.3, 0.8))
    return ip.Spectrum(n, {(): 2.0, **found})


def noisy(spectrum: ip.Spectrum, count: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    masks = uniform_design(spectrum.n, count, seed)
    values = spectrum.predict(masks)
    return masks, values + noise * np.sqrt(spectrum.variance) * np.random.default_rng(seed).standard_normal(len(values))


def test_the_kernel_is_the_sum_over_all_sets_of_their_prior_variance_times_their_characters():
    n = 5
    hyper, masks = random_hyper(n, 0), all_masks(n)
    sets = subsets(n, n)
    rows = characters_of(signs_of(masks), sets).astype(float)
    signs = np.where(masks, -1.0, 1.0)
    expected = rows.T @ (prior_variances(hyper, sets)[:, None] * rows)
    assert np.allclose(kernel(signs, signs, hyper), expected, atol=1e-12)


def test_the_variance_of_a_set_extended_is_that_of_the_extended_set():
    n = 9
    prior = Prior.of(random_hyper(n, 1))
    ids = np.array([[0, 1], [2, 7], [4, 6]])
    extended = prior.factors_extended(ids, prior.factors(ids))
    for row, features in enumerate(ids):
        for added in set(range(n)) - set(features):
            direct = prior.factors(np.array([sorted([*features, added])]))[0]
            assert extended[row, added] == pytest.approx(direct, rel=1e-12)


def test_neighbours_that_act_together_are_found_from_fewer_ablations_than_strangers():
    rng = np.random.default_rng(0)
    reached = []
    places = rng.permutation(30)  # the same game, its features in an order that means nothing
    near = {(i, i + 1): 1.0 for i in range(0, 30, 3)}
    for keys in (near, {tuple(sorted((int(places[i]), int(places[j])))): v for (i, j), v in near.items()}):
        truth = ip.Spectrum(30, {**{(i,): 0.5 for i in range(30)}, **keys})
        masks, values = noisy(truth, 120, 0.1, 0)
        found = GP().fit(masks, values, order=3, seed=0).spectrum
        unseen = uniform_design(30, 1000, 99)
        reached.append(r_squared(truth.predict(unseen), found.predict(unseen)))
    assert reached[0] > reached[1] + 0.05


@pytest.mark.parametrize("spread", [0.7, 2.0])
def test_the_gradient_of_the_evidence_is_its_finite_difference(spread):
    rng = np.random.default_rng(3)
    masks = uniform_design(7, 40, 0)
    evidence = Evidence(np.where(masks, -1.0, 1.0), rng.standard_normal(40))
    theta = random_hyper(7, 1).packed()
    _, gradient = evidence(theta, spread)
    for place, direction in enumerate(np.eye(len(theta)) * 1e-5):
        slope = (evidence(theta + direction, spread)[0] - evidence(theta - direction, spread)[0]) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_the_posterior_is_that_of_independent_gaussian_coefficients_of_every_set():
    n, count = 5, 20
    masks = uniform_design(n, count, 0)
    values = np.random.default_rng(0).standard_normal(count)
    hyper = random_hyper(n, 2)
    sets = subsets(n, n)
    rows = characters_of(signs_of(masks), sets).astype(float)
    variances = prior_variances(hyper, sets)
    # Bayesian linear regression on all 2^n characters, the long way round.
    precision = rows @ rows.T / hyper.noise + np.diag(1 / variances)
    covariance = np.linalg.inv(precision)
    means = covariance @ rows @ values / hyper.noise
    posterior = Posterior.of(np.where(masks, -1.0, 1.0), values, [hyper])
    found = strongest(posterior.signs, [hyper], posterior.alphas, order=n, width=40, most=100)
    assert len(found) == 2**n - 1
    assert np.allclose([found[key] for key in sets[1:]], means[1:], atol=1e-6)
    assert np.allclose(posterior.deviations(rows.astype(np.int8), sets), np.sqrt(np.diag(covariance)), atol=1e-5)
    everywhere = all_masks(n)
    expected = means @ characters_of(signs_of(everywhere), sets)
    assert np.allclose(posterior.predict(np.where(everywhere, -1.0, 1.0)), expected, atol=1e-8)


def test_values_left_out_are_predicted_as_by_fits_without_them():
    n, count = 6, 18
    masks = uniform_design(n, count, 0)
    signs = np.where(masks, -1.0, 1.0)
    values = np.random.default_rng(0).standard_normal(count)
    hyper = random_hyper(n, 2)
    posterior = Posterior.of(signs, values, [hyper])
    sets = subsets(n, 2)
    whole, part = posterior.left_out(), posterior.left_out_of(characters_of(signs_of(masks), sets), sets)
    for i in range(count):
        others = np.arange(count) != i
        without = Posterior.of(signs[others], values[others], [hyper])
        assert whole[i] == pytest.approx(without.predict(signs[[i]])[0], abs=1e-8)
        means = prior_variances(hyper, sets) * (characters_of(signs_of(masks[others]), sets) @ without.alphas[0])
        assert part[i] == pytest.approx(means @ characters_of(signs_of(masks[[i]]), sets)[:, 0], abs=1e-4)


def test_the_search_finds_the_hyper_parameters_that_made_the_values():
    n, count = 6, 400
    truth = Hyper(np.log([0.6, 0.4, 0.3, 0.2, 1e-4, 1e-4]), 0.0, np.log(0.05))
    signs = np.where(np.random.default_rng(0).random((count, n)) < 0.5, -1.0, 1.0)
    covariance = kernel(signs, signs, truth) + truth.noise * np.eye(count)
    values = np.linalg.cholesky(covariance) @ np.random.default_rng(1).standard_normal(count)
    found = Hyper.unpacked(maximise(Evidence(signs, values)), n)
    assert set(np.argsort(-found.log_h)[:4]) == {0, 1, 2, 3}
    assert found.noise == pytest.approx(truth.noise, rel=0.4)
    assert found.w[4:].max() < 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_recovers_a_sparse_hierarchical_game_under_noise_from_few_ablations(seed):
    truth = sparse_game(40, 24, seed)
    masks, values = noisy(truth, 250, 0.2, seed)
    recovery = GP().fit(masks, values, order=5, seed=0)
    unseen = uniform_design(40, 1000, 99)
    reached = r_squared(truth.predict(unseen), recovery.spectrum.predict(unseen))
    linear = r_squared(truth.predict(unseen), Lasso().fit(masks, values, order=1, seed=0).spectrum.predict(unseen))
    assert reached > 0.9
    assert reached > linear + 0.1
    strong = [key for key in truth.top(30).coefficients if len(key) >= 2]
    assert len(set(strong) & set(recovery.spectrum.top(40).coefficients)) >= 0.8 * len(strong)


@pytest.mark.parametrize(("n", "count"), [(12, 30), (30, 60), (30, 120)])
def test_the_reported_r2_is_near_the_r2_on_unseen_masks(n, count):
    gaps = []
    for seed in range(4):
        truth = sparse_game(n, 16, seed)
        masks, values = noisy(truth, count, 0.2, seed)
        recovery = GP().fit(masks, values, order=4, seed=seed)
        unseen, measured = noisy(truth, 2000, 0.2, 50 + seed)
        gaps.append(r_squared(values, recovery.unseen) - r_squared(measured, recovery.spectrum.predict(unseen)))
    assert np.mean(gaps) < 0.1


def test_the_same_seed_gives_the_same_spectrum():
    masks, values = noisy(sparse_game(20, 12, 0), 80, 0.1, 0)
    first, second = (GP().fit(masks, values, order=3, seed=5) for _ in range(2))
    assert first.spectrum == second.spectrum
    assert np.array_equal(first.unseen, second.unseen)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_scale_and_offset_of_the_values_change_nothing_else(scale):
    masks, values = noisy(sparse_game(15, 8, 0), 60, 0.1, 0)
    plain = GP().fit(masks, values, order=3, seed=0).spectrum.top(10)
    moved = GP().fit(masks, 7 * scale + scale * values, order=3, seed=0).spectrum.top(10)
    for key, value in plain.coefficients.items():
        assert (moved.coefficients[key] - (7 * scale if not key else 0)) / scale == pytest.approx(value, abs=1e-5)


def test_awkward_designs_are_fitted_without_complaint():
    rng = np.random.default_rng(0)
    tiny = GP().fit(all_masks(2), np.array([0.0, 1.0, 1.0, 4.0]), order=5, seed=0)
    assert np.isfinite(tiny.unseen).all()
    masks = uniform_design(10, 50, 0)
    masks[:, 3] = masks[:, 4]  # a column twice
    masks[:, 5] = True  # a column that never varies
    values = masks[:, 3] * 2.0 + masks[:, 0] + 0.01 * rng.standard_normal(50)
    spectrum = GP().fit(masks, values, order=3, seed=0).spectrum
    assert r_squared(values, spectrum.predict(masks)) > 0.95
    almost = GP().fit(masks, 1.0 + 1e-9 * values, order=3, seed=0).spectrum
    assert r_squared(1.0 + 1e-9 * values, almost.predict(masks)) > 0.95
    wide = uniform_design(1000, 64, 0)
    assert np.isfinite(GP().fit(wide, wide[:, 7] * 1.0, order=3, seed=0).unseen).all()


def test_is_chosen_by_name():
    result = ip.explain(lambda masks: masks[:, 0] * masks[:, 2] * 1.0, labels=18, budget=64, method="gp")
    assert result.method == "gp"
    assert result.interactions("mobius", top=1).named() == [(("x0", "x2"), pytest.approx(1.0, abs=0.02))]
    assert "leave-one-out" in result.faithfulness.how


def test_ninety_percent_intervals_cover_about_ninety_percent_of_coefficients_and_indices():
    covered: dict[str, list[bool]] = {"fourier": [], "bv": [], "sv": [], "fbii": []}
    for seed in range(4):
        truth = sparse_game(24, 30, seed)
        masks, values = noisy(truth, 120, 0.3, seed)
        recovery = GP().fit(masks, values, order=3, seed=0)
        for index, inside in covered.items():
            found, _ = compute_index(recovery.spectrum.top(60), index, 2)
            actual, _ = compute_index(truth, index, 2)
            doubt = recovery.uncertainty.of(index, 2)
            strongest_sets = sorted(found, key=lambda key: -abs(found[key]))[:24]
            inside += [abs(found[key] - actual.get(key, 0.0)) < 1.645 * doubt[key] for key in strongest_sets]
    rates = {index: float(np.mean(inside)) for index, inside in covered.items()}
    assert min(rates.values()) > 0.8, rates
    assert np.mean(list(rates.values())) < 0.98, rates


def test_the_deviation_of_an_index_is_that_of_its_weighted_sum():
    rng = np.random.default_rng(0)
    doubt = Uncertainty(5, {key: float(rng.uniform(0.1, 1)) for key in subsets(5, 3)})
    for index, order in (("sv", 1), ("bv", 1), ("fbii", 2), ("sii", 2), ("k-sii", 3), ("mobius", 3)):
        variances: dict[tuple[int, ...], float] = {}
        for key, deviation in doubt.deviations.items():  # one unit coefficient at a time
            for features, weight in compute_index(ip.Spectrum(5, {key: 1.0}), index, order)[0].items():
                variances[features] = variances.get(features, 0.0) + (weight * deviation) ** 2
        found = doubt.of(index, order)
        assert found == pytest.approx({key: np.sqrt(value) for key, value in variances.items()})


def test_an_uncertainty_survives_json():
    spectrum = ip.Spectrum(4, {(): 1.0, (0,): 2.0, (1, 3): -0.5})
    doubt = Uncertainty(4, {(): 0.125, (1, 3): 0.25})
    assert Uncertainty.from_dict(json.loads(json.dumps(doubt.to_dict())), spectrum.n) == doubt


def test_it_is_never_much_worse_than_the_lasso_at_tiny_budgets():
    worse = []
    for seed in range(4):
        truth = ip.Spectrum(40, {(i,): float(v) for i, v in enumerate(np.random.default_rng(seed).standard_normal(4))})
        masks, values = noisy(truth, 40, 0.1, seed)
        unseen = uniform_design(40, 1000, 99)
        actual = truth.predict(unseen)
        reached = [
            r_squared(actual, method.fit(masks, values, order=3, seed=0).spectrum.predict(unseen))
            for method in (GP(), Lasso())
        ]
        worse.append(reached[1] - reached[0])
    assert np.median(worse) < 0.01
    assert max(worse) < 0.1


def test_beyond_the_dense_limit_all_ablations_are_used():
    truth = sparse_game(30, 20, 0)
    masks, values = noisy(truth, 1200, 0.3, 0)
    unseen = uniform_design(30, 1000, 99)
    actual = truth.predict(unseen)
    small, large, whole = (
        GP(dense=dense).fit(masks[:count], values[:count], order=4, seed=0)
        for dense, count in ((400, 400), (400, 1200), (5000, 1200))
    )
    reached = [r_squared(actual, recovery.spectrum.predict(unseen)) for recovery in (small, large, whole)]
    assert reached[0] < reached[1]
    assert reached[1] > reached[2] - 0.005
    assert r_squared(values, large.unseen) == pytest.approx(r_squared(values, whole.unseen), abs=0.02)


def test_memory_stays_bounded_where_features_and_ablations_are_many():
    masks = ip.design(2050, 10_000, method="lasso")
    signs = 1.0 - 2.0 * masks
    values = signs[:, :40] @ np.linspace(1.0, 2.0, 40) + 3.0 * signs[:, 3] * signs[:, 4]
    one_copy = signs.nbytes
    del signs
    light = GP(subset=200, steps=4, effort=0.0, dense=600, coefficients=60, width=20)
    tracemalloc.start()
    found = light.fit(masks, values, order=2, seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.2 * one_copy
    assert found.unseen.shape == values.shape


def test_pytorch_gives_the_answer_of_numpy():
    masks, values = noisy(sparse_game(16, 10, 0), 60, 0.2, 0)
    signs, target = np.where(masks, -1.0, 1.0), (values - values.mean()) / values.std()
    theta = random_hyper(16, 0).packed()
    (value, gradient), (other, slope) = Evidence(signs, target)(theta), Evidence(signs, target, "cpu")(theta)
    assert value == pytest.approx(other, rel=1e-10)
    assert np.allclose(gradient, slope, rtol=1e-8, atol=1e-8)
    with_numpy, with_torch = (
        GP(effort=0, device=device).fit(masks, values, order=3, seed=0) for device in (None, "cpu")
    )
    assert np.allclose(with_numpy.unseen, with_torch.unseen, atol=1e-3 * values.std())
    with pytest.raises(ip.InputError, match="cuda:9"):
        GP(device="cuda:9").fit(masks, values, order=3, seed=0)


@pytest.mark.parametrize("noise", [0.05, 1e-6])
def test_single_precision_is_refined_or_given_up(noise):
    torch = pytest.importorskip("torch")
    from interplay.estimators._gp.inverse_torch import torch_solved

    count, n = 300, 8 if noise < 1e-3 else 40  # 256 masks of 8 features: some come twice, apart by the noise alone
    signs = np.where(np.random.default_rng(0).random((count, n)) < 0.5, -1.0, 1.0)
    values = np.random.default_rng(1).standard_normal(count)
    hyper = random_hyper(n, 3, noise)
    exact, inverse = solved(signs, values, hyper)
    alpha, found = torch_solved(signs, values, hyper, "cpu", single=True)
    assert found.matrix.dtype == (torch.float32 if noise > 1e-3 else torch.float64)
    assert np.allclose(alpha, exact, rtol=1e-6, atol=1e-9 * np.abs(exact).max())
    assert np.allclose(found.diagonal, inverse.diagonal, rtol=1e-3)
    sets = subsets(n, 2)[:60]
    rows = characters_of(signs_of(signs < 0), sets)
    variances = prior_variances(hyper, sets)
    assert np.allclose(found.overlaps(rows, variances), inverse.overlaps(rows, variances), rtol=1e-2, atol=1e-2)
    assert np.allclose(found.quadratics(rows), inverse.quadratics(rows), rtol=1e-2)


@pytest.mark.parametrize("option", ["subset", "draws", "coefficients", "width", "dense"])
def test_options_that_make_no_sense_are_refused(option):
    for value in (0, 2.5):
        with pytest.raises(ip.InputError, match=rf"GP's {option} must be a whole number of at least 1, not {value}"):
            GP(**{option: value})


@pytest.mark.parametrize("effort", ["x", None, float("nan"), float("inf"), -1.0, True])
def test_an_effort_that_is_no_number_is_refused_before_anything_is_measured(effort: object) -> None:
    with pytest.raises(ip.InputError, match="GP's effort must be a number of operations from 0 up, not"):
        GP(effort=effort)


@pytest.mark.slow
def test_a_device_that_pytorch_does_not_know_is_an_error_in_one_sentence():
    pytest.importorskip("torch")
    with pytest.raises(ip.InputError, match=r"device='gpu'.*leave device out"):
        GP(device="gpu").fit(np.eye(6, dtype=bool), np.arange(6.0), order=2, seed=0)
