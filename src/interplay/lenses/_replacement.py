"""What goes in place of an ablated part: nothing, its mean over a reference set, or what it was on another input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay.lenses._inputs import Rows
from interplay.lenses._suppression import Site


def is_decoder(site: Site, seq2seq: bool) -> bool:
    """Whether a site of an encoder-decoder model lies in its decoder."""
    return seq2seq and "decoder" in site.path.split(".")


def mean_of(value: Any, valid: Any) -> Any:
    """The mean of ``value`` (R, ...) over its rows and, of a sequence (R, L, d), its tokens ``valid`` (R, L)."""
    if value.ndim != 3:
        return value.mean(0, keepdim=True)
    weight = value.new_ones(value.shape[:2]) if valid is None else valid.to(value.dtype)
    weight = weight.double().unsqueeze(-1)
    return ((value.double() * weight).sum((0, 1)) / weight.sum()).to(value.dtype).reshape(1, 1, -1)


def donated(value: Any, valid: Any, donors: npt.NDArray[np.intp], length: int | None, site: Site) -> Any:
    """What the rows ``donors`` (R,) of ``value`` carry, position by position, for inputs of ``length`` tokens.

    A donor with fewer tokens gives its last one for the rest.
    """
    import torch

    rows = torch.as_tensor(donors, device=value.device)
    if value.ndim != 3 or (valid is None and length in (None, value.shape[1])):
        return value[rows]
    if length is None:
        raise InputError(f"cannot resample {site.path}: how its positions match those of other inputs is not known.")
    count = torch.full((len(value),), value.shape[1]) if valid is None else valid.sum(1)
    last = (count.to(value.device)[rows] - 1).unsqueeze(1)
    place = torch.arange(length, device=value.device).unsqueeze(0).minimum(last)
    return value[rows.unsqueeze(1), place]


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


def joined(seen: dict[Site, list[Any]]) -> dict[Site, Any]:
    """What was observed at each site in several batches, as one tensor with all rows."""
    import torch

    return {site: torch.cat(list(blocks)) for site, blocks in seen.items()}


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
