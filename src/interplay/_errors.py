"""What can go wrong, each as one sentence that names the value seen and the way out."""

from __future__ import annotations

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
