"""What a zoom opens by, and what it says of what stays closed."""

from __future__ import annotations

import numpy as np
import pytest

import interplay as ip
from interplay._explain.explanation import Fit
from interplay._explain.faithfulness import Faithfulness
from interplay._explain.gain import Promise
from interplay._explain.hidden import Hidden
from interplay._explain.sample import Sample
from interplay._explain.zoom_masks import Draws

BITS = np.full(6, 4.0)
DEEP = [2] * 6


def promise(energy: list[float], unexplained: float = 0.05) -> Promise:
    return Promise(np.array(energy), BITS, unexplained)


def test_parts_that_hold_nothing_stay_closed() -> None:
    assert promise([0.0] * 6).chosen(DEEP, 50, 500) == []
    assert promise([0.6, 0.5, 0, 0, 0, 0]).chosen(DEEP, 50, 500) == [0, 1]


def test_finest_parts_are_never_opened() -> None:
    only = Promise(np.array([0.9, 0.4]), np.array([0.0, 3.0]), 0.05)
    assert only.chosen([0, 1], 50, 500) == [1]


def test_a_part_of_one_part_opens_like_any_other() -> None:
    leaves = [ip.Part(f"s{i}", "sentence", i, i + 1) for i in range(12)]
    alone = [ip.Part(f"p{i}", "paragraph", i, i + 1, (leaf,)) for i, leaf in enumerate(leaves)]
    found = ip.explain(ip.Game(lambda masks: 1.0 * masks[:, 4], 12).zoomed(alone), budget=60)
    assert "s4" in found.labels


def test_parts_share_their_ablations() -> None:
    both, one = promise([0.5, 0.5, 0, 0, 0, 0]), promise([0.5, 0, 0, 0, 0, 0])
    assert one.ablations([0]) < both.ablations([0, 1]) < 2 * one.ablations([0])
    assert both.ablations([]) == 0


def test_what_is_left_must_last_down_to_the_leaves() -> None:
    strong = promise([0.5, 0.5, 0.5, 0, 0, 0])
    need = strong.ablations([0], 2.0)  # by the best of decoders
    assert strong.chosen(DEEP, 50, 2 * need - 1) == []
    assert strong.chosen([1] * 6, 50, 2 * need - 1) != []
    assert strong.chosen(DEEP, 50, 10_000) == [0, 1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_noise_and_fewer_ablations_never_open_more(seed: int) -> None:
    energy = np.random.default_rng(seed).exponential(0.1, 6).tolist()
    counts = [len(promise(energy, u).chosen(DEEP, 60, 10_000)) for u in (0.02, 0.1, 0.4, 0.9)]
    assert counts == sorted(counts, reverse=True)
    counts = [len(promise(energy, 0.3).chosen(DEEP, spent, 10_000)) for spent in (10, 50, 200, 1000)]
    assert counts == sorted(counts)


def test_where_all_masks_are_measured_no_more_of_them_compete() -> None:
    weak = np.array([0.2, 0.2])
    assert Promise(weak, np.full(2, 4.0), 0.9).chosen([1, 1], 4, 500) == []
    assert Promise(weak, np.full(2, 4.0), 0.02, complete=True).chosen([1, 1], 4, 500) == [0, 1]


def test_the_bound_on_what_is_hidden_holds_nine_times_in_ten() -> None:
    """Against the mean over thousands of random openings: neighbours that cancel, beside an effect that is seen."""
    value = lambda m: 1.0 * m[:, 3] + 0.6 * (m[:, 40] & m[:, 50]) - 0.3 * m[:, 21] + 0.3 * m[:, 22]  # noqa: E731
    tree = ip.Game(value, 64).zoomed().refine([0]).tree
    closed = frozenset(part for part in tree.parts if part.parts)
    rng = np.random.default_rng(0)
    coarse = rng.random((4000, len(tree.parts))) < 0.5
    seen = ip.fit(coarse, value(tree.expanded(coarse)), method="lasso", labels=len(tree.parts)).spectrum
    masks = coarse[:400]
    values = value(tree.expanded(masks))
    sample = Sample(masks, values, 1, masks[:0], values[:0], None, 400, 400)
    r2 = 1 - float(((seen.predict(masks) - values) ** 2).mean() / values.var())
    fits = [Fit(seen, Faithfulness(r2, r2 - 0.01, r2 + 0.01, None, "", 400), 5, "lasso")]

    def share(count: int, seed: int) -> Hidden:
        drawn = Draws(tree, tree, closed, 0.5, np.random.default_rng(seed)).guards(count, set())
        return Hidden.of(tree, fits, sample, drawn, value(drawn)[:, None], 0.5)

    many = share(20_000, 1)
    truth = many.share
    assert truth is not None
    assert 0.02 < truth < 0.6
    found = [share(30, seed) for seed in range(100)]
    assert sum(one.share is not None and one.share >= 0.9 * truth for one in found) >= 85
    blamed = {tree.parts[i].start for i in many.suspects}
    assert any(tree.parts[i].start <= 21 < tree.parts[i].end for i in many.suspects), blamed


def test_where_little_is_left_what_the_best_of_decoders_could_tell_is_opened() -> None:
    """Rather a doubtful answer about what is inside than a certain one about whole parts."""
    parts = Promise(np.array([0.6, 0.5, 0.0]), np.full(3, 2.3), 0.5)
    need = parts.ablations([0, 1])
    assert parts.chosen([1, 1, 1], 32, need) == [0, 1]
    assert parts.chosen([1, 1, 1], 32, need // 2) == [0, 1]
    assert parts.chosen([1, 1, 1], 32, need // 16) == []
