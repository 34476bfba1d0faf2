"""Try everything out once before anything is ablated: inputs, metric, parts, what replaces them, what is reused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game.masks import Values
from interplay._networks.batching import BatchSize
from interplay._networks.state import adapters, weights_of, worn
from interplay.lenses._components.ablations import FEW_ROWS, Ablations, run, untouched
from interplay.lenses._components.hooks import sole_use
from interplay.lenses._components.inputs import Bound, Rows, Subject
from interplay.lenses._components.replacement import Total, donated, draw_donors, is_decoder, mean_of, missing
from interplay.lenses._components.reuse import Watcher
from interplay.lenses._components.select import Part
from interplay.lenses._components.sites import Ablator, Site, observing, sites_of

_ROUNDING = 256  # rounding errors of an output that batches of different sizes may differ by


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
        seen, values = _observe(subject, bound, sites, batch, watcher, lambda _site, value, _sources: value.shape)
        error = missing(sites, seen)
        if error is not None:
            raise error
        _check(values, each)
        replacements: dict[Site, Any] = {}
        if ablate != "zero":
            shapes = {site: (len(bound.rows), *blocks[0][0][1:]) for site, blocks in seen.items()}
            source = bound.rows if reference is None else reference
            replacements = _replacements(subject, bound, shapes, batch, source, donors)
        ablator = Ablator(subject.model, sites, len(parts), replacements)
        plain = Ablations(ablator, bound, rescale, each, batch, weights_of(subject.model))
        if replacements:
            plain = _remembering(plain)
        first = watcher.blocks[0][0]
        reuse = watcher.reuse(len(bound.rows))
        if reuse is None:
            return _narrowest(plain, first)
        fast = _remembering(replace(plain, reuse=reuse))
        if _agree(plain, fast, first):
            return _narrowest(fast, first)
        plain = _narrowest(plain, first)
    note = "layers before the first ablated one run every time, as reusing what they return changed the output"
    return replace(plain, notes=(note,))


def _remembering(ablations: Ablations) -> Ablations:
    """The same, able to notice that the model is no longer the one of which it remembers something."""
    model = ablations.ablator.model
    try:
        alone: Values | None = untouched(ablations.bound)
    except InputError:  # a metric that needs all inputs at once cannot be checked by the first alone
        alone = None
    return replace(ablations, seen=(worn(model), adapters(model)), alone=alone)


def _observe(
    subject: Subject,
    bound: Bound,
    sites: Sequence[Site],
    batch: BatchSize,
    watcher: Watcher | None,
    look: Callable[[Site, Any, Any], Any],
) -> tuple[dict[Site, list[list[Any]]], Values]:
    """What ``look(site, value, sources)`` makes of each site, by batch and by run in it; and the metric of all rows.

    Nothing is ablated, and nothing is kept but what ``look`` returns.
    """
    import torch

    rows, per_input = bound.rows, bound.rows.per_input
    seen: dict[Site, list[list[Any]]] = {}
    measured: list[Values] = []
    begin = 0
    while begin < len(rows):
        count = min(len(rows) - begin, max(1, batch.rows // per_input) * per_input)
        sources = torch.arange(begin, begin + count, device=subject.device)
        flowing: dict[Site, list[Any]] = {}

        def looked(site: Site, value: Any, sources: Any = sources) -> Any:
            return look(site, value, sources)

        hooks = observing(subject.model, sites, flowing, count, looked)
        if watcher is not None:
            watcher.add_to(hooks, sources)
        values = batch.run(count, partial(run, bound, hooks, sources, first=True), per_input)
        if values is None:  # it did not fit, and the same rows are tried again in smaller batches
            if watcher is not None:
                watcher.blocks.pop()
            continue
        measured.append(values)
        for site, found in flowing.items():
            seen.setdefault(site, []).append(found)
        begin += count
    return seen, np.concatenate(measured)


def _check(values: Values, each: bool) -> None:
    """Refuse what the metric gives, (inputs,) or (inputs, T), with nothing ablated where no game can come of it."""
    if values.ndim == 2 and each:
        raise InputError("a metric with several outputs of its own can only be averaged over inputs: each=False.")
    bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if len(bad):
        raise InputError(
            f"with nothing ablated the metric is {values[bad[0]]} for input {bad[0]} ({len(bad)} of {len(values)} are "
            "not finite): leave these inputs out, or load the model in higher precision."
        )


def _replacements(
    subject: Subject,
    bound: Bound,
    shapes: dict[Site, tuple[int, ...]],
    batch: BatchSize,
    source: Rows,
    donors: npt.NDArray[np.intp] | None,
) -> dict[Site, Any]:
    """What replaces each site, of ``shapes`` (R, ...): its mean over rows ``source``, or what ``donors`` (R,) carry."""
    import torch

    if donors is not None:  # only these rows need be run and remembered
        used, donors = np.unique(donors, return_inverse=True)
        source = source.take(torch.as_tensor(used, device=subject.device))
    source = source.single()

    def mask(rows: Rows, site: Site, shape: Sequence[int]) -> Any:
        return rows.valid((len(rows), *shape[1:]), decoder=is_decoder(site, subject.seq2seq))

    def look(site: Site, value: Any, sources: Any) -> Any:
        if donors is not None:
            return value.clone()  # the model may go on in place with it
        valid = mask(source, site, value.shape)
        return Total.of(value, None if valid is None else valid[sources])

    seen, _ = _observe(subject, Bound(source, _nothing, bound.entry), list(shapes), batch, None, look)
    error = missing(list(shapes), seen)
    if error is not None:
        raise error
    replacements = {}
    for site, shape in shapes.items():
        if any(len(runs) > 1 for runs in seen[site]):
            raise InputError(
                f"{site.path} runs {len(seen[site][0])} times in one forward pass, so what replaces it is ambiguous: "
                "choose ablate='zero'."
            )
        found = [runs[0] for runs in seen.pop(site)]
        if donors is None:
            replacements[site] = mean_of(found, shape, site)
            continue
        value = torch.cat(found)
        valid = mask(source, site, value.shape)
        replacements[site] = donated(value, valid, donors, shape, mask(bound.rows, site, shape), site)
    return replacements


def _agree(plain: Ablations, fast: Ablations, first: Any) -> bool:
    """Whether reuse changes nothing, with everything kept and with everything ablated, side by side.

    The rows ``first`` are a batch whose early layers ran just so before: there, reuse must give the same bits, but
    for what the model's own passes differ by, in whatever precision. In another order, rows are in batches of
    another size, and rounding may differ; that shows whether what is reused follows the rows.
    """
    import torch

    per_input = plain.bound.rows.per_input
    precision = _precision(plain.ablator.model)

    def scores(ablations: Ablations, kept: bool, sources: Any) -> Values | None:
        keep = torch.full((len(sources), ablations.ablator.n), kept, device=sources.device)
        return ablations.batch.run(len(sources), partial(ablations.scores, keep, sources), per_input)

    def same(sources: Any, kept: bool, rounding: float) -> bool | None:
        expected, got = (scores(one, kept, sources) for one in (plain, fast))
        if expected is None or got is None:
            return None
        allowed = rounding * np.maximum(1.0, np.abs(expected))
        if np.all(np.abs(got - expected) <= allowed):
            return True
        again = scores(plain, kept, sources)
        return None if again is None else bool(np.all(np.abs(got - expected) <= allowed + 4 * np.abs(again - expected)))

    turned = (
        first.reshape(-1, per_input).flip(0)[:, None].expand(-1, 2, -1).reshape(-1)[: max(len(first), 2 * per_input)]
    )
    for sources, rounding in ((first, _ROUNDING * _precision(None)), (turned, _ROUNDING * precision)):
        for kept in (True, False):
            agree = same(sources, kept, rounding)
            while agree is None:  # out of memory: fewer rows, whose early layers round in another way
                sources = sources[: max(1, len(sources) // per_input // 2) * per_input]
                agree = same(sources, kept, _ROUNDING * precision)
            if not agree:
                return False
    return True


def _narrowest(whole: Ablations, first: Any) -> Ablations:
    """The same with logits only where they are looked at, if that gives the same bits with all kept and all ablated."""
    import torch

    if whole.bound.read is None or getattr(whole.bound.entry, "get_output_embeddings", lambda: None)() is None:
        return whole
    narrow = replace(whole, bound=replace(whole.bound, narrow=True))
    per_input = whole.bound.rows.per_input
    sources = first.repeat(-(-FEW_ROWS // len(first)))
    for kept in (True, False):
        keep = torch.full((len(sources), whole.ablator.n), kept, device=sources.device)
        try:
            expected, got = (
                one.batch.run(len(sources), partial(one.scores, keep, sources), per_input) for one in (whole, narrow)
            )
        except (InputError, RuntimeError, IndexError):  # something else than one row per input reaches the head
            return whole
        if expected is None or got is None or not np.array_equal(expected, got):
            return whole
    return narrow


def _precision(model: Any) -> float:
    """The rounding error of a model's numbers; of 32-bit ones for None."""
    import torch

    first = None if model is None else next(model.parameters(), None)
    return float(torch.finfo(first.dtype if first is not None and first.is_floating_point() else torch.float32).eps)


def _nothing(_output: Any, sources: Any) -> Any:
    import torch

    return torch.zeros(len(sources))
