"""The values of one interaction index, ranked, in the user's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from interplay._errors import InputError, MissingExtraError
from interplay._spectrum import Features

if TYPE_CHECKING:
    import pandas as pd
    import shapiq


def distinct_labels(labels: Sequence[str], width: int = 40) -> tuple[str, ...]:
    """Labels as a reader can tell them apart: white space folded, long ones cut, repeated ones numbered ("the#2")."""
    short = []
    for label in labels:
        flat = " ".join(label.split()) or repr(label)
        short.append(flat if len(flat) <= width else flat[: width - 1].rstrip() + "…")
    repeated = {label for label, count in Counter(short).items() if count > 1}
    seen: Counter[str] = Counter()
    distinct = []
    for label in short:
        seen[label] += 1
        distinct.append(f"{label}#{seen[label]}" if label in repeated else label)
    return tuple(distinct)


@dataclass(frozen=True, eq=False, repr=False)
class Interactions(Mapping[Features, float]):
    """A mapping from ascending tuples of feature ids to the values of one index, strongest first.

    Sets that do not occur have the value 0; the empty set's value is ``baseline``, not an item.

    >>> import interplay as ip
    >>> found = ip.Interactions("fbii", 2, {(1,): 0.5, (0, 1): -2.0}, labels=["never", "fails"], baseline=0.1)
    >>> found
    Interactions fbii, order <= 2, 2 of 2:
        -2  never + fails
      +0.5  fails
    >>> found[0, 1], list(found)
    (-2.0, [(0, 1), (1,)])
    """

    index: str
    order: int
    values_: Mapping[Features, float]
    labels: tuple[str, ...]
    baseline: float

    def __init__(
        self, index: str, order: int, values: Mapping[Features, float], *, labels: Sequence[str], baseline: float
    ) -> None:
        ranked = sorted(values.items(), key=lambda item: (-abs(item[1]), len(item[0]), item[0]))
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "values_", MappingProxyType(dict(ranked)))
        object.__setattr__(self, "labels", tuple(labels))
        object.__setattr__(self, "baseline", float(baseline))

    def __getitem__(self, features: Features) -> float:
        return self.values_[features]

    def __iter__(self) -> Iterator[Features]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.index, self.order, dict(self.values_), self.labels, self.baseline))

    def __repr__(self) -> str:
        shown = self.top(10)
        head = f"Interactions {self.index}, order <= {self.order}, {len(shown)} of {len(self)}:"
        rows = [(f"{value:+.4g}", " + ".join(words)) for words, value in shown.named()]
        width = max((len(value) for value, _ in rows), default=0)
        return "\n".join([head, *(f"  {value:>{width}}  {words}" for value, words in rows)])

    def top(self, k: int) -> Interactions:
        """The k strongest."""
        if k < 0:
            raise InputError(f"top needs k >= 0, not {k}.")
        kept = dict(list(self.values_.items())[:k])
        return Interactions(self.index, self.order, kept, labels=self.labels, baseline=self.baseline)

    def of_order(self, low: int, high: int | None = None) -> Interactions:
        """Only the sets of ``low`` to ``high`` features (``high`` is ``low`` when left out)."""
        last = low if high is None else high
        kept = {key: value for key, value in self.values_.items() if low <= len(key) <= last}
        return Interactions(self.index, self.order, kept, labels=self.labels, baseline=self.baseline)

    def named(self) -> list[tuple[tuple[str, ...], float]]:
        """``[(labels of the set, value), ...]``, strongest first; repeated labels are numbered."""
        names = distinct_labels(self.labels)
        return [(tuple(names[i] for i in key), value) for key, value in self.values_.items()]

    def to_frame(self) -> pd.DataFrame:
        """A pandas table with the columns ``features`` (ids), ``labels``, ``order`` and ``value``.

        Raises
        ------
        MissingExtraError
            Without pandas.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError.of("pandas", "frame") from error
        return pd.DataFrame(
            {
                "features": list(self.values_),
                "labels": [words for words, _ in self.named()],
                "order": [len(key) for key in self.values_],
                "value": list(self.values_.values()),
            }
        )

    def to_shapiq(self) -> shapiq.InteractionValues:
        """The same values as shapiq's ``InteractionValues``, for its plots and tools.

        Raises
        ------
        MissingExtraError
            Without shapiq.
        """
        try:
            import shapiq
        except ImportError as error:
            raise MissingExtraError("this needs shapiq, which is not installed: pip install shapiq") from error
        import numpy as np

        keys = [(), *self.values_]
        return shapiq.InteractionValues(
            values=np.array([self.baseline, *self.values_.values()]),
            index=_SHAPIQ_NAMES.get(self.index, self.index),
            min_order=0,
            max_order=self.order,
            n_players=len(self.labels),
            interaction_lookup={key: position for position, key in enumerate(keys)},
            baseline_value=self.baseline,
            estimated=True,
        )


_SHAPIQ_NAMES = {
    "mobius": "Moebius",
    "sv": "SV",
    "bv": "BV",
    "sii": "SII",
    "bii": "BII",
    "k-sii": "k-SII",
    "stii": "STII",
    "fsii": "FSII",
    "fbii": "FBII",
}


def _rebuild(
    index: str, order: int, values: Mapping[Features, float], labels: Sequence[str], baseline: float
) -> Interactions:
    return Interactions(index, order, values, labels=labels, baseline=baseline)
