"""The rendered world against geometry that does not come from the renderer."""

from __future__ import annotations

import colorsys
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="the simulator is the extra [sim]")

from rsagent_training.simulate import Rendering, World, demo_world, examples
from rsagent_training.simulation.camera_path import projected
from rsagent_training.simulation.catalogue import COLOURS
from rsagent_training.simulation.visibility import visible_items

SIZE = (320, 240)


def digest(seed: int) -> str:
    """Digest of all that a seed decides: pictures, truth and examples."""
    with World(seed, size=SIZE) as world:
        frames = [world.render(), world.render(1.5)]
        made = [example for frame in frames for example in examples(world, frame)]
    found = hashlib.sha256()
    for frame in frames:
        parts: list[np.ndarray] = [frame.rgb, frame.depth, *frame.masks.values()]
        for part in parts:
            found.update(part.tobytes())
    for example in made:
        for part in example.masks:
            found.update(part.tobytes())
        found.update(example.instruction.encode())
    return found.hexdigest()


@pytest.fixture(scope="module", params=[("full", 3), ("plain", 6), ("full", 11)], ids=str)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    vocabulary, seed = request.param
    with World(seed, vocabulary=vocabulary, size=SIZE) as made:
        yield made


@pytest.fixture(scope="module", params=[0.0, 2.5], ids=["at rest", "moving"])
def frame(world: World, request: pytest.FixtureRequest) -> Rendering:
    return world.render(request.param)


def points(frame: Rendering) -> np.ndarray:
    """(H, W, 3) world points of all pixels, from depth, intrinsics and pose alone."""
    camera = frame.camera
    x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x, dtype=float)], axis=-1)
    return rays * frame.depth[..., None] @ frame.pose[:3, :3].T + frame.pose[:3, 3]


def test_types_and_shapes(world: World, frame: Rendering) -> None:
    assert frame.rgb.shape == (240, 320, 3)
    assert frame.rgb.dtype == np.uint8
    assert frame.depth.shape == (240, 320)
    assert frame.depth.dtype == np.float32
    assert list(frame.masks) == [item.name for item in world.items]
    assert all(mask.dtype == np.bool_ and mask.shape == (240, 320) for mask in frame.masks.values())


def test_masks_share_no_pixel(frame: Rendering) -> None:
    assert np.sum(list(frame.masks.values()), axis=0).max() == 1


def test_what_a_mask_shows_lies_inside_its_thing(world: World, frame: Rendering) -> None:
    seen_at = points(frame)
    for item in world.items:
        there = seen_at[frame.masks[item.name]]
        if len(there):
            low, high = item.vertices.min(axis=0) - 0.004, item.vertices.max(axis=0) + 0.004
            assert np.all((there > low) & (there < high)), item.name


def test_what_no_mask_shows_is_the_room(frame: Rendering) -> None:
    room = points(frame)[~np.any(list(frame.masks.values()), axis=0) & np.isfinite(frame.depth)]
    on_table_or_below = room[:, 2] < 0.003
    on_wall = room[:, 1] > 1.45
    assert np.all(on_table_or_below | on_wall)


def test_a_mask_has_the_outline_of_its_projected_body(world: World, frame: Rendering) -> None:
    free = [s for s in visible_items(world.items, frame) if s.share > 0.999]
    assert free
    for thing in free:
        rows, columns = np.nonzero(frame.masks[thing.name])
        pixels = projected(thing.item.vertices, frame.camera, frame.pose)
        box = np.array([columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5])
        assert np.allclose(box, [*pixels.min(axis=0), *pixels.max(axis=0)], atol=1.01), thing.name


def test_whole_is_what_the_thing_alone_would_show(world: World) -> None:
    frame = world.render()
    hidden = max(world.items, key=lambda item: frame.whole[item.name] - frame.masks[item.name].sum())
    with World(world.seed, room=world.room, items=[hidden], size=SIZE) as alone:
        assert frame.whole[hidden.name] == alone.render().masks[hidden.name].sum()
    assert all(frame.whole[name] >= mask.sum() for name, mask in frame.masks.items())


def test_a_named_colour_is_the_colour_that_is_seen(world: World) -> None:
    frame = world.render()
    for item in world.items:
        mask = frame.masks[item.name]
        colour = COLOURS[item.colour]
        if mask.sum() < 100 or colour.saturation[0] < 0.3:
            continue
        hue = colorsys.rgb_to_hsv(*np.median(frame.rgb[mask], axis=0) / 255.0)[0] * 360.0
        off = (hue - colour.hue[0] + 180.0) % 360.0 - 180.0
        assert abs(off) < colour.hue[1] + 8.0, (item.name, item.colour, hue)


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    run = [sys.executable, "-c", "from test_world import digest; print(digest(5))"]
    # Another seed of hashes: no set's order may decide anything.
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": path}
    there = subprocess.run(run, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
    assert there == digest(5)
    assert there != digest(6)


def test_the_camera_at_rest_repeats_itself_and_the_moving_one_moves_smoothly(world: World) -> None:
    assert np.array_equal(world.render().rgb, world.render().rgb)
    assert not np.array_equal(world.render().rgb, world.render(1.0).rgb)
    poses = [world.room.view.pose(t) for t in np.arange(0.0, 20.0, 1 / 30)]
    steps = [np.linalg.norm(b[:3, 3] - a[:3, 3]) for a, b in pairwise(poses)]
    assert max(steps) < 0.01, "more than 0.3 m/s"
    assert max(np.linalg.norm(pose[:3, 3] - poses[0][:3, 3]) for pose in poses) > 0.05
    assert all(np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3)) for pose in poses)
    assert all(np.linalg.det(pose[:3, :3]) == pytest.approx(1.0) for pose in poses)


def test_without_truth_the_picture_is_the_same(world: World) -> None:
    assert np.array_equal(world.render(0.5, truth=False).rgb, world.render(0.5).rgb)
    assert world.render(truth=False).masks == {}


def test_nothing_stands_inside_anything_else(world: World) -> None:
    floor = [item for item in world.items if item.on is None]
    for number, one in enumerate(floor):
        for other in floor[number + 1 :]:
            gap = np.linalg.norm(one.vertices[:, None, :2] - other.footprint[None], axis=2).min()
            assert gap > 0.001, (one.name, other.name)


def test_close_twice_is_harmless_and_bad_arguments_are_refused() -> None:
    world = demo_world(SIZE)
    world.close()
    world.close()
    with pytest.raises(ValueError, match="seed -1"):
        World(-1)
    with pytest.raises(ValueError, match=r"size \(0, 10\)"):
        World(1, size=(0, 10))
