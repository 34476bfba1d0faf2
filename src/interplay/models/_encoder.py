"""Score texts with a Hugging Face encoder: similarity to a reference text, or a label's logit."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from interplay._checks import check_unicode, unknown
from interplay._errors import AblationError, InputError, InterplayError
from interplay._game.masks import Values
from interplay._networks.behaviour import config_of, embedder_of, kind_of, padding_of, unwrapped
from interplay._networks.evaluation import evaluating
from interplay._networks.hub import Source, known_as, require_torch
from interplay._networks.identity import model_identity
from interplay._networks.readout import check_pooling, pooled
from interplay.models._scorer import Scorer
from interplay.models._sentence_folder import stated


@dataclass(frozen=True, eq=False)
class Encoder:
    """A text encoder such as MiniLM, BERT or RoBERTa, with or without a classification head.

    Parameters
    ----------
    model
        A Hugging Face ``PreTrainedModel``, with or without PEFT's adapters, compiled or not. It is read in evaluation
        mode, as it is at each call, and left as it was.
    tokenizer
        Its tokenizer.
    pooling
        How token vectors become one: "mean" over tokens, "cls", the first, "last", "max", "weighted", a mean in which
        the k-th token counts k times, or "mean_sqrt"; several joined by "+" are put one behind the other.
    truncate
        Whether texts longer than the window are cut to it; otherwise they are an error.
    batch_size
        Texts per forward pass.
    prefix
        What is put before every text, such as "query: " for models trained so.
    lowercase
        Whether texts are put into lower case.
    max_length
        The most tokens that the model was made to read, where that is less than it could.
    """

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    pooling: str = "mean"
    truncate: bool = False
    batch_size: int = 64
    prefix: str = ""
    lowercase: bool = False
    max_length: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", unwrapped(self.model))
        check_pooling(self.pooling)

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
        truncate: bool = False,
        batch_size: int = 64,
    ) -> Encoder:
        """The encoder in the folder ``path``, or of that name on the hub.

        A sentence-transformers folder is read as it states: its pooling, its longest text, its prompt.

        Parameters
        ----------
        path
            Folder of a saved model, or a hub name.
        device
            "cpu", "cuda", "cuda:1", ...; a GPU where there is one when left out.
        dtype
            "float32", "bfloat16" or "float16"; as saved when left out.
        device_map
            How to spread the model over several devices, as transformers takes it: "auto", or devices by module.
        quantization
            "8bit" or "4bit" (bitsandbytes, on a GPU), or a quantization configuration of transformers.
        trust_remote_code
            Whether to run Python files that come with the model.
        truncate, batch_size
            See `Encoder`.

        Raises
        ------
        InputError
            Where there is no such model, device or dtype, or the folder states what an encoder has not.
        MissingExtraError
            Without torch and transformers, or a package that an option needs.
        """
        source = Source.find(path, trust_remote_code=trust_remote_code)
        import transformers

        tokenizer = source.tokenizer()
        said = stated(source)
        classifies = any(name.endswith("ForSequenceClassification") for name in source.config().architectures or ())
        loader = transformers.AutoModelForSequenceClassification if classifies else transformers.AutoModel
        model = source.model(
            loader,
            device=device,
            dtype=dtype,
            device_map=device_map,
            quantization=quantization,
            spare=None if classifies else "pooler",
        )
        return cls(model, tokenizer, said.pooling, truncate, batch_size, said.prefix, said.lowercase, said.max_length)

    @property
    def window(self) -> int:
        """How many tokens the model takes, special tokens included."""
        config = config_of(self.model)
        positions = getattr(config, "max_position_embeddings", None) or 1 << 30
        if "roberta" in config.model_type or config.model_type in ("camembert", "mpnet", "longformer"):
            positions -= (config.pad_token_id or 0) + 1  # these count positions from after the padding id
        return int(min(positions, self.tokenizer.model_max_length, self.max_length or positions))

    def prepared(self, text: str) -> str:
        """The text as the tokenizer gets it."""
        whole = self.prefix + text
        return whole.lower() if self.lowercase else whole

    def embed(self, texts: Sequence[str]) -> Values:
        """Unit-length embeddings (N, d) of texts, in float64."""
        torch = require_torch()
        base = embedder_of(self.model)

        def vectors(tokens: Any) -> Any:
            states = base(**tokens)[0]
            found = pooled(states, tokens["attention_mask"], self.pooling)
            return torch.nn.functional.normalize(found.double(), dim=-1)

        return self._forward(texts, vectors)

    def similarity(self, text: str) -> Scorer:
        """A scorer of texts by the cosine of their embedding with that of ``text``, in [-1, 1]."""
        if not isinstance(text, str):
            raise InputError(f"the reference must be a string, not {type(text).__name__}.")
        if not text.strip():
            raise InputError("the reference text is empty: pass what the texts are to be compared with.")

        def score(texts: Sequence[str]) -> Values:
            # The reference each time, as the model may have changed since the last one.
            *vectors, reference = self.embed([*texts, text])
            return np.array([vector @ reference for vector in vectors])

        self._encode([text])
        parts = {"score": "similarity", "reference": text, "pooling": self.pooling}
        return self._scorer(score, f"cosine similarity to {text!r}", parts)

    def label(self, name: str | int | Sequence[str | int]) -> Scorer:
        """A scorer of texts by a label's logit, or by T labels' logits at once.

        Raises
        ------
        InputError
            For a label that the model does not have, or a model without a classification head.
        """
        names = self.labels
        single = isinstance(name, str) or hasattr(name, "__index__")
        several = isinstance(name, Sequence) and not isinstance(name, (str, bytes))
        chosen: list[Any] = list(name) if several else [name]  # type: ignore[arg-type]
        rows = [self._label_row(label, names) for label in chosen]
        words = ", ".join(repr(names[row]) for row in rows)
        outputs = None if single else tuple(names[row] for row in rows)

        def score(texts: Sequence[str]) -> Values:
            logits = self._logits(texts)[:, rows]
            return logits[:, 0] if single else logits

        return self._scorer(score, f"logit of {words}", {"score": "label", "rows": rows}, outputs)

    def margin(self, a: str | int, b: str | int) -> Scorer:
        """A scorer of texts by how much the log-probability (nats) of label ``a`` exceeds that of ``b``.

        Raises
        ------
        InputError
            As of `label`, or for one label given twice.
        """
        names = self.labels
        one, other = self._label_row(a, names), self._label_row(b, names)
        if one == other:
            raise InputError(f"the two labels of a margin are both {names[one]!r}: give two that differ.")

        def score(texts: Sequence[str]) -> Values:
            logits = self._logits(texts)
            return np.asarray(logits[:, one] - logits[:, other])

        name = f"log-probability of {names[one]!r} minus that of {names[other]!r}"
        return self._scorer(score, name, {"score": "margin", "rows": [one, other]})

    @property
    def labels(self) -> tuple[str, ...]:
        """The classification head's labels."""
        if not self._classifies:
            raise InputError(
                f"{type(self.model).__name__} has no classification head, so it has no labels: use "
                "similarity(text), or load a model saved as ...ForSequenceClassification."
            )
        config = config_of(self.model)
        return tuple(str(config.id2label[i]) for i in range(config.num_labels))

    @cached_property
    def _classifies(self) -> bool:
        torch = require_torch()
        ids = torch.tensor(self._encode(["a"]), device=self.model.device)
        try:
            with evaluating(self.model):
                return kind_of(self.model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}) == "labels"
        except InputError:  # it returns no logits
            return False

    @staticmethod
    def _label_row(label: Any, names: tuple[str, ...]) -> int:
        if isinstance(label, str):
            if label not in names:
                raise unknown("label", label, names)
            return names.index(label)
        if isinstance(label, bool) or not hasattr(label, "__index__"):
            raise InputError(f"a label must be its name or its number, not {label!r}.")
        row = operator.index(label)
        if not 0 <= row < len(names):
            raise InputError(f"there is no label {row}: there are {len(names)}, counted from 0.")
        return row

    def _logits(self, texts: Sequence[str]) -> Values:
        # A decoder looks for the last token that is no padding: where it knows none, it takes one text at a time.
        alone = padding_of(self.model) is None
        return self._forward(texts, lambda tokens: self.model(**tokens).logits.double(), alone=alone)

    def _scorer(self, score: Any, name: str, target: dict[str, Any], outputs: tuple[str, ...] | None = None) -> Scorer:
        fast = getattr(self.tokenizer, "is_fast", False)
        return Scorer(
            score,
            name,
            identity=lambda: self._identity(target),
            outputs=outputs,
            token_spans=self._token_spans if fast else None,
            mask_token=self.tokenizer.mask_token,
            special_tokens=frozenset(self.tokenizer.all_special_tokens),
            check=self._check,
            batch_size=self.batch_size,
            model=known_as(self.model),
        )

    def _identity(self, target: dict[str, Any]) -> dict[str, Any] | None:
        known = model_identity(self.model, self.tokenizer)
        read = {"window": self.window, "truncate": self.truncate, "prefix": self.prefix, "lowercase": self.lowercase}
        return None if known is None else target | read | {"model": known}

    def _token_spans(self, text: str) -> list[tuple[int, int]]:
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return [(int(start), int(end)) for start, end in encoded["offset_mapping"] if end > start]

    def _check(self, text: str) -> tuple[str, ...]:
        length = len(self._encode([text])[0])
        if length <= self.window:
            return ()
        return (f"truncated: the text has {length} tokens, and the model reads only the first {self.window}",)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, whole; longer than the window only where truncation was asked for."""
        check_unicode(texts)
        encoded: list[list[int]] = self.tokenizer(
            [self.prepared(text) for text in texts], truncation=False, verbose=False
        )["input_ids"]
        longest = max(map(len, encoded))
        if longest > self.window and not self.truncate:
            raise InputError(
                f"a text has {longest} tokens, but the model's window is {self.window}: shorten it, score it in "
                "parts, or pass truncate=True to read only its beginning."
            )
        return encoded

    def _forward(self, texts: Sequence[str], outputs: Any, *, alone: bool = False) -> Values:
        """``outputs(tokens)`` of every text, (N, d), in batches of texts of similar length, or each ``alone``."""
        torch = require_torch()
        encoded = self._encode(texts)
        if self.truncate:
            encoded = [self._cut(ids) for ids in encoded]
        order = sorted(range(len(encoded)), key=lambda row: len(encoded[row]), reverse=True)
        pad, size = padding_of(self.model) or 0, 1 if alone else self.batch_size
        found: Values | None = None
        with evaluating(self.model), torch.inference_mode():
            for start in range(0, len(order), size):
                rows = order[start : start + size]
                width = len(encoded[rows[0]])
                ids = torch.full((len(rows), width), pad)
                mask = torch.zeros((len(rows), width), dtype=torch.long)
                for position, row in enumerate(rows):
                    ids[position, : len(encoded[row])] = torch.tensor(encoded[row])
                    mask[position, : len(encoded[row])] = 1
                place = self.model.device
                values = self._values(outputs, {"input_ids": ids.to(place), "attention_mask": mask.to(place)})
                if found is None:
                    found = np.empty((len(encoded), values.shape[1]))
                found[rows] = values
        return np.empty((0, 0)) if found is None else found

    def _values(self, outputs: Any, tokens: dict[str, Any]) -> Values:
        try:
            return np.asarray(outputs(tokens).cpu().numpy(), dtype=np.float64)
        except (InterplayError, MemoryError):
            raise
        except Exception as error:
            words = " ".join(str(error).split())[:300]
            raise AblationError(
                f"{type(self.model).__name__} cannot read a text ({type(error).__name__}: {words}): check that its "
                "forward pass works by itself, and that texts lie in its window."
            ) from error

    def _cut(self, ids: list[int]) -> list[int]:
        """The first tokens that fit the window, closed by the token that closed the whole text."""
        return ids if len(ids) <= self.window else [*ids[: self.window - 1], ids[-1]]
