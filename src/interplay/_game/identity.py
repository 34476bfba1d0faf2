"""What makes two games the same: a digest of content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, TypeAlias

Identity: TypeAlias = Callable[[], dict[str, Any] | None] | dict[str, Any] | None


def digest(**parts: Any) -> str:
    """A SHA-256 over JSON-able ``parts``: equal parts, equal digest, on every machine."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
