"""A language model in vLLM's offline engine: many prompts at once on a GPU, or on several for one model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from interplay._checks import check_whole
from interplay._errors import AblationError, InputError, MissingExtraError
from interplay._game.masks import Values
from interplay._networks.continuation import Ask, Reader, Target
from interplay._networks.readout import LOGPROB, MARGIN
from interplay.models._answer_book import Answer
from interplay.models._causal.choice import ChoiceScore, Scale
from interplay.models._causal.target import Per, TargetScore, checked, checked_pair
from interplay.models._causal.writing import check_writing
from interplay.models._scorer import Scorer


@dataclass(frozen=True, eq=False)
class VLLM:
    """A language model in vLLM's engine, inside this process: no server, one batch for all prompts of a call.

    The engine is loaded when it is first needed, so that a game of it can be sent to workers, each of which loads its
    own: ``ip.executors.ray(workers=4, gpus=1)``. vLLM computes prompts together as they come, in the model's own
    precision: the same prompt may give slightly other values beside others (docs/servers.md).

    >>> lm = ip.models.VLLM("Qwen/Qwen2.5-7B-Instruct", chat=True)                       # doctest: +SKIP
    >>> game = ip.lenses.text(lm.margin("yes", "no"), "Is water wet? Say yes or no.")     # doctest: +SKIP

    Parameters
    ----------
    model
        A folder or the name of a model on the hub, as vLLM takes it.
    tensor_parallel
        Over how many GPUs each layer is split.
    chat
        Whether a prompt is a user's message in the tokenizer's chat template.
    system
        The chat's system message.
    prefix_caching
        Whether vLLM keeps what prompts have in common. It serves `write`; recent versions do not read the cache where
        prompt log-probabilities are asked for, as scores do.
    options
        Others of ``vllm.LLM``, by name: ``dtype``, ``quantization``, ``max_model_len``, ``gpu_memory_utilization``, ...

    Raises
    ------
    InputError
        For a ``tensor_parallel`` below 1, or a system message without a chat.
    MissingExtraError
        Without vLLM, when the engine is first needed.
    """

    model: str | os.PathLike[str]
    tensor_parallel: int = 1
    chat: bool = False
    system: str | None = None
    prefix_caching: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_whole("tensor_parallel", self.tensor_parallel, 1)
        if self.system is not None and not self.chat:
            raise InputError("a system message needs chat=True: without it, write it into the prompt.")

    def __reduce__(self) -> tuple[Any, ...]:  # without the engine, which another process loads for itself
        return (
            VLLM,
            (self.model, self.tensor_parallel, self.chat, self.system, self.prefix_caching, dict(self.options)),
        )

    @cached_property
    def engine(self) -> Any:
        """The ``vllm.LLM``."""
        return _library().LLM(
            model=os.fspath(self.model),
            tensor_parallel_size=self.tensor_parallel,
            enable_prefix_caching=self.prefix_caching,
            **self.options,
        )

    @cached_property
    def reader(self) -> Reader:
        """What turns prompts and targets into tokens."""
        tokenizer = self.engine.get_tokenizer()
        if self.chat and not getattr(tokenizer, "chat_template", None):
            raise InputError("this tokenizer has no chat template: leave out chat=True, and write the prompt in full.")
        config = getattr(self.engine.llm_engine, "model_config", None)
        longest = getattr(config, "max_model_len", None)
        # One token is always generated: vLLM takes no prompt without any.
        return Reader(tokenizer, None, None if longest is None else int(longest) - 1, self.chat, self.system)

    def logprob(self, target: Target, *, per: Per | None = None) -> Scorer:
        """A scorer of prompts by the log-probability (nats) of ``target`` after them, as `CausalLM.logprob`."""
        given = checked(target)
        score = TargetScore(self.reader, self._likelihood, (given,), LOGPROB, per)
        name = f"log-probability of {self._shown(given)}" + (f", {per} by {per}" if per else "")
        return self._scorer(score, name, bind=partial(self._split, score, name) if per else None)

    def margin(self, a: Target, b: Target) -> Scorer:
        """A scorer of prompts by how much the log-probability (nats) of ``a`` exceeds that of ``b``."""
        targets = checked_pair(a, b)
        name = f"log-probability of {self._shown(targets[0])} minus that of {self._shown(targets[1])}"
        return self._scorer(TargetScore(self.reader, self._likelihood, targets, MARGIN), name)

    def choice(self, answers: Mapping[str, Sequence[str] | str], *, scale: Scale = "log-odds") -> Scorer:
        """A scorer of prompts by which of some answers the model chooses, as `CausalLM.choice`."""
        score = ChoiceScore.of(self.reader, self._likelihood, answers, scale)
        return self._scorer(score, score.name, outputs=score.outputs)

    def write(
        self, prompts: Sequence[str], *, max_tokens: int = 64, temperature: float = 0.0, samples: int = 1
    ) -> list[tuple[Answer, ...]]:
        """The model's answers to each prompt: the likeliest one, or ``samples`` drawn at a ``temperature``."""
        check_writing(max_tokens, temperature, samples)
        parameters = _library().SamplingParams(n=samples, max_tokens=max_tokens, temperature=temperature)
        asked = [{"prompt_token_ids": self.reader.prompt(prompt)} for prompt in prompts]
        found = self.engine.generate(asked, parameters, use_tqdm=False) if asked else []
        return [tuple(Answer(one.text, tuple(one.token_ids)) for one in each.outputs) for each in found]

    def known(self) -> dict[str, Any]:
        """What identifies the model, as far as its name, its files and vLLM's options tell."""
        folder = Path(self.model)
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        held = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]
        options = {name: str(value) for name, value in sorted(self.options.items())}
        spoken = {"chat": self.reader.rendering}
        return {"vllm": os.fspath(self.model), "files": held, "options": options} | spoken

    def _likelihood(self, asks: Sequence[Ask]) -> list[Values]:
        """The log-probabilities (nats) of each ask's tokens, each (K,); each distinct text goes to the engine once."""
        if any(ask.hidden for ask in asks):
            raise InputError("vLLM hides no words from attention: choose another ablate.")
        distinct = {ids: number for number, ids in enumerate(dict.fromkeys(ask.ids for ask in asks))}
        if not distinct:
            return []
        parameters = _library().SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
        outputs = self.engine.generate(
            [{"prompt_token_ids": list(ids)} for ids in distinct], parameters, use_tqdm=False
        )
        values = [_logprobs(output, ids) for output, ids in zip(outputs, distinct, strict=True)]
        return [values[distinct[ask.ids]][ask.start - 1 :] for ask in asks]

    def _split(self, score: TargetScore, name: str, prompt: str) -> Scorer:
        """The scorer whose outputs are the target's tokens or sentences as they are after ``prompt``."""
        ask = self.reader.asks([prompt], score.targets)[0][0]
        names = score.outputs(ask.ids[ask.start :])
        numbered = [name if names.count(name) == 1 else f"{name} ({at})" for at, name in enumerate(names, start=1)]
        return self._scorer(score, name, outputs=tuple(numbered))

    def _scorer(self, score: TargetScore | ChoiceScore, name: str, **more: Any) -> Scorer:
        tokenizer = self.reader.tokenizer
        return Scorer(
            score,
            name,
            identity=lambda: score.identity() | self.known(),
            mask_token=getattr(tokenizer, "mask_token", None),
            special_tokens=frozenset(tokenizer.all_special_tokens),
            model=Path(os.fspath(self.model)).name,
            **more,
        )

    def _shown(self, target: Target) -> str:
        return repr(target if isinstance(target, str) else self.reader.decoded(target))


def _logprobs(output: Any, ids: tuple[int, ...]) -> Values:
    """The log-probability of each token of ``ids`` but the first, given those before it."""
    if list(output.prompt_token_ids) != list(ids):
        raise AblationError(
            f"vLLM read {len(output.prompt_token_ids)} tokens of a prompt of {len(ids)}: it changes what it is given."
        )
    found = output.prompt_logprobs or []
    if len(found) != len(ids):
        raise AblationError(
            f"vLLM gave log-probabilities of {len(found)} of {len(ids)} tokens: leave out options that cut them."
        )
    return np.array([place[token].logprob for place, token in zip(found[1:], ids[1:], strict=True)], dtype=np.float64)


def _library() -> Any:
    try:
        import vllm
    except ImportError as error:
        raise MissingExtraError.of("vLLM", "vllm") from error
    return vllm
