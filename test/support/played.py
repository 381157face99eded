"""Scenes of plain boxes, and episodes on them played from a script: what tests of rewards and of training data need.

The fake segmenter draws exactly the box of a prompt, so the IoU of every mask is known beforehand. On a frame of
100 x 100, one coordinate of the chat is a tenth of a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from fakes import FakePolicy, FakeSegmenter, Step

from rsagent_ros.agent.actions import Action, render
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example

SIDE = 100
"""Pixels a side of every scene here."""


def square(x0: int, y0: int, x1: int, y1: int) -> Mask:
    """A mask that covers these pixels."""
    mask = np.zeros((SIDE, SIDE), dtype=np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def box(x0: int, y0: int, x1: int, y1: int) -> Box:
    """The box of the same pixels in the coordinates of the chat."""
    return Box(x0 * 10, y0 * 10, x1 * 10, y1 * 10)


def scene_of(*masks: Mask, expected: Outcome | None = None, name: str = "scene") -> Example:
    """A scene with these things wanted; without any, the target is absent."""
    image = np.full((SIDE, SIDE, 3), 200, dtype=np.uint8)
    for number, mask in enumerate(masks):
        image[mask] = (200, 30 * number, 40)
    outcome = expected or (Outcome.FOUND if masks else Outcome.NOT_IN_VIEW)
    return Example(name, image, f"the things of {name}", outcome, masks, source="made up", tags=("attribute",))


def play(scene: Example, script: Sequence[Action | Step], *, max_turns: int = 8) -> Trace:
    """The trace of an episode in which these actions are said, or these very words."""
    says = [f"<think>Next.</think>{render(step)}" if isinstance(step, Action) else step for step in script]
    budget = Budget(seconds=600.0, max_turns=max_turns)
    episode = Episode(scene.image, scene.instruction, FakeSegmenter(), budget)
    drive(episode, FakePolicy(says))
    return episode.trace
