"""Documents as features: what the model reads of them, and what drove an answer."""

from __future__ import annotations

import numpy as np
import pytest

import interplay as ip

PASSAGES = {"a": "The key is red. It shines.", "b": "It rains.", "c": "The red key opens the chest."}
TEMPLATE = "Read {this}:\n{documents}\nQ: what opens it?"


def prompts(masks: list[list[bool]], **options: object) -> list[str]:
    seen: list[str] = []
    game = ip.lenses.documents(
        lambda texts: (seen.extend(texts), [0.0] * len(texts))[1], PASSAGES, template=TEMPLATE, **options
    )
    game(np.array(masks))
    return seen


def test_all_kept_is_the_prompt_and_braces_of_the_template_stay() -> None:
    (text,) = prompts([[True] * 3], form="[{number}] {name}: {text}", between="\n")
    assert text == (
        "Read {this}:\n[1] a: The key is red. It shines.\n[2] b: It rains.\n[3] c: The red key opens the chest.\n"
        "Q: what opens it?"
    )


def test_a_deleted_document_goes_whole_and_the_others_keep_their_numbers_or_move_up() -> None:
    kept = prompts([[True, False, True]], form="[{number}] {text}", between=" ")
    moved = prompts([[True, False, True]], form="[{number}] {text}", between=" ", numbering="renumbered")
    assert "[1] The key is red. It shines. [3] The red" in kept[0]
    assert "[1] The key is red. It shines. [2] The red" in moved[0]
    assert prompts([[False] * 3]) == [TEMPLATE.replace("{documents}", "")]


def test_inside_documents_units_go_and_an_empty_document_is_not_written() -> None:
    texts = prompts(
        [[False, True, True, True], [False, False, True, True]], unit="sentence", form="* {text}", between="|"
    )
    assert "*  It shines.|* It rains." in texts[0]
    assert "\n* It rains.|* The red" in texts[1]


def test_spans_show_every_feature_where_it_stands() -> None:
    for unit in (None, "sentence", "word"):
        game = ip.lenses.documents(lambda t: [0.0] * len(t), PASSAGES, form="<{name}> {text}", unit=unit)
        shown = [game.layout.text[a:b] for a, b in game.layout.spans]
        assert shown == (list(PASSAGES.values()) if unit is None else list(game.labels))


def test_a_name_or_text_that_looks_like_a_field_is_written_as_it_is() -> None:
    game = ip.lenses.documents(
        lambda t: [float("<{text}> {number}" in one) for one in t], {"{text}": "{number}"}, form="<{name}> {text}"
    )
    assert game(np.array([[True], [False]])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ("one text", {}, "wrap it in a list"),
        ([], {}, "no documents"),
        (["a", " "], {}, "'document 2' is empty"),
        (["a", 3], {}, "must be a string, not int"),
        (["a"], {"template": "none"}, "exactly once"),
        (["a"], {"form": "none"}, "exactly once"),
        (["a"], {"numbering": "kpt"}, "Did you mean 'kept'"),
        (["a"], {"unit": "wrd"}, "Did you mean 'word'"),
    ],
)
def test_mistakes_are_one_sentence(given: object, options: dict, words: str) -> None:
    with pytest.raises(ip.InputError, match=words):
        ip.lenses.documents(lambda t: [0.0] * len(t), given, **options)


def test_citations_are_held_against_what_drove_each_part() -> None:
    def parts(texts: list[str]) -> np.ndarray:
        red = np.array(["key is red" in t for t in texts], float)
        opens = np.array(["opens" in t for t in texts], float)
        return np.column_stack([red * opens, red])

    game = ip.lenses.documents(parts, PASSAGES)
    game = ip.Game(game.value, game.labels, outputs=["It opens the chest [1, 3].", "It is red [2]."])
    first, second = ip.report.citations(ip.explain(game, budget=8))
    assert set(first.drove) == {0, 2}
    assert first.unsupported == first.uncited == ()
    assert second.unsupported == (1,)
    assert second.uncited == (0,)


def test_what_is_certain_but_small_is_no_driver_unless_asked_for() -> None:
    def parts(texts: list[str]) -> np.ndarray:
        return np.array([[10.0 * ("red" in t) + 0.5 * ("rain" in t.lower())] for t in texts])

    game = ip.lenses.documents(parts, PASSAGES)
    result = ip.explain(ip.Game(game.value, game.labels, outputs=["It is red [1]."]), budget=8)
    (one,) = ip.report.citations(result)
    assert one.uncited == (2,)  # of the third the word is red, too
    (one,) = ip.report.citations(result, least=0)
    assert set(one.uncited) == {1, 2}
    with pytest.raises(ip.InputError, match="a share between 0 and 1, not 7"):
        ip.report.citations(result, least=7)


def test_a_citation_of_a_document_that_is_not_there_is_told() -> None:
    game = ip.lenses.documents(lambda texts: np.array([["red" in t] for t in texts], float), PASSAGES)
    game = ip.Game(game.value, game.labels, outputs=["It is red [1, 7], [0]."])
    (one,) = ip.report.citations(ip.explain(game, budget=8))
    assert (one.cited, one.missing) == ((0,), (6, -1))


def test_whole_documents_may_be_asked_for_by_name() -> None:
    whole, named, tupled = (
        ip.lenses.documents(lambda texts: [0.0] * len(texts), PASSAGES, unit=unit, name="same")
        for unit in (None, "document", ("document",))
    )
    assert whole.labels == named.labels == tupled.labels


def test_citations_of_documents_whose_sentences_are_features() -> None:
    notes = ["It is late. Soup is hot.", "The key is red. It rains.", "The red key opens the chest. The bus is blue."]

    def parts(texts: list[str]) -> np.ndarray:
        return np.array([["key is red" in t and "opens" in t] for t in texts], float)

    game = ip.lenses.documents(parts, notes, unit="sentence", form="[{number}] {text}")
    game = ip.Game(game.value, game.labels, outputs=["It opens the chest [1, 3]."], layout=game.layout)
    result = ip.explain(game, budget=64)
    (one,) = ip.report.citations(result, documents=notes)
    assert set(one.drove) == {1, 2}
    assert (one.cited, one.unsupported, one.uncited) == ((0, 2), (0,), (1,))
    for given, words in ((notes[:2], "lie behind the last"), (notes[::-1], "document 2 is not in")):
        with pytest.raises(ip.InputError, match=words):
            ip.report.citations(result, documents=given)


def test_a_mistake_says_in_which_document_it_lies() -> None:
    with pytest.raises(ip.InputError, match=r"in the document 'b': the text '\?!' holds no word"):
        ip.lenses.documents(len, {"a": "one", "b": "?!"}, unit="word")
