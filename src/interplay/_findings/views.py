"""What a reader is shown of a result: small frozen views of numbers and words, which terminal, page and plots draw.

A result that wants to be shown has a method ``view()`` that returns a `View`; nothing here knows any ink.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from interplay._game.layout import GridLayout, ImageLayout, TextLayout
from interplay._game.outline import Branch
from interplay._spectrum.characters import Features
from interplay._spectrum.interactions import Interactions

_P = TypeVar("_P")
_LONG = 24  # characters from which labels are numbered
_ROUNDING = 1e-9  # of the strongest: values below it are rounding errors of zero

Picture: TypeAlias = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Effect:
    """A set of features and what it does; ``reach`` is half of the 90% interval, None where it is not known.

    ``faint`` where it cannot be told from zero.

    >>> str(Effect((0,), 0.3125, 0.04)), str(Effect((0, 2), -2.0))
    ('+0.312 ± 0.040', '-2')
    """

    features: Features
    value: float
    reach: float | None = None
    faint: bool = False

    def __str__(self) -> str:
        if self.reach is None or self.reach < 1e-9 * abs(self.value):
            return signed(self.value)
        digits = max(0, 1 - floor(log10(self.reach)))  # two digits of the uncertainty, the value to the same place
        return f"{self.value:+.{digits}f} ± {self.reach:.{digits}f}"


def signed(value: float) -> str:
    """A number with its sign and at most four digits: "+0.3125"; zero has none."""
    return f"{value:+.4g}" if value else "0"


def effects_of(found: Interactions) -> tuple[Effect, ...]:
    """The values of an index with their intervals, strongest first."""
    least = _ROUNDING * max(map(abs, found.values()), default=0.0)
    effects = []
    for features, value in found.items():
        interval = found.interval(features)
        reach = None if interval is None or interval[0] == interval[1] else interval[1] - value
        faint = abs(value) <= least or (reach is not None and reach >= abs(value))
        effects.append(Effect(features, value, reach, faint))
    return tuple(effects)


def alone_effects(effects: Iterable[Effect], n: int) -> tuple[Effect, ...]:
    """The effect of each of ``n`` features by itself, out of those of several sets; zero where there is none."""
    known = {effect.features: effect for effect in effects if len(effect.features) == 1}
    return tuple(known.get((i,), Effect((i,), 0.0, None, True)) for i in range(n))


def alone(found: Interactions) -> tuple[Effect, ...]:
    """The effect of each feature by itself, in the order of the features; zero where the index has none."""
    return alone_effects(effects_of(found.of_order(1)), len(found.labels))


@dataclass(frozen=True)
class Quality:
    """R² on unseen ablations, with its interval and that of single features; NaN where nothing varies.

    ``interactions`` says whether the fit has any, ``how`` in words which ablations were unseen; ``exact`` that there
    are no others.
    """

    r2: float
    low: float
    high: float
    first_order: float | None
    interactions: bool
    how: str
    exact: bool = False

    @property
    def known(self) -> bool:
        """Whether R² is defined."""
        return isfinite(self.r2)


@dataclass(frozen=True)
class Removal:
    """What was measured with some features gone: the output before and after."""

    features: Features
    before: float
    after: float


@dataclass(frozen=True)
class Ranking:
    """Sets by strength, the strongest first.

    ``meaning`` says in words what the numbers are; ``left`` counts sets that are weaker than all of these;
    ``combines`` is False for values of single features, which do not speak of combinations.
    """

    effects: tuple[Effect, ...]
    labels: tuple[str, ...]
    index: str
    meaning: str
    left: int = 0
    combines: bool = True
    removals: tuple[Removal, ...] = ()

    @property
    def numbered(self) -> bool:
        """Whether labels are so long that sets of them are better named by numbers, with a key.

        What counts are the labels of sets that are shown, if there are any: long parts that a zoom left closed hide no
        words behind numbers.
        """
        shown = {i for effect in self.certain(2) for i in effect.features} or range(len(self.labels))
        return any(len(self.labels[i]) > _LONG for i in shown)

    @property
    def largest(self) -> int:
        """The size of the largest set."""
        return max((len(effect.features) for effect in self.effects), default=1)

    def certain(self, low: int = 1, high: int | None = None) -> tuple[Effect, ...]:
        """The sets of ``low`` to ``high`` features that differ from zero."""
        return tuple(effect for effect in self._sized(low, high) if not effect.faint)

    def faint(self, low: int = 1, high: int | None = None) -> int:
        """How many sets of that size cannot be told from zero."""
        return sum(effect.faint for effect in self._sized(low, high))

    def _sized(self, low: int, high: int | None) -> Iterable[Effect]:
        most = high or len(self.labels)
        return (effect for effect in self.effects if low <= len(effect.features) <= most)


@dataclass(frozen=True)
class ShadedText:
    """A text whose features have an effect each (n,)."""

    layout: TextLayout
    effects: tuple[Effect, ...]
    meaning: str


@dataclass(frozen=True)
class ShadedGrid:
    """A grid of components with an effect each (n,); shares of the energy by name, where there are any."""

    layout: GridLayout
    effects: tuple[Effect, ...]
    meaning: str
    energy: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class ShadedPicture:
    """A picture whose segments have an effect each (n,), and the sets that are worth outlining.

    ``most`` is the strongest effect of all features where some lie beside the picture.
    """

    layout: ImageLayout
    labels: tuple[str, ...]
    effects: tuple[Effect, ...]
    meaning: str
    sets: tuple[Effect, ...] = ()
    most: float | None = None


@dataclass(frozen=True)
class Row:
    """A row of a table: what each column is, typically is, and does."""

    names: tuple[str, ...]
    values: tuple[str, ...]
    typical: tuple[str, ...]
    effects: tuple[Effect, ...]
    meaning: str


@dataclass(frozen=True)
class Card:
    """An example as a reader knows it."""

    name: str
    kind: str | None = None
    picture: Picture | None = None


@dataclass(frozen=True)
class Cards:
    """Sets of examples side by side under one title, each with a number and a word on what it does."""

    title: str
    items: tuple[tuple[Effect, str], ...]
    cards: Mapping[int, Card]
    left: int = 0


@dataclass(frozen=True)
class Matrix:
    """Numbers by row and column, such as examples by test points; ``left`` rows are not shown."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    left: int = 0


@dataclass(frozen=True)
class Table:
    """Any other rows under column heads: words, numbers, and effects with their sign; ``left`` rows are not shown."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | Effect, ...], ...]
    left: int = 0


@dataclass(frozen=True)
class Facts:
    """A few words and numbers, each under a name."""

    title: str
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Unfolding:
    """Features of mixed size as they were opened, each with its effect (n,); none where there are several outputs."""

    branches: tuple[Branch, ...]
    effects: tuple[Effect, ...]
    meaning: str

    @property
    def most(self) -> float:
        """The strongest effect that differs from zero."""
        return max((abs(effect.value) for effect in self.effects if not effect.faint), default=0.0)

    def matters(self, branch: Branch) -> bool:
        """Whether any feature inside differs from zero."""
        return any(self.effects and not self.effects[i].faint for i in branch.features)

    def inside(self, branch: Branch) -> str:
        """In words how many parts it was opened into, and how many finest ones these hold."""
        return f"{len(branch.parts)} parts, {branch.leaves} finest"


Part: TypeAlias = (
    Quality | Ranking | ShadedText | ShadedGrid | ShadedPicture | Row | Unfolding | Cards | Matrix | Table | Facts
)


@dataclass(frozen=True)
class View:
    """One result for a reader.

    ``question`` is what was asked, ``answer`` one sentence; ``cost`` what it took. ``asides`` are notes for those who
    ask for them; ``choices`` are the views of the outputs, each with its name, where there are several.
    """

    question: str
    answer: str
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()
    asides: tuple[str, ...] = ()
    cost: str = ""
    name: str = ""
    picture: Picture | None = None
    choices: tuple[View, ...] = ()

    def part(self, kind: type[_P]) -> _P | None:
        """The first part of a kind, None where there is none."""
        return next((part for part in self.parts if isinstance(part, kind)), None)


@runtime_checkable
class Viewable(Protocol):
    """Whatever can be shown: it has a view."""

    def view(self) -> View:
        """The result for a reader."""
        ...
