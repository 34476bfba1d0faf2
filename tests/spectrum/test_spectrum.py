"""A spectrum is the polynomial it says it is."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interplay as ip
from interplay._spectrum.characters import walsh_hadamard
from interplay.estimators import all_masks
from oracles import sparse_spectrum


def characters_by_definition(spectrum: ip.Spectrum, mask: np.ndarray) -> float:
    return sum(value * (-1.0) ** sum(bool(mask[i]) for i in key) for key, value in spectrum.coefficients.items())


@given(n=st.integers(1, 9), seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_predict_sums_the_characters_of_kept_features(n: int, seed: int) -> None:
    spectrum = sparse_spectrum(n, min(n, 5), min(n, 3), seed)
    masks = all_masks(n)
    expected = [characters_by_definition(spectrum, mask) for mask in masks]
    np.testing.assert_allclose(spectrum.predict(masks), expected, atol=1e-12)


def test_predict_is_the_same_in_blocks_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    spectrum = sparse_spectrum(40, 200, 5, 0)
    masks = np.random.default_rng(0).random((300, 40)) < 0.5
    at_once = spectrum.predict(masks)
    monkeypatch.setattr("interplay._spectrum.spectrum._BLOCK", 1000)
    np.testing.assert_allclose(spectrum.predict(masks), at_once, atol=1e-12)


def test_the_transform_is_its_own_inverse_and_matches_the_sum() -> None:
    values = np.random.default_rng(1).normal(size=(16, 3))
    transform = walsh_hadamard(values)
    signs = np.array([[(-1) ** bin(k & m).count("1") for m in range(16)] for k in range(16)])
    np.testing.assert_allclose(transform, signs @ values, atol=1e-12)
    np.testing.assert_allclose(walsh_hadamard(transform) / 16, values, atol=1e-12)


def test_a_transform_of_another_length_is_refused() -> None:
    with pytest.raises(ip.InputError, match="power of two, not length 12"):
        walsh_hadamard(np.zeros(12))


def test_variance_is_that_over_all_masks() -> None:
    spectrum = sparse_spectrum(8, 20, 4, 2)
    assert spectrum.variance == pytest.approx(spectrum.predict(all_masks(8)).var())


def test_arithmetic_is_that_of_the_functions() -> None:
    one, two = sparse_spectrum(6, 8, 3, 3), sparse_spectrum(6, 8, 3, 4)
    masks = all_masks(6)
    np.testing.assert_allclose(
        (2 * one - two / 4 + -one).predict(masks), one.predict(masks) - two.predict(masks) / 4, atol=1e-12
    )
    with pytest.raises(ip.InputError, match="over 6 features cannot be combined with one over 7"):
        one + sparse_spectrum(7, 2, 1, 0)


def test_top_keeps_the_constant_and_the_strongest() -> None:
    spectrum = ip.Spectrum(4, {(): 0.1, (0,): -3.0, (1, 2): 2.0, (3,): 1.0})
    assert dict(spectrum.top(2).coefficients) == {(): 0.1, (0,): -3.0, (1, 2): 2.0}
    assert len(spectrum.top(0)) == 1


def test_it_survives_json_and_pickle() -> None:
    spectrum = sparse_spectrum(12, 10, 4, 5)
    assert ip.Spectrum.from_dict(json.loads(json.dumps(spectrum.to_dict()))) == spectrum
    assert pickle.loads(pickle.dumps(spectrum)) == spectrum


@pytest.mark.parametrize(
    ("n", "coefficients", "message"),
    [
        (0, {}, "at least one feature, not n = 0"),
        (3, {(0, 3): 1.0}, r"\(0, 3\) is not an ascending tuple of feature ids in 0..2"),
        (3, {(1, 0): 1.0}, "not an ascending tuple"),
        (3, {(1, 1): 1.0}, "not an ascending tuple"),
        (3, {(1,): float("nan")}, r"coefficient of \(1,\) is nan"),
    ],
)
def test_what_is_no_spectrum_is_refused(n: int, coefficients: dict, message: str) -> None:
    with pytest.raises(ip.InputError, match=message):
        ip.Spectrum(n, coefficients)
