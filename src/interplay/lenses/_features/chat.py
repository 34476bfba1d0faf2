"""The features of a chat: its system prompt, turns, messages, tools, or the words and sentences inside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._game.game import Game
from interplay._game.layout import TextLayout
from interplay._game.masks import Masks
from interplay._networks.conversation import BETWEEN, is_words, pieces_of
from interplay._units import Span
from interplay.lenses._features.illustrated import Fill, picture_of, with_picture
from interplay.lenses._features.pictured import placed
from interplay.lenses._features.text import spans_of
from interplay.models import Conversation, Scorer, TextScorer

ROLES = ("system", "user", "assistant", "tool", "tools")
_WHOLE = ("turn", "message")
_INSIDE = ("word", "sentence", "paragraph", "token")
_LONGEST = 48  # characters of a label


def chat(
    scorer: TextScorer,
    messages: Sequence[Mapping[str, Any]],
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    region: str | int | Sequence[str | int] | None = None,
    unit: Literal["turn", "message", "word", "sentence", "paragraph", "token"] = "turn",
    ablate: str = "delete",
    options: Mapping[str, Any] | None = None,
    image: Any = None,
    grid: tuple[int, int] | None = None,
    segments: Any = None,
    fill: Fill = "blur",
    keep: float = 0.5,
    name: str | None = None,
) -> Game:
    """A game whose features are the parts of a conversation, and whose value is the scorer's of what is left.

    What the model is asked last, and what it has begun to answer, stay. A turn is a user's message with all that
    follows it up to the next one, and goes as a whole, so that roles still alternate as chat templates want them.

    >>> import interplay as ip
    >>> messages = [
    ...     {"role": "system", "content": "Answer in French."},
    ...     {"role": "user", "content": "My name is Ann."}, {"role": "assistant", "content": "Bonjour Ann."},
    ...     {"role": "user", "content": "I like tea."}, {"role": "assistant", "content": "Noté."},
    ...     {"role": "user", "content": "What is my name?"}]
    >>> game = ip.lenses.chat(lambda chats: [float("Ann" in c and "French" in c) for c in chats], messages)
    >>> game.labels
    ('system: Answer in French.', 'turn 1: My name is Ann.', 'turn 2: I like tea.')
    >>> ip.explain(game, budget=8).interactions("mobius", top=1).named()
    [(('system: Answer in French.', 'turn 1: My name is Ann.'), 1.0)]

    Parameters
    ----------
    scorer
        A chat model's (``CausalLM.load(..., chat=True)``, ``Server(..., chat=True)``), or any function of texts, which
        reads transcripts (`interplay.models.Conversation`).
    messages
        As chat models take them: role and content, tool calls and whatever else the template knows.
    tools
        Descriptions of tools as the template takes them: each is a feature of the region "tools".
    region
        What is ablated: roles ("system", "user", "assistant", "tool"), "tools", or numbers of messages from 0; all
        but the last question and the answer begun when left out.
    unit
        "turn" and "message" go whole; "word", "sentence", "paragraph" and "token" are units inside messages, whose
        empty shells stay.
    ablate
        What an ablated unit inside a message becomes; whole turns, messages and tools are always deleted.
    options
        What else the chat template takes, such as ``{"enable_thinking": False}``: part of the game's identity.
    image, grid, segments, fill
        For a scorer that reads a picture, too (`interplay.models.VisionLM`): the picture, whose segments are features
        before the chat's, how it is cut, and what an ablated segment becomes, as `interplay.lenses.text` takes them. It
        stands where a message's content has a part ``{"type": "image"}``, else before the last question; a part may
        hold it itself, as ``"image"``, a file's ``"path"`` or a ``data:`` address.
    keep
        The probability with which a design keeps each feature.
    name
        The game's identity in a store, needed where the scorer is a plain function.

    Raises
    ------
    InputError
        For messages without role or content, an unknown region or unit, nothing to ablate, or messages that the
        model's template refuses, whole or with everything ablated.
    """
    asked = Scorer.of(scorer)
    spoken = _checked(messages)
    if asked.sees or image is not None:
        spoken, image = placed(spoken, image)
    picture = picture_of(asked, image, grid, segments, fill)
    whole = Conversation(spoken, tools, options)
    seen: Callable[[Conversation], str] = (lambda one: one) if picture is None else picture.seen
    parts = list(_parts(asked, whole, _region(region, whole), unit))
    if not parts:
        raise InputError("there is nothing to ablate in this chat: choose another region, or pass more messages.")
    bound = asked if asked.bind is None else Scorer.of(asked.bind(seen(whole)))
    value = _ChatAblation(bound, whole, tuple(parts), "" if ablate == "delete" else ablate)
    notes = bound.check(seen(whole))
    bound.check(seen(value.left([False] * len(parts))))
    if asked.bind is not None:  # what is measured was not known to whoever made the scorer
        notes += (f"measured: {bound.name}",)
    game = Game(
        value,
        [part.label for part in parts],
        outputs=bound.outputs,
        name=name,
        identity=value.identity,
        inputs=value.texts,
        layout=TextLayout(whole, tuple(_spans(whole, parts))),
        batch_size=bound.batch_size,
        notes=notes,
        keep=keep,
        repeats=bound.repeats,
        question=f"Which {'parts of the chat' if unit in _WHOLE else f'{unit}s'} drive {bound.name}"
        f"{f' of {bound.model}' if bound.model else ''}?",
    )
    return game if picture is None else with_picture(game, bound, picture, [value.texts], value.identity)


@dataclass(frozen=True)
class _Part:
    """One feature: messages or a tool that go whole, or a range of one message's content, or of one part of it."""

    label: str
    messages: tuple[int, ...] = ()
    tool: int | None = None
    span: Span | None = None
    piece: int | None = None


def _checked(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if isinstance(messages, (str, Mapping)) or not messages:
        raise InputError(f"messages must be a list of at least one message with role and content, not {messages!r}.")
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise InputError(f"message {number} has no role: each is like {{'role': 'user', 'content': '...'}}.")
        if not ("content" in message or "tool_calls" in message):
            raise InputError(f"message {number} ({message['role']}) has neither content nor tool calls.")
        if not isinstance(message.get("content"), (str, list, tuple, type(None))):
            raise InputError(
                f"the content of message {number} must be a text, or a list of parts, not {message['content']!r}."
            )
    return list(messages)


def _region(region: str | int | Sequence[str | int] | None, whole: Conversation) -> tuple[frozenset[int], bool]:
    """Which messages are ablated, and whether tools are."""
    count = len(whole.messages)
    last = max((i for i, one in enumerate(whole.messages) if one["role"] == "user"), default=count)
    stays = set(range(last, count)) if region is None else set()
    if region is None:
        return frozenset(set(range(count)) - stays), True
    chosen: set[int] = set()
    for one in (region,) if isinstance(region, (str, int)) else region:
        if isinstance(one, str):
            if one not in ROLES:
                raise unknown("region", one, ROLES)
            chosen |= {i for i, message in enumerate(whole.messages) if message["role"] == one and i < last}
        elif not 0 <= one < count:
            raise InputError(f"there is no message {one}: there are {count}, counted from 0.")
        else:
            chosen.add(one)
    given = (region,) if isinstance(region, (str, int)) else region
    return frozenset(chosen), "tools" in given


def _parts(scorer: Scorer, whole: Conversation, region: tuple[frozenset[int], bool], unit: str) -> Iterator[_Part]:
    if unit not in (*_WHOLE, *_INSIDE):
        raise unknown("unit", unit, (*_WHOLE, *_INSIDE))
    chosen, tools = region
    if tools:
        for number, tool in enumerate(whole.tools):
            yield _Part(f"tool: {_name_of(tool, number)}", tool=number)
    if unit in _INSIDE:
        for i in sorted(chosen):
            for piece, words in _texts(whole.messages[i]):
                yield from (_Part(words[a:b], (i,), None, (a, b), piece) for a, b in spans_of(scorer, words, unit))
        return
    turns = _turns(whole, chosen) if unit == "turn" else [[i] for i in sorted(chosen)]
    number = 0
    for turn in turns:
        role = whole.messages[turn[0]]["role"]
        number += role != "system"
        head = role if role == "system" or unit == "message" else f"turn {number}"
        yield _Part(_short(f"{head}: {_words(whole.messages[turn[0]])}"), tuple(turn))


def _turns(whole: Conversation, chosen: frozenset[int]) -> list[list[int]]:
    """A user's message and what follows it up to the next; system messages by themselves."""
    turns: list[list[int]] = []
    for i in sorted(chosen):
        role = whole.messages[i]["role"]
        begins = role in ("system", "user") or not turns or whole.messages[turns[-1][0]]["role"] == "system"
        if begins or turns[-1][-1] != i - 1:
            turns.append([i])
        else:
            turns[-1].append(i)
    return turns


def _texts(message: Mapping[str, Any]) -> list[tuple[int | None, str]]:
    """The texts of a message that are not blank, and their places among its parts where it has some."""
    content = message.get("content")
    if isinstance(content, str):
        return [(None, content)] if content.strip() else []
    return [(i, part["text"]) for i, part in enumerate(content or ()) if is_words(part) and part["text"].strip()]


def _words(message: Mapping[str, Any]) -> str:
    return " ".join(" ".join(pieces_of(message.get("content"))).split()) or "…"


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1].rstrip() + "…"


def _name_of(tool: Mapping[str, Any], number: int) -> str:
    inner = tool.get("function", tool)
    return str(inner.get("name", number + 1)) if isinstance(inner, Mapping) else str(number + 1)


def _spans(whole: Conversation, parts: Sequence[_Part]) -> Iterator[Span]:
    """Where each part lies in the transcript."""
    starts, at = [], 0
    tools = len(Conversation([], whole.tools)) + 2 if whole.tools else 0
    at = tools
    for message in whole.messages:
        starts.append(at)
        at += len(Conversation([message])) + 2
    line = len("tools:\n")
    lines = []
    for tool in whole.tools:
        length = len(Conversation([], [tool])) - len("tools:\n")
        lines.append((line, line + length))
        line += length + 1
    for part in parts:
        if part.tool is not None:
            yield lines[part.tool]
        elif part.span is not None:
            message = whole.messages[part.messages[0]]
            before = pieces_of(message["content"])[: part.piece or 0]
            begin = starts[part.messages[0]] + len(f"{message['role']}: ") + sum(len(one + BETWEEN) for one in before)
            yield begin + part.span[0], begin + part.span[1]
        else:
            last = part.messages[-1]
            yield starts[part.messages[0]], starts[last] + len(Conversation([whole.messages[last]]))


@dataclass(frozen=True, eq=False)
class _ChatAblation:
    """Masks to conversations to scores."""

    scorer: Scorer = field(repr=False)
    whole: Conversation
    parts: tuple[_Part, ...]
    replacement: str

    def identity(self) -> dict[str, Any] | None:
        """What identifies the game in a store; None where the scorer does not know what identifies it."""
        known = self.scorer.identity()
        if known is None:
            return None
        spoken = {"messages": [*map(dict, self.whole.messages)], "tools": list(self.whole.tools)}
        parts = [
            [list(part.messages), part.tool, part.span, *([] if part.piece is None else [part.piece])]
            for part in self.parts
        ]
        return (
            {"lens": "chat", "scorer": known, "parts": parts, "replacement": self.replacement}
            | spoken
            | {"options": dict(self.whole.options)}
        )

    def left(self, mask: Sequence[bool]) -> Conversation:
        """The conversation of one mask."""
        gone = [part for part, kept in zip(self.parts, mask, strict=True) if not kept]
        dropped = {i for part in gone if part.span is None for i in part.messages}
        cuts: dict[int, list[_Part]] = {}
        for part in gone:
            if part.span is not None:
                cuts.setdefault(part.messages[0], []).append(part)
        messages = [
            dict(message, content=self._cut(message["content"], cuts[i])) if i in cuts else message
            for i, message in enumerate(self.whole.messages)
            if i not in dropped
        ]
        without = {part.tool for part in gone}
        tools = [tool for number, tool in enumerate(self.whole.tools) if number not in without]
        return Conversation(messages, tools, self.whole.options)

    def _cut(self, content: Any, gone: list[_Part]) -> Any:
        """A message's content without some ranges of it, or of its parts."""
        spans: dict[int | None, list[Span]] = {}
        for part in gone:
            assert part.span is not None
            spans.setdefault(part.piece, []).append(part.span)
        if None in spans:
            return self._without(content, spans[None])
        return [
            {**part, "text": self._without(part["text"], spans[i])} if i in spans else part
            for i, part in enumerate(content)
        ]

    def _without(self, words: str, spans: list[Span]) -> str:
        for start, end in sorted(spans, reverse=True):
            words = words[:start] + self.replacement + words[end:]
        return words

    def texts(self, masks: Masks) -> list[str]:
        """The conversation of each mask (N, n), as its transcript."""
        return [self.left(mask) for mask in masks.tolist()]

    def __call__(self, masks: Masks) -> Any:
        return self.scorer(self.texts(masks))
