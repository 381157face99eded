"""Curves as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from rsagent_ros.evaluation.report.charts import Series, line_chart, scatter, success_points

HOSTILE = '"><script>alert(1)</script>'


def parsed(markup: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{markup}</div>")


def test_corners_of_the_unit_square() -> None:
    tree = parsed(line_chart([Series("", [(0, 0), (1, 1)])], "x", "y"))
    (line,) = tree.iter("polyline")
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in line.attrib["points"].split())
    box = [float(value) for value in tree.find("svg").attrib["viewBox"].split()]  # type: ignore[union-attr]
    assert box[0] < x0 < x1 < box[2]
    assert box[1] < y1 < y0 < box[3]


def test_thousands_of_points_are_thinned_and_keep_their_ends() -> None:
    points = [(k / 9999, 0.5) for k in range(10_000)]
    (line,) = parsed(line_chart([Series("a", points)], "x", "y")).iter("polyline")
    kept = line.attrib["points"].split()
    assert len(kept) <= 250
    ends = parsed(line_chart([Series("a", [points[0], points[-1]])], "x", "y")).iter("polyline")
    assert [kept[0], kept[-1]] == next(ends).attrib["points"].split()


def test_text_from_outside_is_text() -> None:
    for chart in (
        line_chart([Series(HOSTILE, [(0, 0), (1, 1)], dots=[0.5, 1])], HOSTILE, HOSTILE, diagonal=True),
        scatter([(0.1, 0.9, HOSTILE)], HOSTILE, HOSTILE),
    ):
        tree = parsed(chart)
        assert not list(tree.iter("script"))
        assert HOSTILE in "".join(tree.itertext())


def test_no_points_make_no_line() -> None:
    assert not list(parsed(line_chart([Series("a", [])], "x", "y")).iter("polyline"))


def test_success() -> None:
    points = dict(success_points([0.25, 0.5, 1.0, 0.0], steps=4))
    assert points == {0: 1, 0.25: 0.75, 0.5: 0.5, 0.75: 0.25, 1: pytest.approx(0.25)}
    assert success_points([]) == []
