"""Tracked masks over DDS as the tests of tracking read them: sent goals, states, and the overlap with the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from filming import FilmCamera, Shots
from ros_support import AgentProcess, Robot, Sink
from rsagent_ros.msg import Result, TrackedMask

from rsagent_ros.agent.mask import Mask, iou
from rsagent_ros.images import to_mask
from rsagent_ros.ros.stamps import nanoseconds

Start = Callable[..., AgentProcess]
Film_ = Callable[..., FilmCamera]

TRACKING, LOST, STOPPED = TrackedMask.TRACKING, TrackedMask.LOST, TrackedMask.STOPPED
RELIABLE = 20
"""Depth of a reliable subscription, without the past."""


def tracked(robot: Robot) -> Sink:
    return robot.listen(TrackedMask, "/agent/tracked_mask", RELIABLE)


def overlap(message: TrackedMask, camera: FilmCamera) -> float:
    """IoU of a mask with the truth at its own stamp."""
    truth: Mask = camera.truth[nanoseconds(message.header.stamp)]
    return iou(to_mask(message.image), truth)


def follow(robot: Robot, **fields: Any) -> Result:
    """Send a goal that tracks; returns its result, FOUND."""
    _, result = robot.ask(**{"track": True, "time_budget": 15.0} | fields)
    assert result.outcome == Result.FOUND, result.error_msg
    return result


def newest(masks: Sink) -> int:
    """Stamp of the last mask, nanoseconds; 0 before the first."""
    return nanoseconds(masks.messages[-1].header.stamp) if masks.messages else 0


def in_state(state: int) -> Callable[[TrackedMask], bool]:
    return lambda message: message.state == state


def values(message: DiagnosticArray) -> dict[str, str]:
    return {pair.key: pair.value for status in message.status for pair in status.values}


def bigger(shots: Shots) -> Shots:
    return [tuple(np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1) for pixels in shot) for shot in shots]  # type: ignore[misc]
