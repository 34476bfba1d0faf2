"""Whether slopes pay: decided from the first few masks, and looked at again as more come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interplay._explain.plan import FEWEST, Plan
from interplay._explain.sample import Sample
from interplay._game.masks import Masks, Values
from interplay.estimators import is_constant, r_squared

Rows = npt.NDArray[np.intp]

_PROBE = (
    8,
    32,
)  # masks with slopes before the first look, at least and at most: 8 have halves of four, the fewest
_GLANCE = 6  # masks with slopes after which slopes that say nothing at all are left
_HOPELESS = 0.3  # how well they tell differences of values then, at most: useful ones do better 99 times in 100
_SHARE = 6  # of the budget at most one part goes to that look
_AGAIN = 3  # times as many masks for the next look: each look fits twice, and nearby ones would say the same
_CHECKS = 6  # true jumps of kept and of ablated features measured beside slopes at most,
_PART = 40  # one of each in so many of the budget
_FEW = 3  # checks of kept or ablated features from which a correlation says something
_OUTPUTS = 4  # of several, so many decide: a look fits each of them twice
_NOTHING = 0.02  # R² below which neither way has said anything, and slopes would be paid for nothing
_SECONDS = 1.0  # of slopes, in all, from which their price in time is told
_DEARER = 1.5  # than what they count as
_ALONG = 0.5  # unless they tell differences of values so well; of slopes that say nothing, 16 masks reach that rarely


@dataclass(frozen=True)
class Verdict:
    """Whether slopes pay, and why, in words."""

    pays: bool
    note: str


def spread_slopes(planned: Plan, budget: int, sloped: int | None, cost: float) -> Plan:
    """A plan for ``budget`` ablations, with slopes for its first ``sloped`` masks, None for all that can be paid.

    Slopes cost ablations: masks at the end of the plan make way for them.
    """
    room = budget - len(planned.ends)
    most = int(room / cost + 1e-9)
    if sloped is None or sloped >= most:
        return Plan(planned.masks[:most], planned.ends, None, min(most, len(planned.masks)), cost)
    left = room - Plan(planned.masks, planned.ends, slope_cost=cost).surcharge(sloped)
    return Plan(planned.masks[:left], planned.ends, None, sloped, cost)


def looks(budget: int, cost: float) -> Iterator[int]:
    """After how many masks with slopes to look whether they pay: a glance, then a few, then three times as many.

    No look comes after half of the budget.
    """
    masks = int(np.clip(budget / (_SHARE * cost), *_PROBE))
    if _GLANCE * cost <= budget / 2:
        yield _GLANCE
    while masks * cost <= budget / 2:
        yield masks
        masks *= _AGAIN


def judge(sample: Sample, *, order: int, seed: int) -> Verdict:
    """Whether half of the masks with their slopes predict the others better than all other masks without slopes.

    Both cost the same: a mask with slopes costs about two without. Each is judged on values it has not seen. Of a
    glance's few masks, whether slopes tell anything of the differences between values.
    """
    slopes = sample.slopes
    assert slopes is not None
    with_slopes = ~np.isnan(slopes).all(axis=(1, 2))
    masks = sample.masks[with_slopes]
    columns = sample.values.reshape(len(sample.masks), -1)[with_slopes]
    given = [
        t
        for t, column in enumerate(columns.T)
        if not is_constant(column) and not np.isnan(slopes[with_slopes, t]).any()
    ]
    if not given or len(masks) < FEWEST:
        return Verdict(bool(given), "too few ablations to tell whether slopes help")
    few = [given[k] for k in np.unique(np.linspace(0, len(given) - 1, _OUTPUTS).round().astype(int))]
    agreed = float(np.mean([along(masks, columns[:, t], slopes[with_slopes, t]) for t in few]))
    if len(masks) < 2 * FEWEST:
        pays = agreed > _HOPELESS
        what = "they were measured on" if pays else "the rest was measured without"
        return Verdict(
            pays, f"slopes and differences of values at {len(masks)} masks correlate to {agreed:.2f}: {what}"
        )
    halves, plain = zip(
        *(_compared(masks, columns[:, t], slopes[with_slopes, t], order=order, seed=seed) for t in few),
        strict=True,
    )
    sloped, without = float(np.mean(halves)), float(np.mean(plain))
    pays, told = sloped > max(without, _NOTHING), ""
    if max(sloped, without) <= _NOTHING:
        pays, told = agreed > _ALONG, f"too few to say; slopes and differences of values correlate to {agreed:.2f}; "
    what = "they were measured on" if pays else "the rest was measured without"
    return Verdict(
        pays,
        f"slopes: R² on unseen ablations {sloped:.2f} from half of {len(masks)} masks with slopes, {without:.2f} from "
        f"all of them without, which costs the same; {told}{what}",
    )


def along(masks: Masks, values: Values, slopes: Values) -> float:
    """How differences between all pairs of N values correlate with what the slopes (N, n) say of them.

    From one mask to another the value changes by the mean of both ends' slopes times what is switched, were it a
    parabola in the gates: nothing is fitted, so that few masks tell whether slopes know anything.
    """
    kept = masks.astype(np.float64)
    across = slopes @ kept.T  # of every mask's slopes, at every mask
    own = np.diagonal(across)
    said = (own[:, None] - across + across.T - own) / 2.0
    true = values[:, None] - values
    size = float(np.sqrt((said**2).sum() * (true**2).sum()))
    return float((said * true).sum()) / size if size > 0 else 0.0


def _compared(masks: Masks, values: Values, slopes: Values, *, order: int, seed: int) -> tuple[float, float]:
    """R² on unseen values: half of the masks with slopes, and all others without."""
    from interplay.estimators import GP, predict_by_halves  # loads SciPy

    halves = r_squared(values, predict_by_halves(masks, values, slopes, order=order, seed=seed))
    plain = GP(effort=0.0).fit(masks, values, order=order, seed=seed)
    assert plain.unseen is not None
    rows = slice(None) if plain.rows is None else plain.rows
    return halves, 1.0 - plain.flatters * (1.0 - r_squared(values[rows], plain.unseen))


def check_count(budget: int) -> int:
    """How many true jumps to measure beside the slopes."""
    return 2 * int(np.clip(budget // _PART, _FEW, _CHECKS)) if budget >= _PART else 0


def flipped(sample: Sample, count: int, seed: int) -> tuple[Rows, Rows]:
    """``count`` places to measure a true jump at: rows of the sample with slopes, and the feature to switch in each.

    Half of them are kept there and half ablated; features are drawn by the size of their slopes anywhere, as the
    others' jumps are mostly rounding.
    """
    assert sample.slopes is not None
    with_slopes = np.flatnonzero(~np.isnan(sample.slopes).all(axis=(1, 2)))
    size = np.sqrt(np.nanmean(sample.slopes[with_slopes] ** 2, axis=(0, 1))) + 1e-300
    rng = np.random.default_rng([seed, 0x5107])
    features = rng.choice(len(size), count, p=size / size.sum())
    rows = np.array(
        [
            rng.choice(np.flatnonzero(sample.masks[with_slopes, h] == bool(place % 2)))
            if (sample.masks[with_slopes, h] == bool(place % 2)).any()
            else rng.integers(len(with_slopes))
            for place, h in enumerate(features)
        ]
    )
    return with_slopes[rows], features


def switched(sample: Sample, rows: Rows, features: Rows) -> Masks:
    """The masks at ``rows`` with one feature of each switched."""
    masks = sample.masks[rows].copy()
    masks[np.arange(len(rows)), features] ^= True
    return masks


def agreement(sample: Sample, rows: Rows, features: Rows, values: Values) -> str:
    """How slopes correlate with true jumps, in words; ``values`` are those of the `switched` masks."""
    assert sample.slopes is not None
    kept = sample.masks[rows, features]
    before = sample.values.reshape(len(sample.masks), -1)[rows]
    jumps = (before - values.reshape(len(rows), -1)) * np.where(kept, 1.0, -1.0)[:, None]
    slopes = sample.slopes[rows, :, features]
    words = []
    for state, name in ((True, "kept"), (False, "ablated")):
        pairs = jumps[kept == state], slopes[kept == state]
        if len(pairs[0]) < _FEW:
            continue
        good = [
            t
            for t in range(jumps.shape[1])
            if all(np.isfinite(part[:, t]).all() and np.ptp(part[:, t]) > 0 for part in pairs)
        ]
        if len(good):
            mean = np.mean([np.corrcoef(pairs[0][:, t], pairs[1][:, t])[0, 1] for t in good])
            words.append(f"{mean:.2f} for {name} features")
    if not words:
        return f"slopes and true jumps at {len(rows)} places are too few, or vary too little, to correlate"
    return f"slopes and true jumps at {len(rows)} places correlate to {' and '.join(words)}"


def price_note(sample: Sample, counted: float, plain: float | None) -> str | None:
    """What to say where ablations with slopes take far longer than what they are ``counted`` as.

    ``plain`` is how many seconds one without takes, None where none was measured.
    """
    if not sample.sloped or sample.sloped_seconds < _SECONDS or not plain:
        return None
    cost = sample.sloped_seconds / sample.sloped / plain
    if cost < _DEARER * counted:
        return None
    return (
        f"an ablation with slopes took {cost:.1f} times as long as one without and was counted as {counted:g}: "
        f"game.slopes_costing({cost:.1f}) counts what it takes"
    )
