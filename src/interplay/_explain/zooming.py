"""From coarse to fine: measure coarse parts, open those that matter, and go on within the same budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from interplay._errors import AblationError, InputError
from interplay._explain.explanation import Explanation, Fit, Point
from interplay._explain.fitting import explained
from interplay._explain.hidden import Hidden
from interplay._explain.plan import ENDS, FEWEST
from interplay._explain.rounds import Task
from interplay._explain.sample import Measure
from interplay._explain.zoom_known import Known
from interplay._explain.zoom_masks import Draws, first_masks, keys_of
from interplay._game.game import Game
from interplay._game.masks import Values
from interplay._game.tree import Part, Tree
from interplay.estimators import get_estimator

_GUARD = 0.1  # share of a round's ablations in which quiet parts are opened at random: all that is known of these
_WEAK = 0.02  # share of the energy below which a part's is not worth an opening
_ROWS = 1.0  # ablations of the next round for each feature that an opening adds: few of them will matter
_CAP = 4  # ablations for each feature beyond which a round that is not the last gains little


@dataclass(frozen=True, eq=False)
class Begun:
    """Where a zoom stands: the parts that are open, what is known, and how many levels it is to follow further."""

    game: Game
    known: Known
    depth: int
    quiet: frozenset[Part] = frozenset()  # closed parts without an effect worth an opening


def zoom(task: Task, measure: Measure, begun: Begun | None, again: Callable[[Task, Begun], Explanation]) -> Explanation:
    """Explain a game whose features open into finer ones.

    Each round measures masks of the parts as they are, fits them together with all earlier ablations, and opens the
    parts that promise most: by the expected energy of all coefficients that a part has a share in, alone and in sets,
    per ablation that opening it will take. There are as many rounds as levels to open, so that what matters can be
    followed to the leaves. A tenth of each round opens other parts at random: effects that cancel while a part is
    closed show there, and what closed parts may hide at most is read off those ablations.

    It goes on from where another one ``begun`` stands; ``again`` is how the explanation goes deeper.
    """
    if not task.estimator.any_masks:
        raise InputError(
            f"{task.estimator.name} needs its own ablations, and a zoom makes others: choose method='auto'."
        )
    if task.index is not None:
        raise InputError(
            f"no masks are drawn for index={task.index!r} in a zoom, whose features change from round to round: leave "
            "index out, or give the game one unit."
        )
    if task.budget < 2 * FEWEST:
        raise InputError(f"a budget of {task.budget} is too small to zoom with: allow at least {2 * FEWEST}.")
    roots = _tree(task.game)
    start = begun or Begun(task.game, Known.nothing(roots.leaves), _depth(roots, range(len(roots.parts))))
    game, known, depth, quiet, curve = start.game, start.known, start.depth, start.quiet, tuple[Point, ...]()
    while True:
        tree, before = _tree(game), known.used
        allowed = _allowed(task, game.n, before, depth)
        known = _measured(task, game, measure, allowed, known, quiet)
        stuck = known.used == before  # all masks of these parts are measured
        sample = known.sample(tree, game.repeats)
        last = allowed == task.budget or (stuck and not depth)
        fits = task.fits(sample, task.estimator if last or not depth else get_estimator("gp"))
        hidden = Hidden.of(tree, quiet, fits, sample, *known.guarded(game.repeats), task.keep)
        curve = (*curve, Point.of(known.used, fits))
        if last or (not depth and task.goal.reached(fits)):
            break
        rest = _allowed(task, game.n, known.used, max(depth - 1, 0)) - known.used
        energy = _energy(tree, fits)
        chosen = _chosen(tree, energy, hidden, most=int(rest / _ROWS))
        quiet = frozenset(
            part for i, part in enumerate(tree.parts) if part.parts and energy[i] < _WEAK and i not in chosen
        )
        depth = _depth(tree, chosen) - 1 if chosen else 0
        game = game.refine(chosen) if chosen else game
    goal = (task.goal.outcome(fits, known.used, task.budget),) if task.goal else ()

    def deeper(ids: Sequence[int], budget: int) -> Explanation:
        opened = Begun(game.refine(ids), known, _depth(tree, ids) - 1, quiet - {tree.parts[i] for i in ids})
        return again(replace(task, budget=known.used + budget), opened)

    return explained(
        game,
        sample,
        fits,
        budget=task.budget,
        seed=task.seed,
        keep=task.keep,
        notes=(_levels(tree), *hidden.notes, *goal),
        curve=curve,
        deeper=deeper,
    )


def _measured(task: Task, game: Game, measure: Measure, allowed: int, known: Known, quiet: frozenset[Part]) -> Known:
    """What is known after a round of ``allowed`` ablations in all."""
    tree, rows = _tree(game), allowed - known.used
    if not known.used:
        ends = np.array([[True], [False]]).repeat(tree.leaves, axis=1)[: 2 * (task.budget >= ENDS)]
        guards, plain = ends[:0], first_masks(tree, rows - len(ends), task.seed, task.keep)
        drawn = keys_of(plain)  # of few parts, a design holds the ends itself
        ends = ends[[not keys_of(end[None]) & drawn for end in ends]]
    else:
        rng = np.random.default_rng([task.seed, known.used])
        draws, seen = Draws(_tree(task.game), tree, quiet, task.keep, rng), keys_of(known.masks)
        guards = draws.guards(int(_GUARD * rows), seen)
        ends, plain = known.masks[:0], draws.plain(rows - len(guards), seen)
    masks = np.concatenate([guards, plain])
    if not len(masks):
        return known
    found = measure(np.concatenate([ends, masks]))
    after = known.with_round(masks, len(guards), ends, found, game.repeats)
    if len(after.masks) < FEWEST:
        raise AblationError(
            f"only {len(after.masks)} of {len(masks)} ablations succeeded: too few to estimate anything."
        )
    return after


def _tree(game: Game) -> Tree:
    assert game.tree is not None
    return game.tree


def _depth(tree: Tree, ids: Sequence[int]) -> int:
    """How often the deepest of some parts can be opened."""
    return max((tree.parts[i].depth for i in ids), default=0)


def _allowed(task: Task, n: int, spent: int, depth: int) -> int:
    """How many ablations there may be after the next round.

    While ``depth`` levels are left to open, an even share of what is left; then the rounds of the goal.
    """
    if not depth:
        # What hides may show before all is spent; a goal has rounds of its own.
        half = [(spent + task.budget) // 2] if not task.goal and task.budget - spent > 2 * _CAP * n else []
        return next(stop for stop in [*half, *task.goal.rounds(n, task.budget)] if stop > spent or stop == task.budget)
    share = (task.budget - spent) // (depth + 1)
    return min(task.budget, spent + max(2 * FEWEST, min(share, max(32, _CAP * n))))


def _energy(tree: Tree, fits: Sequence[Fit]) -> Values:
    """What each part has a share in (n,): the expected energy of all coefficients with it, by that of all.

    The expected square of a coefficient is the square of its mean and its variance: what is uncertain counts, too.
    """
    energy = np.zeros(len(tree.parts))
    for fit in fits:
        total = fit.spectrum.variance or 1.0
        doubt = {} if fit.uncertainty is None else fit.uncertainty.deviations
        for features, value in fit.spectrum.coefficients.items():
            expected = (value**2 + doubt.get(features, 0.0) ** 2) / total
            for feature in features:
                energy[feature] += expected / len(fits)
    return energy


def _chosen(tree: Tree, energy: Values, hidden: Hidden, most: int) -> list[int]:
    """The parts to open next, so that at most so many features are added, but one where any is worth it.

    First what promises most energy per feature that its opening adds, then what hides something for certain.
    """
    adds = np.array([max(len(part.parts) - 1, 1) for part in tree.parts])
    worth = [int(i) for i in np.argsort(-energy / adds, kind="stable") if tree.parts[i].parts and energy[i] >= _WEAK]
    chosen: list[int] = []
    for i in dict.fromkeys([*worth, *hidden.suspects]):
        if not chosen or adds[[*chosen, i]].sum() <= most:
            chosen.append(i)
    return chosen


def _levels(tree: Tree) -> str:
    listed = ", ".join(f"{level}: {count}" for level, count in Counter(part.level for part in tree.parts).items())
    return f"features are of mixed size, opened where they matter ({listed}), of {tree.leaves} finest parts"
