"""Curves as inline SVG, drawn by matplotlib in the colours of the page, so that they follow its dark mode.

Every axis runs from 0 to 1, because all that is drawn here is a share, a risk or an IoU. No text from outside gets
into a picture: names stand in the legend, which is HTML.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (3.3, 3.1)
"""Width and height; the page scales the picture."""

# matplotlib takes no variables of CSS for colours: these stand for them until the picture is text.
_COLOURS = {"a": "#010203", "b": "#010204", "ink": "#010205", "soft": "#010206", "line": "#010207"}
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text, in the reader's own fonts
    "svg.hashsalt": "rsagent",  # the same picture is the same text in every run
    "font.sans-serif": "DejaVu Sans",
    "font.size": 8.5,
    "axes.edgecolor": _COLOURS["line"],
    "axes.labelcolor": _COLOURS["ink"],
    "xtick.color": _COLOURS["soft"],
    "ytick.color": _COLOURS["soft"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": _COLOURS["line"],
    "grid.linewidth": 0.7,
}

_GROUPS = r"figure|axes|patch|matplotlib\.axis|[xy]tick|line2d|text|PathCollection"
"""Ids that matplotlib numbers in each picture; nothing refers to them."""


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: For the legend.
        points: x and y, 0..1; in the order they are joined.
        style: `a` or `b`: the colour of the page that it has.
        dots: Mark each point, by the size of its disc (0..1), one for each; empty for a plain line.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str = "a"
    dots: Sequence[float] = ()


@dataclass(frozen=True)
class Dot:
    """One dot of a scatter plot.

    Attributes:
        x, y: 0..1.
        link: Where it leads when it is clicked, such as `#row-3`.
    """

    x: float
    y: float
    link: str


def line_chart(series: Sequence[Series], x_label: str, y_label: str, *, diagonal: bool = False) -> Markup:
    """Draw lines over the unit square.

    Args:
        series: The lines.
        x_label: Of the axis; no text from outside.
        y_label: The same.
        diagonal: Draw where x equals y, too.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        figure, axes = _unit_square(x_label, y_label)
        if diagonal:
            _draw_diagonal(axes)
        for one in series:
            if one.points:
                x, y = zip(*one.points, strict=True)
                axes.plot(x, y, color=_COLOURS[one.style], linewidth=1.9, clip_on=False)
            if one.points and one.dots:
                sizes = [(4 + 9 * size) ** 2 for size in one.dots]
                axes.scatter(x, y, s=sizes, color=_COLOURS[one.style], alpha=0.75, linewidths=0, clip_on=False)
        picture = _svg(figure, f"{y_label} over {x_label}")
    keys = Markup("").join(
        Markup('<span class="key {}">{}</span>').format(one.style, one.name) for one in series if one.name
    )
    return picture + (Markup('<p class="legend">{}</p>').format(keys) if keys else "")


def scatter(dots: Sequence[Dot], x_label: str, y_label: str) -> Markup:
    """Draw dots over the unit square, and the diagonal; those above it are of style `b`.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        figure, axes = _unit_square(x_label, y_label)
        _draw_diagonal(axes)
        if dots:
            colours = [_COLOURS["b" if dot.y > dot.x else "a"] for dot in dots]
            x, y = [dot.x for dot in dots], [dot.y for dot in dots]
            drawn = axes.scatter(x, y, s=18, c=colours, alpha=0.75, linewidths=0, clip_on=False)
            drawn.set_urls([dot.link for dot in dots])
        return _svg(figure, f"{y_label} over {x_label}")


def success_points(overlaps: Sequence[float], steps: int = 100) -> list[tuple[float, float]]:
    """The share of IoUs at or above each threshold from 0 to 1; no points without IoUs."""
    if not overlaps:
        return []
    thresholds = [step / steps for step in range(steps + 1)]
    return [(at, sum(value >= at for value in overlaps) / len(overlaps)) for at in thresholds]


def _unit_square(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(INCHES, layout="constrained")
    axes = figure.add_subplot(xlim=(0, 1), ylim=(0, 1), xlabel=x_label, ylabel=y_label)
    axes.set_axisbelow(True)
    axes.grid(True)
    return figure, axes


def _draw_diagonal(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=_COLOURS["soft"], linewidth=0.8, linestyle="--")


def _svg(figure: Figure, description: str) -> Markup:
    """The picture as an element of the page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for name, colour in _COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    # Its style sheet would be one of the whole page, its ids those of the other pictures, its size not the page's.
    text = re.sub(r"<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(rf' id="(?:{_GROUPS})_\d+"', "", text)
    begin = Markup('<svg class="chart" role="img" aria-label="{}"').format(description)
    head, rest = text.split(">", 1)
    return begin + Markup(re.sub(r'<svg| (?:width|height|version)="[^"]*"', "", head) + ">" + rest)
