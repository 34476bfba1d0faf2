"""What a network is fed while its parts are ablated: texts or tensors, as rows of one batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

from interplay._checks import check_unicode
from interplay._errors import InputError
from interplay._networks.behaviour import Kind, config_of, is_encoder_decoder, kind_of, network_in, padding_of
from interplay._networks.continuation import Reader
from interplay._networks.evaluation import evaluating
from interplay._networks.identity import model_identity

Inputs: TypeAlias = Any
"""Texts, pairs of texts, a mapping of tensors as a tokenizer returns them, or one tensor; rows come first."""


@dataclass(frozen=True, eq=False)
class Subject:
    """The network to ablate, with its tokenizer where it has one.

    Parameters
    ----------
    model
        A PyTorch module.
    tokenizer
        What turns texts into tokens; None where only tensors are fed.
    window
        How many tokens fit; None where it is not known.
    pooling
        How token vectors become one, for embeddings.
    prepared
        What the model's owner does to a text before it is tokenized.
    reads
        How prompts and targets become tokens, where the model's owner knows; None for the tokenizer's plain way.
    """

    model: Any
    tokenizer: Any = None
    window: int | None = None
    pooling: str = "mean"
    prepared: Callable[[str], str] = str
    reads: Reader | None = None

    @classmethod
    def of(cls, given: Any) -> Subject:
        """The network in ``given``: a PyTorch module, or one of interplay's models with its tokenizer."""
        model = network_in(given)
        if not hasattr(given, "tokenizer"):
            return cls(model)
        return cls(
            model,
            given.tokenizer,
            getattr(given, "window", None),
            getattr(given, "pooling", "mean"),
            getattr(given, "prepared", str),
            getattr(given, "reader", None),
        )

    @property
    def config(self) -> Any:
        """The model's configuration; None where it has none."""
        return config_of(self.model)

    @property
    def seq2seq(self) -> bool:
        """Whether the model has an encoder and a decoder."""
        return is_encoder_decoder(self.model)

    @cached_property
    def reader(self) -> Reader:
        """How prompts and targets become tokens: the same as for the scorers of texts."""
        return self.reads or Reader.of(self.model, self.tokenizer)

    def kind(self, rows: Rows) -> Kind | None:
        """What the model's logits are of, found by feeding it the first of ``rows``; None where it cannot be told."""
        with evaluating(self.model):
            try:
                return kind_of(self.model, {name: tensor[:1] for name, tensor in rows.tensors.items()})
            except Exception:  # what the model cannot take is said when it is first measured
                return None

    @property
    def device(self) -> Any:
        """Where the model's first weights are."""
        import torch

        first = next(self.model.parameters(), None)
        return torch.device("cpu") if first is None else first.device

    def identity(self) -> dict[str, Any] | None:
        """What makes the model this one; None where it has no configuration that says so."""
        return model_identity(self.model, self.tokenizer)

    def fed(self, text: str) -> list[int]:
        """The token ids of an input by itself: a chat's prompt in its template, or a text as the tokenizer has it."""
        return self.reader.prompt(text) if self.reads is not None and self.reads.chat else self.tokens(text)

    def tokens(self, text: str, *, special: bool = True) -> list[int]:
        """The token ids of a text."""
        if not isinstance(text, str):
            raise InputError(
                f"this metric reads single texts, not pairs such as {tuple(text)!r}: only similarity compares the two "
                "texts of a pair; to feed each pair as one input, pass what a tokenizer makes of them."
            )
        if self.tokenizer is None:
            raise InputError(
                f"{text[:40]!r} is a text, but there is no tokenizer: pass a model that has one "
                "(ip.models.Encoder.load), or tensors and token ids."
            )
        check_unicode([text])
        ids: list[int] = self.tokenizer(self.prepared(text), add_special_tokens=special, verbose=False)["input_ids"]
        return ids

    def rows(
        self,
        sequences: Sequence[Sequence[int]],
        per_input: int = 1,
        *,
        fits: bool = True,
        **more: Sequence[Sequence[int]],
    ) -> Rows:
        """Rows of token ids, padded on the right; ``more`` are decoder inputs, padded alike.

        ``fits`` says whether they must fit the window.
        """
        longest = max(map(len, sequences), default=0)
        if fits and self.window is not None and longest > self.window:
            raise InputError(f"an input has {longest} tokens, but the model's window is {self.window}: shorten it.")
        tensors: dict[str, Any] = {}
        for name, given in {"input_ids": sequences, **more}.items():
            ids, mask = self.padded(given)
            tensors[name] = ids
            tensors["attention_mask" if name == "input_ids" else name.replace("input_ids", "attention_mask")] = mask
        return Rows(tensors, per_input)

    def padded(self, sequences: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Ids and a mask (R, L) of sequences, padded on the right."""
        import torch

        if not sequences or not all(sequences):
            raise InputError("there is an input without any token: leave it out.")
        width = max(map(len, sequences))
        # A decoder with a classification head looks for the last token that is not its own padding.
        pad = padding_of(self.model)
        pad = pad if pad is not None else getattr(self.tokenizer, "pad_token_id", None) or 0
        ids = torch.full((len(sequences), width), pad)
        mask = torch.zeros((len(sequences), width), dtype=torch.long)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.tensor(list(sequence))
            mask[row, : len(sequence)] = 1
        return ids.to(self.device), mask.to(self.device)


@dataclass(frozen=True, eq=False)
class Rows:
    """Tensors whose first dimension are R rows, ``per_input`` consecutive ones for each input.

    The tensors are keyword arguments of the model; one under the name "" is its only positional argument.
    """

    tensors: Mapping[str, Any] = field(repr=False)
    per_input: int = 1

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def take(self, rows: Any) -> Rows:
        """The rows of those numbers, in their order, again and again where they repeat."""
        return Rows({name: tensor[rows] for name, tensor in self.tensors.items()}, self.per_input)

    def single(self) -> Rows:
        """The same rows, each an input of its own."""
        return Rows(self.tensors)

    def feed(self, model: Any, **options: Any) -> Any:
        """The model's output for these rows."""
        if "" in self.tensors:
            return model(self.tensors[""], **options)
        return model(**self.tensors, **options)

    def length(self, *, decoder: bool = False) -> int | None:
        """How many positions of a sequence the model, or its decoder, is fed; None where it is fed no sequence."""
        for name in ("decoder_input_ids", "decoder_inputs_embeds") if decoder else ("input_ids", "inputs_embeds"):
            if name in self.tensors and self.tensors[name].ndim > 1:
                return int(self.tensors[name].shape[1])
        return None

    def valid(self, shape: Sequence[int], *, decoder: bool = False) -> Any:
        """Which rows and positions of a tensor of ``shape`` are no padding, (R, L) booleans; None if not known."""
        mask = self.tensors.get("decoder_attention_mask" if decoder else "attention_mask")
        return mask.bool() if mask is not None and tuple(mask.shape) == tuple(shape[:2]) else None

    def digest(self) -> str:
        """A hash of the content."""
        content = hashlib.sha256()
        for name, tensor in sorted(self.tensors.items()):
            content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            content.update(str(tensor.detach().cpu().tolist()).encode())
        return content.hexdigest()


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
    places, read
        Where only a few positions' logits are looked at: which of each row, (R, K), and ``score`` of those logits
        (B, K, V) and the numbers (B,) of their rows.
    narrow
        Whether the model's head computes those logits alone.
    """

    rows: Rows
    score: Callable[[Any, Any], Any]
    entry: Any
    places: Any = None
    read: Callable[[Any, Any], Any] | None = None
    narrow: bool = False

    def then(self, change: Callable[[Any], Any]) -> Bound:
        """The same, with every batch of values changed."""
        score, read = self.score, self.read
        changed = None if read is None else lambda logits, rows: change(read(logits, rows))
        return replace(self, score=lambda output, rows: change(score(output, rows)), read=changed)


def is_texts(inputs: Inputs) -> bool:
    """Whether the inputs are texts or tuples of texts; a single text is refused, as it would be read as letters."""
    if isinstance(inputs, str):
        raise InputError(f"the inputs must be a list, not the single text {inputs[:40]!r}: pass [text].")
    if isinstance(inputs, Mapping) or hasattr(inputs, "shape"):
        return False
    if not isinstance(inputs, Sequence):
        raise InputError(
            f"the inputs must be a list of texts, or tensors with rows first, not {type(inputs).__name__}."
        )
    if not inputs:
        raise InputError("there are no inputs: pass at least one text, or a batch of tensors.")
    texts = [text for item in inputs for text in (item if isinstance(item, (tuple, list)) else [item])]
    if not all(isinstance(text, str) for text in texts):
        raise InputError("the inputs must be texts, pairs of texts, or a mapping of tensors with rows first.")
    return True


def tensor_rows(inputs: Inputs, subject: Subject, per_input: int = 1) -> Rows:
    """Rows of the tensors that the user made.

    Raises
    ------
    InputError
        For tensors of different numbers of rows, or a cache among them.
    """
    import torch

    # A Hugging Face model says what its one input is called, which metrics need to know.
    given = dict(inputs) if isinstance(inputs, Mapping) else {getattr(subject.model, "main_input_name", ""): inputs}
    given = {name: tensor for name, tensor in given.items() if tensor is not None}
    for name, tensor in given.items():
        if "past_key_values" in name or "cache" in name:
            raise InputError(f"the inputs hold a cache ({name}), made by the unablated model: leave it out.")
        if not isinstance(tensor, torch.Tensor) or not tensor.ndim:
            called = f" {name!r}" if name else ""
            raise InputError(f"the input{called} must be a tensor with rows first, not {type(tensor).__name__}.")
    counts = {name: len(tensor) for name, tensor in given.items()}
    if not counts or 0 in counts.values():
        raise InputError("there are no inputs: pass at least one row.")
    if len(set(counts.values())) > 1:
        raise InputError(f"the inputs have different numbers of rows: {counts}.")
    if len(next(iter(given.values()))) % per_input:
        raise InputError(f"this metric needs {per_input} rows for each input, but there are {counts} rows.")
    return Rows({name: tensor.to(subject.device) for name, tensor in given.items()}, per_input)
