"""Does the next best view find what is not in view? Simulated tables, a narrow camera that can turn.

    python benchmarks/next_view.py [--seeds A:B]

The camera stands where the world has it, with a field of view of 26 degrees, and looks at a place of the table from
which the target can't be seen: it is out of the picture, or behind something. Then it looks up to three times
more: by `next_view`, or past a side of the picture at random. Turning past an edge turns the camera in its place;
where an object hides it, the camera goes round that by 50 degrees. The target is found when 60 % of it, 40
pixels or more, are in the picture of 320x240: what a policy makes of it is another question. Seeds 0:200 are held out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from entry import Entry, not_here, reported
from numpy.typing import NDArray

from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.pose3d.next_view import STEP, NextView, PanTilt, next_view

HELD_OUT = range(140, 180)
LOOKS = 3
FIELD = 26.0
ROUND = 50.0
LEAST_VISIBLE, LEAST_PIXELS = 0.6, 40
MOST_SEEN = 0.1
"""Share of the target that may be in the first picture."""


@dataclass
class Head:
    """A camera without roll: where it is (3,) and where it looks (3,), metres, in the world's frame."""

    position: NDArray[np.float64]
    direction: NDArray[np.float64]

    def follow(self, view: NextView, pose: NDArray[np.float64]) -> None:
        """Turn or move to a view that was recommended at a pose."""
        towards = pose[:3, :3] @ view.direction
        if view.hidden_by is not None:
            # Round the place on the table that the hidden part is at.
            place = self.position - towards * self.position[2] / min(towards[2], -0.05)
            angle = np.radians(ROUND)
            turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
            self.position = place + turn @ (self.position - place)
            towards = place - self.position
        self.direction = towards / np.linalg.norm(towards)


Follow = Callable[[NDArray[np.float32], PinholeCamera, NextView | None], NextView | None]


def run() -> list[Entry]:
    """Measure; a few minutes."""
    if find_spec("mujoco") is None:
        return [not_here("where to look next", "needs MuJoCo: pip install -e '.[sim]'")]
    return measured(HELD_OUT)


def measured(seeds: range) -> list[Entry]:
    """The entries for these worlds."""
    found: dict[tuple[str, str], list[bool]] = {}
    for seed in seeds:
        for kind, name, within in _searched(seed):
            found.setdefault((kind, name), []).append(within)
    return [
        reported(f"found within {LOOKS} looks, {kind}, {name}", float(np.mean(hits)), "", f"{len(hits)} targets")
        for (kind, name), hits in sorted(found.items())
    ]


def _searched(seed: int) -> Iterator[tuple[str, str, bool]]:
    """For each target of a world: what keeps it from sight, how it was looked for, and whether it was found."""
    from rsagent_training.simulate import World
    from rsagent_training.simulation.room import furnish
    from rsagent_training.simulation.world import Stream

    room = furnish(np.random.default_rng([seed, Stream.SETTING]))
    room = replace(room, view=replace(room.view, field_of_view=FIELD))
    rng = np.random.default_rng([seed, 7])
    with World(seed, room=room, size=(320, 240)) as world:
        eye = room.view.pose()[:3, 3]
        for item in world.items:
            start = _unseen_from(world, eye, item.name, rng)
            if start is None:
                continue
            kind, direction = start
            for name, follow in (("next_view", next_view), ("at random", _at_random(rng))):
                yield kind, name, _found(world, Head(eye.copy(), direction.copy()), item.name, follow)


def _unseen_from(
    world: Any, eye: NDArray[np.float64], name: str, rng: np.random.Generator
) -> tuple[str, NDArray[np.float64]] | None:
    for _ in range(8):
        spot = np.array([rng.uniform(-0.5, 0.5), rng.uniform(-0.35, 0.35), 0.0])
        direction = (spot - eye) / np.linalg.norm(spot - eye)
        frame = _look(world, Head(eye, direction))
        visible, whole = int(frame.masks[name].sum()), frame.whole[name]
        if whole == 0 or visible > MOST_SEEN * whole:
            if whole == 0:
                return "out of the picture", direction
            continue
        return "hidden", direction
    return None


def _found(world: Any, head: Head, name: str, follow: Follow) -> bool:
    after: NextView | None = None
    frame = _look(world, head)
    for _ in range(LOOKS):
        view = follow(frame.depth, frame.camera, after)
        if view is None:
            return False
        head.follow(view, frame.pose)
        after = view if view.hidden_by is None else None
        frame = _look(world, head)
        pixels = int(frame.masks[name].sum())
        if pixels >= LEAST_PIXELS and pixels >= LEAST_VISIBLE * frame.whole[name]:
            return True
    return False


def _look(world: Any, head: Head) -> Any:
    outward = -head.direction
    azimuth = float(np.degrees(np.arctan2(outward[0], -outward[1])))
    elevation = float(np.degrees(np.arcsin(np.clip(outward[2], -1, 1))))
    view = replace(
        world.room.view,
        target=tuple(head.position + head.direction),
        azimuth=azimuth,
        elevation=elevation,
        distance=1.0,
    )
    world.room = replace(world.room, view=view)
    return world.render()


def _at_random(rng: np.random.Generator) -> Follow:
    def follow(depth: NDArray[np.float32], camera: PinholeCamera, after: NextView | None) -> NextView:
        half = np.arctan(camera.width / 2 / camera.fx), np.arctan(camera.height / 2 / camera.fy)
        across, up = ((-1, 0), (1, 0), (0, -1), (0, 1))[rng.integers(4)]
        yaw, pitch = 2 * STEP * half[0] * across, 2 * STEP * half[1] * up
        direction = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        return NextView(direction, PanTilt(float(yaw), float(pitch), 0.0), None, (), (), 0.0)

    return follow


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default=f"{HELD_OUT.start}:{HELD_OUT.stop}", metavar="A:B")
    first, last = (int(part) for part in parser.parse_args().seeds.split(":"))
    for entry in measured(range(first, last)):
        print(f"{entry.name}: {entry.value:.3f}  ({entry.note})")
