"""The real model, loaded once."""

from __future__ import annotations

import pytest

import interplay as ip


@pytest.fixture(scope="session")
def minilm() -> ip.models.Encoder:
    from interplay._demo import demo_model

    return ip.models.Encoder.load(demo_model(), device="cpu")
