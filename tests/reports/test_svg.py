"""The axes, lines and colours of the report's charts."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator

from tinynet.reports.palette import LINES, LINES_IN_THE_DARK, REGIONS
from tinynet.reports.svg import TOP, Axis, Series, chart

TO_CONES = np.array([[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]])
TO_OKLAB = np.array([[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]])


def test_an_axis_has_the_ticks_that_matplotlib_gives_it() -> None:
    for low, width, power in ((0.0, 1.0, 0), (-1.03, 1.9, -6), (0.37, 3.0, 3), (2.53, 7.7, 6), (-0.5, 4.2, -1)):
        axis = Axis("x", low * 10.0**power, (low + width) * 10.0**power)
        values = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(axis.low, axis.high)
        expected = [value for value in values if axis.low <= value <= axis.high]
        assert [value for value, _ in axis.ticks()] == pytest.approx(expected, abs=1e-12)


def test_a_logarithmic_axis_has_ticks_at_1_2_and_5() -> None:
    labels = [
        [label for _, label in Axis("loss", low, high, log=True).ticks()] for low, high in ((0.015, 3), (1e-3, 1e2))
    ]
    assert labels == [["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"], ["0.001", "0.01", "0.1", "1", "10", "100"]]


def test_a_line_leaves_the_frame_with_an_arrow_and_returns() -> None:
    line = Series("up", np.arange(1.0, 6.0), np.array([0.5, 0.5, 1e40, 0.5, 0.5]), "line c0 d0")
    svg = ElementTree.fromstring(chart("Some chart", "words", [line], Axis("x", 1, 5), Axis("y", 0, 1)))
    (path,) = (one for one in svg.iter("path") if one.get("class") == "line c0 d0")
    assert path.findtext("title") == "up"
    heights = [float(y) for y in re.findall(r" ([\d.]+)", path.attrib["d"])]
    assert heights[2] == min(heights) == TOP and len(heights) == 5
    assert [one.attrib["d"].count("m0-4l") for one in svg.iter("path") if one.get("class") == "dot c0"] == [0, 1]


def test_the_values_of_a_chart_are_shown_under_the_pointer() -> None:
    epochs = np.arange(1.0, 101.0)
    lines = [Series(word, epochs, times / epochs, f"line c{times} d0") for times, word in ((1, "a"), (2, "b"))]
    svg = ElementTree.fromstring(chart("Some chart", "words", lines, Axis("epoch", 1, 100), Axis("y", 0, 2)))
    (strips,) = (one for one in svg.iter("g") if one.get("class") == "strips")
    titles = [path.findtext("title") for path in strips]
    assert titles[0] == "epoch 1: a 1, b 2" and titles[-1] == "epoch 100: a 0.01, b 0.02" and len(titles) == 30


def test_twelve_colours_differ_in_light_and_in_dark() -> None:
    for colours in (LINES, LINES_IN_THE_DARK, REGIONS):
        linear = (np.array([to_rgb(colour) for colour in colours]) + 0.055) / 1.055
        cone = np.cbrt(linear**2.4 @ TO_CONES.T) @ TO_OKLAB.T  # Ottosson's Oklab: a distance of 0.02 is just visible
        apart = np.linalg.norm(cone[:, None] - cone[None], axis=2) + np.eye(len(colours))
        assert len(colours) == 12 and apart.min() > 0.08


@pytest.mark.parametrize(("low", "high"), [(0.0, 1e-320), (-1e280, 1e280), (1e279, 1e280), (5.0, np.nextafter(5, 6))])
def test_an_axis_of_any_range_has_a_few_ticks_inside_it(low: float, high: float) -> None:
    values = [value for value, _ in Axis("x", low, high).ticks()]
    assert len(values) <= 6
    assert all(low <= value <= high for value in values)


def test_tick_labels_differ_and_whole_numbers_stay_whole() -> None:
    assert [label for _, label in Axis("x", 999_800, 1_001_100).ticks()] == ["1e+06", "1.0005e+06", "1.001e+06"]
    assert [label for _, label in Axis("x", 1999.6, 2002.4).ticks()] == ["2000", "2001", "2002"]
    assert [label for _, label in Axis("epoch", 0.95, 1.05, whole=True).ticks()] == ["1"]
    assert [label for _, label in Axis("epoch", 0.9, 3.1, whole=True).ticks()] == ["1", "2", "3"]
