"""What a zoom has measured, by the leaves: a coarse mask is a fine one, so every ablation stays useful."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interplay._explain.plan import FEWEST
from interplay._explain.sample import Sample
from interplay._game.masks import Masks, Values, averaged
from interplay._game.tree import Tree
from interplay.ablate import Measurement


@dataclass(frozen=True, eq=False)
class Known:
    """Every ablation so far.

    Attributes
    ----------
    masks, raw
        (N, L), the leaves', distinct, and their values (N, T * R), the repeats of an output side by side.
    guard
        (N,): in which of them closed parts were opened at random.
    newest
        (N,): which were measured in the last round.
    ends, at_ends
        The leaves' masks of everything kept and everything ablated, where measured, and their values (E, T).
    paid, seconds, notes, kept_in
        As in `Sample`.
    """

    masks: Masks
    raw: Values
    guard: npt.NDArray[np.bool_]
    newest: npt.NDArray[np.bool_]
    ends: Masks
    at_ends: Values
    paid: int
    seconds: float
    notes: tuple[str, ...]
    kept_in: str | None

    @property
    def used(self) -> int:
        """How many ablations there are."""
        return len(self.masks) + len(self.ends)

    def sample(self, tree: Tree, repeats: int) -> Sample:
        """What a fit of the parts of ``tree`` sees: the ablations that keep or ablate each of them whole.

        Those of the last round judge it: only they tell all parts apart.
        """
        masks, whole = tree.contracted(self.masks)
        rows = whole & ~self.guard
        fair = self.newest[rows]
        ends, _ = tree.contracted(self.ends)
        return Sample(
            masks=masks[rows],
            raw=self.raw[rows] if self.raw.shape[1] > 1 else self.raw[rows, 0],
            repeats=repeats,
            ends=ends,
            at_ends=self.at_ends if self.raw.shape[1] > repeats else self.at_ends[:, 0],
            fair=fair if not fair.all() and _varied(self.raw[rows][fair]) else None,
            used=self.used,
            paid=self.paid,
            seconds=self.seconds,
            notes=self.notes,
            kept_in=self.kept_in,
        )

    @classmethod
    def nothing(cls, leaves: int) -> Known:
        """Before anything is measured."""
        none, rows = np.empty((0, leaves), dtype=np.bool_), np.empty(0, dtype=np.bool_)
        return cls(none, np.empty((0, 0)), rows, rows, none, np.empty((0, 0)), 0, 0.0, (), None)

    def with_round(self, masks: Masks, guards: int, ends: Masks, found: Measurement, repeats: int) -> Known:
        """With one more round: ``ends``, then ``masks``, of which the first ``guards`` opened closed parts at random.

        Ablations that failed are left out.
        """
        raw, good = found.values.reshape(len(found.values), -1), ~found.failed
        at_ends, now = good[: len(ends)], good[len(ends) :]
        guard = np.arange(len(masks)) < guards
        before = self.raw.reshape(len(self.raw), raw.shape[1])
        means = averaged(raw[: len(ends)][at_ends], repeats).reshape(int(at_ends.sum()), raw.shape[1] // repeats)
        return Known(
            masks=np.concatenate([self.masks, masks[now]]),
            raw=np.concatenate([before, raw[len(ends) :][now]]),
            guard=np.concatenate([self.guard, guard[now]]),
            newest=np.arange(len(self.masks) + int(now.sum())) >= len(self.masks),
            ends=self.ends if len(self.masks) else ends[at_ends],
            at_ends=self.at_ends if len(self.masks) else means,
            paid=self.paid + found.measured,
            seconds=self.seconds + found.seconds,
            notes=tuple(dict.fromkeys(self.notes + found.notes)),
            kept_in=found.kept_in,
        )

    def guarded(self, repeats: int) -> tuple[Masks, Values]:
        """The ablations that opened closed parts at random (G, L), and their values (G, T)."""
        raw = self.raw[self.guard]
        return self.masks[self.guard], averaged(raw, repeats).reshape(len(raw), raw.shape[1] // repeats)


def _varied(values: Values) -> bool:
    """Whether there are values to judge by (N, T)."""
    return len(values) >= FEWEST and bool((np.ptp(values, axis=0) > 0).any())
