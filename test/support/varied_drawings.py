"""Drawings of many kinds, and questions with their true answers: none of it is what the policy was tuned on.

Colours are drawn from wide regions, grounds are plain, shaded, noisy, striped, checked or of a strong colour, shapes
are turned, stretched and patterned.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from drawings import Drawn
from numpy.typing import NDArray

from rsagent_ros.agent.outcome import Outcome

Picture = NDArray[np.uint8]
Span = tuple[float, float]

REGIONS: dict[str, tuple[Span, Span, Span]] = {
    "red": ((-6, 6), (0.75, 1.0), (0.6, 0.95)),
    "orange": ((22, 32), (0.8, 1.0), (0.88, 1.0)),
    "yellow": ((49, 60), (0.65, 1.0), (0.85, 1.0)),
    "green": ((95, 145), (0.5, 1.0), (0.4, 0.85)),
    "cyan": ((177, 190), (0.6, 1.0), (0.7, 0.98)),
    "blue": ((212, 236), (0.65, 1.0), (0.5, 0.95)),
    "purple": ((270, 290), (0.5, 0.9), (0.45, 0.8)),
    "pink": ((328, 341), (0.3, 0.6), (0.88, 1.0)),
    "brown": ((18, 27), (0.6, 0.85), (0.30, 0.45)),
    "black": ((0, 360), (0.0, 0.2), (0.02, 0.10)),
    "white": ((0, 360), (0.0, 0.05), (0.95, 1.0)),
    "gray": ((0, 360), (0.0, 0.06), (0.36, 0.52)),
}
"""Hue in degrees, saturation and value from which each colour is drawn."""

GROUNDS: dict[str, tuple[tuple[Span, Span, Span], frozenset[str]]] = {
    "pale": (((0, 360), (0.02, 0.15), (0.78, 0.9)), frozenset({"white", "gray", "pink"})),
    "dark": (((0, 360), (0.0, 0.2), (0.16, 0.26)), frozenset({"black", "gray", "brown"})),
    "beige": (((32, 42), (0.2, 0.35), (0.75, 0.9)), frozenset({"white", "yellow", "brown", "orange", "pink"})),
    "felt": (((140, 160), (0.4, 0.6), (0.3, 0.45)), frozenset({"green", "cyan", "black", "gray"})),
    "sky": (((205, 215), (0.3, 0.5), (0.6, 0.8)), frozenset({"blue", "cyan", "purple", "gray"})),
}
"""What grounds look like, and the colours that do not stand out from each."""

SHAPES = ("circle", "square", "rectangle", "triangle")


@dataclass(frozen=True)
class Question:
    """Words, and their true answer."""

    words: str
    expected: Outcome
    things: tuple[Drawn, ...]


def picture(seed: int, size: tuple[int, int] = (400, 300)) -> tuple[Picture, list[Drawn]]:
    """Four to seven shapes that do not touch."""
    rng = np.random.default_rng([77, seed])
    (width, height), unit = size, size[1] / 300
    kind = str(rng.choice(sorted(GROUNDS)))
    canvas = _ground(GROUNDS[kind][0], rng, size)
    colours = rng.choice(sorted(set(REGIONS) - GROUNDS[kind][1]), 4, replace=False)
    taken = np.zeros((height, width), np.uint8)
    drawn: list[Drawn] = []
    wanted = int(rng.integers(4, 8))
    for _ in range(200):
        shape, colour = str(rng.choice(SHAPES)), str(rng.choice(colours))
        radius = rng.uniform(17, 38) * unit
        x, y = rng.uniform(radius + 8, width - radius - 8), rng.uniform(radius + 8, height - radius - 8)
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.rint(_outline(shape, rng) * radius + (x, y)).astype(np.int32)], 1, cv2.LINE_AA)
        if (taken & mask).any():
            continue
        taken[cv2.dilate(mask, np.ones((9, 9), np.uint8), iterations=max(1, round(unit))) > 0] = 1
        _paint(canvas, mask > 0, REGIONS[colour], rng)
        drawn.append(Drawn(shape, colour, mask > 0))
        if len(drawn) == wanted:
            break
    blurred = cv2.GaussianBlur(canvas, (0, 0), 0.5)  # as a lens does: no stairs
    return np.asarray(blurred, dtype=np.uint8), drawn


def jpeg(pixels: Picture, quality: int) -> Picture:
    """The picture after JPEG, colours at half resolution."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def questions(drawn: list[Drawn], seed: int) -> Iterator[Question]:
    """One question each: of what is there once, of what is not there, of what is there several times, of places."""
    rng = np.random.default_rng([78, seed])
    named = {(one.colour, one.shape) for one in drawn}
    groups = {name: tuple(one for one in drawn if (one.colour, one.shape) == name) for name in sorted(named)}
    lone = [name for name, things in groups.items() if len(things) == 1]
    several = [name for name, things in groups.items() if len(things) > 1]
    missing = [(colour, shape) for colour, _ in sorted(named) for shape in SHAPES if (colour, shape) not in named]
    # A square is a rectangle to some.
    missing = [
        (colour, shape)
        for colour, shape in missing
        if shape not in ("square", "rectangle") or not {(colour, "square"), (colour, "rectangle")} & named
    ]
    fair = [name for name in lone if name[1] not in ("square", "rectangle") or not _both(name[0], named)]
    if fair:
        name = fair[int(rng.integers(len(fair)))]
        yield Question(f"the {name[0]} {name[1]}", Outcome.FOUND, groups[name])
    if several:
        name = several[int(rng.integers(len(several)))]
        if not _both(name[0], named):
            yield Question(f"the {name[0]} {name[1]}", Outcome.AMBIGUOUS, groups[name])
    if missing:
        name = missing[int(rng.integers(len(missing)))]
        yield Question(f"the {name[0]} {name[1]}", Outcome.NOT_IN_VIEW, ())
    elsewhere = sorted(set(REGIONS) - {one.colour for one in drawn})
    yield Question(f"something {elsewhere[int(rng.integers(len(elsewhere)))]}", Outcome.NOT_IN_VIEW, ())
    row = sorted(drawn, key=lambda one: float(np.nonzero(one.mask)[1].mean()))
    yield Question("the leftmost thing", Outcome.FOUND, (row[0],))
    yield Question("the rightmost thing", Outcome.FOUND, (row[-1],))


def _both(colour: str, named: set[tuple[str, str]]) -> bool:
    return {(colour, "square"), (colour, "rectangle")} <= named


def _tone(region: tuple[Span, Span, Span], rng: np.random.Generator) -> NDArray[np.float64]:
    hue, saturation, value = (rng.uniform(*span) for span in region)
    return np.array(colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value)) * 255


def _ground(region: tuple[Span, Span, Span], rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    width, height = size
    y, x = np.mgrid[:height, :width] / height * 300
    light = np.ones((height, width))
    match str(rng.choice(["plain", "gradient", "noise", "stripes", "checks"])):
        case "gradient":
            light += 0.2 * (x / x.max() - 0.5)
        case "noise":
            coarse = rng.normal(0, 0.05, (40, 50)).astype(np.float32)
            light += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        case "stripes":
            light += 0.06 * np.sign(np.sin(y / 7 + 0.4 * np.sin(x / 30)))
        case "checks":
            light += 0.05 * np.sign(np.sin(x / 6) * np.sin(y / 6))
    return np.clip(_tone(region, rng) * light[..., None] + rng.normal(0, 1.5, (height, width, 1)), 0, 255).astype(
        np.uint8
    )


def _outline(shape: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n, 2) corners in the unit circle, turned a little."""
    turn = np.radians(rng.uniform(-20, 20))
    match shape:
        case "circle":
            angles = np.linspace(0, 2 * np.pi, 90)
            return np.stack([np.cos(angles), np.sin(angles)], axis=1)
        case "triangle":
            angles = np.radians([270, 30, 150]) + turn
            return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ratio = 1.0 if shape == "square" else rng.uniform(1.6, 2.6)
    corners = np.array([[-ratio, -1], [ratio, -1], [ratio, 1], [-ratio, 1]]) / np.hypot(ratio, 1)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.asarray(corners @ np.array([[cos, sin], [-sin, cos]]))


def _paint(canvas: Picture, mask: NDArray[np.bool_], region: tuple[Span, Span, Span], rng: np.random.Generator) -> None:
    y, x = np.nonzero(mask)
    shade = np.ones(len(x))
    match str(rng.choice(["plain", "plain", "stripes", "speckle"])):
        case "stripes":
            shade -= 0.12 * (np.sin(x / 4) > 0)
        case "speckle":
            shade -= rng.uniform(0, 0.12, len(x))
    canvas[y, x] = np.clip(_tone(region, rng) * shade[:, None], 0, 255)
