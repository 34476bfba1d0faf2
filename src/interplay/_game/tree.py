"""Coarse features that open into finer ones: the tree of a game that can be zoomed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game.coarsened import coarsened
from interplay._game.cost import Cost
from interplay._game.layout import Layout
from interplay._game.masks import Masks
from interplay._game.outline import Branch
from interplay._game.partial import Partial

_WIDEST = 16  # parts into which one opens at once; more are put into blocks, so that each opening costs few ablations


@dataclass(frozen=True, eq=False)
class Part:
    """A stretch of neighbouring leaves, the finest features, that is kept or ablated as one until it is opened.

    ``start`` and ``end`` number its leaves, ``level`` says what it is ("paragraph", "word", ...), ``parts`` are what
    it opens into: side by side they hold the same leaves. A leaf has none.
    """

    label: str
    level: str
    start: int
    end: int
    parts: tuple[Part, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        edges = [self.start, *(part.end for part in self.parts)]
        if self.parts and ([part.start for part in self.parts] != edges[:-1] or edges[-1] != self.end):
            raise InputError(f"the parts of {self.label!r} must lie side by side and hold all of its leaves.")

    @property
    def name(self) -> str:
        """What it is called among features of mixed size: its label, and of all but the finest parts the level, too."""
        return f"{self.level}: {self.label}" if self.parts else self.label

    @cached_property
    def depth(self) -> int:
        """How often it can be opened, one part after another, down to leaves."""
        return 1 + max(part.depth for part in self.parts) if self.parts else 0


def in_blocks(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The same parts, where there are many of them in blocks of neighbours, and those in blocks again."""
    found = tuple(parts)
    while len(found) > _WIDEST:
        edges = np.linspace(0, len(found), -(-len(found) // _WIDEST) + 1).round().astype(int).tolist()
        found = tuple(_block(found[a:b]) for a, b in pairwise(edges))
    return found


def _block(parts: tuple[Part, ...]) -> Part:
    if len(parts) == 1:
        return parts[0]
    first, last = (part.label.split(" … ")[at] for part, at in ((parts[0], 0), (parts[-1], -1)))
    label = f"{_short(first)} … {_short(last)}"
    level = Counter(part.level for part in parts).most_common(1)[0][0]  # a heading is a sentence among paragraphs
    if not level.startswith("block of"):
        level = f"block of {level.removesuffix('s')}s"  # "neurons" are many already
    return Part(label, level, parts[0].start, parts[-1].end, parts)


def _short(label: str) -> str:
    return label if len(label) <= 32 else label[:31].rstrip() + "…"


@dataclass(frozen=True, eq=False)
class Tree:
    """What a zoomed game is made of: the function of its leaves, and the parts that are features now.

    Attributes
    ----------
    value
        The function of the leaves' masks (N, L).
    leaves
        How many leaves there are.
    parts
        The features: side by side they hold all leaves.
    layout
        Where the leaves lie in what the user gave.
    inputs, price, slopes
        As in `Game`, of the leaves' masks.
    roots
        The parts before any was opened; the present ones when left out.
    """

    value: Callable[[Masks], Any] = field(repr=False)
    leaves: int
    parts: tuple[Part, ...] = field(repr=False)
    layout: Layout | None = field(default=None, repr=False)
    inputs: Callable[[Masks], Iterable[Any]] | None = field(default=None, repr=False)
    price: Callable[[int], Cost] | None = field(default=None, repr=False)
    roots: tuple[Part, ...] = field(default=(), repr=False)
    slopes: Callable[[Masks], Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "roots", self.roots or self.parts)
        edges = [0, *(part.end for part in self.parts)]
        if [part.start for part in self.parts] != edges[:-1] or edges[-1] != self.leaves:
            raise InputError(f"the parts of a tree must lie side by side and hold all of its {self.leaves} leaves.")

    @cached_property
    def starts(self) -> npt.NDArray[np.intp]:
        """The first leaf of every part."""
        return np.array([part.start for part in self.parts], dtype=np.intp)

    @cached_property
    def sizes(self) -> npt.NDArray[np.intp]:
        """How many leaves each part holds."""
        return np.array([part.end - part.start for part in self.parts], dtype=np.intp)

    @cached_property
    def leaf_labels(self) -> tuple[str, ...]:
        """Names of the leaves, and of those of a part that does not open its own with their number in it."""
        names: list[str] = []
        stack = list(reversed(self.parts))
        while stack:
            part = stack.pop()
            stack += reversed(part.parts)
            if not part.parts:
                count = part.end - part.start
                names += [part.label] if count == 1 else [f"{part.label} ({k + 1})" for k in range(count)]
        return tuple(names)

    def expanded(self, masks: Masks) -> Masks:
        """The leaves' masks (N, L) of masks (N, n) of the parts."""
        return np.repeat(masks, self.sizes, axis=1)

    def contracted(self, leaves: Masks) -> tuple[Masks, npt.NDArray[np.bool_]]:
        """The parts' masks (N, n) of leaves' masks (N, L), and which rows (N,) keep or ablate every part whole."""
        kept = np.add.reduceat(leaves, self.starts, axis=1, dtype=np.intp)
        return kept == self.sizes, ((kept == 0) | (kept == self.sizes)).all(axis=1)

    def refined(self, ids: Sequence[int]) -> Tree:
        """The tree in which the parts of these numbers are opened.

        Raises
        ------
        InputError
            For a number out of range, or a leaf.
        """
        if not isinstance(ids, Iterable) or not all(isinstance(i, (int, np.integer)) for i in ids):
            raise InputError(f"the features to open must be a list of numbers, such as [0, 3], not {ids!r}.")
        chosen = {int(i) for i in ids}
        for i in chosen:
            if not 0 <= i < len(self.parts):
                raise InputError(f"there is no feature {i} to open: there are {len(self.parts)}, counted from 0.")
            part = self.parts[i]
            if not part.parts:
                raise InputError(f"{part.label!r} cannot be opened: it is a {part.level}, the finest part.")
        opened: list[Part] = []
        for i, part in enumerate(self.parts):
            opened += part.parts if i in chosen else [part]
        return replace(self, parts=tuple(opened))

    def opened(self, outline: Sequence[Branch]) -> Tree:
        """The tree in which those parts are opened that an ``outline`` has opened.

        Raises
        ------
        InputError
            For an outline of other parts.
        """

        def within(parts: Sequence[Part], branches: Sequence[Branch]) -> list[Part]:
            if [part.label for part in parts] != [branch.label for branch in branches]:
                raise InputError("the explanation's parts are not those of this game: explain this game first.")
            pairs = zip(parts, branches, strict=True)
            return [
                one for part, branch in pairs for one in (within(part.parts, branch.parts) if branch.parts else [part])
            ]

        return replace(self, parts=tuple(within(self.roots, outline)))

    @property
    def shown(self) -> Layout | None:
        """Where the parts lie in what the user gave; None where its layout has no place for parts of mixed size."""
        names = [part.name for part in self.parts]
        return coarsened(self.layout, [(part.start, part.end) for part in self.parts], names)

    @cached_property
    def outline(self) -> tuple[Branch, ...]:
        """The parts as they were opened: features at the ends of branches."""
        numbers = {id(part): i for i, part in enumerate(self.parts)}

        def branch(part: Part) -> Branch:
            feature = numbers.get(id(part))
            inner = () if feature is not None else tuple(map(branch, part.parts))
            return Branch(part.label, part.level, feature, part.end - part.start, inner)

        return tuple(map(branch, self.roots))


@dataclass(frozen=True, eq=False)
class Coarse:
    """A function of the leaves' masks as one of the parts' masks."""

    tree: Tree
    function: Callable[[Masks], Any]

    def __call__(self, masks: Masks) -> Any:
        return self.function(self.tree.expanded(masks))


@dataclass(frozen=True, eq=False)
class CoarseTexts(Coarse):
    """As `Coarse`, of a text's parts, which other words can stand in for."""

    @property
    def scorer(self) -> Any:
        """What scores the texts."""
        return self.function.scorer  # type: ignore[attr-defined]

    def replaced(self, words: Mapping[int, str]) -> str:
        """The text in which some parts, by number, are replaced by other words, those of a part at its first leaf."""
        leaves: dict[int, str] = {}
        for i, text in words.items():
            part = self.tree.parts[i]
            leaves |= dict.fromkeys(range(part.start, part.end), "") | {part.start: text}
        shown: str = self.function.replaced(leaves)  # type: ignore[attr-defined]
        return shown


@dataclass(frozen=True, eq=False)
class CoarseSlopes:
    """Values and slopes of the leaves' masks as those of the parts', each of which moves all of its leaves' gates."""

    tree: Tree
    function: Callable[[Masks], Any]

    def __call__(self, masks: Masks) -> Any:
        found = self.function(self.tree.expanded(masks))
        if isinstance(found, Partial):
            return replace(found, values=self._summed(found.values)) if len(found.values) else found
        return self._summed(found)

    def _summed(self, found: Any) -> Any:
        if not isinstance(found, tuple) or len(found) != 2:
            return found  # whoever measures it says what is wrong
        return found[0], np.add.reduceat(np.asarray(found[1]), self.tree.starts, axis=-1)
