"""The response that a language model itself gives to a prompt."""

from __future__ import annotations

from typing import Any

from interplay._errors import InputError
from interplay.models._causal.continuation import Reader


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
    room = max_tokens if reader.window is None or opening else min(max_tokens, reader.window - len(ids))
    if room < 1:
        raise InputError(
            f"the prompt has {len(ids)} tokens, but the model's window is {reader.window}: there is no room for a "
            "response; shorten it."
        )
    ends = _numbers(model.generation_config.eos_token_id) | _numbers(getattr(tokenizer, "eos_token_id", None))
    read = torch.tensor([ids], device=model.device)
    greedy = {"do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None}
    # What a model's settings for generation do to its probabilities (Qwen's punish repetition) is no part of the
    # value: the log-probabilities that are measured know nothing of it.
    plain = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "min_length": 0}
    plain |= {"num_return_sequences": 1, "return_dict_in_generate": False}
    with torch.inference_mode():
        said = model.generate(
            read,
            attention_mask=torch.ones_like(read),
            max_new_tokens=room,
            eos_token_id=sorted(ends) or None,
            pad_token_id=min(ends, default=0),
            forced_eos_token_id=None,  # where the response is cut off it has not ended
            **greedy,
            **plain,
        )
    response: list[int] = said[0].tolist()[len(opening or ids) :]
    while response and response[-1] in ends:
        response.pop()
    if not response:
        raise InputError("the model's own response to the full prompt is empty: give a target.")
    return response


def _numbers(given: Any) -> set[int]:
    if given is None:
        return set()
    return {int(token) for token in given} if isinstance(given, (list, tuple)) else {int(given)}
