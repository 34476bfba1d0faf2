"""What ablations will take, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What so many ablations take, known before they are spent: a ``number`` of ``unit``, and a server's tokens.

    ``at_most`` where it is an estimate from above. Tokens are 0 where nobody counts them.

    >>> import interplay as ip
    >>> str(ip.Cost(1200, "calls", tokens=56400))
    '1,200 calls and 56,400 tokens'
    """

    number: int
    unit: str = "calls"
    tokens: int = 0
    at_most: bool = False

    def __str__(self) -> str:
        if not self.number:
            return "nothing"
        unit = self.unit.removesuffix("s") if self.number == 1 else self.unit
        tokens = f" and {self.tokens:,} tokens" if self.tokens else ""
        return f"{'at most about ' if self.at_most else ''}{self.number:,} {unit}{tokens}"
