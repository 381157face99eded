"""The bodies of the simulator's things: a mug with its handle, a bottle with its cap, a book with its pages.

Each function draws the proportions of one individual from `rng`, so no two mugs are the same, and returns it standing
upright on z = 0 at its medium size (metres).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rsagent_training.simulation.meshes import Array, Mesh, block, joined, lofted, plate, polygon, tube, turned

# A drawing is a film of ink on paper: thin enough to look flat, thick enough for the depth buffer to tell it apart.
INK_THICKNESS = 0.0005
PAPER_THICKNESS = 0.0008


@dataclass(frozen=True)
class ItemPart:
    """A piece of a thing. `colour` is None for the thing's own colour and pattern, else RGB 0..1 of its own."""

    mesh: Mesh
    colour: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class ItemShape:
    """A body: its parts, and the height of a surface other things can stand on (None: nothing can)."""

    parts: tuple[ItemPart, ...]
    surface: float | None = None

    @property
    def vertices(self) -> Array:
        """(N, 3) points of all parts, metres."""
        return np.concatenate([part.mesh.vertices for part in self.parts])

    def scaled(self, factor: float) -> ItemShape:
        """The body, larger by `factor`; it still stands on z = 0."""
        surface = None if self.surface is None else self.surface * factor
        return ItemShape(tuple(ItemPart(part.mesh.scaled(factor), part.colour) for part in self.parts), surface)

    def laid_down(self) -> ItemShape:
        """The body lying on its side along x; nothing stands on it then."""
        lift = float(self.vertices[:, 0].max())
        return ItemShape(
            tuple(ItemPart(_tipped(part.mesh).moved((0.0, 0.0, lift)), part.colour) for part in self.parts)
        )


Builder = Callable[[np.random.Generator], ItemShape]

_METAL = (0.72, 0.73, 0.75)
_PAPER = (0.93, 0.91, 0.85)
_STEM = (0.28, 0.19, 0.10)
_DARK = (0.15, 0.15, 0.17)


def _tipped(mesh: Mesh) -> Mesh:
    """A quarter turn about y: z becomes x, x becomes -z."""

    def turn(vectors: Array) -> Array:
        return np.column_stack([vectors[:, 2], vectors[:, 1], -vectors[:, 0]])

    return Mesh(turn(mesh.vertices), turn(mesh.normals), mesh.uv, mesh.faces)


def mug(rng: np.random.Generator) -> ItemShape:
    """A hollow cup with a handle."""
    radius, height, wall = rng.uniform(0.037, 0.042), rng.uniform(0.082, 0.098), 0.0035
    inner = radius - wall
    cup = turned(
        [
            (0.0, 0.0), (radius * 0.93, 0.0), (radius, 0.005), (radius, height - 0.001), (radius - 0.001, height),
            (inner + 0.001, height), (inner, height - 0.001), (inner, 0.008), (inner - 0.004, 0.005), (0.0, 0.005),
        ]
    )  # fmt: skip
    bend = np.linspace(-np.pi / 2, np.pi / 2, 21)
    reach = height * 0.31
    path = np.column_stack(
        [radius - 0.002 + reach * 0.95 * np.cos(bend), np.zeros(21), height * 0.5 + reach * np.sin(bend)]
    )
    return ItemShape((ItemPart(joined(cup, tube(path, (0.0045, 0.007), up=(0.0, 1.0, 0.0)))),))


def bowl(rng: np.random.Generator) -> ItemShape:
    """A deep round dish."""
    radius, height = rng.uniform(0.068, 0.078), rng.uniform(0.048, 0.058)
    bend = np.linspace(0.0, np.pi / 2, 14)
    foot = radius * 0.45
    outer = np.column_stack([foot + (radius - foot) * np.sin(bend), 0.004 + (height - 0.004) * (1 - np.cos(bend))])
    inner = np.column_stack(
        [(foot - 0.004) + (radius - foot) * np.sin(bend), 0.008 + (height - 0.008) * (1 - np.cos(bend))]
    )
    profile = np.concatenate([[(0.0, 0.0), (foot, 0.0)], outer, inner[::-1], [(0.0, 0.008)]])
    return ItemShape((ItemPart(turned(profile)),))


def dish(rng: np.random.Generator) -> ItemShape:
    """A flat dinner plate."""
    radius = rng.uniform(0.092, 0.105)
    flat = radius * 0.64
    below = [(0.0, 0.0), (flat, 0.0), (flat + 0.004, 0.002), (radius - 0.002, 0.013), (radius, 0.0148)]
    above = [(radius - 0.001, 0.016), (radius - 0.004, 0.0158), (flat + 0.006, 0.0068), (flat, 0.0055)]
    profile = [*below, *above, (flat - 0.006, 0.005), (0.0, 0.005)]
    return ItemShape((ItemPart(turned(profile, segments=64)),), surface=0.005)


def bottle(rng: np.random.Generator) -> ItemShape:
    """A bottle with a shoulder, a neck and a dark cap."""
    radius, height, neck = rng.uniform(0.031, 0.036), rng.uniform(0.195, 0.22), 0.0125
    shoulder, collar = height * rng.uniform(0.58, 0.66), height * 0.82
    rise = np.linspace(0.0, 1.0, 12)
    curve = np.column_stack(
        [neck + (radius - neck) * (0.5 + 0.5 * np.cos(np.pi * rise)), shoulder + (collar - shoulder) * rise]
    )
    body = turned(
        np.concatenate(
            [[(0.0, 0.0), (radius * 0.9, 0.0), (radius, 0.006)], curve, [(neck, height * 0.93), (0.0, height * 0.93)]]
        )
    )
    cap = turned([(0.0, 0.0), (0.0150, 0.0), (0.0150, 0.015), (0.0140, 0.017), (0.0, 0.017)])
    return ItemShape((ItemPart(body), ItemPart(cap.moved((0.0, 0.0, height * 0.92)), _DARK)))


def can(rng: np.random.Generator) -> ItemShape:
    """A drinks can: a coloured wall with bare metal ends."""
    radius, height = rng.uniform(0.030, 0.034), rng.uniform(0.105, 0.122)
    rim = radius * 0.84
    wall = turned([(radius * 0.88, 0.003), (radius, 0.009), (radius, height - 0.013), (rim, height - 0.004)])
    low = height - 0.004
    top = turned([(rim, low), (rim + 0.001, height), (rim - 0.001, height), (rim - 0.002, low), (0.0, low)])
    foot = turned([(0.0, 0.002), (radius * 0.8, 0.0), (radius * 0.88, 0.003)])
    return ItemShape((ItemPart(wall), ItemPart(joined(top, foot), _METAL)))


def spoon(rng: np.random.Generator) -> ItemShape:
    """A table spoon lying on its back."""
    length, width = rng.uniform(0.17, 0.19), rng.uniform(0.019, 0.022)
    head = 0.031
    station = np.concatenate(
        [np.linspace(0.0, length - 2 * head, 12)[:-1], np.linspace(-1.0, 1.0, 21) * head + length - head]
    )
    within = np.clip(1.0 - ((station - (length - head)) / (head * 1.005)) ** 2, 0.0, None)
    half = np.maximum(width * np.sqrt(within), 0.0042 - 0.0012 * station / length)
    half[-1] = 0.003
    angle = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    across = np.cos(angle)[None, :]
    hollow = -0.008 * within[:, None] * (1.0 - across**2)
    arch = 0.010 * np.sin(np.pi * np.clip(station / (length - 2 * head), 0.0, 1.0))[:, None]
    rise = 0.0105 + hollow + arch * 0.6 + 0.0011 * np.sin(angle)[None, :]
    sections = np.stack(
        [np.broadcast_to(station[:, None], rise.shape) - length / 2, half[:, None] * across, rise], axis=-1
    )
    return ItemShape((ItemPart(lofted(sections).moved((0.0, 0.0, -float(rise.min())))),))


def book(rng: np.random.Generator) -> ItemShape:
    """A closed hardback lying flat."""
    width, length, height, board = rng.uniform(0.105, 0.135), rng.uniform(0.15, 0.19), rng.uniform(0.02, 0.036), 0.0028
    cover = joined(
        block((width, length, board)),
        block((width, length, board)).moved((0.0, 0.0, height - board)),
        block((board, length, height)).moved((-(width - board) / 2, 0.0, 0.0)),
    )
    pages = block((width - 0.008, length - 0.010, height - 2 * board)).moved((0.0, 0.0, board))
    return ItemShape((ItemPart(cover), ItemPart(pages, _PAPER)), surface=height)


def ball(rng: np.random.Generator) -> ItemShape:
    """A sphere."""
    radius = rng.uniform(0.035, 0.041)
    bend = np.linspace(-np.pi / 2, np.pi / 2, 33)
    return ItemShape((ItemPart(turned(np.column_stack([radius * np.cos(bend), radius + radius * np.sin(bend)]))),))


def box(rng: np.random.Generator) -> ItemShape:
    """A cuboid, near enough a cube that its size is one number."""
    x, y, z = rng.uniform(0.058, 0.078, 3)
    return ItemShape((ItemPart(block((x, y, z))),))


def cylinder(rng: np.random.Generator) -> ItemShape:
    """An upright solid cylinder."""
    radius, height = rng.uniform(0.029, 0.036), rng.uniform(0.075, 0.1)
    return ItemShape((ItemPart(turned([(0.0, 0.0), (radius, 0.0), (radius, height), (0.0, height)])),))


def cone(rng: np.random.Generator) -> ItemShape:
    """An upright solid cone."""
    radius, height = rng.uniform(0.036, 0.043), rng.uniform(0.09, 0.115)
    return ItemShape((ItemPart(turned([(0.0, 0.0), (radius, 0.0), (0.0006, height), (0.0, height)], segments=64)),))


def banana(rng: np.random.Generator) -> ItemShape:
    """A bent fruit lying on its side, with a dark stem."""
    bend, reach, thick = rng.uniform(0.75, 1.0), rng.uniform(0.095, 0.11), rng.uniform(0.0165, 0.0195)
    angle = np.linspace(-bend, bend, 29)
    path = np.column_stack([reach * np.sin(angle), reach * (np.cos(angle) - 0.8), np.full(29, thick)])
    along = np.linspace(0.0, 1.0, 29)
    radius = thick * np.clip(np.sin(np.pi * np.clip(along, 0.02, 0.98)), 0.0, 1.0) ** 0.45
    body = tube(path, np.column_stack([radius, radius]), up=(0.0, 0.0, 1.0), sides=14)
    start = path[0]
    away = (path[0] - path[1]) / np.linalg.norm(path[0] - path[1])
    stem = tube(
        np.stack([start, start + 0.009 * away, start + 0.018 * away]), (0.0042, 0.0042), up=(0.0, 0.0, 1.0), sides=10
    )
    lower = (0.0, 0.0, -float(body.vertices[:, 2].min()))
    return ItemShape((ItemPart(body.moved(lower)), ItemPart(stem.moved(lower), _STEM)))


def paper(rng: np.random.Generator) -> ItemShape:
    """A white sheet lying flat, to draw on."""
    width = rng.uniform(0.20, 0.24)
    outline = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * (width * 1.45, width)
    return ItemShape((ItemPart(plate(outline, PAPER_THICKNESS)),), surface=PAPER_THICKNESS)


def circle(rng: np.random.Generator) -> ItemShape:
    """A filled circle of ink."""
    return ItemShape((ItemPart(plate(polygon(48, rng.uniform(0.027, 0.031)), INK_THICKNESS)),))


def square(rng: np.random.Generator) -> ItemShape:
    """A filled square of ink."""
    return ItemShape((ItemPart(plate(polygon(4, rng.uniform(0.035, 0.039), turn=np.pi / 4), INK_THICKNESS)),))


def triangle(rng: np.random.Generator) -> ItemShape:
    """A filled triangle of ink with equal sides."""
    return ItemShape((ItemPart(plate(polygon(3, rng.uniform(0.036, 0.041), turn=-np.pi / 2), INK_THICKNESS)),))
