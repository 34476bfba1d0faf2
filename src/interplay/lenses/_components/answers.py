"""Where a target goes after an input, and what the model's logits say of it there."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, TypeAlias

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._networks.batching import is_out_of_memory
from interplay._networks.behaviour import padding_of
from interplay._networks.evaluation import evaluating
from interplay._networks.readout import logits_of
from interplay.lenses._components.inputs import Bound, Inputs, Rows, Subject, is_texts, tensor_rows

Target: TypeAlias = str | int | Sequence[str | int]
"""A text, a token id or a label; or one of them for each input."""

_ENDLESS = 1 << 31  # no vocabulary is as large, and no tensor of ids could hold more


def bind_answers(subject: Subject, inputs: Inputs, targets: Sequence[Target], read: Callable[..., Any]) -> Bound:
    """Rows of every input with every target, and what ``read`` says of the logits where the target's tokens go.

    ``read(logits (B, K, V), ids (B, K), valid (B, K))`` returns one value a row.
    """
    import torch

    texts = is_texts(inputs)
    given = None if texts else tensor_rows(inputs, subject)
    count = len(inputs) if given is None else len(given)
    answers = [one for group in zip(*(_each(target, count) for target in targets), strict=True) for one in group]
    per_input = len(targets)
    same = next((one for one, *others in zip(*[iter(answers)] * per_input, strict=True) if one in others), None)
    if same is not None:
        raise InputError(f"the two answers of a margin are both {same!r}: give two that differ.")
    if given is not None:
        repeated = torch.arange(count).repeat_interleave(per_input)
        rows = Rows((given if per_input == 1 else given.take(repeated)).tensors, per_input)
        tokens, start = _behind_tensors(subject, rows, answers)
    else:
        asked = [text for text in inputs for _ in targets]
        rows, tokens, start = _behind_texts(subject, asked, answers, per_input)
    ids, valid = subject.padded(tokens)
    width = torch.arange(ids.shape[1], device=ids.device)
    places = None if start is None else torch.tensor(start, device=ids.device)[:, None] + width
    fed = rows.length(decoder=subject.seq2seq)
    if places is not None and fed is not None:
        places = places.clamp(max=fed - 1)  # behind a short target in the longest row: nothing that is read as valid

    def score(output: Any, index: Any) -> Any:
        logits = logits_of(output)
        if logits.ndim == 2:
            logits = logits.unsqueeze(1)
        elif places is not None:
            # A tuned prompt (PEFT) has positions of its own before those of the input.
            at = places[index].clamp(max=logits.shape[1] - 1) + (logits.shape[1] - (fed or logits.shape[1]))
            logits = logits[torch.arange(len(index), device=at.device).unsqueeze(1), at]
        else:
            raise InputError(
                f"the logits have shape {tuple(logits.shape)}, and at which position the target goes is not known: "
                "pass a function of the output as the metric."
            )
        return read_answers(logits, index)

    def read_answers(logits: Any, index: Any) -> Any:
        wrong = [one for one in (int(ids.max()), int(ids.min())) if not 0 <= one < logits.shape[-1]]
        if wrong:
            raise InputError(f"the target {wrong[0]} is beyond the model's {logits.shape[-1]} outputs.")
        return read(logits, ids[index], valid[index].bool())

    return Bound(rows, score, subject.model, places, None if places is None else read_answers)


def _behind_tensors(
    subject: Subject, rows: Rows, answers: Sequence[str | int]
) -> tuple[list[list[int]], list[int] | None]:
    """Each row's target as tokens, and where the first one is predicted; None for the only logits."""
    kind = subject.kind(rows)
    tokens = [_ids(subject, answer, labels=kind == "labels") for answer in answers]
    if any(len(ids) > 1 for ids in tokens):
        raise InputError("a target of several tokens needs texts as inputs: pass texts, or single token ids.")
    if kind == "mask":
        return tokens, _at_mask(subject, rows)
    if kind == "labels":
        _check_padding(subject, rows)
    return tokens, None if kind == "labels" or (kind is None and subject.config is not None) else _last(
        rows, subject.seq2seq
    )


def _behind_texts(
    subject: Subject, texts: Sequence[str], answers: Sequence[str | int], per_input: int
) -> tuple[Rows, list[list[int]], list[int] | None]:
    """Rows of texts with their targets behind them, the targets' tokens, and where the first one is predicted."""
    alone = [subject.tokens(text) for text in texts]
    kind = subject.kind(subject.rows(alone[:1], fits=False))
    if kind != "next":
        tokens = [_ids(subject, answer, labels=kind == "labels") for answer in answers]
        if kind == "mask" and any(len(ids) > 1 for ids in tokens):
            raise InputError("a mask stands for one token, but a target has several: choose targets of one token.")
        rows = subject.rows(alone, per_input)
        if kind == "labels":
            _check_padding(subject, rows)
        return rows, tokens, _at_mask(subject, rows) if kind == "mask" else None
    asks = subject.reader.each(texts, [(answer,) if isinstance(answer, int) else answer for answer in answers])
    tokens = [list(ask.ids[ask.start :]) for ask in asks]
    reads = [list(ask.ids[:-1]) for ask in asks]
    start = [ask.start - 1 for ask in asks]
    if not subject.seq2seq:
        return subject.rows(reads, per_input), tokens, start
    rows = subject.rows([list(ask.source or ()) for ask in asks], per_input, decoder_input_ids=reads)
    return rows, tokens, start


def _check_padding(subject: Subject, rows: Rows) -> None:
    """Refuse a classifier that takes one row at a time, as it does not know which token is padding."""
    if subject.config is None or padding_of(subject.model) is not None:
        return
    with evaluating(subject.model):
        try:
            rows.take([0, 0]).feed(subject.model)
        except Exception as error:
            if is_out_of_memory(error):
                return
            words = " ".join(str(error).split())[:300]
            raise InputError(
                f"{type(subject.model).__name__} cannot read two texts at once ({words}), and its configuration names "
                "no padding token: set model.config.pad_token_id, to a token that no text ends in."
            ) from error


def _at_mask(subject: Subject, rows: Rows) -> list[int]:
    """The position of each row's one mask token, where a masked language model says its answer."""
    mask = getattr(subject.tokenizer, "mask_token_id", None)
    if mask is None or "input_ids" not in rows.tensors:
        raise InputError(
            f"{type(subject.model).__name__} answers at a mask token, and which one that is is not known: pass a model "
            "with its tokenizer, or a function of the output as the metric."
        )
    here = rows.tensors["input_ids"] == mask
    counts = here.sum(1).tolist()
    if set(counts) != {1}:
        count = next(count for count in counts if count != 1)
        raise InputError(
            f"an input has {count} mask tokens, but a masked language model answers at exactly one: write "
            f"{subject.tokenizer.mask_token!r} where the target goes."
        )
    return list(here.int().argmax(1).tolist())


def _last(rows: Rows, decoder: bool) -> list[int] | None:
    """The position of each row's last token that is no padding."""
    import torch

    length = rows.length(decoder=decoder)
    if length is None:
        return None
    shape = (len(rows), length)
    mask = rows.valid(shape, decoder=decoder)
    if mask is None:
        return [length - 1] * len(rows)
    return list((mask * torch.arange(length, device=mask.device)).argmax(1).tolist())


def _each(target: Target, count: int) -> list[str | int]:
    if isinstance(target, str):
        return [target] * count
    try:
        try:
            return [_number(target)] * count
        except TypeError:
            if isinstance(target, (bytes, bytearray, memoryview, Mapping, Set)):
                raise
            targets = [one if isinstance(one, str) else _number(one) for one in target]  # type: ignore[union-attr]
    except TypeError:
        raise InputError(
            f"a target must be a text, a token id or a label, or a list of one for each input, not {target!r}."
        ) from None
    if len(targets) != count:
        raise InputError(f"there are {len(targets)} targets for {count} inputs: pass one for all, or one for each.")
    return targets


def _number(given: Any) -> int:
    if isinstance(given, bool):
        raise TypeError
    number = operator.index(given)
    if not 0 <= number < _ENDLESS:
        raise InputError(f"a target's token id or label is a whole number from 0 on that a model has, not {number}.")
    return number


def _ids(subject: Subject, answer: str | int, *, labels: bool) -> list[int]:
    if isinstance(answer, int):
        return [answer]
    if labels:
        known = getattr(subject.config, "label2id", None) or {}
        if answer not in known:
            raise unknown("label", answer, known)
        return [int(known[answer])]
    ids = subject.tokens(answer, special=False)
    if not ids:
        raise InputError(f"the target {answer!r} has no tokens: pass what the model could say.")
    return ids
