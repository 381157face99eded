"""Frame selection: the frame a goal gets from a camera, how long it waits, and what it is told when there is none.

The contract:

- The newest frame counts. A frame whose stamp is older than `max_frame_age` by the node's clock (simulation time where
  `use_sim_time` is set), or as far in the future, is not looked at. A stamp of 0 counts as now.
- `camera_mode` on_demand: the topics are subscribed when a goal comes and dropped when it has its frame, or when what
  it found is no longer tracked. A stamp in the past can't be served (NEEDS_BUFFER); a stamp of now or of the near
  future is waited for.
- `camera_mode` always: frames are kept for `buffer_seconds` and `buffer_megabytes`. A goal that names a stamp gets the
  nearest frame if that is within `stamp_tolerance`, else STAMP_NOT_BUFFERED; its age does not matter.
- No goal waits longer than `frame_timeout`, or than its share of the time where it asks several cameras. Then the error
  says what is wrong with the topic: NO_PUBLISHER, QOS_MISMATCH, STALE_FRAME or NO_FRAME.
- When stamps go back (a bag that starts again), what was buffered is dropped.

`camera_info` and `depth` go with the frame where somebody publishes them with its stamp; the image never waits for them
longer than COMPANION_WAIT.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from rclpy.qos import QoSCompatibility, ReliabilityPolicy, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.ros.camera.camera import Camera
from rsagent_ros.ros.camera.frame import Frame, fitted
from rsagent_ros.ros.camera.frame_buffer import FrameBuffer
from rsagent_ros.ros.camera.images import to_rgb
from rsagent_ros.ros.wakeup import Wakeup

COMPANION_WAIT = 0.1
"""Seconds that a frame waits for its camera_info and depth, where somebody publishes them."""


@dataclass(frozen=True)
class FrameSelectionConfig:
    """The frame that is wanted.

    Attributes:
        stamp: Nanoseconds of the frame; 0 for the newest.
        stamp_tolerance: Between that and the frame's own, seconds.
        max_age: Of the newest frame, seconds.
    """

    stamp: int
    stamp_tolerance: float
    max_age: float


def wait_for_frame(
    camera: Camera, wanted: FrameSelectionConfig, until: float, wakeup: Wakeup, buffer: FrameBuffer | None = None
) -> Frame | None:
    """Take a frame from a camera. Blocks until it is there, but no longer than the contract says.

    Args:
        camera: For one goal at a time.
        wanted: The frame.
        until: `time.monotonic()`, after which it is no longer waited for.
        wakeup: Of the goal; it is poked by every message of the camera.
        buffer: Gets every image after that frame, until it leaves.

    Returns:
        The frame; None when `wakeup` was stopped meanwhile.

    Raises:
        RunFailed: There is none; the sentence names the topic.
    """
    now = camera.now()
    if camera.on_demand and 0 < wanted.stamp < now - wanted.stamp_tolerance * 1e9:
        raise RunFailed(
            ErrorCode.NEEDS_BUFFER,
            f"the stamp lies {(now - wanted.stamp) / 1e9:.3f} s in the past, and camera_mode on_demand keeps no "
            "frames: set camera_mode to always",
        )
    with camera.subscribed(wakeup, wakeup.poke):
        frame = _next_frame(camera, wanted, until, wakeup)
        if frame is not None and buffer is not None:
            camera.watch(buffer, frame.stamp_ns)
        return frame


def _next_frame(camera: Camera, wanted: FrameSelectionConfig, until: float, wakeup: Wakeup) -> Frame | None:
    started = time.monotonic()
    while not wakeup.stopped:
        entry = _fitting(camera, wanted)
        if entry is not None:
            return _with_companions(camera, wanted, until, wakeup, *entry)
        if time.monotonic() >= until:
            raise _why_none(camera, wanted, time.monotonic() - started)
        wakeup.wait(until)
    return None


def _fitting(camera: Camera, wanted: FrameSelectionConfig) -> tuple[int, Image | CompressedImage] | None:
    """The frame that is wanted; None while it has to be waited for.

    Raises:
        RunFailed: STAMP_NOT_BUFFERED: waiting would not help.
    """
    span = camera.span
    if span is None:
        return None
    oldest, newest = span
    entry = camera.nearest("image", wanted.stamp or newest)
    if entry is None:
        return None
    if not wanted.stamp:
        return entry if abs(camera.now() - entry[0]) <= wanted.max_age * 1e9 else None
    off = abs(entry[0] - wanted.stamp)
    if off <= wanted.stamp_tolerance * 1e9:
        return entry
    if wanted.stamp > newest:
        return None
    raise RunFailed(
        ErrorCode.STAMP_NOT_BUFFERED,
        f"the frame of {camera.topic} nearest to the stamp is {off / 1e9:.3f} s off, more than stamp_tolerance "
        f"({wanted.stamp_tolerance:g} s); the buffer goes back {(newest - oldest) / 1e9:.3f} s",
    )


def _with_companions(
    camera: Camera,
    wanted: FrameSelectionConfig,
    until: float,
    wakeup: Wakeup,
    stamp: int,
    message: Image | CompressedImage,
) -> Frame:
    """The frame with its camera_info and depth, where they come in time and fit."""
    rgb = to_rgb(message)
    until = min(time.monotonic() + COMPANION_WAIT, until)
    expected = [name for name in ("camera_info", "depth") if camera.published(name)]
    while not wakeup.stopped and time.monotonic() < until:
        if all(_companion(name, camera, wanted, stamp) is not None for name in expected):
            break
        wakeup.wait(until)
    info, depth = (_companion(name, camera, wanted, stamp) for name in ("camera_info", "depth"))
    frame = fitted(rgb, message.header, info, depth, camera.warn)
    return replace(frame, stamp_ns=stamp, camera=camera.name)


def _companion(name: str, camera: Camera, wanted: FrameSelectionConfig, stamp: int) -> Image | CameraInfo | None:
    nearest = camera.nearest(name, stamp)
    if nearest is None or abs(nearest[0] - stamp) > wanted.stamp_tolerance * 1e9:
        return None
    return nearest[1]


def _why_none(camera: Camera, wanted: FrameSelectionConfig, seconds: float) -> RunFailed:
    """The failure that says what is wrong with the topic, after it was waited for so long."""
    topic, waited = camera.topic, f"within {seconds:.1f} s"
    publishers = camera.endpoints()
    if not publishers:
        return RunFailed(
            ErrorCode.NO_PUBLISHER,
            f"no publisher on {topic} {waited}: start the camera, or remap the topic `image` to the camera's",
        )
    mismatches = [reason for reason in (_mismatch(camera, one) for one in publishers) if reason]
    if len(mismatches) == len(publishers):
        return RunFailed(
            ErrorCode.QOS_MISMATCH,
            f"no frame on {topic}: the publisher {mismatches[0]}; set image_reliability to match",
        )
    span = camera.span
    if span is None:
        return RunFailed(
            ErrorCode.NO_FRAME,
            f"{len(publishers)} publisher(s) on {topic}, of {publishers[0].topic_type}, but no frame {waited}: is the "
            f"camera running, and are its messages sensor_msgs/msg/{camera.message_type.__name__}?",
        )
    if wanted.stamp:
        ahead = (wanted.stamp - camera.now()) / 1e9
        if ahead > 0:
            sentence = f"the requested stamp is {ahead:.1f} s in the future; waited {seconds:.1f} s"
        else:
            behind = (wanted.stamp - span[1]) / 1e9
            sentence = f"no frame of the requested stamp: the newest is {behind:.1f} s older; waited {seconds:.1f} s"
        return RunFailed(ErrorCode.NO_FRAME, f"{topic}: {sentence}")
    return RunFailed(ErrorCode.STALE_FRAME, f"the newest frame of {topic} {_stale(camera, wanted, span[1])}")


def _mismatch(camera: Camera, publisher: TopicEndpointInfo) -> str:
    """Why a publisher's messages do not reach us; empty if they should."""
    compatible, reason = qos_check_compatible(publisher.qos_profile, camera.qos)
    if compatible != QoSCompatibility.ERROR:
        return ""
    if publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT:
        return "is best-effort, we asked for reliable"
    return f"and we do not agree ({reason.strip()})"


def _stale(camera: Camera, wanted: FrameSelectionConfig, stamp: int) -> str:
    now, limit = camera.now(), wanted.max_age
    age = (now - stamp) / 1e9
    if now == 0:
        return "can't be dated: use_sim_time is set, but nobody publishes /clock"
    if age < 0:
        return f"is stamped {-age:.3f} s in the future: the clocks of camera and node (use_sim_time) do not agree"
    return f"is {age:.3f} s old, more than max_frame_age ({limit:g} s)"
