"""The value of a components game: masks to forward passes to metrics."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game import Masks, Values
from interplay.lenses._hooks import Hooks, sole_use
from interplay.lenses._inputs import Rows, Subject
from interplay.lenses._metrics import Bound
from interplay.lenses._replacement import donated, draw_donors, is_decoder, joined, mean_of, missing
from interplay.lenses._reuse import Reuse, Watcher
from interplay.lenses._selection import Part
from interplay.lenses._suppression import Pass, Site, Suppression, observing, sites_of
from interplay.models._batching import BatchSize

_ROUNDING = 256  # rounding errors of an output that batches of different sizes may differ by


@dataclass(frozen=True, eq=False)
class Ablations:
    """Masks (N, n) to values: (N,) or (N, T), the mean over the inputs, or (N, inputs) with ``each``."""

    suppression: Suppression
    bound: Bound
    rescale: bool
    each: bool
    batch: BatchSize = field(repr=False)
    reuse: Reuse | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def inputs(self) -> int:
        """How many inputs each ablation is measured on."""
        return len(self.bound.rows) // self.bound.rows.per_input

    def __call__(self, masks: Masks) -> Values:
        with sole_use(self.suppression.model):
            values = self.by_input(masks)
        if not self.each:
            return np.asarray(values.mean(axis=1))
        if values.ndim == 3:
            raise InputError("a metric with several outputs of its own can only be averaged over inputs: each=False.")
        return values

    def by_input(self, masks: Masks) -> Values:
        """The metric of every input under every mask, (N, inputs) or (N, inputs, T)."""
        import torch

        rows, per_input = self.bound.rows, self.bound.rows.per_input
        device = next(iter(rows.tensors.values())).device
        # A unit is one ablation of one input: per_input rows, scored together.
        units = len(masks) * self.inputs
        keep = torch.from_numpy(np.array(masks)).to(device)
        found: list[Values] = []
        begin = 0
        while begin < units:
            count = min(units - begin, max(1, self.batch.rows // per_input))
            unit = torch.arange(begin, begin + count, device=device).repeat_interleave(per_input)
            within = torch.arange(per_input, device=device).repeat(count)
            sources = unit % self.inputs * per_input + within
            kept = keep[unit // self.inputs]
            values = self.batch.run(len(unit), partial(self._scores, kept, sources), per_input)
            if values is not None:  # else it did not fit, and the same units are tried again in smaller batches
                found.append(values)
                begin += count
        together = np.concatenate(found)
        return together.reshape(len(masks), self.inputs, *together.shape[1:])

    def _scores(self, keep: Any, sources: Any) -> Values:
        scale = None
        if self.rescale:
            scale = keep.shape[1] / keep.sum(1).clamp(min=1)  # where nothing is kept, there is nothing to scale
        hooks = self.suppression.hooks(Pass(keep, sources, scale))
        if self.reuse is not None:
            self.reuse.add_to(hooks, sources)
        return run(self.bound, hooks, sources)


def run(bound: Bound, hooks: Hooks, sources: Any) -> Values:
    """The metric of the rows ``sources`` (B,) in one forward pass under ``hooks``."""
    batch = bound.rows.take(sources)
    with hooks.on():
        output = batch.feed(bound.entry, **_options(bound.entry))
    return _checked(bound.score(output, sources), len(sources) // bound.rows.per_input)


def prepare(
    subject: Subject,
    parts: Sequence[Part],
    bound: Bound,
    *,
    ablate: str,
    rescale: bool,
    reference: Rows | None,
    each: bool,
    seed: int,
    rows: int | None,
) -> Ablations:
    """The ablations of ``parts``, after one pass over the inputs that tries everything out.

    That pass, with nothing ablated, shows whether the metric gives one finite number for each input and whether
    every part takes part, and yields what early layers return and what replaces ablated parts.
    """
    sites = sites_of(parts)
    batch = BatchSize(rows)
    donors = draw_donors(bound.rows, reference, seed) if ablate == "resample" else None
    with sole_use(subject.model):
        watcher = Watcher(subject.model, sites)
        keeps = ablate != "zero" and reference is None
        seen = _observe(subject, bound, sites, batch, watcher, keep=keeps)
        error = missing(sites, seen)
        if error is not None:
            raise error
        replacements: dict[Site, Any] = {}
        if ablate != "zero":
            source = bound.rows if reference is None else reference
            if reference is not None:
                seen = _observe(subject, Bound(reference, _nothing, bound.entry), sites, batch, None, keep=True)
            replacements = _replacements(subject, bound.rows, source, joined(seen), donors)
        plain = Ablations(Suppression(subject.model, sites, len(parts), replacements), bound, rescale, each, batch)
        reuse = watcher.reuse(len(bound.rows))
        if reuse is None:
            return plain
        fast = Ablations(plain.suppression, bound, rescale, each, batch, reuse)
        if _agree(plain, fast, len(parts), subject):
            return fast
    note = "layers before the first ablated one run every time, as reusing what they return changed the output"
    return Ablations(plain.suppression, bound, rescale, each, batch, notes=(note,))


def _observe(
    subject: Subject, bound: Bound, sites: Sequence[Site], batch: BatchSize, watcher: Watcher | None, *, keep: bool
) -> dict[Site, list[Any]]:
    """What flows at each site for all rows, in batches; without ``keep`` only that something does."""
    import torch

    per_input = bound.rows.per_input
    seen: dict[Site, list[Any]] = {}
    begin = 0
    while begin < len(bound.rows):
        count = min(len(bound.rows) - begin, max(1, batch.rows // per_input) * per_input)
        sources = torch.arange(begin, begin + count, device=subject.device)
        flowing: dict[Site, list[Any]] = {}
        hooks = observing(subject.model, sites, flowing, count, keep=keep)
        if watcher is not None:
            watcher.add_to(hooks, sources)
        if batch.run(count, partial(run, bound, hooks, sources), per_input) is None:
            if watcher is not None:
                watcher.blocks.pop()
            continue
        for site, values in flowing.items():
            if len(values) > 1 and keep:
                raise InputError(
                    f"{site.path} runs {len(values)} times in one forward pass, so what replaces it is ambiguous: "
                    "choose ablate='zero'."
                )
            seen.setdefault(site, []).append(values[0])
        begin += count
    return seen


def _replacements(
    subject: Subject, rows: Rows, source: Rows, flowing: dict[Site, Any], donors: npt.NDArray[np.intp] | None
) -> dict[Site, Any]:
    replacements = {}
    for site, value in flowing.items():
        decoder = is_decoder(site, subject.seq2seq)
        valid = source.valid(value.shape, decoder=decoder)
        if donors is None:
            replacements[site] = mean_of(value, valid)
            continue
        mask = rows.tensors.get("decoder_attention_mask" if decoder else "attention_mask")
        length = value.shape[1] if source is rows and value.ndim > 1 else None if mask is None else mask.shape[1]
        replacements[site] = donated(value, valid, donors, length, site)
    return replacements


def _agree(plain: Ablations, fast: Ablations, n: int, subject: Subject) -> bool:
    """Whether reuse changes nothing, on a few inputs, each kept whole and ablated whole, side by side."""
    import torch

    first = next(subject.model.parameters(), None)
    precision = torch.finfo(first.dtype if first is not None and first.is_floating_point() else torch.float32).eps
    per_input = plain.bound.rows.per_input
    device = next(iter(plain.bound.rows.tensors.values())).device
    units = torch.arange(max(1, min(2 * plain.inputs, plain.batch.rows // per_input, 16)), device=device)
    within = torch.arange(per_input, device=device)
    sources = ((units // 2 * per_input)[:, None] + within).flatten()
    keep = (units % 2 == 0).repeat_interleave(per_input)[:, None].expand(-1, n)
    expected, got = plain._scores(keep, sources), fast._scores(keep, sources)
    return bool(np.all(np.abs(got - expected) <= _ROUNDING * precision * np.maximum(1.0, np.abs(expected))))


def _checked(values: Any, inputs: int) -> Values:
    import torch

    if not isinstance(values, torch.Tensor) or values.ndim not in (1, 2) or len(values) != inputs:
        shown = f"shape {tuple(values.shape)}" if isinstance(values, torch.Tensor) else type(values).__name__
        raise InputError(
            f"the metric gave {shown} for {inputs} inputs: return a tensor of shape ({inputs},), one number for each, "
            f"or ({inputs}, T)."
        )
    return np.asarray(values.detach().double().cpu().numpy(), dtype=np.float64)


def _options(entry: Any) -> dict[str, Any]:
    """No cache of keys and values: one ablation's would be read by another's pass."""
    forward = type(entry).forward
    takes = inspect.signature(forward).parameters
    return {"use_cache": False} if "use_cache" in takes else {}


def _nothing(_output: Any, sources: Any) -> Any:
    import torch

    return torch.zeros(len(sources))
