"""What the peers' scripts share: pairs of input and output files, and the polynomial that an output holds."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np


def each(run: Callable[[str, str], None], files: tuple[str, ...]) -> None:
    """One run a pair of files; of several, one that fails leaves no output and does not stop the others."""
    for source, target in zip(files[::2], files[1::2]):
        try:
            run(source, target)
        except Exception as error:
            if len(files) == 2:
                raise
            print(f"{source}: {error}", file=sys.stderr)


def save(target: str, basis: str, found: dict, n: int, seconds: float, used: int) -> None:
    """A polynomial by set, as packed rows of ``keys`` and their ``coefficients``, and what it cost."""
    keys = np.zeros((len(found), n), dtype=bool)
    for row, key in enumerate(found):
        keys[row, list(key)] = True
    np.savez(target, basis=basis, keys=keys, coefficients=list(found.values()), seconds=seconds, used=used)
