"""What a language model writes after prompts: its likeliest answers, or several drawn at a temperature."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from interplay._errors import AblationError, InputError
from interplay._networks.continuation import Reader
from interplay._networks.evaluation import evaluating
from interplay.models._causal.response import ends_of, plainly, room_for

_TOGETHER = 16  # prompts in one batch: each step of writing waits for the longest


def write(
    model: Any,
    tokenizer: Any,
    reader: Reader,
    prompts: Sequence[str],
    *,
    max_tokens: int,
    temperature: float = 0.0,
    samples: int = 1,
    seeds: Sequence[int] = (),
) -> list[list[list[int]]]:
    """For each prompt the token ids of its answers, without the token that ends them; an answer may be empty.

    At temperature 0 there is one answer, the likeliest, and prompts are read together, padded on the left. Otherwise
    ``samples`` are drawn, for each prompt from a seed of its own, so that they do not depend on the others.

    Raises
    ------
    InputError
        Where a prompt leaves no room in the window.
    AblationError
        Where the model cannot write.
    """
    import torch

    read = [reader.prompt(prompt) for prompt in prompts]
    ends = ends_of(model, tokenizer)
    found: list[list[list[int]]] = [[] for _ in read]
    rooms = [room_for(reader, ids, max_tokens) for ids in read]
    alone = temperature > 0 or reader.opening is not None
    with evaluating(model), torch.inference_mode(), plainly(model, ends):
        for batch in _batches(read, rooms, 1 if alone else _TOGETHER):
            options: dict[str, Any] = {"max_new_tokens": rooms[batch[0]], "do_sample": temperature > 0}
            if temperature > 0:  # every other setting of a draw as the probabilities have it
                options |= {"temperature": temperature, "top_k": 0, "top_p": 1.0, "num_return_sequences": samples}
            if reader.opening is not None:
                options["decoder_input_ids"] = torch.tensor([reader.opening], device=model.device)
            ids, mask = _left_padded([read[i] for i in batch], min(ends, default=0), model.device)
            with _drawn_from(seeds[batch[0]] if temperature > 0 else None, model.device):
                said = _generated(model, ids, mask, options)
            begin = ids.shape[1] if reader.opening is None else len(reader.opening)
            each = len(said) // len(batch)
            for row, tokens in enumerate(said[:, begin:].tolist()):
                found[batch[row // each]].append(_ended(tokens, ends))
    return found


def _batches(read: Sequence[list[int]], rooms: Sequence[int], most: int) -> Iterator[list[int]]:
    """Numbers of prompts that are read together, neighbours in length, with the same room for an answer."""
    order = sorted(range(len(read)), key=lambda i: (rooms[i], len(read[i])))
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) == most or rooms[i] != rooms[batch[0]]):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _left_padded(rows: Sequence[list[int]], filler: int, device: Any) -> tuple[Any, Any]:
    import torch

    width = max(map(len, rows))
    ids = [[filler] * (width - len(row)) + row for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _generated(model: Any, ids: Any, mask: Any, options: dict[str, Any]) -> Any:
    try:
        return model.generate(input_ids=ids, attention_mask=mask, **options)
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise AblationError(
            f"{type(model).__name__} cannot write an answer ({type(error).__name__}: {words})."
        ) from error


def _ended(tokens: list[int], ends: set[int]) -> list[int]:
    """The tokens before the one that ends the answer; rows that ended early are filled with such."""
    for place, token in enumerate(tokens):
        if token in ends:
            return tokens[:place]
    return tokens


@contextlib.contextmanager
def _drawn_from(seed: int | None, device: Any) -> Iterator[None]:
    """Draws from a seed of their own; the generators of the user's program stay as they are."""
    if seed is None:
        yield
        return
    import torch

    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def check_writing(max_tokens: int, temperature: float, samples: int) -> None:
    """An `InputError` for what cannot be asked of any model."""
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:
        raise InputError(f"max_tokens must be a whole number of at least 1, not {max_tokens!r}.")
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not 0 <= temperature < 100:
        raise InputError(f"temperature must be a number from 0 (the likeliest answer) up, not {temperature!r}.")
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise InputError(f"samples must be a whole number of at least 1, not {samples!r}.")
    if samples > 1 and temperature == 0:
        raise InputError(f"{samples} samples at temperature 0 are all the same answer: pass a temperature.")
