"""Score texts with a Hugging Face encoder: similarity to a reference text, or a label's logit."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._game.masks import Values
from interplay._networks.hub import find_model, known_as, load_placed, load_pretrained, model_identity, require_torch
from interplay.models._scorer import Scorer


@dataclass(frozen=True, eq=False)
class Encoder:
    """A bidirectional encoder such as MiniLM, BERT or RoBERTa, with or without a classification head.

    Parameters
    ----------
    model
        A Hugging Face ``PreTrainedModel`` in evaluation mode.
    tokenizer
        Its tokenizer.
    pooling
        How token vectors become one: "mean" over tokens or "cls", the first.
    truncate
        Whether texts longer than the window are cut to it; otherwise they are an error.
    batch_size
        Texts per forward pass.
    """

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    pooling: str = "mean"
    truncate: bool = False
    batch_size: int = 64

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str | None = None,
        dtype: str | None = None,
        truncate: bool = False,
        batch_size: int = 64,
    ) -> Encoder:
        """The encoder in the folder ``path``, or of that name on the hub.

        Parameters
        ----------
        path
            Folder of a saved model, or a hub name.
        device
            "cpu", "cuda", "cuda:1", ...; a GPU where there is one when left out.
        dtype
            "float32", "bfloat16" or "float16"; as saved when left out.
        truncate, batch_size
            See `Encoder`.

        Raises
        ------
        InputError
            Where there is no such model, device or dtype.
        MissingExtraError
            Without torch and transformers.
        """
        require_torch()
        import transformers

        found = find_model(path)
        tokenizer = load_pretrained(transformers.AutoTokenizer, found)
        config = load_pretrained(transformers.AutoConfig, found)
        classifies = any(name.endswith("ForSequenceClassification") for name in config.architectures or ())
        loader = transformers.AutoModelForSequenceClassification if classifies else transformers.AutoModel
        model, _ = load_placed(loader, found, device=device, dtype=dtype)
        return cls(model, tokenizer, _pooling(found), truncate, batch_size)

    @property
    def window(self) -> int:
        """How many tokens the model takes, special tokens included."""
        config = self.model.config
        positions = getattr(config, "max_position_embeddings", None) or 1 << 30
        if "roberta" in config.model_type or config.model_type in ("camembert", "mpnet", "longformer"):
            positions -= (config.pad_token_id or 0) + 1  # these count positions from after the padding id
        return int(min(positions, self.tokenizer.model_max_length))

    def embed(self, texts: Sequence[str]) -> Values:
        """Unit-length embeddings (N, d) of texts, in float64."""
        torch = require_torch()
        base = self.model.base_model

        def pooled(tokens: Any) -> Any:
            states = base(**tokens).last_hidden_state
            if self.pooling == "cls":
                return states[:, 0]
            weight = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
            return (states * weight).sum(1) / weight.sum(1).clamp(min=1)

        return self._forward(texts, lambda tokens: torch.nn.functional.normalize(pooled(tokens).double(), dim=-1))

    def similarity(self, text: str) -> Scorer:
        """A scorer of texts by the cosine of their embedding with that of ``text``, in [-1, 1]."""
        if not isinstance(text, str):
            raise InputError(f"the reference must be a string, not {type(text).__name__}.")
        if not text.strip():
            raise InputError("the reference text is empty: pass what the texts are to be compared with.")
        reference = self.embed([text])[0]
        return self._scorer(
            lambda texts: self.embed(texts) @ reference,
            f"cosine similarity to {text!r}",
            {"score": "similarity", "reference": text, "pooling": self.pooling},
        )

    def label(self, name: str | int | Sequence[str | int]) -> Scorer:
        """A scorer of texts by a label's logit, or by T labels' logits at once.

        Raises
        ------
        InputError
            For a label that the model does not have, or a model without a classification head.
        """
        names = self.labels
        chosen = [name] if isinstance(name, (str, int)) else list(name)
        rows = [self._label_row(label, names) for label in chosen]

        def score(texts: Sequence[str]) -> Values:
            logits = self._forward(texts, lambda tokens: self.model(**tokens).logits.double())[:, rows]
            return logits[:, 0] if isinstance(name, (str, int)) else logits

        words = ", ".join(repr(names[row]) for row in rows)
        outputs = None if isinstance(name, (str, int)) else tuple(names[row] for row in rows)
        return self._scorer(score, f"logit of {words}", {"score": "label", "rows": rows}, outputs)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classification head's labels."""
        if not type(self.model).__name__.endswith("ForSequenceClassification"):
            raise InputError(
                f"{type(self.model).__name__} has no classification head, so it has no labels: use "
                "similarity(text), or load a model saved as ...ForSequenceClassification."
            )
        return tuple(str(self.model.config.id2label[i]) for i in range(self.model.config.num_labels))

    @staticmethod
    def _label_row(label: str | int, names: tuple[str, ...]) -> int:
        if isinstance(label, str):
            if label not in names:
                raise unknown("label", label, names)
            return names.index(label)
        if not 0 <= label < len(names):
            raise InputError(f"there is no label {label}: there are {len(names)}, counted from 0.")
        return label

    def _scorer(self, score: Any, name: str, target: dict[str, Any], outputs: tuple[str, ...] | None = None) -> Scorer:
        fast = getattr(self.tokenizer, "is_fast", False)
        return Scorer(
            score,
            name,
            identity=lambda: (
                target
                | {
                    "model": model_identity(self.model, self.tokenizer),
                    "window": self.window,
                    "truncate": self.truncate,
                }
            ),
            outputs=outputs,
            token_spans=self._token_spans if fast else None,
            mask_token=self.tokenizer.mask_token,
            special_tokens=frozenset(self.tokenizer.all_special_tokens),
            check=self._check,
            batch_size=self.batch_size,
            model=known_as(self.model),
        )

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
        encoded: list[list[int]] = self.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        longest = max(map(len, encoded))
        if longest > self.window and not self.truncate:
            raise InputError(
                f"a text has {longest} tokens, but the model's window is {self.window}: shorten it, score it in "
                "parts, or pass truncate=True to read only its beginning."
            )
        return encoded

    def _forward(self, texts: Sequence[str], outputs: Any) -> Values:
        """``outputs(tokens)`` of every text, (N, d), in batches of texts of similar length."""
        torch = require_torch()
        encoded = self._encode(texts)
        if self.truncate:
            encoded = [self._cut(ids) for ids in encoded]
        order = sorted(range(len(encoded)), key=lambda row: len(encoded[row]), reverse=True)
        pad = self.tokenizer.pad_token_id or 0
        found: Values | None = None
        with torch.inference_mode():
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                width = len(encoded[rows[0]])
                ids = torch.full((len(rows), width), pad)
                mask = torch.zeros((len(rows), width), dtype=torch.long)
                for position, row in enumerate(rows):
                    ids[position, : len(encoded[row])] = torch.tensor(encoded[row])
                    mask[position, : len(encoded[row])] = 1
                place = self.model.device
                values = outputs({"input_ids": ids.to(place), "attention_mask": mask.to(place)}).cpu().numpy()
                if found is None:
                    found = np.empty((len(encoded), values.shape[1]))
                found[rows] = values
        return np.empty((0, 0)) if found is None else found

    def _cut(self, ids: list[int]) -> list[int]:
        """The first tokens that fit the window, closed by the token that closed the whole text."""
        return ids if len(ids) <= self.window else [*ids[: self.window - 1], ids[-1]]


def _pooling(path: str) -> str:
    """The pooling that a sentence-transformers folder states, else the mean."""
    stated = Path(path) / "1_Pooling" / "config.json"
    if stated.is_file():
        modes = json.loads(stated.read_text(encoding="utf-8"))
        if modes.get("pooling_mode_cls_token") or modes.get("pooling_mode") == "cls":
            return "cls"
    return "mean"
