"""Interactions asked for by ids or labels: the value, or a sentence that says how to ask; never silence."""

from __future__ import annotations

import pickle

import pytest

import interplay as ip

FOUND = ip.explain(
    lambda masks: masks[:, 0] * 0.5 - 2.0 * (masks[:, 0] & masks[:, 1]), labels=["never", "fails", "x"], budget=8
).interactions("mobius")


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ("never", 0.5),
        (("never",), 0.5),
        (("never", "fails"), -2.0),
        (("fails", "never"), -2.0),
        ((1, 0), -2.0),
        ((0, "fails"), -2.0),
        (0, 0.5),
        ("x", 0.0),
        (("fails", "x"), 0.0),
        ((), 0.0),
    ],
)
def test_a_set_is_found_by_ids_or_labels_in_any_order(asked: object, value: float) -> None:
    for found in (FOUND, pickle.loads(pickle.dumps(FOUND))):
        assert found[asked] == pytest.approx(value)
        assert found.get(asked) == pytest.approx(value)
        assert found.get(asked, 7.0) == pytest.approx(value)
        assert (asked in found) == (abs(value) > 0)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("nevr", "unknown label 'nevr'. Did you mean 'never'"),
        (("never", "y"), "unknown label 'y'"),
        (3, "there is no feature 3: there are 3"),
        ((-1,), "there is no feature -1"),
        (1.0, "ask for a set by ids or labels, such as"),
        (None, "ask for a set by ids or labels"),
        ((True,), "ask for a set by ids or labels"),
        (("never", "never"), "names a feature twice"),
        (("never", 0), "names a feature twice"),
    ],
)
def test_what_names_no_set_is_one_sentence(asked: object, words: str) -> None:
    for ask in (lambda: FOUND[asked], lambda: FOUND.get(asked), lambda: FOUND.get(asked, 0.0)):
        with pytest.raises(ip.InputError, match=words):
            ask()
    assert asked not in FOUND


def test_a_set_that_was_left_out_has_no_value_but_the_default() -> None:
    for few, asked in ((FOUND.top(1), "never"), (FOUND.of_order(2), "never"), (FOUND.only({}), ("never", "fails"))):
        for ask in (lambda few=few, asked=asked: few[asked], lambda few=few, asked=asked: few.get(asked)):
            with pytest.raises(ip.InputError, match=r"is not among these \d: only some of the sets are kept"):
                ask()
        assert few.get(asked, None) is None
    singles = ip.Interactions("bii", 1, {(0,): 1.0}, labels=["a", "b"], baseline=0.0)
    with pytest.raises(ip.InputError, match="only sets of at most 1 are"):
        singles["a", "b"]
    assert FOUND.top(10)["x"] == 0.0  # nothing was left out


def test_repeated_labels_are_asked_for_as_they_are_shown() -> None:
    found = ip.Interactions("bii", 1, {(0,): 1.0, (2,): 3.0}, labels=["the", "cat", "the"], baseline=0.0)
    assert (found["the#1"], found["the#2"], found["cat"]) == (1.0, 3.0, 0.0)
    with pytest.raises(ip.InputError, match=r"2 features are called 'the': ask for 'the#1', 'the#2', ... or by"):
        found["the"]


def test_intervals_are_asked_for_alike() -> None:
    found = ip.Interactions("bii", 1, {(0,): 1.0}, labels=["a", "b"], baseline=0.0, deviations={(0,): 0.1})
    assert found.interval("a") == found.interval((0,))
    assert found.interval("b") is None
    assert found.format("a") == found.format((0,))
