"""What to measure of a network's output while its parts are ablated: one number per input."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from interplay._errors import InputError
from interplay._networks.behaviour import embedder_of
from interplay._networks.readout import (
    LOGPROB,
    LOSS,
    MARGIN,
    Readout,
    check_pooling,
    logits_of,
    logprobs,
    pooled,
    widened,
)
from interplay._networks.readout import similarity as cosines
from interplay.lenses._components.answers import Target, bind_answers
from interplay.lenses._components.inputs import Bound, Inputs, Subject, is_texts, tensor_rows


class Metric(ABC):
    """One number, or T of them, for each input."""

    @abstractmethod
    def bind(self, subject: Subject, inputs: Inputs) -> Bound:
        """This metric of this model on these inputs."""

    def identity(self) -> dict[str, Any] | None:
        """JSON-able parts that say what is measured; None where only the user can."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}  # type: ignore[arg-type]
        # Many targets in an array would be shortened by its repr, and other targets taken for the same.
        plain = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in parts.items()}
        return {"metric": f"{type(self).__name__}({plain})"}


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
        rows = subject.rows([subject.fed(text) for text in inputs]) if texts else tensor_rows(inputs, subject)
        try:
            parameters = list(inspect.signature(self.function).parameters.values())
        except ValueError:  # functions written in C may have no signature
            parameters = []
        required = [one for one in parameters if one.default is one.empty and one.kind in (0, 1)]
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
        return bind_answers(subject, inputs, [self.target], lambda logits, ids, valid: self.read(logits, ids, valid))


@dataclass(frozen=True)
class logit(_Answers):
    """The logit of a token after the input, or of a label; of its first token where the target has several."""

    def read(self, logits: Any, ids: Any, valid: Any) -> Any:  # noqa: ARG002
        """The logit of the first token."""
        return widened(logits)[:, 0].gather(-1, ids[:, :1])[:, 0]


@dataclass(frozen=True)
class logprob(Metric):
    """The log-probability (nats) of a target text after the input, summed over its tokens, or of a label."""

    target: Target

    def bind(self, subject: Subject, inputs: Inputs) -> Bound:
        """One row for each input."""
        return _bind(subject, inputs, [self.target], LOGPROB)


@dataclass(frozen=True)
class accuracy(_Answers):
    """1 where the most likely token (each one of the target's) or label is the target, else 0."""

    def read(self, logits: Any, ids: Any, valid: Any) -> Any:
        """All tokens must be right."""
        return ((logits.argmax(-1) == ids) | ~valid).all(-1).to(widened(logits).dtype)


@dataclass(frozen=True)
class margin(Metric):
    """By how much the log-probability (nats) of the answer ``a`` exceeds that of ``b``."""

    a: Target
    b: Target

    def bind(self, subject: Subject, inputs: Inputs) -> Bound:
        """Both answers are fed, as two rows of each input."""
        return _bind(subject, inputs, [self.a, self.b], MARGIN)


@dataclass(frozen=True)
class loss(Metric):
    """Cross-entropy (nats) of the target, summed over its tokens as `CausalLM.loss` is: minus `logprob`.

    Without a target, the mean over the input's own next tokens, so that inputs of any length weigh the same.
    """

    target: Target | None = None

    def bind(self, subject: Subject, inputs: Inputs) -> Bound:
        """One row for each input."""
        if self.target is not None:
            return _bind(subject, inputs, [self.target], LOSS)
        texts = is_texts(inputs)
        rows = subject.rows([subject.fed(text) for text in inputs]) if texts else tensor_rows(inputs, subject)
        if "input_ids" not in rows.tensors or subject.seq2seq or subject.kind(rows) in ("labels", "mask"):
            raise InputError("a loss without targets is that of a causal language model's next tokens: pass targets.")
        ids = rows.tensors["input_ids"]
        if ids.shape[1] < 2:
            raise InputError("a loss of next tokens needs inputs of at least two tokens.")
        mask = rows.valid(ids.shape)

        def score(output: Any, index: Any) -> Any:
            logits = logits_of(output)[:, -ids.shape[1] : -1]  # a tuned prompt has positions of its own before
            losses = -logprobs(logits, ids[index, 1:])
            weight = losses.new_ones(losses.shape) if mask is None else (mask[index, 1:] & mask[index, :-1]).float()
            return (losses * weight).sum(-1) / weight.sum(-1).clamp(min=1)

        return Bound(rows, score, subject.model)


def _bind(subject: Subject, inputs: Inputs, targets: list[Target], readout: Readout) -> Bound:
    """A readout of targets, each appended to its input, or fed to the decoder."""

    def read(logits: Any, ids: Any, valid: Any) -> Any:
        return (logprobs(logits, ids) * valid).sum(-1)

    bound = bind_answers(subject, inputs, targets, read)
    return bound.then(lambda totals: readout.combined(totals.reshape(-1, len(targets))))


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
        pooling = check_pooling(self.pooling or subject.pooling)

        def score(output: Any, index: Any) -> Any:
            states = output if isinstance(output, torch.Tensor) else output[0]
            mask = rows.valid((len(rows), *states.shape[1:])) if states.ndim == 3 else None
            vectors = pooled(states, None if mask is None else mask[index], pooling)
            return cosines(vectors[0::2], vectors[1::2])

        return Bound(rows, score, embedder_of(subject.model))
