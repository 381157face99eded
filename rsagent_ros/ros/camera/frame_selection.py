"""Camera input: which frame a goal gets, how long it waits for one, and what it is told when there is none.

The contract:

- The newest frame counts. A frame whose stamp is older than `max_frame_age` by the node's clock (simulation time where
  `use_sim_time` is set), or as far in the future, is not looked at. A stamp of 0 counts as now.
- `camera_mode` on_demand: the topics are subscribed when a goal comes and dropped when it has its frame, or when what
  it found is no longer followed. A stamp in the past can't be served (NEEDS_BUFFER); a stamp of now or of the near
  future is waited for.
- `camera_mode` always: frames are kept for `buffer_seconds` and `buffer_megabytes`. A goal that names a stamp gets the
  nearest frame if that is within `stamp_tolerance`, else STAMP_NOT_BUFFERED; its age does not matter.
- Nobody waits longer than `frame_timeout`. Then the error says what is wrong with the topic: NO_PUBLISHER,
  QOS_MISMATCH, STALE_FRAME or NO_FRAME.
- When stamps go back (a bag that starts again), what was buffered is dropped.

`camera_info` and `depth` go with the frame where somebody publishes them with its stamp; the image never waits for them
longer than COMPANION_WAIT.
"""

from __future__ import annotations

import time
from dataclasses import replace

from rclpy.qos import QoSCompatibility, ReliabilityPolicy, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.ros.camera.camera import Camera
from rsagent_ros.ros.camera.frame import Frame, fitted, given_frame
from rsagent_ros.ros.camera.frame_buffer import FrameBuffer
from rsagent_ros.ros.camera.images import to_rgb
from rsagent_ros.ros.goals.active_goal import ActiveGoal

COMPANION_WAIT = 0.1
"""Seconds that a frame waits for its camera_info and depth, where somebody publishes them."""


def frame_for(run: ActiveGoal, camera: Camera, watcher: FrameBuffer | None = None) -> Frame | None:
    """The frame a goal asks for. Blocks until it is there, but no longer than the contract says.

    Args:
        run: The goal.
        camera: It looks through, unless it brings an image of its own; for one goal at a time.
        watcher: Gets every image after that frame, until it leaves.

    Returns:
        The frame; None when the goal was stopped meanwhile.

    Raises:
        RunFailed: There is none; the sentence names the topic.
    """
    request = run.request
    if request.image is not None:
        return given_frame(request)
    now = camera.now()
    if camera.on_demand and 0 < request.stamp < now - run.parameters.stamp_tolerance * 1e9:
        raise RunFailed(
            ErrorCode.NEEDS_BUFFER,
            f"the stamp lies {(now - request.stamp) / 1e9:.3f} s in the past, and camera_mode on_demand keeps no "
            "frames: set camera_mode to always",
        )
    with camera.heard(run, run.poke):
        frame = _waited_for(run, camera)
        if frame is not None and watcher is not None:
            camera.watch(watcher, frame.stamp_ns)
        return frame


def _waited_for(run: ActiveGoal, camera: Camera) -> Frame | None:
    until = min(time.monotonic() + run.parameters.frame_timeout, run.deadline)
    while run.ending is None:
        found = _fitting(run, camera)
        if found is not None:
            return _accompanied(run, camera, *found)
        if time.monotonic() >= until:
            raise _why_none(run, camera)
        run.wait(until)
    return None


def _fitting(run: ActiveGoal, camera: Camera) -> tuple[int, Image | CompressedImage] | None:
    """The frame that the goal may look at; None while it has to wait.

    Raises:
        RunFailed: STAMP_NOT_BUFFERED: waiting would not help.
    """
    wanted, parameters, span = run.request.stamp, run.parameters, camera.span
    if span is None:
        return None
    oldest, newest = span
    entry = camera.nearest("image", wanted or newest)
    if entry is None:
        return None
    if not wanted:
        return entry if abs(camera.now() - entry[0]) <= parameters.max_frame_age * 1e9 else None
    off = abs(entry[0] - wanted)
    if off <= parameters.stamp_tolerance * 1e9:
        return entry
    if wanted > newest:
        return None
    raise RunFailed(
        ErrorCode.STAMP_NOT_BUFFERED,
        f"the frame of {camera.topic} nearest to the stamp is {off / 1e9:.3f} s off, more than stamp_tolerance "
        f"({parameters.stamp_tolerance:g} s); the buffer goes back {(newest - oldest) / 1e9:.3f} s",
    )


def _accompanied(run: ActiveGoal, camera: Camera, stamp: int, message: Image | CompressedImage) -> Frame:
    """The frame with its camera_info and depth, where they come in time and fit."""
    rgb = to_rgb(message)
    until = min(time.monotonic() + COMPANION_WAIT, run.deadline)
    expected = [name for name in ("camera_info", "depth") if camera.published(name)]
    while run.ending is None and time.monotonic() < until:
        if all(_companion(name, run, camera, stamp) is not None for name in expected):
            break
        run.wait(until)
    info, depth = (_companion(name, run, camera, stamp) for name in ("camera_info", "depth"))
    frame = fitted(rgb, message.header, info, depth, camera.warn)
    return replace(frame, stamp_ns=stamp, camera=camera.name)


def _companion(name: str, run: ActiveGoal, camera: Camera, stamp: int) -> Image | CameraInfo | None:
    nearest = camera.nearest(name, stamp)
    if nearest is None or abs(nearest[0] - stamp) > run.parameters.stamp_tolerance * 1e9:
        return None
    return nearest[1]


def _why_none(run: ActiveGoal, camera: Camera) -> RunFailed:
    """What is wrong with the topic, after the time for a frame is over."""
    topic, waited = camera.topic, f"within {time.monotonic() - run.started:.2f} s"
    publishers = camera.endpoints()
    if not publishers:
        return RunFailed(
            ErrorCode.NO_PUBLISHER,
            f"no publisher on {topic} {waited}: start the camera, or remap the topic `image` to the camera's",
        )
    mismatches = [told for told in (_mismatch(camera, one) for one in publishers) if told]
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
    newest = span[1]
    if run.request.stamp:
        early = (run.request.stamp - newest) / 1e9
        return RunFailed(
            ErrorCode.NO_FRAME, f"the newest frame of {topic} is still {early:.3f} s before the stamp, {waited}"
        )
    return RunFailed(ErrorCode.STALE_FRAME, f"the newest frame of {topic} {_stale(run, camera, newest)}")


def _mismatch(camera: Camera, publisher: TopicEndpointInfo) -> str:
    """Why a publisher's messages do not reach us; empty if they should."""
    compatible, reason = qos_check_compatible(publisher.qos_profile, camera.qos)
    if compatible != QoSCompatibility.ERROR:
        return ""
    if publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT:
        return "is best-effort, we asked for reliable"
    return f"and we do not agree ({reason.strip()})"


def _stale(run: ActiveGoal, camera: Camera, stamp: int) -> str:
    now, limit = camera.now(), run.parameters.max_frame_age
    age = (now - stamp) / 1e9
    if now == 0:
        return "can't be dated: use_sim_time is set, but nobody publishes /clock"
    if age < 0:
        return f"is stamped {-age:.3f} s in the future: the clocks of camera and node (use_sim_time) do not agree"
    return f"is {age:.3f} s old, more than max_frame_age ({limit:g} s)"
