"""The table of `make demo`: a fixed, pleasant scene and examples that show what the agent does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.data.example import Example
from rsagent_training.simulation.camera_path import CameraPath, Sway
from rsagent_training.simulation.instructions import ReferringExpression, to_example
from rsagent_training.simulation.layout import Item, make_item
from rsagent_training.simulation.room import FLOORS, TABLES, WALLS, Lamp, Room
from rsagent_training.simulation.world import Rendering, World

ANSWERS = "answers the question"
"""Form of the instruction that answers the question about the one before."""

UNKNOWN_NOUN = "a noun that the embedded default does not know"
"""Form of the instruction that a policy without that noun has to give up on."""

_SEED = 2024

_ROOM = Room(
    table=TABLES[1],
    wall=WALLS[1],
    floor=FLOORS[0],
    lamps=(
        Lamp((-0.7, -0.3, 1.5), (0.50, 0.48, 0.45)),
        Lamp((0.9, -0.2, 1.4), (0.13, 0.13, 0.14)),
        Lamp((0.3, -1.6, 1.4), (0.27, 0.27, 0.27), shadow=False),
    ),
    ambient=0.38,
    view=CameraPath(
        target=(0.0, 0.02, 0.03), azimuth=-6.0, elevation=43.0, distance=0.98,
        swing=Sway(9.0, 12.0), nod=Sway(2.5, 9.0), approach=Sway(0.04, 15.0),
    ),
    noise=1.2,
)  # fmt: skip

# Kind, colour, size, pattern, (x, y) in metres, turn in degrees.
_THINGS = (
    ("cylinder", "blue", "medium", "plain", (-0.07, 0.05), 0.0),
    ("box", "red", "small", "plain", (-0.23, 0.04), 20.0),
    ("box", "red", "small", "checker", (0.12, 0.08), -25.0),
    ("box", "red", "large", "plain", (0.42, 0.12), 15.0),
    ("box", "yellow", "medium", "stripes", (0.20, -0.11), 8.0),
    ("ball", "green", "medium", "plain", (-0.32, -0.13), 0.0),
    ("cylinder", "green", "small", "plain", (0.00, -0.16), 0.0),
    ("cone", "green", "small", "plain", (0.42, -0.13), 0.0),
    ("cone", "purple", "medium", "stripes", (-0.14, 0.26), 0.0),
    ("mug", "white", "medium", "plain", (-0.37, 0.22), 215.0),
    ("banana", "yellow", "medium", "plain", (-0.15, -0.21), 150.0),
    ("plate", "cyan", "medium", "plain", (0.17, 0.25), 0.0),
    ("spoon", "gray", "medium", "plain", (-0.24, 0.13), 60.0),
    ("ball", "orange", "medium", "plain", (0.17, 0.235), 0.0),
)
_STANDS_ON = {"ball_2": "plate_1"}

DEMO_EXPRESSIONS: tuple[tuple[str, ReferringExpression], ...] = (
    ("attribute", ReferringExpression("the green ball", ("ball_1",))),
    ("relation", ReferringExpression("the small red box left of the blue cylinder", ("box_1",))),
    ("absent", ReferringExpression("the yellow cone", ())),
    # An orange ball lies on the cyan plate, inside its bounding box: a mask drawn from the box alone takes the ball
    # along, and only someone who looks at the overlay notices.
    ("attribute", ReferringExpression("the cyan object", ("plate_1",), "needs correction")),
    # Several steps, so that there is something to cancel half-way.
    ("ordinal", ReferringExpression("the second green thing from the left", ("cylinder_2",), "for cancelling")),
    # Several things of one name are marked at once, through words.
    ("all", ReferringExpression("all the green things", ("ball_1", "cylinder_2", "cone_1"))),
    ("attribute", ReferringExpression("the white mug", ("mug_1",), UNKNOWN_NOUN)),
    ("ambiguous", ReferringExpression("the small red box", ("box_1", "box_2"))),
    ("relation", ReferringExpression("the left one", ("box_1",), ANSWERS)),
)
"""Category and words of each example of the demo."""

_PREVIOUS = (Exchange("the small red box", "Which one is meant?"),)


def demo_examples(world: World, rendering: Rendering) -> list[Example]:
    """The examples of the demo about a picture of its world; the last one answers the question of the one before."""
    return [
        to_example(world, rendering, number, category, one, _PREVIOUS if one.form == ANSWERS else ())
        for number, (category, one) in enumerate(DEMO_EXPRESSIONS)
    ]


def demo_world(size: tuple[int, int] = (640, 480)) -> World:
    """The world of the demo; `demo_examples` asks about it."""
    rng = np.random.default_rng(_SEED)
    items: list[Item] = []
    for kind, colour, item_size, pattern, (x, y), turn in _THINGS:
        name = f"{kind}_{1 + sum(item.kind == kind for item in items)}"
        item = make_item(name, kind, colour, item_size, pattern, rng)
        on = _STANDS_ON.get(name)
        height = next((other.shape.surface or 0.0 for other in items if other.name == on), 0.0)
        items.append(replace(item, position=(x, y, height), yaw=float(np.radians(turn)), on=on))
    return World(_SEED, vocabulary="plain", size=size, room=_ROOM, items=items)
