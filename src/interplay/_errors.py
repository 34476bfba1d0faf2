"""What can go wrong, each as one sentence that names the value seen and the way out.

Exception
└── InterplayError            everything that interplay raises on purpose
    ├── InputError            (ValueError) an argument that cannot be used
    ├── AblationError         (RuntimeError) a game that failed, or gave no finite numbers
    ├── StoreError            a store that cannot be read, or that holds another game
    └── MissingExtraError     (ImportError) an optional package is not installed
KeyboardInterrupt
└── InterruptionError         Ctrl-C, carrying what was measured: no mistake, so no InterplayError
"""

from __future__ import annotations

from typing import Any

from interplay._visible import visible


class InterplayError(Exception):
    """Base of every error that interplay raises on purpose; its words are safe to print."""

    def __str__(self) -> str:
        return visible(super().__str__())


class InputError(InterplayError, ValueError):
    """An argument that cannot be used; the message names the value seen and what to do."""


class AblationError(InterplayError, RuntimeError):
    """A game that failed, or returned something that is not a finite real number per mask."""


class StoreError(InterplayError):
    """A store file that cannot be read, is not a store, or holds another game under the same name."""


class MissingExtraError(InterplayError, ImportError):
    """An optional dependency is missing; the message is the exact pip line."""

    @classmethod
    def of(cls, package: str, extra: str) -> MissingExtraError:
        """The error for a missing ``package`` that the extra ``extra`` would install."""
        return cls(f"this needs {package}, which is not installed: pip install 'interplay[{extra}]'")


class InterruptionError(KeyboardInterrupt):
    """Ctrl-C during measurement, carrying what had been measured.

    ``masks`` (M, n) and ``values`` (M,) or (M, T) are ready for `interplay.fit`. Like any Ctrl-C it passes by an
    ``except Exception``.
    """

    def __init__(self, message: str, masks: Any, values: Any) -> None:
        super().__init__(message)
        self.masks = masks
        self.values = values
