"""Curves as inline SVG. Every axis runs from 0 to 1, because all that is drawn here is a share, a risk or an IoU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

SIDE = 260
"""Length of an axis in the SVG's own units; the page scales it."""

_LEFT, _TOP, _RIGHT, _BOTTOM = 42, 10, 12, 40
_MOST_POINTS = 240


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: For the legend.
        points: x and y, 0..1; in the order they are joined.
        style: `a` or `b`: the class that colours it.
        dots: Mark each point, by the size of its disc (0..1), one for each; empty for a plain line.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str = "a"
    dots: Sequence[float] = ()


def line_chart(series: Sequence[Series], x_label: str, y_label: str, *, diagonal: bool = False) -> Markup:
    """Lines over the unit square; `diagonal` draws where x equals y."""
    body = [_axes(x_label, y_label)]
    if diagonal:
        body.append(_line([(0.0, 0.0), (1.0, 1.0)], "diagonal"))
    for one in series:
        body.append(_line(_thinned(one.points), f"curve {one.style}"))
        for (x, y), size in zip(one.points, one.dots, strict=False):
            body.append(
                Markup('<circle class="dot {}" cx="{}" cy="{}" r="{}"/>').format(
                    one.style, _x(x), _y(y), _n(3 + 7 * size)
                )
            )
    return _figure(body, f"{y_label} over {x_label}", [(one.name, one.style) for one in series if one.name])


def scatter(points: Sequence[tuple[float, float, str]], x_label: str, y_label: str) -> Markup:
    """Dots over the unit square, each with a title that shows when it is pointed at, and the diagonal."""
    body = [_axes(x_label, y_label), _line([(0.0, 0.0), (1.0, 1.0)], "diagonal")]
    for x, y, title in points:
        style = "b" if y > x else "a"
        body.append(
            Markup('<circle class="dot {}" cx="{}" cy="{}" r="3"><title>{}</title></circle>').format(
                style, _x(x), _y(y), title
            )
        )
    return _figure(body, f"{y_label} over {x_label}", [])


def success_points(overlaps: Sequence[float], steps: int = 100) -> list[tuple[float, float]]:
    """The share of IoUs at or above each threshold from 0 to 1; no points without IoUs."""
    if not overlaps:
        return []
    thresholds = [step / steps for step in range(steps + 1)]
    return [(at, sum(value >= at for value in overlaps) / len(overlaps)) for at in thresholds]


def _figure(body: Sequence[Markup], description: str, legend: Sequence[tuple[str, str]]) -> Markup:
    names = Markup("").join(Markup('<span class="key {}">{}</span>').format(style, name) for name, style in legend)
    width, height = _LEFT + SIDE + _RIGHT, _TOP + SIDE + _BOTTOM
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>{}').format(
        width,
        height,
        description,
        Markup("").join(body),
        Markup('<p class="legend">{}</p>').format(names) if names else "",
    )


def _axes(x_label: str, y_label: str) -> Markup:
    parts = []
    for step in range(6):
        at = step / 5
        parts.append(
            Markup('<path class="grid" d="M{0} {1}H{2}M{3} {4}V{5}"/>').format(
                _x(0), _y(at), _x(1), _x(at), _y(0), _y(1)
            )
        )
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{:.1f}</text>').format(_x(at), _n(_TOP + SIDE + 15), at)
        )
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="end">{:.1f}</text>').format(
                _n(_LEFT - 6), _n(_TOP + SIDE * (1 - at) + 3.5), at
            )
        )
    middle = _LEFT + SIDE / 2, _TOP + SIDE / 2
    parts.append(
        Markup('<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            _n(middle[0]), _n(_TOP + SIDE + 33), escape(x_label)
        )
    )
    parts.append(
        Markup('<text class="label" transform="translate(12 {}) rotate(-90)" text-anchor="middle">{}</text>').format(
            _n(middle[1]), escape(y_label)
        )
    )
    return Markup("").join(parts)


def _line(points: Sequence[tuple[float, float]], style: str) -> Markup:
    if len(points) < 2:
        return Markup("")
    return Markup('<polyline class="{}" points="{}"/>').format(style, " ".join(f"{_x(x)},{_y(y)}" for x, y in points))


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Few enough points for a page; the first and the last stay."""
    step = max(1, -(-len(points) // _MOST_POINTS))
    return [*points[:-1:step], *points[-1:]]


def _x(value: float) -> str:
    return _n(_LEFT + SIDE * min(1.0, max(0.0, value)))


def _y(value: float) -> str:
    return _n(_TOP + SIDE * (1 - min(1.0, max(0.0, value))))


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
