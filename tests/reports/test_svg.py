"""The axes of the report's charts."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.ticker import MaxNLocator

from tinynet.reports.svg import Axis


@pytest.mark.parametrize("power", range(-6, 7))
@pytest.mark.parametrize("low", [0.0, -1.03, 0.37, 2.53])
@pytest.mark.parametrize("width", [1.0, 1.9, 3.0, 4.2, 7.7])
def test_an_axis_has_the_ticks_that_matplotlib_gives_it(low: float, width: float, power: int) -> None:
    axis = Axis("x", low * 10.0**power, (low + width) * 10.0**power)
    values = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(axis.low, axis.high)
    expected = [f"{value:.4g}" for value in values if axis.low <= value <= axis.high]
    assert [label for _, label in axis.ticks()] == expected
    assert [value for value, _ in axis.ticks()] == pytest.approx([float(label) for label in expected], abs=1e-12)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1e-320), (-1e280, 1e280), (1e279, 1e280), (5.0, np.nextafter(5, 6))])
def test_an_axis_of_any_range_has_a_few_ticks_inside_it(low: float, high: float) -> None:
    values = [value for value, _ in Axis("x", low, high).ticks()]
    assert len(values) <= 6
    assert all(low <= value <= high for value in values)


def test_ticks_that_differ_are_told_apart_and_whole_numbers_stay_whole() -> None:
    assert [label for _, label in Axis("x", 999_800, 1_001_100).ticks()] == ["1e+06", "1.0005e+06", "1.001e+06"]
    assert [label for _, label in Axis("x", 1999.6, 2002.4).ticks()] == ["2000", "2001", "2002"]
    assert [label for _, label in Axis("epoch", 0.95, 1.05, whole=True).ticks()] == ["1"]
    assert [label for _, label in Axis("epoch", 0.9, 3.1, whole=True).ticks()] == ["1", "2", "3"]
