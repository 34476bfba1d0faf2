"""What was measured of the real input without its strongest parts."""

from __future__ import annotations

import numpy as np
import pytest

import interplay as ip


def value(masks):
    return 3.0 * (masks[:, 1] & masks[:, 2]) + 0.5 * masks[:, 0] - 1.0 * masks[:, 7]


class Counting:
    """A game that knows every mask it was asked for."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()

    def __call__(self, masks):
        self.seen |= {row.tobytes() for row in masks}
        return value(masks)


@pytest.mark.parametrize("budget", [40, 150, 333, 900])
def test_no_more_is_measured_than_the_budget_and_one_in_twenty_goes_to_removals(budget):
    counting = Counting()
    found = ip.explain(counting, labels=16, budget=budget, method="lasso")
    assert len(counting.seen) == found.used <= budget
    assert len(found.removals) <= min(32, budget // 20)
    assert bool(found.removals) == (budget >= 200)


def test_they_are_measured_and_not_predicted():
    found = ip.explain(value, labels=12, budget=300, method="lasso")
    assert found.removals
    for removal in found.removals:
        mask = np.ones((1, 12), dtype=bool)
        mask[0, list(removal.features)] = False
        assert removal.measured == value(mask)[0]
        assert removal.full == found.full[0]
        assert removal.predicted == pytest.approx(found.spectrum.predict(mask)[0])
    assert {len(removal.features) for removal in found.removals} == {1}  # a lasso knows no pairs
    assert {(1,), (2,), (7,)} <= {removal.features for removal in found.removals}


def test_strongest_pairs_are_removed_as_well():
    found = ip.explain(value, labels=12, budget=200, method="gp")
    pair = next(removal for removal in found.removals if removal.features == (1, 2))
    assert pair.full - pair.measured == 3.0


def test_zero_means_none_and_few_means_few():
    assert ip.explain(value, labels=12, budget=200, method="lasso", removals=0).removals == ()
    assert len(ip.explain(value, labels=12, budget=200, method="lasso", removals=2).removals) == 2
    with pytest.raises(ip.InputError, match="removals"):
        ip.explain(value, labels=12, budget=200, removals=-1)


def test_where_everything_is_measured_they_cost_nothing():
    counting = Counting()
    found = ip.explain(counting, labels=8, budget=256)
    assert len(counting.seen) == found.used == 256
    assert (1, 2) in {removal.features for removal in found.removals}


def test_they_are_saved_and_shown(tmp_path, capsys):
    found = ip.explain(value, labels=list("abcdefghijkl"), budget=200, method="gp")
    found.save(tmp_path / "found.json")
    assert ip.load(tmp_path / "found.json").removals == found.removals
    found.show()
    assert "without" in capsys.readouterr().out


def test_each_output_has_its_own():
    both = ip.explain(lambda masks: np.stack([value(masks), -value(masks)], axis=1), labels=12, budget=200)
    first, second = (both.for_output(t).removals for t in (0, 1))
    assert [one.measured for one in first] == [-one.measured for one in second]
