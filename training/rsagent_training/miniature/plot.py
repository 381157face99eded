"""Curves as SVG text: a few lines in a frame, small enough to be committed and the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np

WIDTH, HEIGHT = 460, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 20, 46, 40
_LETTER = 6.2
"""Pixels of a letter of the legend, about: an SVG does not know its font."""

_COLOURS = ("#1b6ca8", "#c8553d", "#4f9d69", "#8a5a9e", "#b8860b")


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        label: In the legend; lines of one label have one colour and stand there once.
        x, y: Of its points; finite numbers.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]


def plot(title: str, x_name: str, lines: Sequence[Line]) -> str:
    """An SVG picture, WIDTH by HEIGHT; the y axis begins at 0 and holds all points.

    Raises:
        ValueError: There is no point.
    """
    if not any(len(line.x) for line in lines):
        raise ValueError(f"{title}: there is nothing to plot")
    right = _nice(max(max(line.x, default=0) for line in lines))
    top = _nice(max(max(line.y, default=0) for line in lines))
    labels = list(dict.fromkeys(line.label for line in lines))
    colours = {label: _COLOURS[number % len(_COLOURS)] for number, label in enumerate(labels)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(_LEFT, 16, title, weight="bold"),
        _text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 6, x_name, anchor="middle"),
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = _across(share), _up(share)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{share * top:g}", anchor="end"))
        parts.append(_text(x, HEIGHT - 22, f"{share * right:g}", anchor="middle"))
    for line in lines:
        points = " ".join(f"{_across(x / right):.1f},{_up(y / top):.1f}" for x, y in zip(line.x, line.y, strict=True))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colours[line.label]}" stroke-width="1.4" '
            'stroke-opacity="0.8"/>'
        )
    x = float(_LEFT)
    for label in labels:
        parts.append(f'<path d="M{x:.1f} 30h18" stroke="{colours[label]}" stroke-width="2"/>')
        parts.append(_text(x + 24, 34, label))
        x += 40 + _LETTER * len(label)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _across(share: float) -> float:
    return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


def _up(share: float) -> float:
    return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _nice(most: float) -> float:
    """The next of 1, 2, 4 or 8 times a power of ten: quarters of it are short numbers."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    steps = np.array([1, 1.2, 1.6, 2, 4, 6, 8, 10]) * power
    return float(steps[steps >= most * (1 - 1e-9)][0])
