"""Chats: what of a conversation the model still reads, and that its template stays valid."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import interplay as ip

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "I am Ann. I like tea."},
    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "save", "arguments": "{}"}}]},
    {"role": "tool", "content": "saved"},
    {"role": "assistant", "content": "Noted."},
    {"role": "user", "content": "It rains."},
    {"role": "assistant", "content": "Indeed."},
    {"role": "user", "content": "Who am I?"},
    {"role": "assistant", "content": "You are"},
]
TOOLS = [{"type": "function", "function": {"name": "save"}}, {"type": "function", "function": {"name": "look"}}]


def game(**options: object) -> ip.Game:
    return ip.lenses.chat(lambda texts: [float(len(text)) for text in texts], MESSAGES, **options)


def test_all_kept_is_the_conversation_and_the_last_question_and_the_answer_begun_always_stay() -> None:
    chat = game(tools=TOOLS)
    whole, nothing = chat.inputs([[True] * chat.n, [False] * chat.n])
    assert list(whole.messages) == MESSAGES
    assert list(whole.tools) == TOOLS
    assert list(nothing.messages) == MESSAGES[-2:]
    assert nothing.tools == ()
    assert whole.is_begun
    assert nothing.is_begun


@pytest.mark.parametrize("content", [None, "", [], [{"type": "text", "text": ""}]])
def test_a_message_that_calls_tools_is_no_answer_begun(content: object) -> None:
    calls = {"role": "assistant", "tool_calls": [{"function": {"name": "save", "arguments": "{}"}}]}
    assert not ip.models.Conversation([MESSAGES[1], calls]).is_begun
    assert not ip.models.Conversation([MESSAGES[1], calls | {"content": content}]).is_begun
    assert ip.models.Conversation([MESSAGES[1], calls | {"content": "Noted"}]).is_begun


def test_a_turn_goes_with_its_tool_calls_and_results() -> None:
    chat = game(tools=TOOLS)
    assert chat.labels == (
        "tool: save",
        "tool: look",
        "system: Be brief.",
        "turn 1: I am Ann. I like tea.",
        "turn 2: It rains.",
    )
    (left,) = chat.inputs([[True, True, True, False, True]])
    assert [m["role"] for m in left.messages] == ["system", "user", "assistant", "user", "assistant"]


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ({"region": "system"}, ("system: Be brief.",)),
        (
            {"region": ["user", "tool"], "unit": "message"},
            ("user: I am Ann. I like tea.", "tool: saved", "user: It rains."),
        ),
        ({"region": 1, "unit": "sentence"}, ("I am Ann.", "I like tea.")),
        ({"region": [7], "unit": "word"}, ("Who", "am", "I")),
        ({"region": "tools", "tools": TOOLS}, ("tool: save", "tool: look")),
    ],
)
def test_regions_and_units_choose_what_is_ablated(options: dict, labels: tuple[str, ...]) -> None:
    assert game(**options).labels == labels


def test_units_inside_messages_leave_their_shells() -> None:
    chat = game(region=1, unit="sentence", ablate="…")
    (left,) = chat.inputs([[False, True]])
    assert left.messages[1]["content"] == "… I like tea."
    assert len(left.messages) == len(MESSAGES)


def test_every_part_is_shown_where_it_stands() -> None:
    for options in ({"tools": TOOLS}, {"unit": "word"}, {"unit": "message", "tools": TOOLS}):
        chat = game(**options)
        shown = [chat.layout.text[a:b] for a, b in chat.layout.spans]
        for label, words in zip(chat.labels, shown, strict=True):
            assert label.split(": ", 1)[-1].rstrip("…") in words


def test_a_conversation_travels() -> None:
    one = ip.models.Conversation(MESSAGES, TOOLS, {"enable_thinking": False})
    again = pickle.loads(pickle.dumps(one))
    assert (again, again.messages, again.tools, again.options) == (one, one.messages, one.tools, one.options)


@pytest.mark.parametrize(
    ("messages", "options", "words"),
    [
        ("hi", {}, "must be a list"),
        ([{"content": "x"}], {}, "message 0 has no role"),
        ([{"role": "user"}], {}, "neither content nor tool calls"),
        (MESSAGES, {"region": "usr"}, "Did you mean 'user'"),
        (MESSAGES, {"region": 99}, "there is no message 99"),
        (MESSAGES, {"unit": "trn"}, "Did you mean 'turn'"),
        ([{"role": "user", "content": "Hi"}], {}, "nothing to ablate"),
    ],
)
def test_mistakes_are_one_sentence(messages: object, options: dict, words: str) -> None:
    with pytest.raises(ip.InputError, match=words):
        ip.lenses.chat(len, messages, **options)


TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% if not loop.last or not continue_final_message %}"
    "</>{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def test_contents_of_several_parts_are_cut_within_each_and_read_as_one_text_where_all_are_texts() -> None:
    parts = [{"type": "text", "text": "I am Ann."}, {"type": "text", "text": "I like tea."}]
    messages = [{"role": "user", "content": parts}, {"role": "user", "content": "Who am I?"}]
    chat = ip.lenses.chat(lambda texts: [0.0 for _ in texts], messages, region=0, unit="word")
    assert chat.labels == ("I", "am", "Ann", "I", "like", "tea")
    assert [chat.layout.text[a:b] for a, b in chat.layout.spans] == list(chat.labels)
    (left,) = chat.inputs([[True, True, False, True, True, True]])
    assert left.messages[0]["content"] == [{"type": "text", "text": "I am ."}, parts[1]]
    assert str(left) == "user: I am .\nI like tea.\n\nuser: Who am I?"


@pytest.mark.model
def test_a_text_model_reads_parts_that_are_texts_as_one_text(planted: Path) -> None:
    reader = ip.models.CausalLM.load(planted, device="cpu", chat=True).reader
    parts = [{"type": "text", "text": "I am Ann."}, {"type": "text", "text": "Who am I?"}]
    several, one = ([{"role": "user", "content": content}] for content in (parts, "I am Ann.\nWho am I?"))
    assert reader.rendered(ip.models.Conversation(several)) == reader.rendered(ip.models.Conversation(one))


@pytest.mark.model
def test_a_chat_model_reads_the_messages_that_its_template_renders(planted: Path) -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(planted)
    tokenizer.chat_template = TEMPLATE
    model = transformers.AutoModelForCausalLM.from_pretrained(planted).eval()
    lm = ip.models.CausalLM(model, tokenizer, chat=True)
    plain = ip.models.CausalLM(model, tokenizer)
    messages = [
        {"role": "user", "content": "a b"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    chat = ip.lenses.chat(lm.logprob(" a"), messages)
    rendered = ["<user>a b</><assistant>c</><user>d</><assistant>", "<user>d</><assistant>"]
    assert chat(np.array([[True], [False]])) == pytest.approx(plain.logprob(" a")(rendered), abs=1e-4)
    with pytest.raises(ip.InputError, match="load it with chat=True"):
        ip.lenses.chat(plain.logprob(" a"), messages)
