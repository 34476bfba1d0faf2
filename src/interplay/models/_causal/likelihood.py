"""Log-probabilities of given tokens, exactly as one text at a time would give them, at the speed of a full batch."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from interplay._errors import AblationError, InputError, InterplayError
from interplay._game.masks import Values
from interplay._networks.batching import BatchSize, is_out_of_memory
from interplay._networks.behaviour import config_of, head_of, is_causal, is_encoder_decoder
from interplay._networks.continuation import Ask
from interplay._networks.evaluation import evaluating
from interplay._networks.head import only
from interplay._networks.readout import distributions
from interplay._networks.state import State, state_of
from interplay.models._causal.prefix import Prefix
from interplay.models._causal.rows import Row, groups_of, rows_of, turning_length
from interplay.models._causal.unattended import check_hiding, unattended

_TOKENS = {"cpu": (512, 1 << 14), "cuda": (2048, 1 << 18)}  # in the first batch, and in the largest
_WORTH = {"cpu": 128, "cuda": 4096}  # tokens that a cached prefix must save to pay for a pass of its own
_ENOUGH = {"cpu": 256, "cuda": 4096}  # tokens of one row that are computed as fast alone as in a batch
_LOGITS = 1 << 28  # bytes of a batch's logits in float32


# A pass asks the model's head for a few places only, by a hook: two at once would read each other's.
_TURNS: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_TURNS_LOCK = threading.Lock()


def _turn_of(model: Any) -> threading.RLock:
    """The lock of a model, one for all that read it: threads may each have made a scorer of their own."""
    with _TURNS_LOCK:
        return _TURNS.setdefault(model, threading.RLock())


class Likelihood:
    """What a language model, as it is at the call, says of asks, many at once.

    Equal asks are computed once, and so are asks whose tokens another one reads anyway; the prefix that all rows
    share is computed once a call and its key-value cache reused, where the model has one; rows are padded on the right,
    which nothing in a causal model can see; batches hold a number of tokens, found while running and halved when
    memory runs out; logits are computed only where they are asked for. Threads take turns.

    Parameters
    ----------
    model
        A Hugging Face model with a language-modelling head; it is read in evaluation mode.
    batch_tokens
        The most tokens of a batch, padding included; found while running when left out.
    """

    def __init__(self, model: Any, batch_tokens: int | None = None) -> None:
        self.model = model
        self.reuses: bool | None = None
        """Whether shared prefixes are computed once; None until the first one was tried and compared."""
        first, largest = _TOKENS.get(model.device.type, _TOKENS["cuda"])
        self._size = BatchSize(batch_tokens, first=first, largest=largest)
        self._prefix = Prefix(model)
        self._compared = 0  # the length of the longest row for which reuse was compared with the plain way
        self._encodes = False  # whether equal prompts go through an encoder once
        self._hides = False  # whether hiding tokens was found to be what it should be
        self._state: State | None = None  # of the model when these were found
        self._turning = turning_length(model)
        self._turn = _turn_of(model)

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "batch_tokens": self._size.rows if self._size.settled else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Likelihood.__init__(self, **state)

    def __call__(self, asks: Sequence[Ask]) -> list[Values]:
        """The log-probabilities (nats) of each ask's tokens, each (K,) in float64.

        Raises
        ------
        AblationError
            Where the model's logits are NaN or infinite, or not even one row fits into memory.
        InputError
            For a token that the model does not know, or a model that reads both ways.
        """
        import torch

        self._check_tokens(asks)
        distinct = {ask: number for number, ask in enumerate(dict.fromkeys(asks))}
        found = [np.full(len(ask.ids) - ask.start, np.nan) for ask in distinct]
        with self._turn, evaluating(self.model), torch.inference_mode():
            if distinct:
                self._meet(next(iter(distinct)))
            try:
                plain = [ask for ask in distinct if not ask.hidden]
                numbers = [distinct[ask] for ask in plain]
                values = [found[number] for number in numbers]
                self._run(rows_of(plain, self._turning), plain, values)
                self._run_hidden([ask for ask in distinct if ask.hidden], distinct, found)
            finally:
                # What was computed once is that of the model as it was: the next call may meet another.
                self._prefix = Prefix(self.model)
        return [found[distinct[ask]] for ask in asks]

    def _meet(self, ask: Ask) -> None:
        """Try the model out where it is not the one of the last call: weights, hooks, adapters may have changed."""
        state = state_of(self.model)
        if state == self._state:
            return
        self._hides = False
        self.reuses, self._compared = None if _may_reuse(self.model) else False, 0
        if is_encoder_decoder(self.model):
            self._encodes = self._encodes_apart(rows_of([ask])[0])
        elif not self._is_causal(ask):
            raise InputError(
                f"{type(self.model).__name__} reads both ways: what it says after a token changes with what comes "
                "later, so it gives no log-probability of a continuation. Choose a causal language model, or "
                "ip.lenses.heads for a masked one."
            )
        self._state = state

    def _encodes_apart(self, row: Row) -> bool:
        """Whether a prompt may go through the encoder by itself: a tuned prompt (PEFT) is put before it elsewhere."""
        plain = None
        try:
            self._encodes = False
            plain = np.array(self._forward([row], 0))
            self._encodes = True
            return self._close(plain, np.array(self._forward([row], 0)))
        except Exception as error:
            if plain is None and not is_out_of_memory(error):
                raise
            return False  # a mixture's decoder may want more of an encoder than its states

    def _is_causal(self, ask: Ask) -> bool:
        try:
            return is_causal(self.model, list(ask.ids))
        except Exception as error:
            self._fail(error)
            return True  # no memory for two short texts: the pass that is asked for will say so

    def _check_tokens(self, asks: Sequence[Ask]) -> None:
        """Refuse a token that the model does not have: on a GPU, looking it up would end the process."""
        known = min(self.model.get_input_embeddings().weight.shape[0], head_of(self.model).weight.shape[0])
        for ask in asks:
            wrong = next((token for token in (*ask.ids, *(ask.source or ())) if not 0 <= token < known), None)
            if wrong is not None:
                raise InputError(f"the token {wrong} is beyond the model's {known}: is this tokenizer the model's own?")

    def _groups(self, rows: list[Row]) -> Iterator[tuple[int, list[Row]]]:
        """Groups of rows that may stand in one batch, and how many first tokens each shares.

        Where a model reads short rows otherwise than long ones, no batch holds both, and none of the long ones takes
        its beginning from the cache, which was computed when it was short.
        """
        long = [row for row in rows if self._turning is not None and len(row.ids) > self._turning]
        if long:
            yield 0, long
            rows = [row for row in rows if self._turning is None or len(row.ids) <= self._turning]
        if rows:
            yield from groups_of(rows, self._worth() if self.reuses is not False else None, self._enough())

    def _run(self, rows: list[Row], asks: list[Ask], found: list[Values]) -> None:
        for length, group in self._groups(rows):
            cached = self._cached(length, group)
            queue = sorted(group, key=lambda row: (row.length, row.ids), reverse=True)
            while queue:
                count, full = self._fitting(queue, cached)
                batch = queue[:count]
                width = batch[0].length - cached
                counted = max(count * width, self._size.rows) if full else count * width
                values = self._size.run(counted, partial(self._forward, batch, cached), width)
                if values is None:  # out of memory: the same rows again, fewer at once
                    if count == 1:
                        raise AblationError(
                            f"not even one prompt of {batch[0].length} tokens fits into memory: shorten it, load the "
                            "model in half precision, or use a larger device."
                        )
                    continue
                wanted = (ask_place for row in batch for ask_place in row.wanted)
                for (ask, place, _), value in zip(wanted, values, strict=True):
                    found[ask][place + 1 - asks[ask].start] = value
                queue = queue[count:]

    def _run_hidden(self, asks: list[Ask], numbers: dict[Ask, int], found: list[Values]) -> None:
        """Fill in the values of asks with tokens that are hidden from attention."""
        if not asks:
            return
        if not self._hides:
            check_hiding(self.model, max(asks, key=lambda ask: len(ask.hidden)), self._tolerance())
            self._hides = True
        for ask, values in zip(asks, unattended(self.model, asks, self._size), strict=True):
            found[numbers[ask]] = values

    def _enough(self) -> int:
        return _ENOUGH.get(self.model.device.type, _ENOUGH["cuda"])

    def _worth(self) -> int:
        return _WORTH.get(self.model.device.type, _WORTH["cuda"])

    def _fitting(self, queue: list[Row], cached: int) -> tuple[int, bool]:
        """How many of the first rows make a batch, and whether another one would not have fitted."""
        count = max(1, self._size.rows // (queue[0].length - cached))
        if cached:
            count = min(count, max(1, _free_bytes(self.model.device) // max(1, self._prefix.row_bytes(cached))))
        vocabulary = head_of(self.model).weight.shape[0]
        room = max(1, _LOGITS // (4 * vocabulary))
        wanted = 0
        for number, row in enumerate(queue[:count]):
            wanted += len(row.wanted)
            if wanted > room:
                return max(1, number), True
        return min(count, len(queue)), count < len(queue)

    def _cached(self, length: int, rows: list[Row]) -> int:
        """How many first tokens of the rows are in the cache: ``length``, or 0 where they cannot be reused."""
        if not length or self.reuses is False:
            return 0
        try:
            self._prefix.cover(rows[0].ids[:length])
            longest = max(rows, key=lambda row: len(row.ids))
            if self.reuses is None or len(longest.ids) > self._compared:
                self.reuses = self._agrees(longest, length)
                self._compared = len(longest.ids)
        except (TypeError, ValueError, AttributeError, IndexError, KeyError, NotImplementedError):
            self.reuses = False  # a cache of another kind: the plain way is as right
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                self._prefix = Prefix(self.model)
                return 0
            self.reuses = False
        if not self.reuses:
            self._prefix = Prefix(self.model)
            return 0
        return length

    def _agrees(self, row: Row, cached: int) -> bool:
        """Whether reuse changes nothing, measured on one row: not so where positions depend on the row's length."""
        return self._close(np.array(self._forward([row], 0)), np.array(self._forward([row], cached)))

    def _close(self, plain: Values, other: Values) -> bool:
        return bool((np.abs(plain - other) <= self._tolerance() * np.maximum(1, np.abs(plain))).all())

    def _tolerance(self) -> float:
        """By how much two ways to the same number may differ."""
        import torch

        return 3 * float(np.sqrt(torch.finfo(next(self.model.parameters()).dtype).eps))

    def _forward(self, batch: list[Row], cached: int) -> list[float]:
        """The log-probabilities that the rows want, row by row."""
        import torch

        spots = dict.fromkeys((number, place) for number, row in enumerate(batch) for _, place, _ in row.wanted)
        at = {spot: index for index, spot in enumerate(spots)}
        rows, places = [row for row, _ in spots], [place - cached for _, place in spots]
        inputs = self._inputs(batch, cached)
        width = inputs["decoder_input_ids" if batch[0].source is not None else "input_ids"].shape[1]
        with only(self.model, rows, places, width) as head:
            logits = head.of(self._output(inputs).logits)
        index = [at[number, place] for number, row in enumerate(batch) for _, place, _ in row.wanted]
        tokens = [token for row in batch for _, _, token in row.wanted]
        said = distributions(logits)  # of every place once, however many tokens are asked of it
        if not bool(torch.isfinite(said.amax(-1)).all()):
            self._refuse(logits)
        values: list[float] = said[index, tokens].double().cpu().tolist()
        return values

    def _inputs(self, batch: list[Row], cached: int) -> dict[str, Any]:
        import torch

        place = self.model.device
        ids = torch.tensor(_padded([row.ids[cached:] for row in batch]), device=place)
        if batch[0].source is None:
            if not cached:
                return {"input_ids": ids, "use_cache": False}
            return {"input_ids": ids, "past_key_values": self._prefix.rows(cached, len(batch)), "use_cache": True}
        if not self._encodes:
            read, mask = self._sources([row.source or () for row in batch])
            return {"input_ids": read, "attention_mask": mask, "decoder_input_ids": ids, "use_cache": False}
        from transformers.modeling_outputs import BaseModelOutput

        sources = {source: number for number, source in enumerate(dict.fromkeys(row.source for row in batch))}
        read, mask = self._sources([source or () for source in sources])
        states = self.model.get_encoder()(input_ids=read, attention_mask=mask).last_hidden_state
        which = torch.tensor([sources[row.source] for row in batch], device=place)
        return {
            "encoder_outputs": BaseModelOutput(last_hidden_state=states[which]),
            "attention_mask": mask[which],
            "decoder_input_ids": ids,
            "use_cache": False,
        }

    def _sources(self, sources: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """What the encoder reads, padded, and which of it is no padding."""
        import torch

        read = torch.tensor(_padded(sources), device=self.model.device)
        lengths = torch.tensor([len(source) for source in sources], device=read.device)
        return read, (torch.arange(read.shape[1], device=read.device) < lengths[:, None]).long()

    def _output(self, inputs: dict[str, Any]) -> Any:
        try:
            return self.model(**inputs)
        except Exception as error:
            # What fails with a cache is tried without; what fails without is the end.
            if "past_key_values" not in inputs:
                self._fail(error)
            raise

    def _fail(self, error: Exception) -> None:
        """One sentence for what the model raises, but for memory that runs out, which is tried again."""
        if isinstance(error, InterplayError) or is_out_of_memory(error):
            return
        words = " ".join(str(error).split())[:300]
        raise AblationError(
            f"{type(self.model).__name__} cannot read a prompt ({type(error).__name__}: {words}): check that it lies "
            "in the model's window, and that the model's forward pass works by itself."
        ) from error

    def _refuse(self, logits: Any) -> None:
        dtype = str(next(self.model.parameters()).dtype).removeprefix("torch.")
        what = "NaN" if bool(logits.isnan().any()) else "infinite"
        if dtype == "float16":
            raise AblationError(
                f"the model's logits are {what} in float16, whose numbers end at 65504: load it with dtype='bfloat16' "
                "or dtype='float32'."
            )
        raise AblationError(
            f"the model's logits are {what} in {dtype}: its weights are damaged, or it cannot read such a prompt."
        )


def _padded(sequences: Sequence[Sequence[int]]) -> list[list[int]]:
    """Rows of equal length: the last token again and again, as a tokenizer need not have one for padding."""
    width = max(map(len, sequences))
    return [[*sequence, *[sequence[-1]] * (width - len(sequence))] for sequence in sequences]


def _free_bytes(device: Any) -> int:
    """How much memory the copies of a cache may take together."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0] // 4)
    return 2 << 30


def _may_reuse(model: Any) -> bool:
    """Not where an encoder reads the prompt, nor where the model carries a state instead of keys and values."""
    return not (config_of(model).is_encoder_decoder or getattr(model, "_is_stateful", False))


class Copies:
    """As many askers as there are copies are answered side by side, others wait; values are those of any copy."""

    def __init__(self, each: Sequence[Likelihood]) -> None:
        self.each = tuple(each)
        self._free: queue.SimpleQueue[Likelihood] = queue.SimpleQueue()
        for likelihood in self.each:
            self._free.put(likelihood)

    def __getstate__(self) -> dict[str, Any]:
        return {"each": self.each}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Copies.__init__(self, **state)

    def __call__(self, asks: Sequence[Ask]) -> list[Values]:
        """As `Likelihood`."""
        likelihood = self._free.get()
        try:
            return likelihood(asks)
        finally:
            self._free.put(likelihood)
