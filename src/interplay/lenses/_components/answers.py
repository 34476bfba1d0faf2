"""Where a target goes after an input, and what the model's logits say of it there."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from interplay._checks import unknown
from interplay._errors import InputError
from interplay.lenses._components.inputs import Bound, Inputs, Rows, Subject, is_texts, tensor_rows

Target: TypeAlias = str | int | Sequence[str | int]
"""A text, a token id or a label; or one of them for each input."""


def bind_answers(subject: Subject, inputs: Inputs, targets: Sequence[Target], read: Callable[..., Any]) -> Bound:
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
        if subject.fills_masks:
            start = _at_mask(subject, rows)
        elif not subject.classifies:
            start = _last(rows, decoder)
    else:
        continues = not (decoder or subject.classifies or subject.fills_masks)
        read_prompt = subject.prompt if continues else subject.tokens
        prompts = [read_prompt(text) for text in inputs for _ in targets]
        if subject.fills_masks:
            if any(len(ids) > 1 for ids in tokens):
                raise InputError("a mask stands for one token, but a target has several: choose targets of one token.")
            rows = subject.rows(prompts, per_input)
            start = _at_mask(subject, rows)
        elif subject.classifies:
            rows = subject.rows(prompts, per_input)
        elif decoder:
            first = subject.model.config.decoder_start_token_id
            first = subject.model.config.pad_token_id if first is None else first
            rows = subject.rows(prompts, per_input, decoder_input_ids=[[first, *ids[:-1]] for ids in tokens])
            start = [0] * len(tokens)
        else:
            asked = [text for text in inputs for _ in targets]
            tokens = [subject.continuation(*one) for one in zip(asked, answers, tokens, strict=True)]
            rows = subject.rows([p + ids[:-1] for p, ids in zip(prompts, tokens, strict=True)], per_input)
            start = [len(p) - 1 for p in prompts]
    ids, valid = subject.padded(tokens)
    width = torch.arange(ids.shape[1], device=ids.device)
    places = None if start is None else torch.tensor(start, device=ids.device)[:, None] + width

    def score(output: Any, index: Any) -> Any:
        logits = logits_of(output)
        if logits.ndim == 2:
            logits = logits.unsqueeze(1)
        elif places is not None:
            at = places[index].clamp(max=logits.shape[1] - 1)
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
        return read(logits.float(), ids[index], valid[index].bool())

    return Bound(rows, score, subject.model, places, None if places is None else read_answers)


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

    names = ("decoder_input_ids", "decoder_inputs_embeds") if decoder else ("input_ids", "inputs_embeds")
    name = next((name for name in names if name in rows.tensors), None)
    if name is None or rows.tensors[name].ndim < 2:
        return None
    shape = rows.tensors[name].shape[:2]
    mask = rows.valid(shape, decoder=decoder)
    if mask is None:
        return [shape[1] - 1] * shape[0]
    return list((mask * torch.arange(shape[1], device=mask.device)).argmax(1).tolist())


def _each(target: Target, count: int) -> list[str | int]:
    if isinstance(target, str):
        return [target] * count
    try:
        try:
            return [operator.index(target)] * count  # type: ignore[arg-type]
        except TypeError:
            targets = [one if isinstance(one, str) else operator.index(one) for one in target]  # type: ignore[union-attr]
    except TypeError:
        raise InputError(
            f"a target must be a text, a token id or a label, or a list of one for each input, not {target!r}."
        ) from None
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


def logits_of(output: Any) -> Any:
    import torch

    logits = output if isinstance(output, torch.Tensor) else getattr(output, "logits", None)
    if logits is None:
        raise InputError(
            f"{type(output).__name__} has no logits: load the model with a language-model or classification head, "
            "or choose another metric."
        )
    return logits
