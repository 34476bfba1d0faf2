"""Score a picture and a text by what a vision-language model says after them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from interplay._errors import AblationError, InputError, InterplayError
from interplay._game.masks import Values
from interplay._networks.batching import is_out_of_memory
from interplay._networks.behaviour import head_of, unwrapped
from interplay._networks.continuation import Target
from interplay._networks.conversation import Conversation, is_picture
from interplay._networks.evaluation import evaluating
from interplay._networks.head import only
from interplay._networks.hub import Source, known_as
from interplay._networks.identity import model_identity
from interplay._networks.illustrated import Illustrated
from interplay._networks.readout import distributions
from interplay.models._causal.response import ends_of, plainly
from interplay.models._causal.target import checked, checked_pair
from interplay.models._scorer import Scorer

_TOKENS = 4096  # of a batch


@dataclass(frozen=True, eq=False)
class VisionLM:
    """A vision-language model such as LLaVA, Qwen-VL or SmolVLM: what it says of a picture and a text.

    >>> lm = ip.models.VisionLM.load("HuggingFaceTB/SmolVLM-256M-Instruct")          # doctest: +SKIP
    >>> game = ip.lenses.text(                                                       # doctest: +SKIP
    ...     lm.margin("Yes", "No"), "Is the dog on the sofa?", image=picture, grid=(4, 4))

    Parameters
    ----------
    model
        A Hugging Face model that takes pictures and has a language-modelling head. It is read in evaluation mode.
    processor
        Its processor, with a chat template: a prompt is the user's message, the picture before the text.

    Raises
    ------
    InputError
        For a model without a language-modelling head, or a processor without tokenizer or chat template.
    """

    model: Any = field(repr=False)
    processor: Any = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", unwrapped(self.model))
        if head_of(self.model) is None:
            raise InputError(f"{type(self.model).__name__} has no language-modelling head: load one that answers.")
        if getattr(self.processor, "tokenizer", None) is None:
            raise InputError("the processor has no tokenizer: pass the model's own, of transformers.AutoProcessor.")
        if not getattr(self.processor, "chat_template", None):
            raise InputError("the processor has no chat template, which says where the picture goes.")

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str | None = None,
        dtype: str | None = None,
        device_map: Any = None,
        quantization: Any = None,
        trust_remote_code: bool = False,
    ) -> VisionLM:
        """The vision-language model in the folder ``path``, or of that name on the hub; options as of `CausalLM`.

        Raises
        ------
        InputError
            Where there is no such model, device or dtype.
        MissingExtraError
            Without torch and transformers, or a package that an option needs.
        """
        source = Source.find(path, trust_remote_code=trust_remote_code)
        import transformers

        options = {"device": device, "dtype": dtype, "device_map": device_map, "quantization": quantization}
        model = source.model(transformers.AutoModelForImageTextToText, **options)
        try:
            processor = transformers.AutoProcessor.from_pretrained(source.path, trust_remote_code=trust_remote_code)
        except Exception as error:  # of each kind has its own needs, such as num2words or torchvision
            words = " ".join(str(error).split())[:300]
            raise InputError(f"cannot load the processor of {source.path!r}: {words}") from error
        return cls(model, processor)

    def logprob(self, target: Target | None = None, *, max_tokens: int = 64) -> Scorer:
        """A scorer of pictures with texts by the log-probability (nats) of ``target`` after them.

        The target begins the model's answer; left out, it is the model's own response to the whole picture and text,
        greedy, of at most ``max_tokens`` tokens.
        """
        if target is None:
            bind: Callable[[str], Scorer] = lambda prompt: self.logprob(self._response(prompt, max_tokens))  # noqa: E731
            return self._scorer(_unbound, "log-probability of the model's own response", None, bind=bind)
        given = checked(target)
        return self._scorer(
            lambda prompts: self._totals(prompts, [given])[:, 0], f"log-probability of {self._shown(given)}", [given]
        )

    def margin(self, a: Target, b: Target) -> Scorer:
        """A scorer by how much the log-probability (nats) of ``a`` exceeds that of ``b``."""
        targets = checked_pair(a, b)
        name = f"log-probability of {self._shown(targets[0])} minus that of {self._shown(targets[1])}"
        return self._scorer(lambda prompts: -np.diff(self._totals(prompts, targets), axis=1)[:, 0], name, targets)

    def respond(self, text: str, image: Any, *, max_tokens: int = 64) -> str:
        """The model's most likely answer to a text and a picture (H, W, C), greedy."""
        return self._decoded(self._response(Illustrated(text, image), max_tokens))

    def _scorer(
        self, score: Callable[[Sequence[str]], Any], name: str, targets: Sequence[Target] | None, **more: Any
    ) -> Scorer:
        tokenizer = self.processor.tokenizer
        return Scorer(
            partial(_seeing, score),
            name,
            identity=partial(self._identity, targets),
            mask_token=getattr(tokenizer, "mask_token", None),
            special_tokens=frozenset(tokenizer.all_special_tokens),
            model=known_as(self.model),
            sees=True,
            **more,
        )

    def _identity(self, targets: Sequence[Target] | None) -> dict[str, Any] | None:
        known = model_identity(self.model, self.processor.tokenizer)
        if known is None or targets is None:
            return None
        pictures: Any = getattr(self.processor, "image_processor", None)
        made = json.loads(pictures.to_json_string()) if hasattr(pictures, "to_json_string") else str(type(pictures))
        rendering = self._rendered("{prompt}")
        return {"score": "vision", "targets": list(targets), "chat": rendering, "pictures": made, "model": known}

    def _rendered(self, text: str) -> str:
        """What the model reads; a text by itself is the user's message, after the picture."""
        chat = text.chat if isinstance(text, Illustrated) else None
        if chat is None:
            content = [{"type": "image"}, {"type": "text", "text": text}]
            chat = Conversation([{"role": "user", "content": content}])
        ending = {"continue_final_message": True} if chat.is_begun else {"add_generation_prompt": True}
        tools = {"tools": list(chat.tools)} if chat.tools else {}
        try:
            return str(
                self.processor.apply_chat_template(
                    [*map(_in_parts, chat.messages)], tokenize=False, **ending, **tools, **chat.options
                )
            )
        except Exception as error:  # templates raise whatever their authors choose
            words = " ".join(str(error).split())[:300]
            raise InputError(f"the processor's chat template refuses a picture with a text: {words}") from error

    def _read(self, prompt: Illustrated) -> dict[str, Any]:
        """The model's inputs for a picture and a text, one row."""
        try:
            pictures = {"images": [prompt.image]} if _is_seen(prompt) else {}  # its message may be ablated
            made = self.processor(text=[self._rendered(prompt)], **pictures, return_tensors="pt")
        except InterplayError:
            raise
        except Exception as error:
            words = " ".join(str(error).split())[:300]
            raise InputError(
                f"the processor cannot read the picture of shape {np.shape(prompt.image)}: {words}"
            ) from error
        return dict(made)

    def _ids_after(self, prompt: str, target: Target) -> list[int]:
        """The target's tokens as they follow a prompt."""
        if not isinstance(target, str):
            return list(target)
        before = self._rendered(prompt)
        tokenizer = self.processor.tokenizer
        first, both = tokenizer([before, before + target], add_special_tokens=False, verbose=False)["input_ids"]
        if both[: len(first)] != first or len(both) == len(first):
            raise InputError(
                f"the target {target!r} starts inside a token, or has none: give a text that stands by itself."
            )
        return list(both[len(first) :])

    def _totals(self, prompts: Sequence[str], targets: Sequence[Target]) -> Values:
        """The log-probability (nats) of each target after each prompt, (N, A)."""
        rows = []
        for prompt in prompts:
            assert isinstance(prompt, Illustrated)
            read = self._read(prompt)
            rows += [_longer(read, self._ids_after(prompt, target)) for target in targets]
        found = np.empty(len(rows))
        for batch in _alike([row for row, _ in rows]):
            found[batch] = self._summed([rows[i] for i in batch])
        return found.reshape(len(prompts), len(targets))

    def _summed(self, batch: Sequence[tuple[dict[str, Any], list[int]]]) -> Values:
        """The log-probability of each row's last tokens, given all before; rows are of one length."""
        import torch

        inputs = {name: torch.cat([row[name] for row, _ in batch]).to(self.model.device) for name in batch[0][0]}
        width = inputs["input_ids"].shape[1]
        places = [(row, width - len(ids) + i - 1) for row, (_, ids) in enumerate(batch) for i in range(len(ids))]
        tokens = torch.tensor([token for _, ids in batch for token in ids], device=self.model.device)
        dtype = next(self.model.parameters()).dtype
        inputs = {name: one.to(dtype) if one.is_floating_point() else one for name, one in inputs.items()}
        with evaluating(self.model), torch.inference_mode():
            try:
                with only(self.model, [row for row, _ in places], [place for _, place in places], width) as head:
                    said = distributions(head.of(self.model(**inputs, use_cache=False).logits))
            except Exception as error:
                if len(batch) > 1 and is_out_of_memory(error):
                    return np.concatenate([self._summed([one]) for one in batch])
                words = " ".join(str(error).split())[:300]
                what = (
                    f"{type(self.model).__name__} cannot read a picture with a text ({type(error).__name__}: {words})."
                )
                raise AblationError(what) from error
        values = said.gather(1, tokens[:, None])[:, 0].double().cpu().numpy()
        return np.array([part.sum() for part in np.split(values, np.cumsum([len(ids) for _, ids in batch])[:-1])])

    def _response(self, prompt: str, max_tokens: int) -> tuple[int, ...]:
        import torch

        (seen,) = _pictures([prompt])
        inputs = {name: one.to(self.model.device) for name, one in self._read(seen).items()}
        ends = ends_of(self.model, self.processor.tokenizer)
        with evaluating(self.model), torch.inference_mode(), plainly(self.model, ends):
            said = self.model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)
        ids = [int(token) for token in said[0, inputs["input_ids"].shape[1] :].tolist()]
        while ids and ids[-1] in ends:
            ids.pop()
        if not ids:
            raise InputError("the model's own response to the whole picture and text is empty: give a target.")
        return tuple(ids)

    def _shown(self, target: Target) -> str:
        return repr(target if isinstance(target, str) else self._decoded(target))

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self.processor.tokenizer.decode(list(ids), skip_special_tokens=False))


def _is_seen(prompt: Illustrated) -> bool:
    """Whether the picture is anywhere in the prompt."""
    if prompt.chat is None:
        return True
    contents = [message.get("content") for message in prompt.chat.messages]
    return any(is_picture(part) for content in contents if isinstance(content, (list, tuple)) for part in content)


def _in_parts(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as processors' templates take them: its content a list of parts, a picture's without the picture."""
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    return {**message, "content": [{"type": "image"} if is_picture(part) else part for part in parts]}


def _seeing(score: Callable[[Sequence[str]], Any], prompts: Sequence[str]) -> Any:
    return score(_pictures(prompts))


def _pictures(prompts: Sequence[str]) -> list[Illustrated]:
    for prompt in prompts:
        if not isinstance(prompt, Illustrated):
            raise InputError("a vision-language model needs a picture, too: pass image= to ip.lenses.text or chat.")
    return [prompt for prompt in prompts if isinstance(prompt, Illustrated)]


def _unbound(_prompts: Sequence[str]) -> Values:
    raise InputError(
        "this scorer's target is the model's own response to the whole picture and text, which only a lens knows: pass "
        "the scorer to ip.lenses.text or ip.lenses.chat with image=."
    )


def _longer(read: dict[str, Any], ids: list[int]) -> tuple[dict[str, Any], list[int]]:
    """Inputs with more tokens at the end, which are text and attended to, and these tokens."""
    import torch

    shape = read["input_ids"].shape
    made = {}
    for name, one in read.items():
        if one.shape != shape:
            made[name] = one
            continue
        more = ids if name == "input_ids" else [int(name == "attention_mask")] * len(ids)
        made[name] = torch.cat([one, torch.tensor([more], dtype=one.dtype)], dim=1)
    return made, ids


def _alike(rows: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Numbers of rows that may be read together without padding: of one length, with pictures of one shape."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(tuple((name, tuple(one.shape)) for name, one in row.items()), []).append(i)
    batches = []
    for group in groups.values():
        most = max(1, _TOKENS // rows[group[0]]["input_ids"].shape[1])
        batches += [group[start : start + most] for start in range(0, len(group), most)]
    return batches
