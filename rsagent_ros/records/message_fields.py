"""Parts of messages that the node and the readers of bags understand alike, whichever library decoded them."""

from __future__ import annotations

import math
from typing import Any

from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.images import to_mask
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


def camera_of(info: Any) -> PinholeCamera | None:
    """A sensor_msgs/CameraInfo as a pinhole camera; None where it is not calibrated, or not with numbers.

    Where the lens distorts, it is that of the rectified image: `p`, where that is filled in, is its matrix, and `k`
    that of the raw one.
    """
    is_filled_in = info.p[0] != 0 or info.p[5] != 0  # NaN is: the rectified camera is then one that nobody knows
    rectified = any(info.d) and is_filled_in
    fx, _, cx, _, fy, cy = map(float, (*info.p[:3], *info.p[4:7]) if rectified else info.k[:6])
    if not (info.width and info.height and fx > 0 and fy > 0 and all(map(math.isfinite, (fx, fy, cx, cy)))):
        return None
    return PinholeCamera(int(info.width), int(info.height), fx, fy, cx, cy)
