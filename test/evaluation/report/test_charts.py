"""Curves as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from rsagent_ros.evaluation.report.charts import Dot, Series, line_chart, scatter, success_points

HOSTILE = '"><script>alert(1)</script>'
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
DIAGONAL = [(0.0, 0.0), (1.0, 1.0)]


def parsed(markup: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{markup}</div>")


def curves(markup: Markup, style: str = "a") -> list[list[tuple[float, float]]]:
    """Corners of the lines in that colour of the page."""
    found = []
    for path in parsed(markup).iter(f"{SVG}path"):
        if f"stroke: var(--{style})" in path.attrib.get("style", ""):
            numbers = [float(word) for word in path.attrib["d"].split() if word not in "ML"]
            found.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return found


def test_corners_of_the_unit_square() -> None:
    chart = line_chart([Series("", DIAGONAL)], "x", "y")
    (((x0, y0), (x1, y1)),) = curves(chart)
    box = [float(value) for value in parsed(chart).find(f"{SVG}svg").attrib["viewBox"].split()]  # type: ignore[union-attr]
    assert box[0] < x0 < x1 < box[2]
    assert box[1] < y1 < y0 < box[3]


def test_thousands_of_points_are_thinned_and_keep_their_ends() -> None:
    points = [(k / 9999, 0.5) for k in range(10_000)]
    (line,) = curves(line_chart([Series("a", points)], "x", "y"))
    (ends,) = curves(line_chart([Series("a", [points[0], points[-1]])], "x", "y"))
    assert len(line) <= 250
    assert [line[0], line[-1]] == ends


def test_two_lines_have_the_two_colours_of_the_page_and_stand_in_the_legend() -> None:
    chart = line_chart([Series("one", DIAGONAL), Series("other", DIAGONAL, "b")], "x", "y")
    assert curves(chart, "a") == curves(chart, "b")
    assert [(key.attrib["class"], key.text) for key in parsed(chart).iter("span")] == [
        ("key a", "one"),
        ("key b", "other"),
    ]


def test_names_from_outside_are_text() -> None:
    tree = parsed(line_chart([Series(HOSTILE, DIAGONAL, dots=[0.5, 1])], "x", "y", diagonal=True))
    assert not list(tree.iter("script"))
    assert HOSTILE in "".join(tree.itertext())


def test_a_dot_leads_to_its_sample() -> None:
    chart = scatter([Dot(0.1, 0.9, "#row-3"), Dot(0.9, 0.1, "#row-4")], "x", "y")
    links = {link.attrib[LINK]: ElementTree.tostring(link, "unicode") for link in parsed(chart).iter(f"{SVG}a")}
    assert {name: ("var(--b)" in dot) for name, dot in links.items()} == {"#row-3": True, "#row-4": False}


def test_a_picture_leaves_the_rest_of_the_page_alone() -> None:
    trees = [parsed(line_chart([Series("", [(0, 0), (1, end)])], "x", "y")) for end in (0.5, 1)]
    assert not list(trees[0].iter(f"{SVG}style"))
    ids = [{one.attrib["id"]: ElementTree.tostring(one) for one in tree.iter() if "id" in one.attrib} for tree in trees]
    for name in ids[0].keys() & ids[1].keys():
        assert ids[0][name] == ids[1][name], "one id for two things"


def test_the_same_points_give_the_same_text() -> None:
    assert line_chart([Series("a", DIAGONAL)], "x", "y") == line_chart([Series("a", DIAGONAL)], "x", "y")


def test_no_points_make_no_line() -> None:
    assert not curves(line_chart([Series("a", [])], "x", "y"))
    assert not list(parsed(scatter([], "x", "y")).iter(f"{SVG}a"))


def test_success() -> None:
    points = dict(success_points([0.25, 0.5, 1.0, 0.0], steps=4))
    assert points == {0: 1, 0.25: 0.75, 0.5: 0.5, 0.75: 0.25, 1: pytest.approx(0.25)}
    assert success_points([]) == []
