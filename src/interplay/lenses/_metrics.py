"""What to measure of a network's output while its parts are ablated: one number per input."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from interplay._errors import InputError, unknown
from interplay.lenses._inputs import Inputs, Rows, Subject, is_texts, tensor_rows

Target: TypeAlias = str | int | Sequence[str | int]
"""A text, a token id or a label; or one of them for each input."""


@dataclass(frozen=True, eq=False)
class Bound:
    """A metric bound to a model and inputs.

    Parameters
    ----------
    rows
        What the model is fed.
    score
        Takes the output of a batch and the numbers (B,) of its rows, returns one value per input of the batch,
        (B / per_input,), or T of them.
    entry
        The module to call: the model, or the part of it whose output is measured.
    """

    rows: Rows
    score: Callable[[Any, Any], Any]
    entry: Any


class Metric(ABC):
    """One number, or T of them, for each input."""

    @abstractmethod
    def bind(self, subject: Subject, inputs: Inputs) -> Bound:
        """This metric of this model on these inputs."""

    def identity(self) -> dict[str, Any] | None:
        """JSON-able parts that say what is measured; None where only the user can."""
        return {"metric": repr(self)}


def as_metric(given: Metric | Callable[..., Any]) -> Metric:
    """A metric as given, or of a function of the model's output."""
    if isinstance(given, Metric):
        return given
    if not callable(given):
        raise InputError(
            f"the metric must be one of ip.lenses.metrics or a function of the model's output, not {given!r}."
        )
    return Function(given)


@dataclass(frozen=True)
class Function(Metric):
    """Any function of the model's output for B rows that returns B values, or (B, T), as a tensor.

    A function of two arguments gets the numbers (B,) of the rows among the inputs, too.
    """

    function: Callable[..., Any]

    def bind(self, subject: Subject, inputs: Inputs) -> Bound:
        """Texts are tokenized, tensors fed as they are."""
        texts = is_texts(inputs)
        rows = subject.rows([subject.tokens(text) for text in inputs]) if texts else tensor_rows(inputs, subject)
        required = [
            parameter
            for parameter in inspect.signature(self.function).parameters.values()
            if parameter.default is parameter.empty and parameter.kind in (0, 1)
        ]
        if len(required) > 1:
            return Bound(rows, self.function, subject.model)
        return Bound(rows, lambda output, _rows: self.function(output), subject.model)

    def identity(self) -> None:
        """A function cannot be identified by its content."""


@dataclass(frozen=True)
class _Answers(Metric):
    """What is read off the logits where the answer goes; ``read(logits (B, K, V), ids (B, K), valid (B, K))``."""

    target: Target

    @abstractmethod
    def read(self, logits: Any, ids: Any, valid: Any) -> Any:
        """One value per row."""

    def bind(self, subject: Subject, inputs: Inputs) -> Bound:
        """Answers of several tokens are appended to their input, or fed to the decoder."""
        return _bind_answers(subject, inputs, [self.target], lambda logits, ids, valid: self.read(logits, ids, valid))


@dataclass(frozen=True)
class logit(_Answers):
    """The logit of a token after the input, or of a label; of its first token where the target has several."""

    def read(self, logits: Any, ids: Any, valid: Any) -> Any:  # noqa: ARG002
        """Of the first token."""
        return logits[:, 0].gather(-1, ids[:, :1])[:, 0]


@dataclass(frozen=True)
class logprob(_Answers):
    """The log-probability (nats) of a target text after the input, summed over its tokens, or of a label."""

    def read(self, logits: Any, ids: Any, valid: Any) -> Any:
        """Summed over the tokens."""
        chosen = logits.log_softmax(-1).gather(-1, ids.unsqueeze(-1))[..., 0]
        return (chosen * valid).sum(-1)


@dataclass(frozen=True)
class accuracy(_Answers):
    """1 where the most likely token (each one of the target's) or label is the target, else 0."""

    def read(self, logits: Any, ids: Any, valid: Any) -> Any:
        """All tokens must be right."""
        return ((logits.argmax(-1) == ids) | ~valid).all(-1).to(logits.dtype)


@dataclass(frozen=True)
class margin(Metric):
    """By how much the log-probability of the answer ``right`` exceeds that of ``wrong``."""

    right: Target
    wrong: Target

    def bind(self, subject: Subject, inputs: Inputs) -> Bound:
        """Both answers are fed, as two rows of each input."""
        bound = _bind_answers(subject, inputs, [self.right, self.wrong], logprob(0).read)

        def score(output: Any, rows: Any) -> Any:
            both = bound.score(output, rows)
            return both[0::2] - both[1::2]

        return Bound(bound.rows, score, bound.entry)


@dataclass(frozen=True)
class loss(Metric):
    """Cross-entropy (nats per token) of the targets, or, without targets, of each next token of the input."""

    target: Target | None = None

    def bind(self, subject: Subject, inputs: Inputs) -> Bound:
        """The mean over an input's tokens."""
        if self.target is not None:
            return _bind_answers(
                subject, inputs, [self.target], lambda *parts: -logprob(0).read(*parts) / parts[2].sum(-1)
            )
        texts = is_texts(inputs)
        rows = subject.rows([subject.tokens(text) for text in inputs]) if texts else tensor_rows(inputs, subject)
        if "input_ids" not in rows.tensors or subject.seq2seq or subject.classifies:
            raise InputError("a loss without targets is that of a causal language model's next tokens: pass targets.")
        ids = rows.tensors["input_ids"]
        if ids.shape[1] < 2:
            raise InputError("a loss of next tokens needs inputs of at least two tokens.")
        mask = rows.valid(ids.shape)

        def score(output: Any, index: Any) -> Any:
            logits = _logits(output)[:, :-1].float().log_softmax(-1)
            losses = -logits.gather(-1, ids[index, 1:].unsqueeze(-1))[..., 0]
            weight = losses.new_ones(losses.shape) if mask is None else (mask[index, 1:] & mask[index, :-1]).float()
            return (losses * weight).sum(-1) / weight.sum(-1).clamp(min=1)

        return Bound(rows, score, subject.model)


@dataclass(frozen=True)
class similarity(Metric):
    """The cosine of the embeddings of the two texts of each pair, both read by the ablated encoder.

    ``reference`` is the second text of every pair where the inputs are single texts. Tensors are pairs of rows.
    """

    reference: str | None = None
    pooling: str | None = field(default=None)

    def bind(self, subject: Subject, inputs: Inputs) -> Bound:
        """Two rows for each pair."""
        import torch

        if is_texts(inputs):
            pairs = [(item, self.reference) if isinstance(item, str) else tuple(item) for item in inputs]
            if any(len(pair) != 2 or not all(isinstance(text, str) for text in pair) for pair in pairs):
                raise InputError("similarity needs pairs of texts: pass [(one, other), ...], or a reference text.")
            rows = subject.rows([subject.tokens(text) for pair in pairs for text in pair], per_input=2)
        else:
            rows = tensor_rows(inputs, subject, per_input=2)
        pooling = self.pooling or subject.pooling
        if pooling not in ("mean", "cls"):
            raise unknown("pooling", pooling, ["mean", "cls"])

        def score(output: Any, index: Any) -> Any:
            states = output if isinstance(output, torch.Tensor) else output[0]
            if states.ndim == 3:
                mask = rows.valid((len(rows), *states.shape[1:]))
                weight = states.new_ones(states.shape[:2]) if mask is None else mask[index].to(states.dtype)
                summed = (states * weight.unsqueeze(-1)).sum(1) / weight.sum(1, keepdim=True)
                states = states[:, 0] if pooling == "cls" else summed
            return torch.nn.functional.cosine_similarity(states[0::2].double(), states[1::2].double(), dim=-1)

        return Bound(rows, score, _embedder(subject))


def _bind_answers(subject: Subject, inputs: Inputs, targets: Sequence[Target], read: Callable[..., Any]) -> Bound:
    """Rows of every input with every target, and what ``read`` says of the logits where the target's tokens go."""
    import torch

    texts = is_texts(inputs)
    given = None if texts else tensor_rows(inputs, subject)
    count = len(inputs) if given is None else len(given)
    answers = [one for group in zip(*(_each(target, count) for target in targets), strict=True) for one in group]
    tokens = [_ids(subject, answer) for answer in answers]
    per_input = len(targets)
    decoder = subject.seq2seq
    start: list[int] | None = None  # where each row's first answer token is predicted; None for the only logits
    if given is not None:
        if any(len(ids) > 1 for ids in tokens):
            raise InputError("a target of several tokens needs texts as inputs: pass texts, or single token ids.")
        rows = given if per_input == 1 else given.take(torch.arange(count).repeat_interleave(per_input))
        rows = Rows(rows.tensors, per_input)
        start = _last(rows, decoder)
    else:
        prompts = [subject.tokens(text) for text in inputs for _ in targets]
        if subject.classifies:
            rows = subject.rows(prompts, per_input)
        elif decoder:
            first = subject.model.config.decoder_start_token_id
            first = subject.model.config.pad_token_id if first is None else first
            rows = subject.rows(prompts, per_input, decoder_input_ids=[[first, *ids[:-1]] for ids in tokens])
            start = [0] * len(tokens)
        else:
            rows = subject.rows([p + ids[:-1] for p, ids in zip(prompts, tokens, strict=True)], per_input)
            start = [len(p) - 1 for p in prompts]
    ids, valid = subject.padded(tokens)
    width = torch.arange(ids.shape[1], device=ids.device)
    places = None if start is None else torch.tensor(start, device=ids.device)[:, None] + width

    def score(output: Any, index: Any) -> Any:
        logits = _logits(output)
        if logits.ndim == 2:
            logits = logits.unsqueeze(1)
        elif places is not None:
            at = places[index].clamp(max=logits.shape[1] - 1)
            logits = logits[torch.arange(len(index), device=at.device).unsqueeze(1), at]
        if int(ids.max()) >= logits.shape[-1]:
            raise InputError(f"the target {int(ids.max())} is beyond the model's {logits.shape[-1]} outputs.")
        return read(logits.float(), ids[index], valid[index].bool())

    return Bound(rows, score, subject.model)


def _last(rows: Rows, decoder: bool) -> list[int] | None:
    """The position of each row's last token that is no padding."""
    import torch

    name = "decoder_input_ids" if decoder else "input_ids"
    if name not in rows.tensors or rows.tensors[name].ndim != 2:
        return None
    shape = rows.tensors[name].shape
    mask = rows.valid(shape, decoder=decoder)
    if mask is None:
        return [shape[1] - 1] * shape[0]
    return list((mask * torch.arange(shape[1], device=mask.device)).argmax(1).tolist())


def _each(target: Target, count: int) -> list[str | int]:
    if isinstance(target, (str, int)):
        return [target] * count
    targets = [one if isinstance(one, str) else int(one) for one in target]
    if len(targets) != count:
        raise InputError(f"there are {len(targets)} targets for {count} inputs: pass one for all, or one for each.")
    return targets


def _ids(subject: Subject, answer: str | int) -> list[int]:
    if isinstance(answer, int):
        return [answer]
    if subject.classifies:
        labels = subject.model.config.label2id
        if answer not in labels:
            raise unknown("label", answer, labels)
        return [int(labels[answer])]
    ids = subject.tokens(answer, special=False)
    if not ids:
        raise InputError(f"the target {answer!r} has no tokens: pass what the model could say.")
    return ids


def _logits(output: Any) -> Any:
    import torch

    logits = output if isinstance(output, torch.Tensor) else getattr(output, "logits", None)
    if logits is None:
        raise InputError(
            f"{type(output).__name__} has no logits: load the model with a language-model or classification head, "
            "or choose another metric."
        )
    return logits


def _embedder(subject: Subject) -> Any:
    if subject.seq2seq:
        return subject.model.get_encoder()
    return getattr(subject.model, "base_model", subject.model)
