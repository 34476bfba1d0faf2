"""The text lens: what is ablated is ablated, and everything else stays as it was."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interplay as ip
from interplay._units import merged, paragraph_spans, sentence_spans, word_spans


class Recorder:
    """A scorer that remembers the texts it was given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts: list[str]) -> list[float]:
        self.texts += texts
        return [float(len(text)) for text in texts]


def pieces(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


def ablated(text: str, mask: list[bool], **options: object) -> str:
    recorder = Recorder()
    ip.lenses.text(recorder, text, **options)(np.array([mask]))
    return recorder.texts[0]


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60).filter(
    lambda text: word_spans(text)
)


@given(text=TEXTS, data=st.data())
@settings(max_examples=200, deadline=None)
def test_only_ablated_words_change_and_every_other_character_stays(text: str, data: st.DataObject) -> None:
    spans = word_spans(text)
    mask = data.draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    expected, position = "", 0
    for (start, end), kept in zip(spans, mask, strict=True):
        expected += text[position:start] + (text[start:end] if kept else "[UNK]")
        position = end
    assert ablated(text, mask) == expected + text[position:]
    assert ablated(text, [True] * len(spans)) == text


@given(text=st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_units_ascend_do_not_overlap_and_hold_no_outer_white_space(text: str) -> None:
    for cut in (word_spans, sentence_spans, paragraph_spans):
        position = 0
        for start, end in cut(text):
            assert position <= start < end <= len(text)
            assert text[start:end] == text[start:end].strip()
            position = end


@given(text=st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_sentences_and_paragraphs_leave_only_white_space_between_them(text: str) -> None:
    for cut in (sentence_spans, paragraph_spans):
        assert "".join("".join(pieces(text, cut(text))).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It never, ever fails.", ["It", "never", "ever", "fails"]),
        ("don't e-mail a@b.org 3.14 1,000", ["don't", "e-mail", "a@b.org", "3.14", "1,000"]),
        ("naïve café cafe\u0301", ["naïve", "café", "cafe\u0301"]),
        ("שלום, עולם! مرحبا بالعالم", ["שלום", "עולם", "مرحبا", "بالعالم"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("good 👍🏽 family 👩‍👩‍👧 🇫🇷", ["good", "👍🏽", "family", "👩‍👩‍👧", "🇫🇷"]),
        ("snake_case\tand\r\nlines", ["snake_case", "and", "lines"]),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert pieces(text, word_spans(text)) == words


DICTIONARY = {
    "我不喜欢电影。カレー": ["我不", "喜欢", "电影", "カレー"],
    "ฉันไม่ชอบ หนัง2เรื่อง": ["ฉัน", "ไม่", "ชอบ", "หนัง", "2", "เรื่อง"],
    "ຂ້ອຍບໍ່ມັກ": ["ຂ້ອຍ", "ບໍ່", "ມັກ"],
    "ខ្ញុំមិនចូលចិត្ត": ["ខ្ញុំ", "មិន", "ចូលចិត្ត"],
    "ဒီရုပ်ရှင်ကို": ["ဒီ", "ရုပ်ရှင်", "ကို"],
}


@pytest.mark.parametrize("text", DICTIONARY)
def test_words_of_scripts_without_spaces_are_those_of_a_dictionary(text: str) -> None:
    pytest.importorskip("icu4py", reason="the extra words")
    assert pieces(text, word_spans(text)) == DICTIONARY[text]
    assert ip.lenses.text(Recorder(), text).notes == ()


def test_without_a_dictionary_the_result_says_which_words_were_not_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interplay._units._breaker", lambda: None)
    assert pieces("我爱你。すし", word_spans("我爱你。すし")) == ["我", "爱", "你", "す", "し"]
    assert pieces("ไม่ชอบ หนัง2", word_spans("ไม่ชอบ หนัง2")) == ["ไม่ชอบ", "หนัง", "2"]
    (note,) = ip.lenses.text(Recorder(), "ไม่ชอบ หนัง").notes
    assert note.startswith("text written without spaces (Thai): its words")
    assert "pip install 'interplay[words]'" in note
    both = ip.lenses.documents(Recorder(), ["我爱你", "မ မ"], unit="word").notes
    assert "(Chinese and Japanese and Burmese)" in both[0]
    for spaced in ({"text": "never fails"}, {"text": "ไม่ชอบ หนัง", "unit": "sentence"}):
        game = ip.lenses.text(Recorder(), **spaced)
        assert not any("without spaces" in note for note in game.notes)


def test_a_byte_order_mark_is_no_part_of_a_unit() -> None:
    for unit in ("word", "sentence", "paragraph"):
        assert ip.lenses.text(Recorder(), "\ufeffIt rains.", unit=unit).labels[0].startswith("It")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith paid 3.50 to J. R. Jones, e.g. for tea. Then he left.", None),
        ("He said “No.” She left.", ["He said “No.”", "She left."]),
        ("See No. 5. It ends.", ["See No. 5.", "It ends."]),
        ("你好，世界。再见！", ["你好，世界。", "再见！"]),
        ("A heading\n\nA sentence… and its end.", ["A heading", "A sentence… and its end."]),
        ("So do I. We agree.", ["So do I.", "We agree."]),
    ],
)
def test_sentences(text: str, sentences: list[str] | None) -> None:
    expected = sentences or ["Dr. Smith paid 3.50 to J. R. Jones, e.g. for tea.", "Then he left."]
    assert pieces(text, sentence_spans(text)) == expected


def test_paragraphs_are_separated_by_blank_lines() -> None:
    assert pieces("a\nb\n \n\nc\n", paragraph_spans("a\nb\n \n\nc\n")) == ["a\nb", "c"]


def test_overlapping_tokens_of_one_character_become_one_unit() -> None:
    assert merged("a 👍 b", [(0, 1), (1, 3), (2, 3), (3, 5)]) == [(0, 1), (2, 3), (4, 5)]


def test_every_way_of_ablating() -> None:
    text = "never  fails,\nnever!"
    mask = [True, False, True]
    assert ablated(text, mask) == "never  [UNK],\nnever!"
    assert ablated(text, mask, ablate="delete") == "never  ,\nnever!"
    assert ablated(text, mask, ablate="…") == "never  …,\nnever!"
    assert ablated(text, [False, True], unit=[(0, 5), (7, 12)]) == "[UNK]  fails,\nnever!"
    assert ablated(text, mask, template="Q: {text} {}") == "Q: never  [UNK],\nnever! {}"


def test_a_text_of_ten_thousand_words_is_masked_in_seconds() -> None:
    text = " ".join(f"word{i}" for i in range(10_000))
    recorder = Recorder()
    game = ip.lenses.text(recorder, text)
    assert game.n == 10_000
    began = time.perf_counter()
    masks = np.random.default_rng(0).random((50, game.n)) < 0.5
    game(masks)
    assert time.perf_counter() - began < 20
    assert recorder.texts[7].count("[UNK]") == int((~masks[7]).sum())


def test_several_outputs_come_through() -> None:
    game = ip.lenses.text(lambda texts: np.array([[len(t), t.count("a")] for t in texts]), "a b a")
    assert game(np.ones((1, 3), dtype=bool)).tolist() == [[5.0, 2.0]]


def test_a_plain_scorer_has_no_identity_until_it_is_named() -> None:
    assert ip.lenses.text(Recorder(), "a b").fingerprint is None
    assert ip.lenses.text(Recorder(), "a b", name="lengths").fingerprint is not None


def test_a_single_unit_works_and_says_that_nothing_can_be_combined() -> None:
    result = ip.explain(ip.lenses.text(Recorder(), "Only one sentence.", unit="sentence"), budget=10)
    assert result.used == 2
    assert any("a single sentence, so there is nothing to combine" in note for note in result.notes)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "the text is empty"),
        (" \n", {}, "the text is empty"),
        ("?!…", {}, r"the text '\?!…' holds no word"),
        ("a b", {"unit": "wrod"}, r"unknown unit 'wrod'\. Did you mean 'word'\?"),
        ("a b", {"unit": "token"}, "no tokenizer whose tokens are known: choose unit='word'"),
        ("a b", {"unit": [(0, 9)]}, r"\(0, 9\) is empty, overlaps .* outside the text of 3 characters"),
        ("a b", {"unit": [(0, 2), (1, 3)]}, r"\(1, 3\) is empty, overlaps the one before"),
        ("a b", {"unit": []}, "unit is empty: name at least one"),
        ("a b", {"unit": 5}, "unit must be one of word, sentence, paragraph, section, token, or ranges"),
        ("a b", {"ablate": "mask"}, "no mask token: choose ablate='delete'"),
        ("a b", {"ablate": 5}, "ablate must be 'delete', 'mend', 'mask' or the string .*, not 5"),
        ("a b", {"ablate": {"a": "c"}}, "ablate says nothing of the unit 'b': give a string for every unit"),
        ("a b", {"ablate": {"a": "c", "bb": "d"}}, r"unknown unit in ablate 'bb'\. Did you mean 'b'\?"),
        (
            "a b",
            {"ablate": {"a": "c", "b": 3}},
            "ablate must say in a string, or a list of them, what 'b' becomes, not 3",
        ),
        ("a b", {"ablate": len}, "ablate must say in a string, or a list of them, what 'a' becomes, not 1"),
        ("a b", {"keep": 1.5}, "keep must lie strictly between 0 and 1, not 1.5"),
        ("a b", {"template": "no slot"}, r"the template must hold \{text\} exactly once, but it holds it 0 times"),
    ],
)
def test_a_mistake_is_one_sentence(text: str, options: dict, message: str) -> None:
    with pytest.raises(ip.InputError, match=message):
        ip.lenses.text(Recorder(), text, **options)


def test_a_scorer_that_is_no_function_is_refused() -> None:
    with pytest.raises(
        ip.InputError, match="a scorer must be a function from texts to floats, but int is not callable"
    ):
        ip.lenses.text(5, "a b")


class Teller:
    """A scorer of a user's own that tells what it knows of itself."""

    outputs = ("characters", "words")
    mask_token = "<gap>"
    batch_size = 3

    def __call__(self, texts: list[str]) -> list[tuple[int, int]]:
        return [(len(text), len(text.split())) for text in texts]

    def identity(self) -> dict[str, str]:
        return {"of": "characters and words"}

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        return [(0, 2), (2, len(text))]


def test_what_an_object_tells_of_itself_reaches_the_game() -> None:
    game = ip.lenses.text(Teller(), "never", unit="token", ablate="mask")
    assert (game.labels, game.outputs, game.batch_size) == (("ne", "ver"), ("characters", "words"), 3)
    assert game(np.array([[True, False]])).tolist() == [[7.0, 1.0]]
    assert game.fingerprint == ip.lenses.text(Teller(), "never", unit="token", ablate="<gap>").fingerprint
    assert game.fingerprint is not None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ouputs", ["a"], "the scorer Own has 'ouputs', which nothing reads: did you mean 'outputs'"),
        ("masktoken", "<gap>", "did you mean 'mask_token'"),
        ("batchsize", 3, "did you mean 'batch_size'"),
        ("identiy", dict, "did you mean 'identity'"),
        ("outputs", "ab", "outputs of the scorer Own must be a list of names, not 'ab'"),
        ("batch_size", 0, "batch_size of the scorer Own must be a whole number of at least 1, not 0"),
    ],
)
def test_a_misspelt_or_unfit_attribute_of_a_scorer_is_one_sentence(name: str, value: object, message: str) -> None:
    own = type("Own", (Recorder,), {name: value})
    with pytest.raises(ip.InputError, match=message):
        ip.lenses.text(own(), "a b")


def test_attributes_of_a_scorer_that_mean_something_else_are_left_alone() -> None:
    own = type("Own", (Recorder,), {"output": "logits", "names": 3, "model": object(), "batch": 4})
    assert ip.models.Scorer.of(own()).outputs is None


def test_every_unit_may_become_something_of_its_own() -> None:
    text = "never  fails,\nnever!"
    words = {"never": "always", "fails": "works"}
    assert ablated(text, [False, True, False], ablate=words) == "always  fails,\nalways!"
    assert ablated(text, [True, False, False], ablate=str.upper) == "never  FAILS,\nNEVER!"
    scorer = ip.models.Scorer(len, "length", lambda: {"of": "len"})
    prints = {ip.lenses.text(scorer, text, ablate=a).fingerprint for a in (words, str.upper, "_", "delete")}
    assert len(prints) == 4


def test_a_text_that_is_no_string_is_refused() -> None:
    with pytest.raises(ip.InputError, match="the text must be a string, not bytes"):
        ip.lenses.text(Recorder(), b"bytes")


# Prompts of named regions

PROMPT = {"context": "It rains. Ann sings.", "examples": "One. Two.", "question": "Who sings?"}
TEMPLATE = "Use {context}\n{examples}\n\nQ: {question} {}"


def ablated_regions(mask: list[bool], **options: object) -> str:
    recorder = Recorder()
    game = ip.lenses.text(recorder, PROMPT, template=TEMPLATE, unit="sentence", ablate="_", **options)
    game(np.array([mask]))
    return recorder.texts[0]


def test_only_the_chosen_regions_are_ablated_in_the_templates_order() -> None:
    assert ablated_regions([False, True], region="context") == "Use _ Ann sings.\nOne. Two.\n\nQ: Who sings? {}"
    assert ablated_regions([True, False], region="examples") == "Use It rains. Ann sings.\nOne. _\n\nQ: Who sings? {}"
    several = ablated_regions([True, False, False, True], region=["examples", "context"])
    assert several == "Use It rains. _\n_ Two.\n\nQ: Who sings? {}"
    assert ablated_regions([False] * 5) == "Use _ _\n_ _\n\nQ: _ {}"
    everything = TEMPLATE.replace(" {}", "").format(**PROMPT) + " {}"
    assert ablated_regions([True] * 5) == everything


def test_units_never_reach_over_a_regions_end_and_may_differ_between_regions() -> None:
    regions = {"a": "no stop here", "b": "and none there"}
    game = ip.lenses.text(Recorder(), regions, template="{a}{b}", unit="sentence")
    assert game.labels == ("no stop here", "and none there")
    mixed = ip.lenses.text(Recorder(), regions, template="{b} {a}", unit={"a": [(0, 2)], "b": "word"})
    assert mixed.labels == ("and", "none", "there", "no")
    assert mixed.layout == ip.TextLayout("and none there no stop here", ((0, 3), (4, 8), (9, 14), (15, 17)))


def test_a_region_of_a_template_is_the_same_game_as_its_ranges_in_the_whole_text() -> None:
    scorer = ip.models.Scorer(lambda texts: np.array([float(len(t)) for t in texts]), "length", lambda: {"of": "len"})
    whole = "Q: why? A: so it is."
    by_region = ip.lenses.text(scorer, {"q": "why?", "a": "so it is."}, template="Q: {q} A: {a}", region="a")
    by_ranges = ip.lenses.text(scorer, whole, unit=[(11, 13), (14, 16), (17, 19)])
    assert by_region.labels == by_ranges.labels == ("so", "it", "is")
    assert by_region.fingerprint == by_ranges.fingerprint


def test_a_scorer_that_needs_the_full_prompt_is_given_it_before_anything_is_scored() -> None:
    def bind(prompt: str) -> ip.models.Scorer:
        return ip.models.Scorer(lambda texts: np.array([float(t == prompt) for t in texts]), "equality", outputs=None)

    lazy = ip.models.Scorer(lambda texts: np.full(len(texts), np.nan), "lazy", bind=bind)
    game = ip.lenses.text(lazy, {"a": "x y"}, template="<{a}>")
    assert game(np.array([[True, True], [True, False]])).tolist() == [1.0, 0.0]
    assert "measured: equality" in game.notes


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            PROMPT,
            {"region": "contxt"},
            r"unknown region 'contxt'\. Did you mean 'context'\? .*context, examples, question",
        ),
        (PROMPT, {"region": []}, "no region is to be ablated: choose from context, examples, question"),
        (PROMPT, {"template": None}, r"regions need a template .* such as template='\{context\}\\n\\n\{examples\}"),
        (
            PROMPT,
            {"template": "{context} {question}"},
            r"the template holds no \{examples\}, only context, question",
        ),
        (
            PROMPT,
            {"template": TEMPLATE + "{more}"},
            r"has \{more\}, but there is no such region, only context, examples",
        ),
        (PROMPT, {"template": TEMPLATE + "{context}"}, r"holds \{context\} more than once"),
        ({}, {}, "there are no regions"),
        ({"a b": "x"}, {}, "'a b' cannot name a region"),
        ({"a": 3}, {}, "the region 'a' must be a string, not int"),
        ({"a": " "}, {"template": "{a}"}, "the region 'a' is empty"),
        (
            PROMPT,
            {"unit": [(0, 1)]},
            "character ranges belong to one region, but context, examples, question are ablated",
        ),
        ({"a": "x", "b": "?!"}, {"template": "{a}{b}"}, r"in the region 'b': the text '\?!' holds no word"),
        (PROMPT, {"unit": {"context": "word"}}, "unit says nothing of the region 'examples'"),
        (PROMPT, {"unit": {"context": "word"}, "region": "question"}, "unknown region in unit 'context'"),
        ("a b", {"template": "{text}", "region": "context"}, "unknown region 'context'.*: text"),
    ],
)
def test_regions_that_do_not_fit_are_one_sentence(text: object, options: dict, message: str) -> None:
    with pytest.raises(ip.InputError, match=message):
        ip.lenses.text(Recorder(), text, **{"template": TEMPLATE, **options})
