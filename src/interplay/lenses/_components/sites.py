"""Ablate parts of a network in its forward pass, every row of a batch its own parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from interplay._errors import InputError
from interplay.lenses._components.anatomy import layer_of
from interplay.lenses._components.hooks import Hooks
from interplay.lenses._components.select import Part, Side

EXPERT = re.compile(r"expert", re.IGNORECASE)


@dataclass(frozen=True)
class Site:
    """One place in the forward pass: the input, output or update of a module, and which feature owns what of it.

    ``slices`` are pairs (feature, columns of the last dimension), columns None for all of it.
    """

    path: str
    side: Side
    slices: tuple[tuple[int, range | None], ...]


@dataclass(frozen=True, eq=False)
class Pass:
    """What one forward pass ablates: ``keep`` (R, n), one row per row of the batch, booleans or differentiable gates.

    A gate of 1 keeps and of 0 ablates, with the same values to the last bit; slopes are those of what lies between.

    ``sources`` (R,) says which row of the inputs each is; ``scale`` (R,) multiplies what is kept, None for 1.
    """

    keep: Any
    sources: Any
    scale: Any = None


@dataclass(frozen=True, eq=False)
class Ablator:
    """How to replace what each site carries, on a model's modules.

    Parameters
    ----------
    model
        A PyTorch module.
    sites
        From `sites_of`.
    n
        The number of features.
    replacements
        By site, what goes in place of what is ablated: (1, ...) for every row the same, or (R, ...) one for
        each row of the inputs; zero for sites that are missing.
    """

    model: Any
    sites: tuple[Site, ...]
    n: int
    replacements: dict[Site, Any] = field(default_factory=dict)

    def hooks(self, state: Pass) -> Hooks:
        """Hooks that ablate what ``state`` says in one forward pass."""
        import torch

        always = torch.ones((len(state.keep), 1), dtype=state.keep.dtype, device=state.keep.device)
        keep = torch.cat([state.keep, always], dim=1)  # the last column is for what no feature owns
        hooks = Hooks(self.model)
        lengths = _lengths(hooks, self.sites)
        for site in self.sites:
            _watch(hooks, site, partial(self._replaced, site, keep, state, lengths))
        return hooks

    def _replaced(self, site: Site, keep: Any, state: Pass, lengths: dict[str, int], value: Any) -> Any:
        """``value``, what flows at ``site``, with the ablated parts of each row replaced."""
        import torch

        rows = by_row(value, len(keep), site, lengths)
        kept = _kept(site, keep.to(value.device), rows.shape, self.n)
        source = self.replacements.get(site)
        if source is None:
            # A product is several times faster than a choice, and by 1.0 exact for what is kept.
            weight = kept.to(value.dtype)
            if state.scale is not None:  # only what features own is rescaled: the rest cannot be ablated
                scale = state.scale.to(value.device, value.dtype).reshape(-1, *[1] * (rows.ndim - 1))
                none = torch.arange(self.n + 1, device=value.device) == self.n
                owned = ~_kept(site, none.unsqueeze(0), rows.shape, self.n)
                weight = torch.where(owned, weight * scale, weight)
            return (rows * weight).reshape(value.shape)
        other = (source if len(source) == 1 else source[state.sources.to(source.device)]).to(value.device)
        if kept.dtype == torch.bool:
            return torch.where(kept, rows, other).reshape(value.shape)
        return _gate()(rows, other, kept.to(value.dtype)).reshape(value.shape)


def sites_of(parts: Sequence[Part]) -> tuple[Site, ...]:
    """The places where ``parts`` (n,) are ablated, features that share one together.

    Raises
    ------
    InputError
        For parts that overlap.
    """
    groups: dict[tuple[str, Side], list[tuple[int, range | None]]] = {}
    for feature, part in enumerate(parts):
        groups.setdefault((part.path, part.side), []).append((feature, part.columns))
    for (path, side), slices in groups.items():
        whole = any(columns is None for _, columns in slices)
        taken = [column for _, columns in slices for column in (columns or ())]
        if (whole and len(slices) > 1) or len(taken) != len(set(taken)):
            raise InputError(
                f"parts of the {side} of {path} overlap, so that ablating one would ablate some of another: "
                "select them once, in one way."
            )
    return tuple(Site(path, side, tuple(slices)) for (path, side), slices in groups.items())


def observing(
    model: Any, sites: Sequence[Site], seen: dict[Site, list[Any]], rows: int, look: Callable[[Site, Any], Any]
) -> Hooks:
    """Hooks that append what ``look`` makes of what flows at each site to ``seen``, and change nothing.

    What flows is checked to be one value per row of a batch of ``rows``.
    """
    hooks = Hooks(model)
    lengths = _lengths(hooks, sites)

    def note(site: Site, value: Any) -> None:
        seen.setdefault(site, []).append(look(site, by_row(value, rows, site, lengths).detach()))

    for site in sites:
        _watch(hooks, site, partial(note, site))
    return hooks


def _lengths(hooks: Hooks, sites: Sequence[Site]) -> dict[str, int]:
    """A mapping that is filled while a pass goes on: by path of a layer, how many positions its stream has."""
    import torch

    lengths: dict[str, int] = {}

    def note(layer: str, args: Any, kwargs: Any) -> None:
        stream = next((value for value in (*args[:1], *kwargs.values()) if isinstance(value, torch.Tensor)), None)
        if stream is not None and stream.ndim == 3:
            lengths[layer] = stream.shape[1]

    for layer in dict.fromkeys(layer_of(site.path) for site in sites):
        if layer is not None:
            hooks.before(layer, partial(note, layer))
    return lengths


def by_row(value: Any, rows: int, site: Site, lengths: dict[str, int]) -> Any:
    """``value`` with rows first: some models (OPT) run their MLPs on rows and positions in one dimension.

    That is so where there are as many as the layer's stream has. An expert sees the tokens that were routed to it, in
    whatever number: its rows cannot be told apart, and as many as there are rows may be there by chance.
    """
    flat = rows * lengths.get(layer_of(site.path) or "", 0)
    if value.ndim == 2 and flat and value.shape[0] == flat:
        return value.reshape(rows, -1, value.shape[-1])
    if value.ndim and value.shape[0] == rows and not (value.ndim == 2 and EXPERT.search(site.path)):
        return value
    raise InputError(
        f"the {site.side} of {site.path} has shape {tuple(value.shape)} for a batch of {rows} rows: it does not "
        "carry one row per input, so its rows cannot be ablated one by one. Select a module around it."
    )


def _kept(site: Site, keep: Any, shape: Sequence[int], n: int) -> Any:
    """Which of the values at ``site`` are kept: booleans that broadcast against a tensor of ``shape``."""
    import torch

    feature, columns = site.slices[0]
    if columns is None:
        return keep[:, feature].reshape(-1, *[1] * (len(shape) - 1))
    owner = torch.full((shape[-1],), n)
    for feature, columns in site.slices:
        assert columns is not None
        if columns.stop > shape[-1]:
            raise InputError(f"{site.path} carries {shape[-1]} values, fewer than the part {columns} needs.")
        owner[columns.start : columns.stop] = feature
    kept = keep[:, owner.to(keep.device)]
    return kept.reshape(len(keep), *[1] * (len(shape) - 2), shape[-1])


@cache
def _gate() -> Callable[..., Any]:
    """(rows, other, gates of 0 and 1) to rows or other, with the slopes of ``other + gate (rows - other)``.

    Written out that would round, and keep one more tensor for the backward pass.
    """
    import torch

    class Gate(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, rows: Any, other: Any, gates: Any) -> Any:
            ctx.save_for_backward(rows, other, gates)
            return torch.where(gates > 0, rows, other)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            (gradient,) = gradients
            rows, other, gates = ctx.saved_tensors
            by_rows = gradient * gates if ctx.needs_input_grad[0] else None
            return by_rows, None, (gradient * (rows - other)).sum_to_size(gates.shape)

    return Gate.apply


def _exactly(exact: Any, between: Any) -> Any:
    """The numbers of ``exact`` with the slopes of ``between``, of which it differs by rounding."""
    return between + (exact - between).detach()


def _watch(hooks: Hooks, site: Site, change: Any) -> None:
    """Pass what flows at ``site`` through ``change``, which returns None to leave it as it is."""
    if site.side == "input":
        hooks.before(site.path, lambda args, kwargs: _with_first(args, kwargs, change(_first(args, kwargs, site))))
    elif site.side == "output":
        hooks.after(site.path, lambda _args, _kwargs, output: _with_main(output, change(_main(output, site))))
    else:
        entered: list[Any] = []  # a copy, as some layers go on in place with what they were given

        def enter(args: Any, kwargs: Any) -> None:
            entered[:] = [_first(args, kwargs, site).clone()]

        def update(_args: Any, _kwargs: Any, output: Any) -> Any:
            before, after = entered.pop(), _main(output, site)
            if before.shape != after.shape:
                raise InputError(
                    f"{site.path} turns shape {tuple(before.shape)} into {tuple(after.shape)}, so it adds to no stream "
                    "that would pass without it: select modules inside it."
                )
            changed = change(after - before)
            if changed is None:
                return None
            # before + (after - before) rounds, so what is kept unscaled is taken as it was.
            import torch

            exact = torch.where(changed == after - before, after, before + changed)
            return _with_main(output, _exactly(exact, before + changed) if exact.requires_grad else exact)

        hooks.before(site.path, enter)
        hooks.after(site.path, update)


def _first(args: tuple[Any, ...], kwargs: dict[str, Any], site: Site) -> Any:
    import torch

    for value in (*args[:1], *kwargs.values()):
        if isinstance(value, torch.Tensor):
            return value
    raise InputError(f"{site.path} is not called with a tensor, so its input cannot be ablated: select its output.")


def _with_first(args: tuple[Any, ...], kwargs: dict[str, Any], value: Any) -> Any:
    import torch

    if value is None:
        return None
    if args and isinstance(args[0], torch.Tensor):
        return (value, *args[1:]), kwargs
    name = next(name for name, given in kwargs.items() if isinstance(given, torch.Tensor))
    return args, kwargs | {name: value}


def _main(output: Any, site: Site) -> Any:
    import torch

    value = output
    if not isinstance(output, torch.Tensor):
        try:
            value = output[0]  # of a tuple or a Hugging Face output: the first is the hidden state
        except (TypeError, KeyError, IndexError):
            value = None
    if not isinstance(value, torch.Tensor):
        raise InputError(f"{site.path} returns {type(output).__name__}, not a tensor: select a module inside it.")
    return value


def _with_main(output: Any, value: Any) -> Any:
    import torch

    if value is None:
        return None
    if isinstance(output, torch.Tensor):
        return value
    if isinstance(output, (tuple, list)):
        return type(output)((value, *output[1:]))
    name = next(iter(output.keys()))
    return type(output)(**{**output, name: value})
