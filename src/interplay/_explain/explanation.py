"""What an explanation found, how far to trust it, and what it cost."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from interplay._checks import as_path, check_whole, output_position
from interplay._display import Displayed
from interplay._errors import InputError
from interplay._explain.faithfulness import Faithfulness
from interplay._game.layout import Layout, check_layout, layout_from_dict
from interplay._game.outline import Branch, check_outline
from interplay._saved import Saved, damaged, each, facts, feature_ids, listed, number, number_or_nan, text, whole
from interplay._spectrum.asking import asked_set
from interplay._spectrum.characters import Features
from interplay._spectrum.indices import ASKED, canonical_index, compute_index
from interplay._spectrum.interactions import Interactions, distinct_labels
from interplay._spectrum.spectrum import Spectrum
from interplay._spectrum.uncertainty import Deviations, Uncertainty
from interplay._visible import visible_json

FORMAT = 1
"""Version of the saved file; raised when an older reader could no longer read it."""


DEFAULT_INDEX = "bii"
"""What uniform masks know best."""


@dataclass(frozen=True)
class Removal:
    """What was measured of the real input without some features, beside what the fit says.

    ``full`` is the output with everything kept, ``measured`` that without the ``features``, and ``predicted`` what the
    fit expects there.
    """

    features: Features
    full: float
    measured: float
    predicted: float

    def to_list(self) -> list[Any]:
        """JSON-able parts."""
        return [list(self.features), self.full, self.measured, self.predicted]

    @classmethod
    def from_list(cls, parts: object, n: int) -> Removal:
        """The removal that `to_list` wrote, of n features."""
        where = "a removal"
        features, *values = listed(parts, where, 4)
        full, measured, predicted = (number(value, where) for value in values)
        return cls(feature_ids(features, where, n), full, measured, predicted)


@dataclass(frozen=True)
class Fit:
    """What an estimator recovered for one output.

    ``order`` is the largest set it looked for; ``notes`` are what its reader should know; ``evidence`` says of sets
    how they were found, and ``uncertainty`` how far coefficients can be trusted, where the estimator can say.
    ``removals`` are what was measured of the real input without the strongest parts and pairs. Of masks drawn for an
    index ``misses`` has that of what the ``spectrum`` misses of the measured ones: it counts in indices of that kind,
    and in no prediction.
    """

    spectrum: Spectrum
    faithfulness: Faithfulness
    order: int
    method: str
    notes: tuple[str, ...] = ()
    evidence: Mapping[Features, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    uncertainty: Uncertainty | None = None
    removals: tuple[Removal, ...] = ()
    misses: Spectrum | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts, read back by `from_dict`."""
        return {
            "spectrum": self.spectrum.to_dict(),
            "faithfulness": self.faithfulness.to_dict(),
            "order": self.order,
            "method": self.method,
            "notes": list(self.notes),
            "evidence": [[list(key), dict(facts)] for key, facts in self.evidence.items()],
            "uncertainty": None if self.uncertainty is None else self.uncertainty.to_dict(),
            "removals": [removal.to_list() for removal in self.removals],
            "misses": None if self.misses is None else self.misses.to_dict(),
        }

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> Fit:
        """The fit that `to_dict` wrote."""
        saved = Saved.of(parts, "a fit")
        spectrum = Spectrum.from_dict(saved.inner("spectrum").parts)

        def found(value: object, where: str) -> tuple[Features, dict[str, Any]]:
            key, told = listed(value, where, 2)
            return feature_ids(key, where, spectrum.n), facts(told, where)

        doubt, missed = saved.maybe("uncertainty", Saved.of), saved.maybe("misses", Saved.of)
        misses = None if missed is None else Spectrum.from_dict(missed.parts)
        if misses is not None and misses.n != spectrum.n:
            raise damaged(f"a fit misses what {misses.n} features do, but has {spectrum.n}")
        return cls(
            spectrum,
            Faithfulness.from_dict(saved.inner("faithfulness").parts),
            saved("order", whole, 1),
            saved("method", text),
            saved("notes", each, text),
            dict(saved("evidence", each, found)),
            None if doubt is None else Uncertainty.from_dict(doubt.parts, spectrum.n),
            saved("removals", each, lambda removal, _: Removal.from_list(removal, spectrum.n)),
            misses,
        )


@dataclass(frozen=True)
class Point:
    """One round of a sequential measurement: R² and its interval after so many ablations, one of each per output."""

    ablations: int
    r2: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, ablations: int, fits: Sequence[Fit]) -> Point:
        """The point that ``fits`` make after ``ablations``."""
        found = [fit.faithfulness for fit in fits]
        return cls(ablations, *(tuple(getattr(one, name) for one in found) for name in ("r2", "low", "high")))

    def to_list(self) -> list[Any]:
        """JSON-able parts; NaN is written as null."""
        parts = (self.r2, self.low, self.high)
        return [self.ablations, *([x if np.isfinite(x) else None for x in part] for part in parts)]

    @classmethod
    def from_list(cls, parts: Sequence[Any]) -> Point:
        """The point that `to_list` wrote."""
        where = "a point of the curve"
        ablations, *rest = listed(parts, where, 4)
        r2, low, high = (each(part, where, number_or_nan) for part in rest)
        return cls(whole(ablations, where), r2, low, high)


@dataclass(frozen=True)
class Explanation(Displayed):
    """The interactions that explain a game, their faithfulness on unseen ablations, and their cost.

    Attributes
    ----------
    labels
        One name per feature.
    fits
        One `Fit` per output.
    outputs
        Names of the outputs, where the game has several.
    budget, used, from_store
        Ablations allowed, ablations used, and how many of those were read from the store instead of measured.
    seconds
        Wall-clock time of the measurement.
    seed
        The seed of every random choice.
    full, empty
        The game's own values with everything kept and everything ablated, one per output, where measured.
    game_notes
        Notes of the game and the run, before those of the fit.
    layout
        Where the features lie in what the user gave.
    keep
        The probability with which each feature was kept in the ablations.
    curve
        R² after each round of measurement: one point, or several where a goal was set.
    question
        What was asked, for a reader, where the game said.
    index
        The index that these ablations know best, and the default of `interactions`: the one they were drawn for, or
        "bii", what a set does together on the mean over ablations of all else. That is one coefficient a set, so that
        there is no order to choose, and uniform masks, which see such ablations and no others, tell it well.
    outline
        Where the features are of mixed size: which part each came out of, and what its level is.
    deeper
        How `zoom` goes on, where the game's features open into finer ones; lost when the explanation is saved.
    """

    labels: tuple[str, ...]
    fits: tuple[Fit, ...]
    outputs: tuple[str, ...] | None = None
    budget: int = 0
    used: int = 0
    from_store: int = 0
    seconds: float = 0.0
    seed: int = 0
    full: tuple[float, ...] | None = None
    empty: tuple[float, ...] | None = None
    game_notes: tuple[str, ...] = ()
    layout: Layout | None = field(default=None, repr=False)
    keep: float = 0.5
    curve: tuple[Point, ...] = field(default=(), repr=False)
    question: str | None = field(default=None, repr=False)
    index: str = DEFAULT_INDEX
    outline: tuple[Branch, ...] = field(default=(), repr=False)
    deeper: Callable[[Sequence[int], int], Explanation] | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"deeper": None}  # it holds the game, which need not travel

    @property
    def n(self) -> int:
        """The number of features."""
        return len(self.labels)

    @property
    def fit(self) -> Fit:
        """The only output's fit; with several outputs an error that names them."""
        if len(self.fits) > 1:
            names = ", ".join(repr(name) for name in (self.outputs or range(len(self.fits))))
            raise InputError(f"this explanation has {len(self.fits)} outputs: choose one with for_output({names}).")
        return self.fits[0]

    @property
    def spectrum(self) -> Spectrum:
        """The recovered Walsh-Fourier spectrum."""
        return self.fit.spectrum

    @property
    def faithfulness(self) -> Faithfulness:
        """R² on ablations that the fit did not see, its interval, and how it was measured."""
        return self.fit.faithfulness

    @property
    def removals(self) -> tuple[Removal, ...]:
        """What was measured of the real input without the strongest parts and pairs."""
        return self.fit.removals

    @property
    def method(self) -> str:
        """The estimator that made it."""
        return self.fit.method

    @property
    def order(self) -> int:
        """The largest set the estimator looked for."""
        return self.fit.order

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided automatically and why, and every warning."""
        return self.game_notes + self.fit.notes

    def for_output(self, output: str | int) -> Explanation:
        """The explanation of one output, by name or position."""
        names = self.outputs or ()
        position = output_position(output, names, len(self.fits))
        return replace(
            self,
            fits=(self.fits[position],),
            outputs=(names[position],) if names else None,
            full=None if self.full is None else (self.full[position],),
            empty=None if self.empty is None else (self.empty[position],),
            curve=tuple(
                Point(point.ablations, *(part[position : position + 1] for part in (point.r2, point.low, point.high)))
                for point in self.curve
            ),
        )

    def zoom(self, part: int | str | Sequence[int | str], *, budget: int) -> Explanation:
        """Open a part into finer ones and go on, with all that was measured and ``budget`` more ablations.

        Parameters
        ----------
        part
            The feature to open, by number or label, or several of them.
        budget
            The most ablations to add.

        Raises
        ------
        InputError
            For a game whose features do not open, a part that is not there or has no parts, a label that several
            have, or an explanation that was loaded from a file and has no game to go on with.
        """
        if self.deeper is None:
            raise InputError(
                "there is no game here to go on with: zoom an explanation of a game of several units, in the process "
                "that made it; after loading, explain game.opened(explanation.outline).refine([number]), with the same "
                "store."
            )
        check_whole("budget", budget, 1)
        return self.deeper(asked_set(part, self.labels, lambda: distinct_labels(self.labels)), budget)

    def interactions(self, index: str | None = None, order: int | None = None, top: int | None = None) -> Interactions:
        """An interaction index of every set of at most ``order`` features.

        Parameters
        ----------
        index
            "fourier", "mobius", "sv", "bv", "sii", "bii", "k-sii", "stii", "fsii" or "fbii" (`interplay.INDICES`);
            the one that the ablations know best (`index`) when left out.
        order
            The largest set, and the order of the index where it has one; the estimator's order when left out.
        top
            Keep only so many, the strongest.

        Raises
        ------
        InputError
            For an unknown index, an order below 1, or one that needs too many subsets of the spectrum.
        """
        name = canonical_index(self.index if index is None else index)
        highest = self.order if order is None else order
        check_whole("order", highest, 1)
        if top is not None:
            check_whole("top", top, 0)
        highest = 1 if name in ("sv", "bv") else min(highest, self.n)
        missed = self.fit.misses if name in ASKED else None
        values, baseline = compute_index(self.spectrum if missed is None else self.spectrum + missed, name, highest)
        if missed is not None and self.empty is not None:
            baseline = self.empty[0]  # what adds up to f(all) - f(none) does so from here
        doubt = self.fit.uncertainty
        deviations: Mapping[Features, float] | None = None
        if doubt is not None:
            deviations = Deviations(doubt, name, highest, doubt.of(name, highest, list(values)))
        found = Interactions(name, highest, values, labels=self.labels, baseline=baseline, deviations=deviations)
        return found if top is None else found.top(top)

    def __repr__(self) -> str:
        cost = f"{self.used} ablations" + (f" ({self.from_store} from the store)" if self.from_store else "")
        if len(self.fits) > 1:
            return f"Explanation({self.n} features, {len(self.fits)} outputs, {cost})"
        strongest = self.interactions().distinct().top(3).named()
        words = "; ".join(f"{' + '.join(names)} {value:+.3g}" for names, value in strongest)
        return f"Explanation({self.n} features, {self.method}, {cost}, {self.faithfulness}: {words or 'no effect'})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able parts, read back by `from_dict`."""
        return {
            "interplay": FORMAT,
            "labels": list(self.labels),
            "outputs": None if self.outputs is None else list(self.outputs),
            "fits": [fit.to_dict() for fit in self.fits],
            **{name: getattr(self, name) for name in ("budget", "used", "from_store", "seconds", "seed")},
            **{name: None if getattr(self, name) is None else list(getattr(self, name)) for name in ("full", "empty")},
            "notes": list(self.game_notes),
            "keep": self.keep,
            "layout": None if self.layout is None else self.layout.to_dict(),
            "curve": [point.to_list() for point in self.curve],
            "question": self.question,
            "index": self.index,
            **({"outline": [branch.to_list() for branch in self.outline]} if self.outline else {}),
        }

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> Explanation:
        """The explanation that `to_dict` wrote; an error for a later format or anything else."""
        version = parts.get("interplay") if isinstance(parts, Mapping) else None
        if isinstance(version, bool) or not isinstance(version, int):
            raise InputError("this is not a saved explanation: it lacks the field 'interplay'.")
        if version > FORMAT:
            raise InputError(
                f"this explanation was saved in format {version}, but this version of interplay reads up to {FORMAT}: "
                "upgrade interplay to open it."
            )
        saved = Saved.of(parts, "the file")
        labels, fits = saved("labels", each, text), saved("fits", each, lambda fit, _: Fit.from_dict(fit))
        count, finite = len(fits), partial(number, largest=sys.float_info.max)
        read = cls(
            labels=labels,
            outputs=saved.maybe("outputs", each, text, count),
            fits=fits,
            budget=saved("budget", whole),
            used=saved("used", whole),
            from_store=saved("from_store", whole),
            seed=saved("seed", whole),
            seconds=saved("seconds", finite),
            full=saved.maybe("full", each, finite, count),
            empty=saved.maybe("empty", each, finite, count),
            game_notes=saved("notes", each, text),
            keep=saved("keep", number),
            layout=layout_from_dict(saved.maybe("layout", lambda value, _: value)),
            curve=saved("curve", each, lambda point, _: Point.from_list(point)),
            question=saved.maybe("question", text),
            index=canonical_index(saved.maybe("index", text) or DEFAULT_INDEX),
            outline=saved.maybe("outline", each, Branch.from_list) or (),
        )
        if not fits or any(fit.spectrum.n != read.n for fit in fits):
            raise damaged(
                f"its {read.n} labels belong to spectra of {sorted({fit.spectrum.n for fit in fits}) or 'no'} features"
            )
        if count > 1 and read.outputs is None:
            raise damaged(f"its {count} outputs have no names")
        if not 0 < read.keep < 1 or any(len(point.r2) != count for point in read.curve):
            raise damaged("its keep rate or its curve is none")
        check_layout(read.layout, read.n, count)
        check_outline(read.outline, read.n)
        return read

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to ``path`` as JSON; the file is replaced only when it is complete."""
        try:
            target = as_path(path).resolve()  # a link stays, and what it leads to is replaced
        except InputError as error:
            raise InputError(f"cannot write {error}") from None
        if target.exists() and not target.is_file():
            raise InputError(f"cannot write {target}: it is no regular file.")
        unfinished = target.with_name(f".interplay-{os.getpid()}-{threading.get_ident()}.partial")
        try:
            content = visible_json(json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False))
            unfinished.write_text(content + "\n", encoding="utf-8")
            unfinished.replace(target)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise InputError(f"cannot write {target}: {error.strerror or error}.") from error


def load(path: str | os.PathLike[str]) -> Explanation:
    """The explanation that `Explanation.save` wrote to ``path``.

    Raises
    ------
    InputError
        For a file that is missing, is not a saved explanation, or was saved by a later version.
    """
    try:
        file = as_path(path)
    except InputError as error:
        raise InputError(f"cannot read {error}") from None
    try:
        parts = json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a saved explanation: it is not JSON ({error}).") from error
    try:
        return Explanation.from_dict(parts)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")
