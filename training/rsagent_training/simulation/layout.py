"""Seeded arrangement of things on the table: in view of the camera, nothing inside anything else.

Colours and kinds are drawn from a small pool for each table, so that things share them: that is what makes "the red
one" ambiguous, "the red mug" a choice and "the red mug left of the bowl" worth saying.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from rsagent_training.simulation.camera_path import on_table
from rsagent_training.simulation.catalogue import COLOURS, DRAWINGS, GEOMETRIC, HOUSEHOLD, KINDS, RGB, SIZES
from rsagent_training.simulation.meshes import Array
from rsagent_training.simulation.room import TABLE_SIZE, Room
from rsagent_training.simulation.shapes import PAPER_THICKNESS, ItemShape

Vocabulary = Literal["plain", "full"]

_TRIES = 80
_STACKED = ("box", "cylinder", "cone", "mug", "can", "ball")


@dataclass(frozen=True)
class Item:
    """One thing of a scene, the whole truth about it.

    Attributes:
        name: Unique in its scene, such as "mug_2".
        kind, colour, size, pattern: Words of the catalogue.
        tones: The two RGB tones of its surface, 0..1.
        shape: Its body.
        position: (x, y, z) of its foot, metres.
        yaw: Turn about z, radians.
        on: Name of the thing it stands on; None on the table.
    """

    name: str
    kind: str
    colour: str
    size: str
    pattern: str
    tones: tuple[RGB, RGB]
    shape: ItemShape
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    on: str | None = None

    @property
    def vertices(self) -> Array:
        """(N, 3) points of its body in the world frame, metres."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        turned = self.shape.vertices @ np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return np.asarray(turned + np.asarray(self.position))

    @property
    def footprint(self) -> Array:
        """(K, 2) convex outline seen from above, metres."""
        return np.asarray(cv2.convexHull(self.vertices[:, :2].astype(np.float32))[:, 0], dtype=np.float64)

    @property
    def length(self) -> float:
        """Longest side of its own bounding box, metres: what "large" means of things of different kinds."""
        return float(np.ptp(self.shape.vertices, axis=0).max())


def make_item(
    name: str, kind: str, colour: str, size: str, pattern: str, rng: np.random.Generator, *, lying: bool = False
) -> Item:
    """One individual at the origin.

    Raises:
        KeyError: The catalogue has no such kind, colour or size.
    """
    shape = KINDS[kind].build(rng).scaled(SIZES[size])
    return Item(name, kind, colour, size, pattern, COLOURS[colour].tones(rng), shape.laid_down() if lying else shape)


def arrange(room: Room, vocabulary: Vocabulary, rng: np.random.Generator) -> tuple[Item, ...]:
    """Five to eleven things where the camera at rest sees them."""
    colours = _palette(room, rng)
    drawings = vocabulary == "plain" and rng.uniform() < 0.25
    items: list[Item] = _drawings(room, colours, rng) if drawings else []
    pool = _kinds(vocabulary, rng)
    for _ in range(int(rng.integers(4, 8) if drawings else rng.integers(6, 12))):
        kind = KINDS[str(rng.choice(pool))]
        choice = [colour for colour in colours if colour in kind.colours]
        if not choice:
            choice = sorted(set(kind.colours) - room.table.colours)
        if not choice:
            continue
        item = make_item(
            _fresh(kind.name, items), kind.name, str(rng.choice(choice)), str(rng.choice(kind.sizes)),
            str(rng.choice(kind.patterns, p=_mostly_plain(kind.patterns))), rng,
            lying=kind.lies and rng.uniform() < 0.2,
        )  # fmt: skip
        placed = _stacked(item, items, rng) or _placed(item, items, room, rng)
        if placed is not None:
            items.append(placed)
    return tuple(items)


def _palette(room: Room, rng: np.random.Generator) -> list[str]:
    allowed = [colour for colour in COLOURS if colour not in room.table.colours]
    return [str(colour) for colour in rng.choice(allowed, size=int(rng.integers(3, 6)), replace=False)]


def _kinds(vocabulary: Vocabulary, rng: np.random.Generator) -> list[str]:
    """The pool of kinds; in a plain scene household things come as clutter now and then."""
    if vocabulary == "plain":
        shapes = list(rng.choice(GEOMETRIC, size=int(rng.integers(2, 5)), replace=False)) * 2
        return shapes + list(rng.choice(HOUSEHOLD, size=int(rng.integers(0, 3)), replace=False))
    return list(rng.choice(HOUSEHOLD + GEOMETRIC, size=int(rng.integers(4, 8)), replace=False))


def _mostly_plain(patterns: Sequence[str]) -> list[float]:
    if len(patterns) == 1:
        return [1.0]
    return [0.55 if pattern == "plain" else 0.45 / (len(patterns) - 1) for pattern in patterns]


def _fresh(kind: str, items: Sequence[Item]) -> str:
    return f"{kind}_{1 + sum(item.kind == kind for item in items)}"


def _drawings(room: Room, colours: Sequence[str], rng: np.random.Generator) -> list[Item]:
    """A sheet of paper with two to five figures on it, the sheet first; empty where there was no room for the sheet."""
    blank = make_item("paper_1", "paper", "white", "medium", "plain", rng)
    sheet = _placed(blank, [], room, rng, yaw=np.radians(room.view.azimuth) + rng.uniform(-0.25, 0.25), inset=0.3)
    if sheet is None:
        return []
    low, high = sheet.shape.vertices[:, :2].min(axis=0), sheet.shape.vertices[:, :2].max(axis=0)
    cos, sin = np.cos(sheet.yaw), np.sin(sheet.yaw)
    items = [sheet]
    for _ in range(int(rng.integers(2, 6))):
        kind = KINDS[str(rng.choice(DRAWINGS))]
        choice = [colour for colour in colours if colour in kind.colours] or ["blue", "red"]
        figure = make_item(
            _fresh(kind.name, items),
            kind.name,
            str(rng.choice(choice)),
            str(rng.choice(["small", "medium"])),
            "plain",
            rng,
        )
        figure = replace(figure, on=sheet.name, yaw=sheet.yaw + rng.uniform(-0.1, 0.1))
        reach = float(np.abs(figure.shape.vertices).max()) + 0.008
        for _ in range(_TRIES):
            x, y = rng.uniform(low + reach, high - reach)
            at = (sheet.position[0] + cos * x - sin * y, sheet.position[1] + sin * x + cos * y, PAPER_THICKNESS)
            figure = replace(figure, position=at)
            if all(_apart(figure.footprint, other.footprint, 0.012) for other in items[1:]):
                items.append(figure)
                break
    return items


def _placed(
    item: Item,
    others: Sequence[Item],
    room: Room,
    rng: np.random.Generator,
    *,
    yaw: float | None = None,
    inset: float = 0.1,
) -> Item | None:
    """The item somewhere free in view on the table, `inset` (a share) from the border; None when there is no room."""
    camera, pose = room.view.camera(640, 480), room.view.pose()
    outlines = [other.footprint for other in others if other.on is None]
    reach = np.asarray(TABLE_SIZE[:2]) / 2.0 - 0.02
    for _ in range(_TRIES):
        # Some things nearly touch, most leave a gap: both happen on real tables.
        gap = 0.002 if rng.uniform() < 0.15 else rng.uniform(0.01, 0.05)
        pixel = (rng.uniform(inset, 1.0 - inset) * camera.width, rng.uniform(inset, 0.97 - inset) * camera.height)
        spot = on_table(pixel, camera, pose)
        if spot is None:
            continue
        turn = float(rng.uniform(-np.pi, np.pi)) if yaw is None else yaw
        moved = replace(item, position=(float(spot[0]), float(spot[1]), 0.0), yaw=turn)
        outline = moved.footprint
        if np.all(np.abs(outline) < reach) and all(_apart(outline, other, gap) for other in outlines):
            return moved
    return None


def _stacked(item: Item, others: Sequence[Item], rng: np.random.Generator) -> Item | None:
    """The item on a book or a plate, one time in three that it fits on a free one."""
    radius = float(np.linalg.norm(item.shape.vertices[:, :2], axis=1).max())
    taken = {other.on for other in others}
    for other in others:
        surface = other.shape.surface
        if surface is None or other.kind == "paper" or other.name in taken or item.kind not in _STACKED:
            continue
        room = 0.62 * float(np.abs(other.shape.vertices[:, :2]).max(axis=0).min())
        if radius < room and rng.uniform() < 1 / 3:
            x, y, _ = other.position
            return replace(item, position=(x, y, surface), yaw=float(rng.uniform(-np.pi, np.pi)), on=other.name)
    return None


def _apart(first: Array, second: Array, gap: float) -> bool:
    """Whether an edge of either convex outline (K, 2) separates the two by at least `gap` metres."""
    for outline in (first, second):
        edges = np.roll(outline, -1, axis=0) - outline
        axes = np.stack([edges[:, 1], -edges[:, 0]], axis=1)
        axes /= np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-9)
        a, b = first @ axes.T, second @ axes.T
        if np.any(np.maximum(b.min(axis=0) - a.max(axis=0), a.min(axis=0) - b.max(axis=0)) >= gap):
            return True
    return False
