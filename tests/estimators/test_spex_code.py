"""The BCH codes behind SPEX: every set of at most t features is named by its parities, and nothing else is certain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay.estimators.spex._bch import Code
from interplay.estimators.spex._galois import combine, field_of, independent_rows


def parities(code, sets):
    members = np.zeros((len(sets), code.n), dtype=np.int64)
    for row, features in enumerate(sets):
        members[row, list(features)] = 1
    return (members @ code.checks.T % 2).astype(np.uint8)


def decoded(code, bits):
    """By row, the set that the parities under the code's checks decode to, or None."""
    syndrome_bits = (bits.astype(np.int64) @ code.syndrome_map(code.checks).T % 2).astype(np.uint8)
    which, sets = code.decode(code.syndromes(syndrome_bits))
    found = [None] * len(bits)
    for row, features in zip(which, sets, strict=True):
        found[row] = tuple(int(i) for i in features if i < code.n)
    return found


@pytest.mark.parametrize("m", range(1, 17))
def test_the_generator_reaches_every_nonzero_element(m):
    field = field_of(m)
    assert len(set(field.power(np.arange(field.order)).tolist())) == field.order
    assert field.power(field.order) == 1


@pytest.mark.parametrize("m", [2, 5, 8])
def test_field_laws_hold(m):
    field = field_of(m)
    rng = np.random.default_rng(m)
    a, b, c = rng.integers(0, 1 << m, (3, 500)).astype(np.int32)
    np.testing.assert_array_equal(field.multiply(a, b ^ c), field.multiply(a, b) ^ field.multiply(a, c))
    np.testing.assert_array_equal(field.multiply(a, field.multiply(b, c)), field.multiply(field.multiply(a, b), c))
    np.testing.assert_array_equal(field.square(a), field.multiply(a, a))
    nonzero = a[a != 0]
    assert (field.multiply(nonzero, field.inverse(nonzero)) == 1).all()
    assert (field.multiply(a, np.zeros_like(a)) == 0).all()


@pytest.mark.slow  # galois compiles itself on first use
def test_arithmetic_agrees_with_galois():
    galois = pytest.importorskip("galois")
    for m in (3, 6, 7, 10, 12):
        ours, theirs = field_of(m), galois.GF(2**m, irreducible_poly=galois.matlab_primitive_poly(2, m))
        rng = np.random.default_rng(m)
        a, b = rng.integers(1, 1 << m, (2, 200))
        product = ours.multiply(a.astype(np.int32), b.astype(np.int32))
        np.testing.assert_array_equal(product, np.asarray(theirs(a) * theirs(b)))


@pytest.mark.slow
def test_decoding_agrees_with_galois_on_every_random_error_pattern():
    galois = pytest.importorskip("galois")
    theirs = galois.BCH(31, d=7)
    code = Code(31, 3)
    assert len(code.checks) == theirs.n - theirs.k
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2, (400, 31)).astype(np.uint8)
    few = np.zeros((200, 31), dtype=np.uint8)
    for row in few:
        row[rng.choice(31, rng.integers(0, 6), replace=False)] = 1
    words = np.concatenate([words, few])
    corrected, errors = theirs.decode(galois.GF2(words), output="codeword", errors=True)
    for word, fixed, count in zip(words, np.asarray(corrected), errors, strict=True):
        # galois counts degrees from the left: its position i is the locator x^(30 - i)
        expected = None if count < 0 else tuple(sorted(30 - int(i) for i in np.flatnonzero(word ^ fixed)))
        ours = decoded(code, (word[None, ::-1].astype(np.int64) @ code.checks.T % 2).astype(np.uint8))[0]
        assert ours == expected


@pytest.mark.parametrize(("n", "t"), [(15, 2), (15, 3), (31, 3), (24, 4)])
def test_every_pattern_of_at_most_t_errors_is_corrected(n, t):
    code = Code(n, t)
    sets = [s for size in range(t + 1) for s in itertools.combinations(range(n), size)]
    assert decoded(code, parities(code, sets)) == sets


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_pattern_of_at_most_t_errors_is_corrected_at_any_length(data):
    n = data.draw(st.integers(1, 5000))
    t = data.draw(st.integers(1, 7))
    features = data.draw(st.lists(st.integers(0, n - 1), unique=True, max_size=min(n, t)))
    code = Code(n, t)
    assert decoded(code, parities(code, [features])) == [tuple(sorted(features))]


@pytest.mark.parametrize(("n", "t"), [(31, 2), (100, 3), (131, 5)])
def test_beyond_t_decoding_fails_or_names_a_set_with_the_same_parities(n, t):
    """Nothing but other evidence can tell such a set from the true one: decode must never claim more."""
    code = Code(n, t)
    rng = np.random.default_rng(1)
    sets = [tuple(rng.choice(n, t + 1 + row % 3, replace=False)) for row in range(3000)]
    bits = parities(code, sets)
    found = decoded(code, bits)
    wrong = [row for row, features in enumerate(found) if features is not None]
    assert len(wrong) < 0.6 * len(sets)
    assert all(len(found[row]) <= t for row in wrong)
    np.testing.assert_array_equal(parities(code, [found[row] for row in wrong]), bits[wrong])


def test_checks_of_a_smaller_t_come_first():
    for n in (20, 63, 100, 1000):
        previous = Code(n, 1).checks
        for t in range(2, 6):
            larger = Code(n, t).checks
            np.testing.assert_array_equal(larger[: len(previous)], previous)
            previous = larger


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_rows_are_rebuilt_from_the_independent_ones(seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 2, (rng.integers(1, 12), rng.integers(1, 12))).astype(np.uint8)
    basis = rows[independent_rows(rows)]
    np.testing.assert_array_equal(combine(basis, rows).astype(int) @ basis % 2, rows)
    real_rank = len(basis)
    sums = {tuple(np.array(c) @ rows % 2) for c in itertools.product((0, 1), repeat=len(rows))}
    assert len(sums) == 1 << real_rank
