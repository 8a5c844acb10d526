"""Fixtures that all tests share."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from hypothesis import settings

matplotlib.use("agg")
settings.register_profile("tinynet", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("tinynet")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240917)
