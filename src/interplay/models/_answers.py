"""What a model writes after each prompt, kept, so that it can be read in any way later without asking it again."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from interplay._errors import InputError
from interplay._game.identity import digest
from interplay._game.masks import Values
from interplay._game.partial import Partial
from interplay.models._answer_book import Answer, Book
from interplay.models._causal.causal import CausalLM
from interplay.models._causal.writing import check_writing
from interplay.models._encoder import Encoder
from interplay.models._scorer import Scorer, TextScorer
from interplay.models._server.server import Server


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's own answers to the ablated prompts, written once and read as often as you like.

    Each method makes a scorer of prompts by what it reads in their answers. Answers are kept with their tokens, in a
    file where ``kept`` names one: another reading of the same prompts later asks the model nothing.

    >>> answers = ip.models.Answers(lm, max_tokens=16, kept="answers.db")             # doctest: +SKIP
    >>> game = ip.lenses.text(answers.exact("gold"), prompt, unit="sentence")         # doctest: +SKIP
    >>> again = ip.lenses.text(answers.matches("gold|treasure"), prompt, unit="sentence")    # doctest: +SKIP

    At a temperature, ``samples`` answers are drawn for each prompt. Scores are their means, the spread between them is
    reported as noise, with the R² that any explanation can reach.

    Parameters
    ----------
    model
        A `CausalLM` or a `Server`.
    max_tokens
        The longest answer.
    temperature
        0 for the likeliest answer (greedy).
    samples
        Answers drawn for each prompt.
    kept
        The file that keeps them; in memory when left out.
    seed
        Of the draws: with a `CausalLM` the same seed draws the same answers, whatever prompts are asked together.

    Raises
    ------
    InputError
        For another model, or numbers that cannot be used; several samples at temperature 0.
    StoreError
        For a file that holds something else.
    """

    model: CausalLM | Server
    max_tokens: int = 64
    temperature: float = 0.0
    samples: int = 1
    kept: str | os.PathLike[str] | None = None
    seed: int = 0
    book: Book = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.model, (CausalLM, Server)):
            raise InputError(f"answers are those of a CausalLM or a Server, not of {type(self.model).__name__}.")
        check_writing(self.max_tokens, self.temperature, self.samples)
        object.__setattr__(self, "book", Book(":memory:" if self.kept is None else self.kept))

    def __call__(self, prompts: Sequence[str]) -> list[tuple[Answer, ...]] | Partial:
        """The answers to each prompt, those that are kept without asking; a `Partial` where a server failed for some.

        Raises
        ------
        InputError
            Where a prompt leaves no room in the window; or a file is to keep answers of a model that wears hooks of
            the user's, as nobody could recognise it later.
        """
        asked = self._asked()
        if asked is None and self.kept is not None:
            raise InputError(
                "this model wears hooks or another forward method, so that its answers cannot be recognised in a file: "
                "leave out kept=."
            )
        keys = {prompt: digest(prompt=self._spoken(prompt), asked=asked) for prompt in dict.fromkeys(prompts)}
        known = {} if asked is None else {prompt: self.book.read(key, self.samples) for prompt, key in keys.items()}
        found = {prompt: answers for prompt, answers in known.items() if answers is not None}
        fresh = [prompt for prompt in keys if prompt not in found]
        failures: Mapping[int, str] = {}
        if fresh:
            new, failures = self._written(fresh)
            found |= new
            if asked is not None:
                self.book.write({keys[prompt]: answers for prompt, answers in new.items()})
        if not failures:
            return [found[prompt] for prompt in prompts]
        why = {fresh[row]: reason for row, reason in failures.items()}
        rows = {row: why[prompt] for row, prompt in enumerate(prompts) if prompt in why}
        return Partial([found[prompt] for prompt in prompts if prompt in found], rows)

    def exact(self, target: str) -> Scorer:
        """A scorer by whether an answer is ``target``, white space around it aside: 1 or 0."""
        if not isinstance(target, str) or not target.strip():
            raise InputError(f"the target is {target!r}: pass the answer whose share is wanted.")
        return self._read(
            lambda texts: [float(text.strip() == target.strip()) for text in texts],
            f"exact match of the answer with {target!r}",
            {"exact": target},
        )

    def matches(self, pattern: str) -> Scorer:
        """A scorer by whether a regular expression is found in an answer: 1 or 0."""
        try:
            compiled = re.compile(pattern)
        except (re.error, TypeError) as error:
            raise InputError(f"{pattern!r} is no regular expression: {error}.") from error
        return self._read(
            lambda texts: [float(compiled.search(text) is not None) for text in texts],
            f"whether the answer matches {pattern!r}",
            {"matches": pattern},
        )

    def among(self, classes: Mapping[str, str | Sequence[str]]) -> Scorer:
        """A scorer by which class an answer falls into, one output each: of samples, the probability of every class.

        ``classes`` has the texts of each by its name. An answer is of the class whose text stands in it first, be it
        in capitals or not; of none where no text does.
        """
        if not isinstance(classes, Mapping) or not classes:
            raise InputError(f"classes must be texts by name, such as {{'yes': ['yes', 'true']}}, not {classes!r}.")
        listed = {str(name): (one,) if isinstance(one, str) else tuple(one) for name, one in classes.items()}
        for name, texts in listed.items():
            if not texts or not all(isinstance(text, str) and text for text in texts):
                raise InputError(f"the class {name!r} needs at least one text that is not empty, not {texts!r}.")
        return self._read(
            partial(_classed, tuple(listed.values())), "which class the answer is of", {"among": listed}, tuple(listed)
        )

    def field(self, path: str, *, equals: object = None, missing: float = 0.0) -> Scorer:
        """A scorer by a field of the JSON object in an answer, such as "person.age".

        Its value is the field's number, or with ``equals`` whether it is that: 1 or 0; ``missing`` where the answer
        holds no such object, or the field is no number.
        """
        if not isinstance(path, str) or not path:
            raise InputError(f"a field is named by its path, such as 'person.age', not {path!r}.")
        words = f"the answer's {path}" if equals is None else f"whether the answer's {path} is {equals!r}"
        known = {"field": path, "equals": equals, "missing": missing}
        return self._read(partial(_fields, path, equals, missing), words, known)

    def similarity(self, target: str, *, encoder: Encoder) -> Scorer:
        """A scorer by the cosine of an answer with ``target``, both embedded by ``encoder``."""
        similar = encoder.similarity(target)
        return self._read(similar, f"similarity of the answer to {target!r}", similar.identity)

    def judge(self, judge: TextScorer, *, name: str | None = None) -> Scorer:
        """A scorer by what ``judge`` says of answers: N answers to N floats, or to (N, T).

        A judge with an ``identity``, such as any scorer of this package, identifies itself in a store; a plain
        function needs a ``name``, to be changed whenever it would judge otherwise.
        """
        judging = Scorer.of(judge)
        known: Any = {"judge": name} if name is not None else judging.identity
        outputs = None if judging.outputs is None else tuple(judging.outputs)
        return self._read(judging, f"{name or judging.name}, of the answer", known, outputs)

    def _read(
        self,
        read: Callable[[Sequence[str]], Any],
        name: str,
        known: dict[str, Any] | Callable[[], dict[str, Any] | None],
        outputs: tuple[str, ...] | None = None,
    ) -> Scorer:
        def identity() -> dict[str, Any] | None:
            reading, asked = known() if callable(known) else known, self._asked()
            return None if reading is None or asked is None else {"score": "answers", "read": reading, "asked": asked}

        words = name if self.temperature == 0 else f"{name}, mean of {self.samples} at temperature {self.temperature:g}"
        return Scorer(
            partial(self._scores, read),
            words,
            identity=identity,
            outputs=outputs,
            special_tokens=self._special_tokens,
            check=self._check,
            model=self._model_name,
            repeats=self.samples,
        )

    def _scores(self, read: Callable[[Sequence[str]], Any], prompts: Sequence[str]) -> Any:
        """(N,), (N, T) or, of several samples, (N, T * samples) with the samples of an output side by side."""
        found = self(prompts)
        answers = list(found.values) if isinstance(found, Partial) else found
        texts = [one.text for several in answers for one in several]
        values: Values = np.asarray(read(texts), dtype=np.float64)
        if self.samples > 1:
            cube = values.reshape(len(answers), self.samples, -1)
            values = cube.transpose(0, 2, 1).reshape(len(answers), -1)
        return Partial(values, found.failures) if isinstance(found, Partial) else values

    def _check(self, prompt: str) -> tuple[str, ...]:
        found = self([prompt])
        if isinstance(found, Partial):
            raise InputError(f"the model did not answer the whole prompt: {found.failures[0]}")
        ((first, *_),) = found
        said = first.text if len(first.text) <= 80 else f"{first.text[:79]}…"
        return (f"to the whole prompt the model answers {said!r}",)

    def _asked(self) -> dict[str, Any] | None:
        """What an answer depends on beside the prompt; None where nobody can tell."""
        known = self.model.known()
        how = {"max_tokens": self.max_tokens, "temperature": self.temperature}
        drawn = {"seed": self.seed, "samples": self.samples} if self.temperature else {}
        return None if known is None else {"model": known, **how, **drawn}

    def _spoken(self, prompt: str) -> str:
        return self.model.reader.rendered(prompt) if isinstance(self.model, CausalLM) else _messages(prompt)

    def _written(self, prompts: list[str]) -> tuple[dict[str, tuple[Answer, ...]], Mapping[int, str]]:
        """The answers to prompts, and why there are none to some, by their place."""
        how: dict[str, Any] = {"max_tokens": self.max_tokens, "temperature": self.temperature, "samples": self.samples}
        if isinstance(self.model, CausalLM):
            seeds = [int(digest(prompt=self._spoken(prompt), seed=self.seed)[:15], 16) for prompt in prompts]
            return dict(zip(prompts, self.model.write(prompts, seeds=seeds, **how), strict=True)), {}
        found = self.model.write(prompts, **how)
        if not isinstance(found, Partial):
            return dict(zip(prompts, found, strict=True)), {}
        good = [prompt for row, prompt in enumerate(prompts) if row not in found.failures]
        return dict(zip(good, found.values, strict=True)), found.failures

    @property
    def _model_name(self) -> str:
        return self.model.model if isinstance(self.model, Server) else self.model.name

    @property
    def _special_tokens(self) -> frozenset[str] | None:
        return None if isinstance(self.model, Server) else frozenset(self.model.tokenizer.all_special_tokens)


def _messages(prompt: str) -> str:
    from interplay._networks.conversation import Conversation

    if not isinstance(prompt, Conversation):
        return prompt
    parts = {"messages": [*map(dict, prompt.messages)], "tools": list(prompt.tools), "options": dict(prompt.options)}
    return json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)


def _classed(classes: Sequence[Sequence[str]], texts: Sequence[str]) -> list[list[float]]:
    rows = []
    for text in texts:
        folded = text.casefold()
        places = [min((at for one in each if (at := folded.find(one.casefold())) >= 0), default=-1) for each in classes]
        there = [place for place in places if place >= 0]
        rows.append([float(bool(there) and place == min(there)) for place in places])
    return rows


def _fields(path: str, equals: object, missing: float, texts: Sequence[str]) -> list[float]:
    return [_field(path.split("."), equals, missing, text) for text in texts]


def _field(path: Sequence[str], equals: object, missing: float, text: str) -> float:
    for start in (found.start() for found in re.finditer(r"\{", text)):
        try:
            value, _ = json.JSONDecoder().raw_decode(text[start:])
        except (ValueError, RecursionError):
            continue
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if equals is not None:
            return float(value == equals)
        number = isinstance(value, (int, float)) and np.isfinite(value)
        return float(value) if number else missing
    return missing
