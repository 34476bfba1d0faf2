"""How well a spectrum predicts ablations that its fit never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from interplay._game.masks import Values
from interplay._saved import Saved, number, number_or_nan, text, whole
from interplay.estimators import is_constant

LEVEL = 0.95
# The standard deviation of log(1 - R²) from one fit to another of as many ablations: read off games whose every
# ablation is known (docs/trust.md).
_CHANCE = 4.0  # over the root of the number of ablations
_CHANCE_MOST = 0.8


@dataclass(frozen=True)
class Faithfulness:
    """R² on unseen ablations, with an interval, beside the first-order R² of the same ablations.

    Attributes
    ----------
    r2
        1 - (squared error) / (squared deviation from the mean); 1 is perfect, 0 is no better than a constant,
        NaN where the game is constant and R² is undefined.
    low, high
        An interval of confidence ``level`` for the R² of this very fit on fresh ablations: from the spread of the
        squared errors over ablations, and from how much fits to other ablations differ.
    first_order
        The R² that a lasso of the single features, no interactions, reaches on the same unseen ablations.
    how
        How the ablations were kept unseen, in words.
    masks
        On how many ablations it was measured.
    """

    r2: float
    low: float
    high: float
    first_order: float | None
    how: str
    masks: int
    level: float = LEVEL

    def __str__(self) -> str:
        if np.isnan(self.r2):
            return f"R² undefined ({self.how})"
        gain = "" if self.first_order is None else f"; first order alone {self.first_order:.3f}"
        return f"R² {self.r2:.3f} [{self.low:.3f}, {self.high:.3f}]{gain} ({self.how})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts: NaN is written as null."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in parts.items()
        }

    @classmethod
    def from_dict(cls, parts: dict[str, Any]) -> Faithfulness:
        """The faithfulness that `to_dict` wrote."""
        saved = Saved.of(parts, "the faithfulness")
        return cls(
            **{name: saved(name, number_or_nan) for name in ("r2", "low", "high")},
            first_order=saved.maybe("first_order", number),
            how=saved("how", text),
            masks=saved("masks", whole),
            level=saved("level", number),
        )


def measure_faithfulness(
    truth: Values,
    unseen: Values,
    *,
    how: str,
    first_order: float | None,
    fitted: int | None = None,
) -> Faithfulness:
    """R² of the ``unseen`` predictions (N,) of ``truth`` (N,), with an interval.

    The interval is the delta method on log(1 - R²), the log of a ratio of two means over ablations, with
    Student's t for few ablations: it never leaves (-inf, 1). That is about which ablations were drawn for scoring.
    Where the predictions are those of other fits than the one that is judged, to parts of its ``fitted`` ablations,
    what these fits happened to find comes on top.
    """
    from scipy.stats import t as student

    count = len(truth)
    if is_constant(truth):
        nan = float("nan")
        how = "every ablation gave the same value, so there is no variance to explain"
        return Faithfulness(nan, nan, nan, None, how, count, LEVEL)
    error = (truth - unseen) ** 2
    spread = (truth - truth.mean()) ** 2
    ratio = float(error.mean() / spread.mean())
    if ratio <= 0:
        return Faithfulness(1.0, 1.0, 1.0, first_order, how, count, LEVEL)
    influence = error / error.mean() - spread / spread.mean()
    if count < 3:  # no spread can be estimated
        return Faithfulness(1 - ratio, float("nan"), float("nan"), first_order, how, count, LEVEL)
    reach = float(student.ppf(0.5 + LEVEL / 2, count - 1) * influence.std(ddof=1) / np.sqrt(count))
    if fitted is not None:
        reach = float(np.hypot(reach, student.ppf(0.5 + LEVEL / 2, np.inf) * min(_CHANCE_MOST, _CHANCE / fitted**0.5)))
    low, high = 1 - ratio * np.exp(reach), 1 - ratio * np.exp(-reach)
    return Faithfulness(1 - ratio, float(low), float(high), first_order, how, count, LEVEL)
