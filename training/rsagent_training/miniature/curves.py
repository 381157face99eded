"""Training curves as SVG, drawn by matplotlib; small enough to be committed, and the same text in every run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

INCHES = (4.8, 2.7)

_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "rsagent",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "lines.linewidth": 1.2,
}


@dataclass(frozen=True)
class TrainingCurve:
    """One line of a picture.

    Attributes:
        label: In the legend; curves of one label have one colour and stand there once.
        x, y: Its points; finite numbers.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]


def draw(title: str, x_label: str, curves: Sequence[TrainingCurve]) -> str:
    """Draw curves over a common axis; y begins at 0.

    Raises:
        ValueError: There is no point.
        ModuleNotFoundError: matplotlib is not installed.
    """
    if not any(len(curve.x) for curve in curves):
        raise ValueError(f"{title}: there is nothing to plot")
    import matplotlib
    from matplotlib.figure import Figure

    colours = {label: f"C{number}" for number, label in enumerate(dict.fromkeys(curve.label for curve in curves))}
    with matplotlib.rc_context(_STYLE):
        figure = Figure(INCHES, layout="constrained")
        axes = figure.add_subplot(title=title, xlabel=x_label)
        drawn = {}
        for curve in curves:
            (drawn[curve.label],) = axes.plot(curve.x, curve.y, color=colours[curve.label], alpha=0.8)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.grid(True, alpha=0.3)
        axes.legend(drawn.values(), drawn, frameon=False)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return out.getvalue()
