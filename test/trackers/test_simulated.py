"""The simulated camera moves: masks stay on their things, and their places stay where they are in the world."""

from __future__ import annotations

import numpy as np
import pytest

# Not `mujoco` itself: the simulator tells it how to render before it is imported.
pytest.importorskip("rsagent_training.simulate", reason="no MuJoCo or no OpenGL library here", exc_type=ImportError)

from rsagent_ros.agent.mask import area, iou
from rsagent_ros.baseline.tracker import ClassicalTracker
from rsagent_ros.pose3d import Pose3d, estimate_pose
from rsagent_training.simulate import World

FPS = 10


def test_masks_and_places_of_the_largest_things_over_a_second_and_a_half() -> None:
    with World(1004) as world:
        film = [world.render(index / FPS, truth=index in (0, 15)) for index in range(16)]
    first, last = film[0], film[-1]
    names = sorted(first.masks, key=lambda name: area(first.masks[name]))[-4:]
    for name in names:
        track = ClassicalTracker().start(first.rgb, first.masks[name], 0)
        for index, frame in enumerate(film[1:], 1):
            answer = track.step(frame.rgb, index)
            assert not answer.lost, (name, index, answer.reason)
        assert iou(answer.mask, last.masks[name]) > 0.85, name
        assert iou(first.masks[name], last.masks[name]) < 0.8, name
        there = []
        for frame, mask in ((first, first.masks[name]), (last, answer.mask)):
            place = estimate_pose(mask, frame.depth, frame.camera)
            assert isinstance(place, Pose3d)
            there.append(frame.pose[:3, :3] @ place.position + frame.pose[:3, 3])
        # It did not move; what the camera sees of it did.
        assert np.linalg.norm(there[0] - there[1]) < 0.03, name
