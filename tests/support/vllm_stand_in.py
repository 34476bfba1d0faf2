"""A stand-in for the package vLLM, which needs a GPU: its offline engine's calls, answered by transformers on a CPU.

`LLM`, `SamplingParams` and what `generate` returns take and give what vLLM's own do, as far as interplay uses them;
anything else is refused. Nothing here tells how fast vLLM is, or how its numbers differ between batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


@dataclass
class SamplingParams:
    n: int = 1
    max_tokens: int = 16
    temperature: float = 1.0
    prompt_logprobs: int | None = None


@dataclass
class Logprob:
    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class CompletionOutput:
    text: str
    token_ids: tuple[int, ...]


@dataclass
class RequestOutput:
    prompt_token_ids: list[int]
    prompt_logprobs: list[dict[int, Logprob] | None] | None
    outputs: list[CompletionOutput] = field(default_factory=list)


class LLM:
    loaded = 0

    def __init__(
        self,
        model: str,
        *,
        tensor_parallel_size: int = 1,
        dtype: str = "auto",
        max_model_len: int | None = None,
        enable_prefix_caching: bool | None = None,
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        LLM.loaded += 1
        self.asked: list[int] = []  # prompts of each call
        self.options = (tensor_parallel_size, dtype, enable_prefix_caching)
        self.model = AutoModelForCausalLM.from_pretrained(model, local_files_only=True).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        longest = max_model_len or self.model.config.max_position_embeddings
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=longest))

    def get_tokenizer(self) -> Any:
        return self.tokenizer

    def generate(
        self, prompts: Sequence[dict[str, list[int]]], sampling_params: SamplingParams, *, use_tqdm: bool = True
    ) -> list[RequestOutput]:
        import torch

        self.asked.append(len(prompts))
        found = []
        for prompt in prompts:
            ids = torch.tensor([prompt["prompt_token_ids"]])
            if ids.shape[1] + sampling_params.max_tokens > self.llm_engine.model_config.max_model_len:
                raise ValueError("the prompt is longer than max_model_len")
            with torch.inference_mode():
                logits = self.model(ids).logits[0].double().log_softmax(dim=-1)
                written = self.model.generate(ids, max_new_tokens=sampling_params.max_tokens, do_sample=False)
            places: list[dict[int, Logprob] | None] | None = None
            if sampling_params.prompt_logprobs is not None:
                tokens = ids[0].tolist()
                places = [None]
                places += [{token: Logprob(float(logits[at, token]))} for at, token in enumerate(tokens[1:])]
            new = tuple(written[0, ids.shape[1] :].tolist())
            answer = CompletionOutput(self.tokenizer.decode(new, skip_special_tokens=True), new)
            found.append(RequestOutput(ids[0].tolist(), places, [answer] * sampling_params.n))
        return found
