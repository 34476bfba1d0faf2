"""Results as pandas tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from interplay._errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A data frame of ``rows``; where pandas is missing, the error that says how to get it."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError.of("pandas", "frame") from error
    return pd.DataFrame(list(rows), columns=list(columns))
