"""The response that a language model itself gives to a prompt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from interplay._errors import AblationError, InputError
from interplay._networks.continuation import Reader
from interplay._networks.evaluation import evaluating


def respond(model: Any, tokenizer: Any, reader: Reader, prompt: str, max_tokens: int) -> list[int]:
    """The token ids of the model's most likely answer, one token after another, without the one that ends it.

    Raises
    ------
    InputError
        Where the prompt leaves no room in the window, or the answer is empty.
    """
    import torch

    ids = reader.prompt(prompt)
    opening = reader.opening
    room = room_for(reader, ids, max_tokens)
    ends = ends_of(model, tokenizer)
    read = torch.tensor([ids], device=model.device)
    begin = {} if opening is None else {"decoder_input_ids": torch.tensor([opening], device=model.device)}
    with evaluating(model), torch.inference_mode(), plainly(model, ends):
        try:
            said = model.generate(
                input_ids=read, attention_mask=torch.ones_like(read), max_new_tokens=room, do_sample=False, **begin
            )
        except Exception as error:
            words = " ".join(str(error).split())[:300]
            raise AblationError(
                f"{type(model).__name__} cannot write a response ({type(error).__name__}: {words}): give a target."
            ) from error
    response: list[int] = said[0].tolist()[len(opening or ids) :]
    while response and response[-1] in ends:
        response.pop()
    if not response:
        raise InputError("the model's own response to the full prompt is empty: give a target.")
    return response


def room_for(reader: Reader, ids: list[int], most: int) -> int:
    """How many tokens, ``most`` at most, the window leaves for an answer to a prompt of these."""
    room = most if reader.window is None or reader.opening else min(most, reader.window - len(ids))
    if room < 1:
        raise InputError(
            f"the prompt has {len(ids)} tokens, but the model's window is {reader.window}: there is no room for a "
            "response; shorten it."
        )
    return room


def ends_of(model: Any, tokenizer: Any) -> set[int]:
    """The tokens that end an answer."""
    return _numbers(model.generation_config.eos_token_id) | _numbers(getattr(tokenizer, "eos_token_id", None))


@contextlib.contextmanager
def plainly(model: Any, ends: set[int]) -> Iterator[None]:
    """The model without settings of its own for generation, but for which tokens end it.

    What they do to its probabilities (suppress tokens, punish repetition, force an end) is no part of the value: the
    log-probabilities that are measured know nothing of it. Arguments would not do, as what they leave open is taken
    from the model.
    """
    from transformers import GenerationConfig

    owners = [module for module in model.modules() if "generation_config" in vars(module)]  # PEFT's wrappers, too
    own = [owner.generation_config for owner in owners]
    plain = GenerationConfig(eos_token_id=sorted(ends) or None, pad_token_id=min(ends, default=0))
    plain.bos_token_id = model.generation_config.bos_token_id
    plain.decoder_start_token_id = model.generation_config.decoder_start_token_id
    for owner in owners:
        owner.generation_config = plain
    try:
        yield
    finally:
        for owner, settings in zip(owners, own, strict=True):
            owner.generation_config = settings


def _numbers(given: Any) -> set[int]:
    if given is None:
        return set()
    return {int(token) for token in given} if isinstance(given, (list, tuple)) else {int(given)}
