"""Records as a Rerun recording: frames, masks, thoughts, boxes and poses on one time line. Needs the extra [rerun]."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import rerun
from numpy.typing import NDArray
from rerun import blueprint

from rsagent_ros.agent.mask import Mask, bounding_box
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.turn import Turn
from rsagent_ros.pose3d import NoPose, estimate_pose
from rsagent_ros.records.record import Record, answer_masks

TIMELINE = "time"
JPEG_QUALITY = 90
PICTURE_SIDE = 768
"""Longest side of the pictures that the policy was shown, pixels."""


def export(records: Iterable[Record], path: Path) -> int:
    """Write records as one .rrd file; `rerun FILE.rrd` opens it. Records are in memory one at a time.

    Args:
        records: In the order of time.
        path: File to write; one that is there is replaced.

    Returns:
        How many were written.

    Raises:
        OSError: The file can't be written.
    """
    with path.open("wb"):  # says why it can't be written; Rerun itself would only log it
        pass
    recording = rerun.RecordingStream("rsagent")
    recording.save(path, default_blueprint=_layout())
    count = 0
    for record in records:
        _write(recording, record)
        count += 1
    recording.flush()
    recording.disconnect()
    return count


def _layout() -> Any:
    """Frame and picture beside the objects in space, thoughts below."""
    return blueprint.Blueprint(
        blueprint.Vertical(
            blueprint.Horizontal(
                blueprint.Spatial2DView(origin="camera/image", name="frame"),
                blueprint.Spatial2DView(origin="picture", name="what the agent looks at"),
                blueprint.Spatial3DView(origin="camera", name="objects"),
            ),
            blueprint.TextLogView(origin="thoughts", name="thoughts"),
            row_shares=[3, 1],
        )
    )


def _write(recording: rerun.RecordingStream, record: Record) -> None:
    trace, seconds = record.trace, record.stamp_ns / 1e9

    def at(when: float) -> None:
        recording.set_time(TIMELINE, timestamp=when)

    at(seconds)
    for entity in ("camera/image/mask", "camera/image/objects", "camera/objects", "camera/depth"):
        recording.log(entity, rerun.Clear(recursive=False))
    camera = record.camera_info
    if camera is not None:
        recording.log(
            "camera/image",
            rerun.Pinhole(
                focal_length=(camera.fx, camera.fy),
                principal_point=(camera.cx, camera.cy),
                width=camera.width,
                height=camera.height,
                camera_xyz=rerun.ViewCoordinates.RDF,
            ),
        )
    recording.log("camera/image", rerun.Image(record.image).compress(jpeg_quality=JPEG_QUALITY))
    if record.depth is not None:
        known = np.where(np.isfinite(record.depth), record.depth, np.float32(0))
        recording.log("camera/depth", rerun.DepthImage(known, meter=1.0))
    recording.log("thoughts", rerun.TextLog(f"{record.goal_id}: {trace.instruction}", level="INFO"))
    for turn in trace.turns:
        seconds += sum(reply.reply_seconds for reply in turn.replies) + turn.tool_seconds
        at(seconds)
        _write_turn(recording, turn, record.image, trace.mask(turn.mask_id))
    at(seconds)
    _write_answer(recording, record)


def _write_turn(recording: rerun.RecordingStream, turn: Turn, frame: NDArray[np.uint8], mask: Mask | None) -> None:
    level = "WARN" if turn.error_code else "INFO"
    did = f"{turn.tool or 'no call'}{f' ({turn.error_code})' if turn.error_code else ''}"
    recording.log("thoughts", rerun.TextLog(f"{turn.index}. {did}: {turn.thought}", level=level))
    picture = turn.shown(frame, PictureFormat(PICTURE_SIDE))
    if picture is not None:
        recording.log("picture", rerun.Image(picture.pixels).compress(jpeg_quality=JPEG_QUALITY))
    if mask is not None:
        recording.log("camera/image/mask", rerun.SegmentationImage(mask.astype(np.uint8)))


def _write_answer(recording: rerun.RecordingStream, record: Record) -> None:
    trace, masks = record.trace, answer_masks(record.trace)
    words = " ".join(part for part in (str(trace.outcome), trace.reason, trace.question, trace.error_msg) if part)
    level = "ERROR" if trace.outcome is Outcome.FAILED else "INFO"
    recording.log("thoughts", rerun.TextLog(f"{record.goal_id}: {words}", level=level))
    numbers = np.zeros(record.image.shape[:2], np.uint8)
    for number, mask in enumerate(masks, 1):
        numbers[mask] = min(number, 255)
    recording.log("camera/image/mask", rerun.SegmentationImage(numbers))
    boxes = [box for box in map(bounding_box, masks) if box is not None]
    labels = [f"{trace.instruction} {sure:.2f}" for sure in trace.confidences]
    if boxes:
        corners, sizes = zip(*(((box.x0, box.y0), (box.x1 - box.x0, box.y1 - box.y0)) for box in boxes), strict=True)
        recording.log("camera/image/objects", rerun.Boxes2D(mins=corners, sizes=sizes, labels=labels))
    if record.depth is None or record.camera_info is None:
        return
    found = [estimate_pose(mask, record.depth, record.camera_info, record.image) for mask in masks]
    poses = [pose for pose in found if not isinstance(pose, NoPose)]
    if poses:
        recording.log(
            "camera/objects",
            rerun.Boxes3D(
                centers=[pose.position for pose in poses],
                sizes=[pose.size for pose in poses],
                quaternions=[pose.orientation for pose in poses],
                labels=[f"({', '.join(f'{part:.3f}' for part in pose.position)}) m" for pose in poses],
            ),
        )
        points = np.concatenate([pose.points for pose in poses])
        recording.log("camera/objects/points", rerun.Points3D(points, radii=0.002))
