"""A game: labelled features that can be kept or ablated, and the output that results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from interplay._checks import check_whole
from interplay._errors import AblationError, InputError
from interplay._game.cost import Cost
from interplay._game.identity import Identity, digest
from interplay._game.layout import Layout
from interplay._game.masks import Masks, Values, averaged, check_masks, check_values
from interplay._game.outline import Branch
from interplay._game.partial import Partial
from interplay._game.slopes import Sloped, Slopes
from interplay._game.tree import Coarse, CoarseSlopes, CoarseTexts, Part, Tree, in_blocks


def check_labels(labels: Sequence[str] | int) -> tuple[str, ...]:
    """One name per feature, from names or from how many there are."""
    if isinstance(labels, str):
        raise InputError(f"labels must be a list of names or a number of features, not the text {labels!r}.")
    if isinstance(labels, (int, np.integer)) and not isinstance(labels, bool):
        names = tuple(f"x{i}" for i in range(int(labels)))
    elif isinstance(labels, Set):
        raise InputError("labels are a set, which has no order: pass a list, one name for each column of the masks.")
    else:
        try:
            given: list[Any] = list(labels)  # type: ignore[arg-type]
        except TypeError:
            raise InputError(f"labels must be names or a number of features, not {labels!r}.") from None
        if None in given:
            raise InputError(f"label {given.index(None)} is None: give every feature a name.")
        names = tuple(map(str, given))
    if not names:
        raise InputError("a game needs at least one feature, but there are 0 labels.")
    return names


def _output_names(outputs: Sequence[str]) -> tuple[str, ...]:
    if isinstance(outputs, (str, Set)):
        raise InputError(f"outputs must be a list of names, not {outputs!r}.")
    given = list(outputs)
    if any(output is None for output in given):
        raise InputError("one of the outputs' names is None: give every output a name, or leave outputs out.")
    return tuple(map(str, given))


@dataclass(frozen=True, init=False, eq=False)
class Game:
    """Labelled features that can be kept or ablated, and the function that measures each ablation.

    >>> import numpy as np, interplay as ip
    >>> game = ip.Game(lambda masks: 2.0 * (masks[:, 0] & masks[:, 1]), labels=["never", "fails", "."])
    >>> game(np.array([[True, True, False], [True, False, True]]))
    array([2., 0.])

    Parameters
    ----------
    value
        Takes boolean masks (N, n), True = kept, and returns N floats, or (N, T) for T outputs of one ablation.
    labels
        One name per feature, or their number.
    outputs
        Names of the T outputs, where there are several.
    name
        The game's identity in a store. Change it whenever the game would return other values.
    identity
        What a lens knows of the game's identity: JSON-able parts from which `fingerprint` is made, or a
        function that returns them or None (called only when a store needs it). ``name`` goes before it.
    layout
        Where the features lie in what the user gave, for reports.
    batch_size
        Masks per call of ``value``: also the most that a killed run loses.
    notes
        What a reader of the result should know about how the game was made.
    keep
        The probability with which a design keeps each feature. The game and its spectrum are the same whatever it
        is; only which ablations are measured, and for which the faithfulness speaks, depends on it.
    repeats
        How often ``value`` measures each output, for games that are noisy: with R repeats it returns (N, T * R),
        the repeats of an output side by side. They are stored one by one, averaged for the fit, and their spread is
        reported as noise.
    failures
        The share of ablations that may fail (``value`` returns a `Partial`) before a run stops; those that failed
        are recorded, left out of the fit, and reported.
    question
        What the game asks, for a reader: the title of its report.
    inputs
        What the model sees under masks (N, n), readable, one for each; what `Game.inputs` returns.
    price
        What so many ablations take, where that is not one call each; what `Game.price` returns.
    slopes
        Takes masks (N, n) and returns values, as ``value`` does, and slopes (N, n) or (N, T, n): what the value gains
        per unit of every feature's gate, from ablated to kept, at that mask, by differentiation; NaN for all features
        of an output that has none. One ablation then tells n + 1 numbers.
    slope_cost
        What an ablation with slopes costs, in ablations without.
    tree
        What the features open into, where they do; made by `zoomed` and `refine`.
    """

    value: Callable[[Masks], Any] = field(repr=False)
    labels: tuple[str, ...]
    outputs: tuple[str, ...] | None
    name: str | None
    identity: Identity = field(repr=False)
    layout: Layout | None = field(repr=False)
    batch_size: int = field(repr=False)
    notes: tuple[str, ...] = field(repr=False)
    keep: float = field(repr=False)
    repeats: int = field(repr=False)
    failures: float = field(repr=False)
    question: str | None = field(repr=False)
    _inputs: Callable[[Masks], Iterable[Any]] | None = field(repr=False)
    _price: Callable[[int], Cost] | None = field(repr=False)
    slopes: Slopes | None = field(repr=False)
    slope_cost: float = field(repr=False)
    tree: Tree | None = field(repr=False)

    def __init__(
        self,
        value: Callable[[Masks], Any],
        labels: Sequence[str] | int,
        *,
        outputs: Sequence[str] | None = None,
        name: str | None = None,
        identity: Identity = None,
        layout: Layout | None = None,
        batch_size: int = 64,
        notes: Sequence[str] = (),
        keep: float = 0.5,
        repeats: int = 1,
        failures: float = 0.0,
        question: str | None = None,
        inputs: Callable[[Masks], Iterable[Any]] | None = None,
        price: Callable[[int], Cost] | None = None,
        slopes: Slopes | None = None,
        slope_cost: float = 2.0,
        tree: Tree | None = None,
    ) -> None:
        if not callable(value):
            raise InputError(f"a game must be callable on masks, but {type(value).__name__} is not.")
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, not {batch_size}.")
        if name is not None and not isinstance(name, str):
            raise InputError(f"a game's name must be a text, not {name!r}.")
        if name is not None and not name.strip():
            raise InputError("a game's name is empty: give it one that no other game has.")
        if not 0 < keep < 1:
            raise InputError(f"keep must lie strictly between 0 and 1, not {keep}: it is a probability of keeping.")
        if repeats < 1:
            raise InputError(f"repeats must be at least 1, not {repeats}.")
        if not 0 <= failures < 1:
            raise InputError(f"failures must be a share from 0 up to 1, not {failures}.")
        if slopes is not None and not callable(slopes):
            raise InputError(f"a game's slopes must be callable on masks, but {type(slopes).__name__} is not.")
        if not 1 <= slope_cost < np.inf:
            raise InputError(f"slope_cost must be a number of ablations from 1, not {slope_cost}.")
        for attribute, given in {
            "value": value,
            "labels": check_labels(labels),
            "outputs": None if outputs is None else _output_names(outputs),
            "name": name,
            "identity": identity,
            "layout": layout,
            "batch_size": int(batch_size),
            "notes": tuple(notes),
            "keep": float(keep),
            "repeats": int(repeats),
            "failures": float(failures),
            "question": question,
            "_inputs": inputs,
            "_price": price,
            "slopes": slopes,
            "slope_cost": float(slope_cost),
            "tree": tree,
        }.items():
            object.__setattr__(self, attribute, given)

    @property
    def n(self) -> int:
        """The number of features."""
        return len(self.labels)

    def __call__(self, masks: object) -> Values:
        """Measure ``masks`` (N, n); every value is checked to be a finite real number, repeats are averaged.

        Raises
        ------
        InputError
            Masks of another width or dtype.
        AblationError
            Values of another length, complex, text, NaN or infinite; an ablation that failed.
        """
        checked = check_masks(masks, self.n)
        values = self.value(checked)
        if isinstance(values, Partial):
            if values.failures:
                row, reason = next(iter(values.failures.items()))
                raise AblationError(f"{len(values.failures)} of {len(checked)} ablations failed, row {row}: {reason}")
            values = values.values
        return averaged(check_values(values, checked), self.repeats)

    def inputs(self, masks: object) -> list[Any]:
        """What the model sees under each of ``masks`` (N, n), to be read: nothing is measured.

        A text, an image, a row by column (a column whose ablation is averaged over a background holds all the values
        it takes), the positions of the training examples kept; where a game knows no more, the labels kept.

        >>> import interplay as ip
        >>> game = ip.lenses.text(len, "It never fails.", ablate="_")
        >>> game.inputs([[True, False, True]])
        ['It _ fails.']

        Raises
        ------
        InputError
            Masks of another width or dtype.
        """
        checked = check_masks(masks, self.n)
        if self._inputs is not None:
            return list(self._inputs(checked))
        return [tuple(label for label, kept in zip(self.labels, mask, strict=True) if kept) for mask in checked]

    def price(self, ablations: int) -> Cost:
        """What so many ablations take, before any is spent: calls, a server's tokens, predictions, retrainings.

        >>> import interplay as ip
        >>> print(ip.lenses.training(lambda kept: kept, len, examples=4).price(300))
        300 retrainings

        Raises
        ------
        InputError
            For anything but a whole number from 0.
        """
        check_whole("ablations", ablations, least=0)
        return Cost(int(ablations)) if self._price is None else self._price(int(ablations))

    @cached_property
    def fingerprint(self) -> str | None:
        """What identifies this game in a store; None where only the user can name it."""
        zoom = {} if self.tree is None else {"seen as": self.tree.starts.tolist()}
        if self.name is not None:
            return digest(name=self.name, **zoom)
        parts = self.identity() if callable(self.identity) else self.identity
        return None if parts is None else digest(**parts, **zoom)

    @cached_property
    def sloped(self) -> Game | None:
        """The game whose outputs are this one's values and slopes in a row; None where it has no slopes.

        What measures, sends and stores values so does the same for slopes. In a store it is a game of its own.
        """
        if self.slopes is None:
            return None
        mark = self.fingerprint
        return Game(
            Sloped(self.slopes, self.n, self.repeats),
            self.labels,
            identity=None if mark is None else {"slopes of": mark},
            batch_size=self.batch_size,
            failures=self.failures,
        )

    def named(self, name: str) -> Game:
        """The same game under a name of the user's choosing, which identifies it in a store."""
        return self._with(name=name)

    def noted(self, *notes: str) -> Game:
        """The same game with more for a reader of its result to know."""
        return self._with(notes=(*self.notes, *notes))

    def slopes_costing(self, ablations: float) -> Game:
        """The same game whose ablations with slopes count as so many without, of a budget.

        >>> import numpy as np, interplay as ip
        >>> game = ip.Game(lambda masks: 1.0 * masks[:, 0], 5, slopes=lambda masks: (1.0 * masks[:, 0], np.eye(5)[[0]]))
        >>> game.slopes_costing(3.5).slope_cost
        3.5

        Raises
        ------
        InputError
            For a number below 1.
        """
        return self._with(slope_cost=ablations)

    def relabelled(self, labels: Sequence[str]) -> Game:
        """The same game with other names for its features."""
        return self._with(labels=labels)

    def zoomed(self, parts: Sequence[Part] | None = None, *, blocks: bool = True) -> Game:
        """The same game seen from afar: its features are ``parts``, each a stretch of the present ones.

        Without parts the present features are the finest. More parts than 16 are put into blocks of neighbours, and
        those in blocks again, so that each opening costs few ablations; not so where ``blocks`` is False, for parts
        such as a network's layers, half of which nobody can take away at once.

        `interplay.explain` opens those that matter into finer ones, within its budget; `refine` does so by hand. A
        store holds the ablations of the finest features, so that all games made of one share them.

        >>> import interplay as ip
        >>> words = ip.Game(lambda masks: masks[:, 1] & masks[:, 3], ["it", "never", "really", "fails"])
        >>> halves = words.zoomed([
        ...     ip.Part("it never", "half", 0, 2, (ip.Part("it", "word", 0, 1), ip.Part("never", "word", 1, 2))),
        ...     ip.Part("really fails", "half", 2, 4)])
        >>> halves.refine([0]).labels
        ('it', 'never', 'really fails')

        Raises
        ------
        InputError
            For parts that do not lie side by side and hold all features.
        """
        if parts is None:
            parts = [Part(label, "feature", i, i + 1) for i, label in enumerate(self.labels)]
        seen = in_blocks(parts) if blocks else tuple(parts)
        tree = Tree(self.value, self.n, seen, self.layout, self._inputs, self._price, slopes=self.slopes)
        return self._seen(tree)

    def refine(self, ids: Sequence[int]) -> Game:
        """The game in which the features of these numbers are opened into their parts.

        Raises
        ------
        InputError
            For a game without finer features, a number out of range, or a feature that has no parts.
        """
        if self.tree is None:
            raise InputError("this game's features have no parts to open: make it with a tuple of units, or zoomed().")
        return self._seen(self.tree.refined(ids))

    def opened(self, outline: Sequence[Branch]) -> Game:
        """The game as an explanation left it: opened as its ``outline`` says.

        >>> import interplay as ip
        >>> game = ip.Game(lambda masks: 1.0 * masks[:, [3, 40]].all(axis=1), 64).zoomed()
        >>> found = ip.explain(game, budget=100)
        >>> game.opened(found.outline).labels == found.labels
        True

        Raises
        ------
        InputError
            For an outline of another game.
        """
        if self.tree is None:
            raise InputError("this game's features have no parts to open: make it with a tuple of units, or zoomed().")
        return self._seen(self.tree.opened(outline))

    def _seen(self, tree: Tree) -> Game:
        inputs = None if tree.inputs is None else Coarse(tree, tree.inputs)
        labels = [part.name for part in tree.parts]
        coarse = CoarseTexts if hasattr(tree.value, "replaced") else Coarse
        slopes = None if tree.slopes is None else CoarseSlopes(tree, tree.slopes)
        return self._with(
            value=coarse(tree, tree.value), labels=labels, layout=tree.shown, inputs=inputs, slopes=slopes, tree=tree
        )

    @property
    def finest(self) -> Game:
        """The game of the leaves, whose ablations a store holds; the game itself where nothing opens."""
        if self.tree is None:
            return self
        tree = self.tree
        return self._with(
            value=tree.value,
            labels=tree.leaf_labels,
            layout=tree.layout,
            inputs=tree.inputs,
            slopes=tree.slopes,
            tree=None,
        )

    def _with(self, **changes: Any) -> Game:
        parts = {name.removeprefix("_"): getattr(self, name) for name in self.__dataclass_fields__}
        return Game(**{**parts, **changes})
