"""The values of one interaction index, ranked, in the user's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from statistics import NormalDist
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from interplay._display import Displayed
from interplay._errors import InputError, MissingExtraError
from interplay._spectrum.asking import NotThereError, asked_set
from interplay._spectrum.characters import Features
from interplay._spectrum.indices import BESIDE_EMPTY
from interplay._visible import visible

if TYPE_CHECKING:
    import pandas as pd
    import shapiq


Asked: TypeAlias = int | str | tuple[int | str, ...]
"""A set by the ids or labels of its features."""


def distinct_labels(labels: Sequence[str], width: int = 40) -> tuple[str, ...]:
    """Labels as a reader can tell them apart: safe to print, spaces folded, long ones cut, repeated ones numbered."""
    short = []
    for label in labels:
        flat = visible(" ".join(label.split()) or repr(label))
        short.append(flat if len(flat) <= width else flat[: width - 1].rstrip() + "…")
    repeated = {label for label, count in Counter(short).items() if count > 1}
    seen: Counter[str] = Counter()
    distinct = []
    for label in short:
        seen[label] += 1
        distinct.append(f"{label}#{seen[label]}" if label in repeated else label)
    return tuple(distinct)


@dataclass(frozen=True, eq=False)
class Intervals(Mapping[Features, tuple[float, float]]):
    """The (low, high) of every set that is listed; where asked for, of any other set of the index as well."""

    of: Interactions
    level: float

    def __getitem__(self, features: Asked) -> tuple[float, float]:
        try:
            found = self.of.interval(features, self.level)
        except NotThereError:
            found = None
        if found is None:
            raise KeyError(features)
        return found

    def __iter__(self) -> Iterator[Features]:
        return (key for key in self.of if self.of.interval(key, self.level) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, eq=False, repr=False)
class Interactions(Displayed, Mapping[Features, float]):
    """A mapping from ascending tuples of feature ids to the values of one index, strongest first.

    Sets may be asked for by their labels, too. Those that do not occur have the value 0 where this is the ``whole``
    index; of those that `top` and the like have left out it says so. The empty set's value is ``baseline``, not an
    item. ``deviations`` are posterior standard deviations, where the estimator gives them.

    >>> import interplay as ip
    >>> found = ip.Interactions("fbii", 2, {(1,): 0.5, (0, 1): -2.0}, labels=["never", "fails"], baseline=0.1)
    >>> found
    Interactions fbii, order <= 2, 2 of 2:
        -2  never + fails
      +0.5  fails
    >>> found[0, 1], found["never", "fails"], found["never"], list(found)
    (-2.0, -2.0, 0.0, [(0, 1), (1,)])
    """

    index: str
    order: int
    values_: Mapping[Features, float]
    labels: tuple[str, ...]
    baseline: float
    deviations: Mapping[Features, float] | None
    whole: bool

    def __init__(
        self,
        index: str,
        order: int,
        values: Mapping[Features, float],
        *,
        labels: Sequence[str],
        baseline: float,
        deviations: Mapping[Features, float] | None = None,
        whole: bool = True,
    ) -> None:
        ranked = sorted(values.items(), key=lambda item: (-abs(item[1]), len(item[0]), item[0]))
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "values_", MappingProxyType(dict(ranked)))
        object.__setattr__(self, "labels", tuple(labels))
        object.__setattr__(self, "baseline", float(baseline))
        object.__setattr__(self, "whole", whole)
        object.__setattr__(self, "deviations", deviations)

    def __getitem__(self, features: Asked) -> float:
        """The value of a set, asked for by ids or by labels; 0 where the index vanishes on it.

        Raises
        ------
        InputError
            For features that there are not, and for a set that was left out here (by `top`, say) or is too large.
        """
        key = self._key(features)
        if key in self.values_:
            return self.values_[key]
        if self.whole and len(key) <= self.order:
            return 0.0 if key else self.baseline
        why = f"only sets of at most {self.order} are" if len(key) > self.order else "only some of the sets are kept"
        raise NotThereError(f"the value of {features!r} is not among these {len(self)}: {why}.")

    def get(self, features: Asked, default: Any = ...) -> Any:
        """The value of a set, as by ``[...]``; the ``default``, where one is given, for a set that was left out."""
        try:
            return self[features]
        except NotThereError:
            if default is ...:
                raise
            return default

    def __contains__(self, features: object) -> bool:
        try:
            return self._key(features) in self.values_
        except InputError:
            return False

    def _key(self, features: object) -> Features:
        """The ids of a set as its values have them."""
        if isinstance(features, tuple) and features in self.values_:
            return features
        return asked_set(features, self.labels, lambda: distinct_labels(self.labels))

    def __iter__(self) -> Iterator[Features]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            _rebuild,
            (self.index, self.order, dict(self.values_), self.labels, self.baseline, self.deviations, self.whole),
        )

    def __repr__(self) -> str:
        shown = self.top(10)
        head = f"Interactions {self.index}, order <= {self.order}, {len(shown)} of {len(self)}:"
        rows = [(shown.format(key), " + ".join(words)) for key, (words, _) in zip(shown, shown.named(), strict=True)]
        width = max((len(value) for value, _ in rows), default=0)
        notes = (f"  note: {note}" for note in self.notes)
        return "\n".join([head, *(f"  {value:>{width}}  {words}" for value, words in rows), *notes])

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of these values should know."""
        unsure = self.deviations is not None and any(self.deviations.values())
        if self.index not in BESIDE_EMPTY or not unsure:
            return ()
        return (
            f"{self.index} speaks of an otherwise empty input, which uniform ablations hardly ever see, so its "
            "intervals are wide: 'bii' is what such ablations know",
        )

    def top(self, k: int) -> Interactions:
        """The k strongest."""
        if k < 0:
            raise InputError(f"top needs k >= 0, not {k}.")
        return self.only(dict(list(self.values_.items())[:k]))

    def of_order(self, low: int, high: int | None = None) -> Interactions:
        """Only the sets of ``low`` to ``high`` features (``high`` is ``low`` when left out)."""
        last = low if high is None else high
        return self.only({key: value for key, value in self.values_.items() if low <= len(key) <= last})

    def only(self, kept: Mapping[Features, float]) -> Interactions:
        """Only the sets in ``kept``, with the values there."""
        return Interactions(
            self.index,
            self.order,
            kept,
            labels=self.labels,
            baseline=self.baseline,
            deviations=self.deviations,
            whole=self.whole and len(kept) == len(self),
        )

    def interval(self, features: Asked, level: float = 0.9) -> tuple[float, float] | None:
        """The credible interval of a value, None where nothing says how far it can be trusted.

        Normal around the value, ``level`` of the probability inside. Of a set that is not listed, around 0.
        """
        if not 0 < level < 1:
            raise InputError(f"level must be a probability between 0 and 1, not {level!r}.")
        key = self._key(features)
        if self.deviations is None or key not in self.deviations:
            return None
        reach = NormalDist().inv_cdf(0.5 + level / 2) * self.deviations[key]
        return self[key] - reach, self[key] + reach

    def intervals(self, level: float = 0.9) -> Mapping[Features, tuple[float, float]]:
        """The credible intervals of all sets that have one, by set.

        >>> import interplay as ip
        >>> found = ip.fit(masks := ip.design(8, 60), 2.0 * masks[:, 1] * masks[:, 4]).interactions()
        >>> low, high = found.intervals(.9)[1, 4]
        >>> low <= 2 <= high
        True
        """
        return Intervals(self, level)

    def distinct(self, level: float = 0.9) -> Interactions:
        """Only the sets that these ablations can tell from zero: their interval lies to one side of it.

        All of them where nothing says how far values can be trusted.
        """

        def apart(features: Features) -> bool:
            interval = self.interval(features, level)
            return interval is None or interval[0] > 0 or interval[1] < 0

        return self.only({key: value for key, value in self.values_.items() if apart(key)})

    def format(self, features: Asked) -> str:
        """A value as a reader sees it: "+0.31 ± 0.04", half of the 90% interval, where there is one, else "+0.3125"."""
        value = self[features]
        interval = self.interval(features)
        if interval is None:
            return f"{value:+.4g}"
        reach = interval[1] - value
        if reach < 1e-9 * abs(value):
            return f"{value:+.4g}"
        digits = max(0, 1 - floor(log10(reach)))  # two digits of the uncertainty, and the value to the same place
        return f"{value:+.{digits}f} ± {reach:.{digits}f}"

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
            | (
                {}
                if self.deviations is None
                else {"deviation": [self.deviations.get(key, np.nan) for key in self.values_]}
            )
        )

    def to_shapiq(self, top: int | None = None) -> shapiq.InteractionValues:
        """The same values as shapiq's ``InteractionValues``, for its plots and tools.

        Parameters
        ----------
        top
            Only so many, the strongest, over the features that occur in them, in ascending order, as players; and of
            no order above theirs. Some of shapiq's plots make tables of all players to the power of the order, which
            for many features do not fit in memory.

        Raises
        ------
        MissingExtraError
            Without shapiq.
        """
        try:
            import shapiq
        except ImportError as error:
            raise MissingExtraError("this needs shapiq, which is not installed: pip install shapiq") from error
        values: Mapping[Features, float] = self.values_ if top is None else self.top(top).values_
        players = range(len(self.labels)) if top is None else sorted({i for key in values for i in key})
        at = {feature: player for player, feature in enumerate(players)}
        keys = [(), *(tuple(at[i] for i in key) for key in values)]
        return shapiq.InteractionValues(
            values=np.array([self.baseline, *values.values()]),
            index=_SHAPIQ_NAMES.get(self.index, self.index),
            min_order=0,
            max_order=self.order if top is None else max(1, *map(len, keys)),
            n_players=len(players),
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
    index: str,
    order: int,
    values: Mapping[Features, float],
    labels: Sequence[str],
    baseline: float,
    deviations: Mapping[Features, float] | None,
    whole: bool,
) -> Interactions:
    return Interactions(index, order, values, labels=labels, baseline=baseline, deviations=deviations, whole=whole)
