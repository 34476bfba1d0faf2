"""What a masked language model would put in the place of a unit: likely words other than the one that stands there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from interplay._checks import check_whole
from interplay._errors import InputError
from interplay._networks.behaviour import unwrapped, window_of
from interplay._networks.evaluation import evaluating
from interplay._networks.hub import Source
from interplay.models._scorer import Infill

_ROWS = 32  # texts in one pass


@dataclass(frozen=True, eq=False)
class MaskedLM:
    """A masked language model such as BERT or RoBERTa, which says what could stand in a gap of a text.

    >>> bert = ip.models.MaskedLM.load("google-bert/bert-base-uncased")               # doctest: +SKIP
    >>> game = ip.lenses.text(scorer, review, ablate=bert.infill(alternatives=3))     # doctest: +SKIP

    Parameters
    ----------
    model
        A Hugging Face model saved as ...ForMaskedLM.
    tokenizer
        Its fast tokenizer, with a mask token.

    Raises
    ------
    InputError
        For a tokenizer that has no mask token, or does not tell where its tokens lie.
    """

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", unwrapped(self.model))
        if getattr(self.tokenizer, "mask_token_id", None) is None:
            raise InputError("this tokenizer has no mask token: infilling takes a masked language model such as BERT.")
        if not getattr(self.tokenizer, "is_fast", False):
            raise InputError("this tokenizer does not tell where its tokens lie: infilling takes a fast tokenizer.")

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str | None = None,
        dtype: str | None = None,
        trust_remote_code: bool = False,
    ) -> MaskedLM:
        """The masked language model in the folder ``path``, or of that name on the hub.

        Raises
        ------
        InputError
            Where there is no such model or device, or it was saved without its head.
        MissingExtraError
            Without torch and transformers.
        """
        source = Source.find(path, trust_remote_code=trust_remote_code)
        import transformers

        return cls(source.model(transformers.AutoModelForMaskedLM, device=device, dtype=dtype), source.tokenizer())

    def infill(self, alternatives: int = 1) -> Infill:
        """What stands in for a unit: the likeliest fillings of its gap, so many, over which scores are averaged.

        Each unit is filled while everything around it is there, as in OLM (Harbecke and Alt, ACL student workshop
        2020); a unit of several tokens from left to right, each the likeliest, the first in as many ways as there are
        alternatives. What the unit itself says is never an alternative.

        Raises
        ------
        InputError
            For anything but a whole number from 1.
        """
        check_whole("alternatives", alternatives, least=1)
        return _Infill(self, alternatives)

    def fill(self, text: str, spans: Sequence[tuple[int, int]], alternatives: int) -> list[tuple[str, ...]]:
        """For each character range of ``text`` as many fillings, the likeliest first.

        Raises
        ------
        InputError
            Where a range holds no token, or more tokens than the model reads.
        """
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids, offsets = list(encoded["input_ids"]), encoded["offset_mapping"]
        gaps = []
        for a, b in spans:
            inside = [place for place, (start, end) in enumerate(offsets) if start < b and end > a and end > start]
            if not inside:
                raise InputError(f"the model's tokenizer makes no token of {text[a:b]!r}: choose larger units.")
            gaps.append(_Gap.cut(ids, inside[0], inside[-1] + 1, self._room, self.tokenizer.mask_token_id))
        with evaluating(self.model):
            return self._filled(gaps, [text[a:b] for a, b in spans], alternatives)

    def _filled(self, gaps: list[_Gap], units: list[str], alternatives: int) -> list[tuple[str, ...]]:
        """Every gap begun in several ways and filled on; what comes out as the unit itself is left out."""
        import torch

        begun: list[_Gap] = []
        # More than are wanted: some fillings read alike, or like the unit.
        most = min(2 * alternatives + 2, int(self._begins.sum()))
        for gap, said in zip(gaps, self._said(gaps), strict=True):
            first = torch.where(self._begins.to(said.device), said, -torch.inf).topk(most).indices.tolist()
            begun += [gap.with_next(token) for token in first]
        open_ones = [i for i, gap in enumerate(begun) if gap.is_open]
        while open_ones:
            for i, said in zip(open_ones, self._said([begun[i] for i in open_ones]), strict=True):
                allowed = torch.where(self._plain.to(said.device), said, -torch.inf)
                begun[i] = begun[i].with_next(int(allowed.argmax()))
            open_ones = [i for i in open_ones if begun[i].is_open]
        found = []
        for number, unit in enumerate(units):
            texts = [self._text(gap.filling) for gap in begun[number * most : (number + 1) * most]]
            others = dict.fromkeys(one for one in texts if one and one.casefold() != unit.strip().casefold())
            if not others:
                raise InputError(f"the masked language model has nothing else to say than {unit!r} in its place.")
            found.append(tuple(others)[:alternatives])
        return found

    def _said(self, gaps: Sequence[_Gap]) -> Iterator[Any]:
        """The logits (V,) of each gap's next token."""
        import torch

        for start in range(0, len(gaps), _ROWS):
            batch = gaps[start : start + _ROWS]
            rows = [[*self._ends[0], *gap.ids, *self._ends[1]] for gap in batch]
            width = max(map(len, rows))
            filler = self.tokenizer.pad_token_id or 0
            ids = torch.tensor([row + [filler] * (width - len(row)) for row in rows], device=self.model.device)
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=self.model.device)
            logits = self.model(input_ids=ids, attention_mask=mask).logits
            lead = len(self._ends[0])
            yield from (logits[row, lead + gap.next] for row, gap in enumerate(batch))

    @cached_property
    def _ends(self) -> tuple[list[int], list[int]]:
        """The special tokens before and after a text."""
        marker = self.tokenizer.mask_token_id
        ids = list(self.tokenizer(self.tokenizer.mask_token, verbose=False)["input_ids"])
        return ids[: ids.index(marker)], ids[ids.index(marker) + 1 :]

    @property
    def _room(self) -> int | None:
        window = window_of(self.model)
        return None if window is None else window - sum(map(len, self._ends))

    @cached_property
    def _plain(self) -> Any:
        """Which tokens (V,) are no special ones."""
        import torch

        size = self.model.get_output_embeddings().weight.shape[0]
        plain = torch.zeros(size, dtype=torch.bool)
        plain[: len(self.tokenizer)] = True
        plain[[token for token in self.tokenizer.all_special_ids if token < size]] = False
        return plain

    @cached_property
    def _begins(self) -> Any:
        """Which tokens (V,) can begin a filling: those with a letter or digit that do not go on with a word."""
        begins = self._plain.clone()
        pieces = self.tokenizer.convert_ids_to_tokens(list(range(min(len(begins), len(self.tokenizer)))))
        for token, piece in enumerate(pieces):
            if piece is None or piece.startswith("##") or not any(letter.isalnum() for letter in piece):
                begins[token] = False
        return begins

    def _text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)).strip()


@dataclass(frozen=True)
class _Gap:
    """Tokens around a gap, which holds mask tokens from ``next`` to ``end``."""

    ids: list[int]
    start: int
    next: int
    end: int

    @classmethod
    def cut(cls, ids: list[int], start: int, end: int, room: int | None, mask: int) -> _Gap:
        """The gap from ``start`` to ``end``, with as much around it as there is room for."""
        if room is not None and end - start > room:
            raise InputError(f"a unit has {end - start} tokens, but the model reads {room}: choose smaller units.")
        left = 0
        if room is not None and len(ids) > room:
            left = min(max(0, (start + end - room) // 2), len(ids) - room)
        right = len(ids) if room is None else left + room
        around = [*ids[left:start], *[mask] * (end - start), *ids[end:right]]
        return cls(around, start - left, start - left, end - left)

    @property
    def is_open(self) -> bool:
        return self.next < self.end

    @property
    def filling(self) -> list[int]:
        return self.ids[self.start : self.end]

    def with_next(self, token: int) -> _Gap:
        ids = list(self.ids)
        ids[self.next] = token
        return _Gap(ids, self.start, self.next + 1, self.end)


@dataclass(frozen=True, eq=False)
class _Infill(Infill):
    masked: MaskedLM
    alternatives: int

    def __call__(self, text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[str, ...]]:
        return self.masked.fill(text, spans, self.alternatives)
