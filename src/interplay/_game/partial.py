"""What a game returns where not all went well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Partial:
    """What a game may return for a batch in which some ablations failed, or of which there is something to say.

    ``values`` (K,) or (K, T) are those of the masks that did not fail, in their order; ``failures`` says by row of
    the batch why the others did; ``notes`` are sentences for the reader of the result, who gets each of them once.
    """

    values: Any
    failures: Mapping[int, str]
    notes: tuple[str, ...] = ()
