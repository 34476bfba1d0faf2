"""What stands in for a part: alternatives averaged, deletion that mends blanks, and what suits the model."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import interplay as ip

EVERY = np.array(list(product([False, True], repeat=3)))


def tells(unknown: str) -> ip.models.Scorer:
    """A scorer whose tokenizer knows one special token."""
    return ip.models.Scorer(lambda texts: [float(len(text)) for text in texts], "length", special_tokens={unknown})  # type: ignore[arg-type]


def test_alternatives_are_averaged_over_worlds_in_which_all_units_take_theirs() -> None:
    asked: list[list[str]] = []

    def letters(texts: list[str]) -> list[float]:
        asked.append(texts)
        return [float(sum(map(ord, text))) for text in texts]

    given = {"Ann": ["Eve", "Mary"], "met": "saw", "Bob": ["Tom", "Jim"]}
    game = ip.lenses.text(letters, "Ann met Bob", ablate=given)
    alone = [
        ip.lenses.text(letters, "Ann met Bob", ablate=one)
        for one in ({"Ann": "Eve", "met": "saw", "Bob": "Tom"}, {"Ann": "Mary", "met": "saw", "Bob": "Jim"})
    ]
    assert game(EVERY) == pytest.approx(np.mean([one(EVERY) for one in alone], axis=0))
    assert asked[1][0] == "Mary saw Jim"
    assert game.price(10).number == 20
    assert game.inputs(EVERY)[0] == "Eve saw Tom"


def test_documents_take_alternatives_too() -> None:
    length = lambda texts: [float(len(text)) for text in texts]  # noqa: E731
    game = ip.lenses.documents(length, ["abc", "de"], ablate=["x", "yyyyy"], between="")
    assert game(np.array([[False, False], [True, True]])) == pytest.approx([(2 + 10) / 2, 5])


def test_an_ablation_that_fails_in_one_world_has_failed() -> None:
    from interplay._game.partial import Partial

    def scorer(texts: list[str]) -> Partial:
        bad = {row: "too rude" for row, text in enumerate(texts) if "rude" in text}
        return Partial([float(len(text)) for row, text in enumerate(texts) if row not in bad], bad)

    game = ip.lenses.text(scorer, "one two", ablate={"one": ["rude", "x"], "two": ["y", "zzz"]})
    found = game.value(np.array([[True, True], [False, True], [True, False]]))
    assert set(found.failures) == {1}
    assert list(found.values) == [7, (5 + 7) / 2]


@pytest.mark.parametrize(
    ("text", "kept", "left"),
    [
        ("It never, ever fails.", "It|ever|fails", "It, ever fails."),
        ("It never fails.", "never|fails", "never fails."),
        ("It never fails.", "fails", "fails."),
        ("It never fails.", "It", "It."),
        ("It never fails.", "", "."),
        ("One two.\nThree four.", "One|two|four", "One two.\nfour."),
        ("a well-known fact", "a|fact", "a fact"),
        ("a (small) fact", "a|fact", "a () fact"),
    ],
)
def test_mended_deletion_leaves_no_blank_doubled_or_dangling(text: str, kept: str, left: str) -> None:
    game = ip.lenses.text(len, text, ablate="mend")
    assert game.inputs(np.array([[label in kept.split("|") for label in game.labels]])) == [left]


def test_a_model_is_given_what_suits_it() -> None:
    nothing = np.zeros((1, 2), dtype=bool)
    assert ip.lenses.text(tells("[UNK]"), "good film").inputs(nothing) == ["[UNK] [UNK]"]
    assert ip.lenses.text(len, "good film").inputs(nothing) == ["[UNK] [UNK]"]
    game = ip.lenses.text(tells("<|endoftext|>"), "good film")
    assert (game.inputs(nothing), game.notes) == ([""], ())


@pytest.mark.parametrize("wrong", [["a", 1], [], {"good": [], "film": "x"}])
def test_what_is_no_text_is_refused(wrong: object) -> None:
    with pytest.raises(ip.InputError, match="in a string, or a list of them"):
        ip.lenses.text(len, "good film", ablate=wrong)  # type: ignore[arg-type]
