"""From coarse to fine: measure coarse parts, open those that matter, and go on within the same budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from interplay._errors import AblationError, InputError
from interplay._explain.explanation import Explanation, Fit, Point
from interplay._explain.fitting import explained
from interplay._explain.gain import Promise
from interplay._explain.hidden import ENOUGH, Hidden
from interplay._explain.plan import ENDS, FEWEST, is_complete
from interplay._explain.rounds import Task
from interplay._explain.sample import Measure
from interplay._explain.zoom_known import Known
from interplay._explain.zoom_masks import Draws, first_masks, keys_of
from interplay._game.game import Game
from interplay._game.tree import Part, Tree
from interplay.estimators import get_estimator

_GUARD = 0.1  # share of a round's ablations in which quiet parts are opened at random: all that is known of these
_UNSURE = 0.5  # times the squared share that nothing explains: that much of a round instead, where it is more
_TIED = 0.25  # of what the fit explains: from there on the answer is a coarse one, and says so
_LEAST = 32  # ablations of a round: fewer do not tell a handful of parts apart


@dataclass(frozen=True, eq=False)
class Begun:
    """Where a zoom stands: the parts that are open, what is known, and how many levels it is to follow further."""

    game: Game
    known: Known
    depth: int
    quiet: frozenset[Part] = frozenset()  # closed parts without an effect worth an opening


def zoom(task: Task, measure: Measure, begun: Begun | None, again: Callable[[Task, Begun], Explanation]) -> Explanation:
    """Explain a game whose features open into finer ones.

    Each round measures masks of the parts as they are, fits them together with all earlier ablations, and opens those
    that promise most explained variance per ablation (`Promise`); the next round is as long as that takes, but no
    longer than an even share of what is left, so that what matters can be followed to the leaves. A part of each round
    opens other parts at random: effects that cancel while a part is closed show there, and what closed parts may hide
    at most is read off those ablations.

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
    start = begun or _beginning(task.game)
    game, known, depth, quiet, curve = start.game, start.known, start.depth, start.quiet, tuple[Point, ...]()
    promise: Promise | None = None
    chosen: list[int] = []
    settled = False  # nothing to open, and random openings found nothing
    while True:
        tree, before = _tree(game), known.used
        need = 0 if promise is None else promise.ablations(chosen)
        allowed = task.budget if settled else _allowed(task, game.n, before, depth, need)
        known = _measured(task, game, measure, allowed, known, quiet, 0.0 if promise is None else promise.unexplained)
        stuck = known.used == before  # all masks of these parts are measured
        sample = known.sample(tree, game.repeats)
        last = allowed == task.budget or (stuck and not depth)
        looked = last or (task.goal and not depth)  # at by somebody: the others only say what to open next
        fits = task.fits(sample, task.estimator if looked else get_estimator("gp"))
        hidden = Hidden.of(tree, fits, sample, *known.guarded(game.repeats), task.keep)
        promise = Promise.of(tree, fits, complete=is_complete(game.n, len(sample.masks)))
        curve = (*curve, Point.of(known.used, fits))
        if last or (not depth and task.goal.reached(fits)):
            break
        chosen = _chosen(task, tree, promise, hidden, known.used)
        settled = not task.goal and not chosen and hidden.ablations >= ENOUGH
        quiet = frozenset(part for i, part in enumerate(tree.parts) if part.parts and i not in chosen)
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
        notes=(_levels(tree), *_left_closed(tree, promise, fits), *hidden.notes(tree), *goal),
        curve=curve,
        deeper=deeper,
    )


def _beginning(game: Game) -> Begun:
    """Before anything is measured: of very few parts the largest open, until there are masks enough for a round."""
    while 1 << game.n < _LEAST:
        tree = _tree(game)
        opens = [i for i, part in enumerate(tree.parts) if part.parts]
        if not opens:
            break
        game = game.refine([max(opens, key=lambda i: tree.sizes[i])])
    tree = _tree(game)
    return Begun(game, Known.nothing(tree.leaves), _depth(tree, range(len(tree.parts))))


def _measured(
    task: Task, game: Game, measure: Measure, allowed: int, known: Known, quiet: frozenset[Part], unexplained: float
) -> Known:
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
        # The less the open parts explain, the more may lie in closed ones.
        guards = draws.guards(int(max(_GUARD, _UNSURE * unexplained**2) * rows), seen)
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


def _allowed(task: Task, n: int, spent: int, depth: int, need: int) -> int:
    """How many ablations there may be after the next round.

    While ``depth`` levels are left to open, what the parts opened last ``need``, at most an even share of what is left;
    then the rounds of the goal, or looks after each half of what is left: what hides may show before all is spent.
    """
    left = task.budget - spent
    if depth:
        return min(task.budget, spent + max(2 * FEWEST, min(left // (depth + 1), max(_LEAST, need))))
    half = [spent + max(left // 2, min(need, left))] if not task.goal and left >= 4 * _LEAST else []
    return next(stop for stop in [*half, *task.goal.rounds(n, task.budget)] if stop > spent or stop == task.budget)


def _chosen(task: Task, tree: Tree, promise: Promise, hidden: Hidden, spent: int) -> list[int]:
    """The parts to open next: those that promise most, then those that hide something for certain."""
    left = task.budget - spent
    chosen = promise.chosen([part.depth for part in tree.parts], spent, left)
    for i in hidden.suspects:
        if i not in chosen and sum(len(tree.parts[j].parts) for j in [*chosen, i]) <= left:
            chosen.append(i)
    return chosen


def _levels(tree: Tree) -> str:
    listed = ", ".join(f"{level}: {count}" for level, count in Counter(part.level for part in tree.parts).items())
    return f"features are of mixed size, opened where they matter ({listed}), of {tree.leaves} finest parts"


def _left_closed(tree: Tree, promise: Promise, fits: Sequence[Fit]) -> Iterator[str]:
    """What the budget did not reach: effects that are known of parts as a whole, and of nothing inside."""
    closed = {i for i, part in enumerate(tree.parts) if part.parts}
    shares = []
    for fit in fits:
        total = fit.spectrum.variance
        tied = sum(value**2 for key, value in fit.spectrum.coefficients.items() if closed & set(key))
        shares.append(tied / total if total else 0.0)
    share = float(np.mean(shares))
    if share >= _TIED:
        most = max(closed, key=lambda i: promise.energy[i])
        yield (
            f"{share:.0%} of what the fit explains is known of closed parts as a whole only, the strongest of which "
            f"({tree.parts[most].name!r}) has a share in {promise.energy[most]:.0%}: effects are spread over more "
            "parts than the budget can open; allow a larger one, or take the coarse answer"
        )
