"""What was spent on a server, and how hard it may be worked."""

from __future__ import annotations

from dataclasses import dataclass

from interplay._errors import InputError


@dataclass(frozen=True)
class Spent:
    """What was sent to a server: calls of the model, failed attempts included, and tokens read and written by it.

    Tokens are 0 where the server does not count them.
    """

    calls: int = 0
    tokens: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.calls + other.calls, self.tokens + other.tokens)

    def __str__(self) -> str:
        tokens = f" and {self.tokens:,} tokens" if self.tokens or not self.calls else ""
        return f"{self.calls:,} call{'' if self.calls == 1 else 's'}{tokens}"


@dataclass(frozen=True)
class Limits:
    """How hard a server may be worked.

    ``concurrency`` requests at a time and at most ``rate`` a minute; a request is tried again up to ``retries`` times
    and takes at most ``timeout`` seconds; ``max_calls`` and ``max_tokens`` bound what is spent in all.
    """

    concurrency: int = 8
    retries: int = 5
    timeout: float = 60.0
    rate: float | None = None
    max_calls: int | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        least = {"concurrency": 1, "retries": 0}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if value is not None and (value < least[name] if name in least else value <= 0):
                raise InputError(
                    f"{name} must be {'at least' if name in least else 'more than'} "
                    f"{least.get(name, 0)}, not {value!r}."
                )
