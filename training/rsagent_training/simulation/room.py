"""The room of a simulated scene: what the table, wall and floor are made of, how it is lit, where the camera stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rsagent_training.simulation import textures
from rsagent_training.simulation.camera_path import CameraPath, Sway
from rsagent_training.simulation.catalogue import RGB
from rsagent_training.simulation.textures import Texture

TABLE_SIZE = (1.6, 1.1, 0.035)
TABLE_HEIGHT = 0.74


@dataclass(frozen=True)
class Surface:
    """Material of a large flat thing.

    Attributes:
        paint: Makes its picture from two tones.
        tones: RGB 0..1.
        repeat: How often the picture repeats along each side.
        colours: Every colour name someone might call it by. Things on such a table do not come in these.
    """

    paint: Callable[[RGB, RGB, np.random.Generator], Texture]
    tones: tuple[RGB, RGB]
    repeat: tuple[float, float]
    colours: frozenset[str]


@dataclass(frozen=True)
class Lamp:
    """A lamp above the table: position in metres, RGB strength 0..1, and whether things cast shadows in its light."""

    position: tuple[float, float, float]
    strength: RGB
    shadow: bool = True


@dataclass(frozen=True)
class Room:
    """The scene without the things on the table. `noise` is the sensor's, in grey levels (1 sigma)."""

    table: Surface
    wall: Surface
    floor: Surface
    lamps: tuple[Lamp, ...]
    ambient: float
    view: CameraPath
    noise: float


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


TABLES: tuple[Surface, ...] = (
    Surface(textures.wood, ((0.78, 0.61, 0.42), (0.55, 0.38, 0.22)), (1.0, 1.0), _names("brown orange yellow")),
    Surface(textures.wood, ((0.87, 0.76, 0.60), (0.70, 0.56, 0.40)), (1.0, 1.0), _names("brown orange yellow")),
    Surface(textures.wood, ((0.42, 0.27, 0.17), (0.24, 0.14, 0.08)), (1.0, 1.0), _names("brown orange black red")),
    Surface(textures.stone, ((0.90, 0.89, 0.87), (0.80, 0.79, 0.78)), (2.0, 1.4), _names("white gray")),
    Surface(textures.stone, ((0.56, 0.57, 0.58), (0.40, 0.41, 0.43)), (2.0, 1.4), _names("gray black white")),
    Surface(textures.stone, ((0.20, 0.21, 0.23), (0.11, 0.12, 0.13)), (2.0, 1.4), _names("black gray")),
    Surface(textures.cloth, ((0.42, 0.55, 0.44), (0.33, 0.46, 0.36)), (3.0, 2.1), _names("green gray cyan")),
    Surface(textures.cloth, ((0.40, 0.49, 0.62), (0.31, 0.39, 0.52)), (3.0, 2.1), _names("blue gray cyan purple")),
    Surface(textures.cloth, ((0.85, 0.79, 0.66), (0.74, 0.67, 0.54)), (3.0, 2.1), _names("white yellow orange brown")),
    Surface(textures.gingham, ((0.93, 0.92, 0.89), (0.62, 0.70, 0.80)), (1.4, 1.0), _names("white blue cyan gray")),
)
WALLS: tuple[Surface, ...] = (
    Surface(textures.stone, ((0.90, 0.87, 0.80), (0.84, 0.81, 0.74)), (3.0, 1.5), _names("white yellow orange brown")),
    Surface(textures.stone, ((0.76, 0.80, 0.82), (0.70, 0.74, 0.77)), (3.0, 1.5), _names("white gray blue cyan")),
    Surface(textures.stone, ((0.70, 0.76, 0.68), (0.64, 0.70, 0.62)), (3.0, 1.5), _names("gray green white")),
    Surface(textures.tiles, ((0.90, 0.90, 0.89), (0.72, 0.73, 0.74)), (14.0, 4.0), _names("white gray")),
    Surface(textures.wood, ((0.68, 0.55, 0.42), (0.48, 0.36, 0.26)), (2.0, 2.0), _names("brown orange yellow")),
)
FLOORS: tuple[Surface, ...] = (
    Surface(textures.wood, ((0.58, 0.43, 0.30), (0.38, 0.26, 0.17)), (3.0, 3.0), _names("brown orange red")),
    Surface(textures.tiles, ((0.74, 0.73, 0.70), (0.52, 0.51, 0.50)), (3.0, 3.0), _names("gray white")),
    Surface(textures.cloth, ((0.44, 0.44, 0.47), (0.34, 0.34, 0.37)), (8.0, 8.0), _names("gray black blue")),
)


def furnish(rng: np.random.Generator) -> Room:
    """A room drawn from `rng`."""
    return Room(
        table=TABLES[rng.integers(len(TABLES))],
        wall=WALLS[rng.integers(len(WALLS))],
        floor=FLOORS[rng.integers(len(FLOORS))],
        lamps=_lamps(rng),
        ambient=float(rng.uniform(0.40, 0.48)),
        view=CameraPath(
            target=(float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.06, 0.04)), 0.03),
            azimuth=float(rng.uniform(-28.0, 28.0)),
            elevation=float(rng.uniform(28.0, 50.0)),
            distance=float(rng.uniform(0.78, 1.08)),
            swing=Sway(float(rng.uniform(6.0, 14.0)) * float(rng.choice([-1.0, 1.0])), float(rng.uniform(10.0, 16.0))),
            nod=Sway(float(rng.uniform(2.0, 5.0)), float(rng.uniform(8.0, 14.0))),
            approach=Sway(float(rng.uniform(-0.06, 0.06)), float(rng.uniform(12.0, 20.0))),
        ),
        noise=float(rng.uniform(0.8, 2.0)),
    )


def _lamps(rng: np.random.Generator) -> tuple[Lamp, ...]:
    """A main lamp, a weaker one from the other side, and one without shadows behind the camera."""
    side = float(rng.choice([-1.0, 1.0]))
    warmth = rng.uniform(-0.05, 0.06)

    def lamp(x: float, y: tuple[float, float], strength: tuple[float, float], warm: float, shadow: bool = True) -> Lamp:
        power = float(rng.uniform(*strength))
        position = (x * float(rng.uniform(0.3, 1.1)), float(rng.uniform(*y)), float(rng.uniform(1.3, 1.7)))
        return Lamp(position, (power * (1.0 + warm), power, power * (1.0 - warm)), shadow)

    return (
        lamp(side, (-0.6, 0.6), (0.36, 0.46), warmth),
        lamp(-side, (-0.8, 0.2), (0.10, 0.18), -warmth),
        lamp(-side, (-1.7, -1.3), (0.24, 0.32), 0.0, shadow=False),
    )
