"""Other packages add estimators, lenses and models by entry points, and one that is broken says so in a sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay.estimators import get_estimator

CODE = """
from interplay.estimators import Lasso

class Twice(Lasso):
    name = "twice"

def lens(value, labels):
    return ("a lens", value, labels)

class NotOne:
    pass
"""

POINTS = """
[interplay.estimators]
twice = stranger_plugin:Twice
absent = stranger_plugin:Missing
other = stranger_plugin:NotOne

[interplay.lenses]
waveform = stranger_plugin:lens

[interplay.models]
Oracle = stranger_plugin:NotOne
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package installed in a folder of its own, as pip would leave it."""
    info = tmp_path / "stranger-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(POINTS)
    (tmp_path / "stranger_plugin.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("stranger_plugin", None)


def test_an_estimator_of_another_package_is_a_method_by_name(stranger: None) -> None:
    masks = ip.design(20, 60, method="twice")
    result = ip.fit(masks, masks[:, 3] * 2.0, method="twice")
    assert result.method == "twice"
    assert result.interactions("bv", top=1)[3,] == pytest.approx(2.0)


def test_lenses_and_models_of_another_package_are_attributes(stranger: None) -> None:
    assert ip.lenses.waveform(1, 2) == ("a lens", 1, 2)
    assert ip.models.Oracle.__name__ == "NotOne"


def test_a_plugin_that_cannot_be_used_says_so_in_one_sentence(stranger: None) -> None:
    with pytest.raises(ip.InputError, match=r"'absent', which stranger 1.2 adds .*\(stranger_plugin:Missing\), cannot"):
        get_estimator("absent")
    with pytest.raises(ip.InputError, match=r"'other' in the group interplay.estimators is .* must be a subclass"):
        get_estimator("other")
    with pytest.raises(ip.InputError, match=r"unknown method 'twise'. Did you mean 'twice'\? .*, twice"):
        get_estimator("twise")


def test_what_no_package_has_is_no_attribute() -> None:
    for package in (ip.lenses, ip.models, ip.estimators):
        with pytest.raises(AttributeError, match="has no attribute 'waveforms'"):
            _ = package.waveforms
    np.testing.assert_equal(hasattr(ip.lenses, "__path__"), True)
