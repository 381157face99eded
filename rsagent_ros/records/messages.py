"""Parts of messages that the node and the readers of bags understand alike, whichever library decoded them."""

from __future__ import annotations

from typing import Any

from rsagent_ros.agent.scene import Camera
from rsagent_ros.records.pixels import to_mask
from rsagent_ros.records.record import VERDICT_SOURCES, Verdict


def verdict_of(message: Any) -> Verdict:
    """The verdict in a message.

    Raises:
        ValueError: It is from nobody that is known.
        RunFailed: BAD_IMAGE: its mask can't be read.
    """
    if not 1 <= message.source <= len(VERDICT_SOURCES):
        raise ValueError(f"the verdict's source is {message.source}; known are 1 to {len(VERDICT_SOURCES)}")
    return Verdict(
        goal_id=message.goal_id,
        source=VERDICT_SOURCES[message.source - 1],
        accepted=bool(message.accepted),
        absent=bool(message.absent),
        mask=to_mask(message.corrected_mask) if message.corrected_mask.width else None,
        note=message.note,
        stamp_ns=stamp_of(message.stamp),
    )


def stamp_of(time: Any) -> int:
    """A builtin_interfaces/Time as nanoseconds."""
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)


def camera_of(info: Any) -> Camera | None:
    """A sensor_msgs/CameraInfo as a pinhole camera, its distortion left out; None where it is not calibrated."""
    if not (info.width and info.height and info.k[0] > 0 and info.k[4] > 0):
        return None
    fx, _, cx, _, fy, cy = (float(number) for number in info.k[:6])
    return Camera(int(info.width), int(info.height), fx, fy, cx, cy)
