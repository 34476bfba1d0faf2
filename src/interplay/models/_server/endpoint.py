"""One model on one server: the few requests that scoring is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._networks.conversation import Conversation
from interplay.models._server.answers import ShapeError, pieces
from interplay.models._server.connection import Connection, RefusalError, UnreachableError
from interplay.models._server.spending import Spent

FORCE = 100  # the largest bias that OpenAI's API allows, and larger than any gap between logits
ENDPOINT_MISSING = (404, 405, 501)


@dataclass(frozen=True, eq=False)
class Endpoint:
    """A model behind a connection, spoken to in plain text or, with ``chat``, as a user in a conversation.

    ``system`` is the system message of that conversation.
    """

    connection: Connection
    model: str
    chat: bool = False
    system: str | None = field(default=None)
    dialect: Dialect = field(default_factory=lambda: Dialect(), repr=False)

    def answer(self, text: str, max_tokens: int, top: int = 0, temperature: float = 0) -> tuple[dict[str, Any], Spent]:
        """The model's answer to ``text``, of at most so many tokens, and the ``top`` tokens at each place.

        It is the likeliest at temperature 0, else drawn.
        """
        if not self.chat:
            options: dict[str, Any] = {"logprobs": top} if top else {}
            return self.proceed(text, max_tokens, **options, temperature=temperature)
        body: dict[str, Any] = {"model": self.model, **self._spoken(text), "max_tokens": max_tokens}
        if top:
            body |= {"logprobs": True, "top_logprobs": top}
        return self._call("/chat/completions", body | {"temperature": temperature})

    def proceed(self, prompt: str | list[int], max_tokens: int, **options: Any) -> tuple[dict[str, Any], Spent]:
        """The likeliest continuation of a text or of token ids."""
        body = {"model": self.model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0}
        return self._call("/completions", body | options)

    def begun(self, text: str, target: str) -> tuple[dict[str, Any], Spent]:
        """One token after an answer that begins with ``target``, with log-probabilities of all before it (vLLM)."""
        spoken = text if isinstance(text, Conversation) else Conversation([{"role": "user", "content": text}])
        *before, last = spoken.messages
        if spoken.is_begun:
            last = dict(last, content=(last.get("content") or "") + target)
        else:
            before, last = [*before, last], {"role": "assistant", "content": target}
        body = {"model": self.model, **self._spoken(Conversation([*before, last], spoken.tools, spoken.options))}
        asked = {"prompt_logprobs": 0, "add_generation_prompt": False, "continue_final_message": True}
        one = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 1}
        return self._call("/chat/completions", body | asked | one)

    def _call(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], Spent]:
        """The answer to ``body``, said again in the server's own dialect where it refuses a word of it."""
        try:
            return self.connection.call(path, self.dialect.spoken(body))
        except RefusalError as error:
            if not self.dialect.learns(str(error), error.status, body):
                raise
        return self._call(path, body)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the way that answers were asked for."""
        if not self.dialect.warm:
            return ()
        return (
            f"{self.model} takes no temperature of 0, so its answers are drawn at random: the same ablation may score "
            "differently another time",
        )

    def force(self, ids: list[int], token: int, top: int = 1) -> tuple[dict[str, Any], Spent]:
        """The continuation of ``ids`` by one ``token``, whatever the model would have said."""
        return self.proceed(ids, 1, logprobs=top, logit_bias={str(token): FORCE})

    def tokens(self, text: str) -> tuple[list[int], list[bytes]]:
        """The ids and bytes of the tokens that the server makes of ``text`` (llama.cpp)."""
        # As the server itself reads a prompt: with a beginning token where the model has one.
        body = {"content": text, "add_special": True, "parse_special": True, "with_pieces": True}
        return pieces(self.connection.ask("POST", f"{self.connection.root}/tokenize", body))

    def prompt(self, text: str) -> str:
        """What the model reads when the user says ``text``: the server's chat template around it (llama.cpp)."""
        if not self.chat:
            return text
        url = f"{self.connection.root}/apply-template"
        found = self.connection.ask("POST", url, self._spoken(text)).get("prompt")
        if not isinstance(found, str):
            raise ShapeError("the server's /apply-template has another shape than llama.cpp's.")
        return found

    @cached_property
    def reported(self) -> dict[str, Any]:
        """What the server says of the model, nothing where it lists no models.

        Raises
        ------
        InputError
            For a model that the server neither lists nor answers as: some servers answer whatever the name.
        """
        names = self._listed()
        found = names.get(self.model) or names.get(f"{self.model}:latest")
        if found is None and names:
            # Some list only part of what they serve; the answer says which model gave it, for some with a revision.
            speaker = self.answer("Hello", 1)[0].get("model")
            if not isinstance(speaker, str) or speaker.split("@")[0] != self.model:
                raise unknown("model", self.model, names)
        return _lasting(found or {})

    def _listed(self) -> dict[str, dict[str, Any]]:
        """The server's models by name and alias; empty where it has no list, or fails to make one."""
        try:
            listed = self.connection.ask("GET", "/models", retries=1).get("data")
        except (RefusalError, UnreachableError) as error:
            if error.status is None or (error.status < 500 and error.status not in ENDPOINT_MISSING):
                raise
            return {}
        if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
            raise RefusalError(
                f"{self.connection.base_url}/models answered in another shape than OpenAI's API: is the base_url "
                "right? It usually ends in /v1."
            )
        names: dict[str, dict[str, Any]] = {}
        for entry in listed:
            aliases = entry.get("aliases")
            for name in (entry.get("id"), *(aliases if isinstance(aliases, list) else ())):
                names[str(name)] = entry
        return names

    def _spoken(self, text: str) -> dict[str, Any]:
        """What the model is told: messages, and a conversation's tools and options of the template."""
        spoken = text if isinstance(text, Conversation) else Conversation([{"role": "user", "content": text}])
        first = [] if self.system is None else [{"role": "system", "content": self.system}]
        tools = {"tools": list(spoken.tools)} if spoken.tools else {}
        options = {"chat_template_kwargs": dict(spoken.options)} if spoken.options else {}
        return {"messages": [*first, *map(dict, spoken.messages)], **tools, **options}


@dataclass(eq=False)
class Dialect:
    """What a server calls things, learned from its refusals: newer models of OpenAI's take other parameters."""

    long: bool = False  # max_completion_tokens instead of max_tokens
    warm: bool = False  # no temperature but its own

    def spoken(self, body: dict[str, Any]) -> dict[str, Any]:
        """``body`` in the server's words."""
        said = dict(body)
        if self.long and "max_tokens" in said:
            said["max_completion_tokens"] = said.pop("max_tokens")
        if self.warm:
            said.pop("temperature", None)
        return said

    def learns(self, words: str, status: int | None, body: dict[str, Any]) -> bool:
        """Whether a refusal says what to call a part of ``body``, and it was not known yet."""
        if status not in (400, 422) or not any(mark in words.lower() for mark in ("support", "instead", "unknown")):
            return False
        if not self.long and "max_tokens" in body and "max_tokens" in words:
            self.long = True
            return True
        if not self.warm and "temperature" in body and "temperature" in words:
            self.warm = True
            return True
        return False


def _lasting(entry: dict[str, Any]) -> dict[str, Any]:
    """What of a model's entry says which weights it has, without what changes when a server starts anew."""
    kept = {name: entry[name] for name in ("id", "root", "owned_by") if isinstance(entry.get(name), str)}
    meta = entry.get("meta")
    if isinstance(meta, dict):
        kept |= {name: meta[name] for name in ("n_params", "size", "n_vocab", "ftype") if name in meta}
    return kept


def check_model(model: str) -> str:
    """A model's name that is not empty."""
    if not isinstance(model, str) or not model.strip():
        raise InputError(f"the model must be the name that the server knows it by, not {model!r}.")
    return model
