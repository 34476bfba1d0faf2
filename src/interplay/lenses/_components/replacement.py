"""What goes in place of an ablated part: nothing, its mean over a reference set, or what it was on another input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay.lenses._components.inputs import Rows
from interplay.lenses._components.sites import Site


def is_decoder(site: Site, seq2seq: bool) -> bool:
    """Whether a site of an encoder-decoder model lies in its decoder."""
    return seq2seq and "decoder" in site.path.split(".")


@dataclass(frozen=True, eq=False)
class Total:
    """The sum of what flows at a site over ``count`` rows or tokens: all that a mean needs to keep of a batch."""

    sum: Any
    count: float
    dtype: Any

    @classmethod
    def of(cls, value: Any, valid: Any) -> Total:
        """The total of ``value`` (R, ...) over its rows and, of a sequence (R, L, d), its tokens ``valid`` (R, L)."""
        import torch

        wide = value.to(torch.float32 if value.device.type == "mps" else torch.float64)  # there is no float64 on mps
        if value.ndim != 3:
            return cls(wide.sum(0), len(value), value.dtype)
        if valid is None:
            return cls(wide.sum((0, 1)), value.shape[0] * value.shape[1], value.dtype)
        weight = valid.to(wide.dtype)
        return cls((wide * weight.unsqueeze(-1)).sum((0, 1)), float(weight.sum()), value.dtype)


def mean_of(totals: Sequence[Total], shape: Sequence[int], site: Site) -> Any:
    """The mean of several batches, to broadcast against what flows at ``site``, of ``shape`` (R, ...)."""
    whole = sum(total.sum for total in totals) / sum(total.count for total in totals)
    if whole.shape[-1:] != tuple(shape[-1:]) or (len(shape) != 3 and whole.shape != tuple(shape[1:])):
        raise InputError(
            f"the reference has the shape {tuple(whole.shape)} at {site.path}, but the inputs {tuple(shape[1:])}: "
            "pass a reference of the inputs' shape."
        )
    return whole.to(totals[0].dtype).reshape(1, *[1] * (len(shape) - 1 - whole.ndim), *whole.shape)


def donated(value: Any, valid: Any, donors: npt.NDArray[np.intp], shape: Sequence[int], mask: Any, site: Site) -> Any:
    """What the rows ``donors`` (R,) of ``value`` carry, token by token, for inputs of ``shape`` (R, ...) at the site.

    ``valid`` and ``mask`` say which positions of donors and of inputs are no padding, None for all. The first token
    takes the place of the first, wherever the padding is; a donor with fewer tokens gives its last one for the rest.
    """
    import torch

    rows = torch.as_tensor(donors, device=value.device)
    if value.ndim == 3 and len(shape) == 3 and value.shape[2] == shape[2]:
        first, last = _ends(valid, value.shape, value.device)
        own, _ = _ends(mask, shape, value.device)
        place = first[rows].unsqueeze(1) + torch.arange(shape[1], device=value.device) - own.unsqueeze(1)
        place = place.maximum(first[rows].unsqueeze(1)).minimum(last[rows].unsqueeze(1))
        return value[rows.unsqueeze(1), place]
    if tuple(value.shape[1:]) != tuple(shape[1:]):
        raise InputError(
            f"the reference has the shape {tuple(value.shape[1:])} at {site.path}, but the inputs {tuple(shape[1:])}: "
            "pass a reference of the inputs' shape."
        )
    return value[rows]


def _ends(valid: Any, shape: Sequence[int], device: Any) -> tuple[Any, Any]:
    """The positions (R,) of the first and the last token of each row that is no padding."""
    import torch

    if valid is None:
        return torch.zeros(shape[0], dtype=torch.long, device=device), torch.full(
            (shape[0],), shape[1] - 1, device=device
        )
    numbers = valid.to(device).int()
    return numbers.argmax(1), numbers.shape[1] - 1 - numbers.flip(1).argmax(1)


def draw_donors(rows: Rows, reference: Rows | None, seed: int) -> npt.NDArray[np.intp]:
    """Which row gives each row of the inputs what is resampled: (R,) rows of the reference, or of other inputs.

    Drawn once: the same for every ablation, so that a game is a function of its masks. Without a reference the
    inputs give to each other in one random cycle, so that none gives to itself.

    Raises
    ------
    InputError
        Where there is only one input and no reference.
    """
    rng = np.random.default_rng([seed, 0xD0])
    inputs = len(rows) // rows.per_input
    if reference is None:
        if inputs < 2:
            raise InputError(
                "resampling takes parts from other inputs, but there is only one: pass more inputs, or reference=[...]."
            )
        cycle = rng.permutation(inputs)
        chosen = np.empty(inputs, dtype=np.intp)
        chosen[cycle] = np.roll(cycle, -1)
        per = rows.per_input
    else:
        per = reference.per_input
        chosen = rng.integers(0, len(reference) // per, inputs)
    within = np.arange(len(rows)) % rows.per_input % per
    donors: npt.NDArray[np.intp] = chosen[np.arange(len(rows)) // rows.per_input] * per + within
    return donors


def missing(sites: Sequence[Site], seen: dict[Site, Any]) -> InputError | None:
    """The error for sites that the forward pass never came by; None where it came by all."""
    never = [site.path for site in sites if site not in seen]
    if not never:
        return None
    return InputError(
        f"{', '.join(never[:3])}{' and others' if len(never) > 3 else ''} took no part in the forward pass, so "
        "ablating it would do nothing: it is fused into its parent, or these inputs do not reach it. Select a module "
        "around it."
    )
